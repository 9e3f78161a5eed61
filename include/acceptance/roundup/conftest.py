"""What every acceptance test of a tracker needs: the host over SSH (testinfra's `host`), its variables, and a login.

The product names a JSON file in CHANGEOVER_ACCEPTANCE: {"environment", "hosts": {name: {address, port, user, variables,
target_version}}}, and gives secrets as CHANGEOVER_SECRET_<NAME>.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Tracker:
    """The tracker of one host, as its users see it."""

    url: str
    target_version: str
    variables: dict[str, Any]

    def get(self, path: str, *, login: bool = True) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of a page; HTTP errors are answers too."""
        # The address is on record in the CMDB.
        request = urllib.request.Request(self.url + path, headers=_login() if login else {})  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, dict(answer.headers), answer.read().decode()
        except urllib.error.HTTPError as exc:
            return exc.code, dict(exc.headers), exc.read().decode()

    def data(self, path: str) -> Any:
        """What the REST interface gives for a path below /rest/data."""
        status, _, text = self.get(f"rest/data/{path}")
        assert status == 200, f"REST answered {status}: {text[:300]}"
        return json.loads(text)["data"]


def _login() -> dict[str, str]:
    password = os.environ["CHANGEOVER_SECRET_ROUNDUP_ADMIN"]
    return {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()}


@pytest.fixture(scope="session")
def planned() -> dict[str, Any]:
    """The hosts that are to be accepted."""
    return dict(json.loads(Path(os.environ["CHANGEOVER_ACCEPTANCE"]).read_text(encoding="utf-8"))["hosts"])


@pytest.fixture
def tracker(host: Any, planned: dict[str, Any]) -> Tracker:
    """The tracker of the host under test."""
    about = planned[_name(host, planned)]
    variables = about["variables"]
    url = f"http://{variables['roundup_address']}:{variables['roundup_port']}/"
    return Tracker(url, about["target_version"], variables)


def _name(host: Any, planned: dict[str, Any]) -> str:
    """The name of a host in the plan; testinfra knows it by how it is reached."""
    backend = host.backend
    reached = getattr(backend, "host", None)
    for name, about in planned.items():
        if reached and (reached.name, str(reached.port)) in {(about["address"], str(about["port"])), (name, "None")}:
            return name
    raise LookupError(f"{backend.get_pytest_id()} is none of the planned hosts: {', '.join(planned)}")
