"""What every acceptance test of Tryton needs: the server of the host under test, and a login.

`host`, `changeover_host` (its record) and `changeover_secret` are offered by the product's own plugin.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

USER = "acceptance"


@dataclass
class Tryton:
    """The server of one host, as programs of the client's see it."""

    url: str
    database: str
    target_version: str
    variables: dict[str, Any]
    session: list[Any] = field(default_factory=list)
    context: dict[str, Any] = field(default_factory=dict)

    @property
    def moved(self) -> bool:
        """Since 8.0 calls go to a place of their own."""
        return tuple(map(int, self.target_version.split(".")[:2])) >= (8, 0)

    def post(self, path: str, method: str, params: list[Any]) -> tuple[int, Any]:
        """Status and content of the answer to a call; HTTP errors are answers too."""
        headers = {"Content-Type": "application/json"}
        if self.session:
            mark = f"{USER}:{self.session[0]}:{self.session[1]}"
            headers["Authorization"] = "Session " + base64.b64encode(mark.encode()).decode()
        body = json.dumps({"id": 1, "method": method, "params": params}).encode()
        # The address is on record in the CMDB.
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read().decode(errors="replace")

    def call(self, method: str, *params: Any, path: str | None = None) -> Any:
        """The result of a call to the database."""
        place = path or (f"/{self.database}/rpc/" if self.moved else f"/{self.database}/")
        status, told = self.post(place, method, list(params))
        assert status == 200, f"{method} at {place} was answered with {status}: {str(told)[:300]}"
        if not isinstance(told, dict):
            return told
        assert not told.get("error"), f"{method}: {str(told['error'])[:500]}"
        return told.get("result")

    def search_read(self, model: str, domain: list[Any], fields: list[str]) -> list[dict[str, Any]]:
        rows = self.call(f"model.{model}.search_read", domain, 0, None, [["id", "ASC"]], fields, self.context)
        assert isinstance(rows, list)
        return rows


@pytest.fixture(scope="module")
def tryton(changeover_host: Mapping[str, Any]) -> Tryton:
    """The server of the host under test, before anybody has logged in."""
    variables = changeover_host["variables"]
    url = f"http://{variables['tryton_address']}:{variables['tryton_port']}"
    return Tryton(url, variables["tryton_database"], changeover_host["target_version"], variables)


@pytest.fixture(scope="module")
def logged_in(tryton: Tryton, changeover_secret: Callable[[str], str]) -> Iterator[Tryton]:
    """The same with a session of the acceptance user, in the way of the wanted release.

    One session for all tests of a host: logging in is the slowest of all calls, and the hosts are closed meanwhile.
    """
    password = changeover_secret("tryton_acceptance")
    session = tryton.call("common.db.login", USER, {"password": password}, "en")
    assert session, f"the login of {USER} was refused"
    user = replace(tryton, session=session)
    user.context = user.call("model.res.user.get_preferences", True, {})
    yield user
    user.call("common.db.logout")
