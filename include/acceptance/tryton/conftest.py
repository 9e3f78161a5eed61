"""What every acceptance test of Tryton needs: the host under test, a login, and calls over JSON-RPC."""

from __future__ import annotations

import base64
import json
import os
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

MOVED = (8, 0)
"""Since this series calls go below /rpc/."""


@dataclass(frozen=True)
class Server:
    """The server of one host, as its users see it."""

    url: str
    database: str
    target_version: str
    variables: dict[str, Any]

    @property
    def endpoint(self) -> str:
        series = tuple(int(part) for part in self.target_version.split(".")[:2])
        return "rpc/" if series >= MOVED else ""

    def call(self, method: str, *params: Any, database: bool = True, authorization: str = "") -> Any:
        """One call: its result. Errors of the server fail the test."""
        place = f"{self.url}{self.database + '/' if database else ''}{self.endpoint}"
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": authorization} if authorization else {})
        # The address is on record in the CMDB.
        request = urllib.request.Request(place, body, headers)  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as answer:
            told = json.loads(answer.read())
        assert not (isinstance(told, dict) and told.get("error")), f"{method}: {told}"
        return told["result"] if isinstance(told, dict) else told

    def login(self) -> str:
        password = os.environ["CHANGEOVER_SECRET_TRYTON_ACCEPTANCE"]
        session = self.call("common.db.login", "acceptance", {"password": password}, "en")
        assert session, "the login was refused"
        return "Session " + base64.b64encode(f"acceptance:{session[0]}:{session[1]}".encode()).decode()

    def read(self, model: str, domain: list[Any], fields: list[str]) -> list[dict[str, Any]]:
        """Records as a person with the acceptance account sees them."""
        mark = self.login()
        context = self.call("model.res.user.get_preferences", True, {}, authorization=mark)
        params = (domain, 0, None, [["id", "ASC"]], fields, context)
        found = self.call(f"model.{model}.search_read", *params, authorization=mark)
        return list(found)


@pytest.fixture
def server(changeover_host: dict[str, Any]) -> Server:
    """The server of the host under test."""
    variables = changeover_host["variables"]
    url = f"http://{variables['tryton_address']}:{variables['tryton_port']}/"
    return Server(url, variables["tryton_database"], changeover_host["target_version"], variables)
