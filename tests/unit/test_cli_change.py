"""The command `change`: shown, canceled or moved by somebody the CMDB knows, and the run hears of it there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from changeover import wiring
from changeover.adapters import cmdb_sql, ledger_sql
from changeover.cli import app
from changeover.cli_session import os_user
from changeover.domain.record import Run
from changeover.usecases.change_gate import change_refusal, plan_change
from changeover.usecases.transition import check_entry
from tests.support.windows import at
from tests.support.world import World, estate


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """With databases instead of memory, as the command finds them."""
    settings = replace(
        wiring.load_settings(),
        home=tmp_path,
        ledger_url=f"sqlite:///{tmp_path}/ledger.db",
        cmdb_url=f"sqlite:///{tmp_path}/cmdb.db",
    )
    monkeypatch.setattr(wiring, "load_settings", lambda: settings)
    ledger_sql.migrate(settings.ledger_url)
    cmdb_sql.migrate(settings.cmdb_url)
    cmdb: Any = cmdb_sql.SqlCmdb(settings.cmdb_url)
    ledger: Any = ledger_sql.SqlLedger(settings.ledger_url)
    cmdb.import_estate(estate())
    return World(tmp_path, ledger=ledger, cmdb=cmdb)


@pytest.fixture
def run(world: World) -> Run:
    upgrade = world.upgrade()
    check_entry(upgrade, world.tools())
    world.open_change(upgrade)
    plan_change(upgrade, world.tools())
    return upgrade.run


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["change", *arguments])


def test_it_shows_what_the_cmdb_has(run: Run) -> None:
    shown = call(run.key)
    assert shown.exit_code == 0
    assert "model normal, state implement" in shown.output
    document = json.loads(call("--json").stdout)
    assert (document["run"], document["state"]) == (run.key, "implement")
    assert [each["state"] for each in document["history"]] == ["new", "assess", "authorize", "scheduled", "implement"]


def test_what_is_canceled_there_stops_the_run(world: World, run: Run) -> None:
    done = call(run.key, "--cancel", "--by", "owner", "--reason", "The stocktaking runs over")
    assert done.exit_code == 0, done.output
    assert f"note: canceled by owner: [at a terminal of {os_user()}] The stocktaking runs over" in done.output
    assert "was canceled in the CMDB" in change_refusal(world.upgrade(), world.tools())
    again = call(run.key, "--cancel", "--by", "owner", "--reason", "x")
    assert (again.exit_code, "nothing of it is ordered any more" in again.output) == (2, True)


def test_what_is_moved_there_waits(world: World, run: Run) -> None:
    times = ("--from", "2026-08-21T15:00+02:00", "--to", "2026-08-21T20:00Z")
    moved = call(run.key, *times, "--by", "owner", "--reason", "x")
    assert moved.exit_code == 0, moved.output
    assert "planned 2026-08-21 13:00Z until 2026-08-21 20:00Z" in moved.output
    assert "planned from 2026-08-21 13:00Z" in change_refusal(world.upgrade(), world.tools())
    world.now = at("2026-08-21T13:00")
    assert change_refusal(world.upgrade(), world.tools()) == ""
    record = world.cmdb.change(run.key)
    assert record is not None


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--cancel", "--by", "nobody", "--reason", "x"), "the CMDB knows nobody of acme as 'nobody'"),
        (("--cancel", "--by", "owner"), "--reason: say why"),
        (("--from", "2026-08-21T15:00Z", "--by", "owner", "--reason", "x"), "two instants"),
        (
            ("--from", "2026-08-21T15:00Z", "--to", "2026-08-21T14:00Z", "--by", "owner", "--reason", "x"),
            "the later one last",
        ),
        (("--from", "2026-08-21T15:00", "--to", "2026-08-21T16:00Z"), "lacks its offset"),
        (("--from", "soon", "--to", "later"), "is not an instant"),
    ],
)
def test_a_faulty_order_changes_nothing(world: World, run: Run, arguments: tuple[str, ...], fault: str) -> None:
    refused = call(run.key, *arguments)
    assert refused.exit_code == 2
    assert fault in " ".join(refused.output.replace("│", " ").split())
    assert change_refusal(world.upgrade(), world.tools()) == ""


def test_a_run_without_a_change_says_so(world: World) -> None:
    upgrade = world.upgrade(mode="analyse")
    found = call(upgrade.run.key)
    assert (found.exit_code, "has no change in the CMDB" in found.output) == (1, True)
