"""What the repository says of Tryton in several places has to agree; told without a host."""

from __future__ import annotations

import configparser
import importlib.util
import json
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from changeover.adapters.expectation_files import load_expectations
from changeover.adapters.release_files import load_release, read_product
from changeover.domain.path import plan_path
from changeover.lab.sites import tryton as site
from changeover.settings import PROJECT

ROLE = PROJECT / "playbooks/roles/tryton"
CONTENT = PROJECT / "include/lab/tryton"
SERIES = ("7.2", "7.4", "7.6", "7.8", "8.0")
ACTIONS: list[dict[str, Any]] = yaml.safe_load((ROLE / "vars/main/manual_actions.yml").read_text(encoding="utf-8"))[
    "tryton_manual_actions"
]


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_vendors_actions_cover_every_series() -> None:
    """Also the order: the vendor lists them by series, and a later one may rest on an earlier one."""
    found = [action["series"] for action in ACTIONS]
    assert set(found) == set(SERIES)
    assert found == sorted(found)


def test_every_action_can_be_done() -> None:
    """SQL or console code, or a choice that stops the migration; and only those after the migration use the console."""
    for action in ACTIONS:
        assert len({"sql", "console", "choice"} & set(action)) == 1, action["id"]
        assert action["when"] in ("before", "after")
        assert "console" not in action or action["when"] == "after"
        assert "choice" not in action or action["when"] == "before"


def test_console_code_is_python() -> None:
    for action in ACTIONS:
        compile(action.get("console", ""), action["id"], "exec")


def test_the_release_record_lists_the_same_actions() -> None:
    """What the plan shows is what the role does. One entry of a record may stand for two of the role."""
    product = read_product("tryton", releases=PROJECT / "include/releases")
    (leg,) = plan_path(product, from_version=site.OLD, to_version=site.NEW).legs
    recorded = {(step.id, step.series, step.when) for step in leg.manual_steps}
    done = {(action["id"].removesuffix("-sii"), action["series"], action["when"]) for action in ACTIONS}
    assert done == recorded


def test_the_record_pins_what_the_site_installs() -> None:
    record = load_release("tryton/8.0", releases=PROJECT / "include/releases")
    assert record.version == site.NEW
    pins = dict(line.split("==") for line in record.artefacts.requirements)
    assert pins["trytond"] == site.NEW
    assert {"psycopg", "psycopg-binary", "psycopg-pool", "argon2-cffi"} <= set(pins)
    old = dict(
        line.split("==")
        for line in (CONTENT / f"requirements-{site.OLD}.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    assert old["trytond"] == site.OLD
    modules = {name for name in pins if name.startswith("trytond")}
    assert modules == {name for name in old if name.startswith("trytond")}


@pytest.mark.parametrize("release", [site.OLD, site.NEW])
def test_the_clients_module_is_of_the_releases_series(release: str) -> None:
    """Tryton refuses a module of another series; file, distribution and site name the same version."""
    series = release.rpartition(".")[0]
    directory = CONTENT / site.MODULE / series
    described = configparser.ConfigParser()
    described.read(directory / "src/tryton.cfg", encoding="utf-8")
    packaged = tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert described["tryton"]["version"] == packaged["version"] == site.DELIVERED[release]
    assert packaged["version"].startswith(f"{series}.")


def test_business_data_is_asked_for_in_both_releases_terms() -> None:
    """7.6 keeps streets in parts: the same rows come from another column."""
    expected = load_expectations(PROJECT / "include/expectations/tryton")
    assert "a.street," in expected.datasets["parties"].query_at(site.OLD)
    assert "a.street_unstructured as street" in expected.datasets["parties"].query_at(site.NEW)


class _Server(BaseHTTPRequestHandler):
    """Takes calls at one path alone, as a release of Tryton does; answers every call that the program makes."""

    def do_POST(self) -> None:
        """Method of a call to its result, or 405 at any other path."""
        place: str = self.server.place  # type: ignore[attr-defined]
        method = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["method"]
        orders = [{"id": 1, "total_amount": {"__class__": "Decimal", "decimal": "60.12"}}]
        results = {"common.db.login": [2, "session"], "model.sale.sale.search_read": orders}
        body = json.dumps({"id": 1, "result": results.get(method, {})}).encode()
        self.send_response(200 if self.path == place else 405)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """A test's server has nothing to say."""


@pytest.fixture(params=["/nordwind/", "/nordwind/rpc/"])
def endpoint(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Where a server takes calls (of 7.0, of 8.0), and its address."""
    server = HTTPServer(("127.0.0.1", 0), _Server)
    server.place = request.param  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield request.param, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("version", [site.OLD_FEED, site.NEW_FEED])
def test_the_new_program_works_with_both_releases_and_the_old_one_with_the_old(
    version: str, endpoint: tuple[str, str], tmp_path: Path
) -> None:
    """So the client's fix can be rolled out before the upgrade; and what it used is known from its state file."""
    path, address = endpoint
    program = load(CONTENT / "order_feed" / version / "order_feed.py")
    (tmp_path / "password").write_text("secret", encoding="utf-8")
    settings = {
        "url": address, "database": "nordwind", "user": "order-feed", "password_file": str(tmp_path / "password"),
    }  # fmt: skip
    state = tmp_path / "state.json"
    fault = program.make_round(settings, state)
    told = json.loads(state.read_text(encoding="utf-8"))
    if version == site.OLD_FEED and path.endswith("/rpc/"):
        assert "HTTP 405" in fault
        assert told["last_error"] == fault
        assert "last_ok" not in told
    else:
        assert fault is None
        assert told["endpoint"] == address + path
        assert (told["orders"], told["total"]) == (1, 60.12)
