"""`host status` on real hosts: what it prints, and with which code it ends."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from changeover import cli
from changeover.adapters import ledger_sql
from tests.support.records import a_run
from tests.support.site import make_site
from tests.support.sshd import Sshd, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def root(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose client has one host an environment, all of them this server."""
    settings = make_site(server, tmp_path, monkeypatch)
    ledger_sql.SqlLedger(settings.ledger_url).open_run(a_run("acme-run"))
    return tmp_path


def invoke(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["host", "status", *words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def put_lock(root: Path, run: str) -> None:
    state = root / "state" / "production"
    state.mkdir(parents=True)
    record = {"run": run, "step": "implement", "environment": "production", "token": "t"}
    (state / "lock.json").write_text(json.dumps({**record, "taken_at": datetime.now(UTC).isoformat()}))
    (state / "marker.json").write_text(json.dumps({**record, "phase": "backing_out"}))


def test_free_hosts_are_told_by_client_and_by_plan(root: Path) -> None:
    code, out, _ = invoke("acme")
    assert (code, out.count(": free")) == (0, out.count("you may do: nothing"))
    assert "production-1 (acme production): free" in out
    assert invoke(str(root / "plans/acme/app-2.yaml"))[:2] == (code, out)


def test_a_lock_is_told_in_peoples_words(root: Path) -> None:
    put_lock(root, "acme-run")
    code, out, _ = invoke("acme", "--environment", "production")
    assert code == 0
    assert "held by run acme-run since" in out
    assert "last sign: backing out in step implement" in out
    assert "its controller process: gone" in out
    assert "changeover settle acme-run" in out


def test_a_lock_of_an_unknown_run_ends_with_one(root: Path) -> None:
    put_lock(root, "nobody-knows")
    code, out, _ = invoke("acme", "--json")
    hosts = {host["host"]: host for host in json.loads(out)["hosts"]}
    assert code == 1
    assert hosts["production-1"]["lock"]["run"] == "nobody-knows"
    assert hosts["production-1"]["takeover"] == {
        "allowed": False,
        "reasons": ["run nobody-knows is not in the ledger"],
    }


def test_what_is_not_known_is_wrong_usage(root: Path) -> None:
    assert invoke("nobody")[0] == 2
    code, _, err = invoke("acme", "--environment", "moon")
    assert (code, "moon" in err) == (2, True)
