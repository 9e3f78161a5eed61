"""The hypercare watch: its rhythm, its end, and what makes a look say no."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from changeover.domain.record import MarkKind
from changeover.usecases.planning import write_run_sheet
from changeover.usecases.support import hypercare_look, next_look
from changeover.usecases.tools import Upgrade
from tests.support.world import World, plan


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _upgrade(world: World, length: str, interval: str) -> Upgrade:
    support = {**plan().support.model_dump(mode="json"), "hypercare": {"length": length, "interval": interval}}
    return world.upgrade(of=plan(support=support))


def test_looks_keep_their_rhythm_however_long_one_takes(world: World) -> None:
    world.took["discover.yml"] = timedelta(seconds=8)
    upgrade, tools = _upgrade(world, "1m", "20s"), world.tools()
    hypercare_look(upgrade, tools)
    began, waits = world.now, []
    while (wait := next_look(upgrade, tools)) is not None:
        waits.append(wait.total_seconds())
        world.now += wait
        hypercare_look(upgrade, tools)
    assert waits == [20, 12, 12]
    assert world.now - began == timedelta(seconds=68)


def test_a_look_later_than_the_end_is_the_last(world: World) -> None:
    upgrade, tools = _upgrade(world, "1m", "20s"), world.tools()
    hypercare_look(upgrade, tools)
    world.now += timedelta(minutes=5)
    assert next_look(upgrade, tools) is None


def test_a_host_that_went_back_makes_the_look_say_no(world: World) -> None:
    upgrade, tools = _upgrade(world, "1m", "20s"), world.tools()
    gate = hypercare_look(upgrade, tools)
    assert not gate.passed
    assert [result.key for result in gate.results if result.host] == ["still-healthy"] * len(gate.hosts_planned)


def test_a_look_keeps_the_incidents_it_saw(world: World) -> None:
    """Once each however often it looks, and again when one became graver: the ledger can count them."""
    upgrade, tools = _upgrade(world, "1m", "20s"), world.tools()
    world.cmdb.open_incident("acme", "tracker", severity=3, summary="search is slow", at=world.now)
    hypercare_look(upgrade, tools)
    hypercare_look(upgrade, tools)
    seen = world.ledger.marks(upgrade.run.key, kind=MarkKind.INCIDENT_SEEN)
    assert [(mark.data["number"], mark.data["severity"]) for mark in seen] == [("INC0000001", 3)]


def test_the_run_sheet_keeps_the_windows_that_were_agreed(world: World) -> None:
    window = {"kind": "dated", "on": "2026-12-05", "start": "22:00", "end": "02:00", "zone": "Europe/Berlin"}
    environments = [environment.model_dump(mode="json") for environment in plan().environments]
    environments[2]["window"] = window
    upgrade = world.upgrade(of=plan(environments=environments))
    write_run_sheet(upgrade, world.tools())
    (kept,) = world.ledger.marks(upgrade.run.key, kind=MarkKind.WINDOW_AGREED)
    assert (kept.environment, kept.data["closes"]) == ("production", "2026-12-06T01:00:00+00:00")
    assert kept.data["closes_second"] == datetime(2026, 12, 6, 1, tzinfo=UTC).timestamp()
    assert (kept.data["forecast_seconds"], kept.data["decide_by"]) == (0.0, "2026-12-06T01:00:00+00:00")
