"""What every acceptance test of a tracker needs: the tracker of the host under test, and a login.

`host`, `changeover_host` (its record) and `changeover_secret` are offered by the product's own plugin.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass(frozen=True)
class Tracker:
    """The tracker of one host, as its users see it."""

    url: str
    target_version: str
    variables: dict[str, Any]
    login: dict[str, str] = field(repr=False)

    def get(self, path: str, *, login: bool = True) -> tuple[int, dict[str, str], str]:
        """Status, headers and text of a page; HTTP errors are answers too."""
        # The address is on record in the CMDB.
        request = urllib.request.Request(self.url + path, headers=self.login if login else {})  # noqa: S310
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


@pytest.fixture(scope="module")
def tracker(changeover_host: Mapping[str, Any], changeover_secret: Callable[[str], str]) -> Tracker:
    """The tracker of the host under test."""
    variables = changeover_host["variables"]
    url = f"http://{variables['roundup_address']}:{variables['roundup_port']}/"
    login = base64.b64encode(f"admin:{changeover_secret('roundup_admin')}".encode()).decode()
    return Tracker(url, changeover_host["target_version"], variables, {"Authorization": f"Basic {login}"})
