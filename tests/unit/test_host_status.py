"""Who holds the hosts of a plan: the hosts' own word, held against the ledger."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from changeover.domain.execution import execution_token
from changeover.domain.host_lock import Controller, HostHold, LiveProcess, Lock, Marker
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Mark, MarkKind, StepRecord
from changeover.errors import CmdbError
from changeover.usecases.host_status import HostStatus, host_status, places_of, ways_back
from tests.support.world import World, plan


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def ask(world: World) -> dict[str, HostStatus]:
    found = host_status(
        places_of(world.cmdb, [plan()]),
        ledger=world.ledger,
        holds=world,
        vault=world,
        executor=world,
        now=world.now,
    )
    return {one.hold.host: one for one in found}


def lock(world: World, host: str, run: str, *processes: LiveProcess) -> None:
    held = Lock(run, "restore_point", "production", "t0", world.now)
    world.held[host] = HostHold(host, True, lock=held, marker=Marker(run, phase="implementing"), processes=processes)


def test_every_host_of_the_plan_is_told_once_and_free_ones_are_in_order(world: World) -> None:
    found = ask(world)
    assert set(found) == {"base1", "train1", "prod1", "prod2"}
    assert all(one.in_order and one.takeover.allowed for one in found.values())


def test_a_run_at_work_may_hold_its_hosts(world: World) -> None:
    run = world.upgrade().run
    directory = world.directory / "executions" / "production.implement.1"
    world.ledger.begin_step(StepRecord(run.key, "production", "implement", 1, world.now, directory=str(directory)))
    world.alive.add(str(directory))
    lock(world, "prod1", run.key)
    one = ask(world)["prod1"]
    assert one.in_order
    assert one.standing is not None
    assert one.standing.controller is Controller.RUNS
    assert not one.takeover.allowed
    assert "acme tracker-2.6, implement" in one.standing.title
    assert one.advice.startswith("wait")


def test_the_process_of_a_step_that_has_not_ended_is_known_by_its_names(world: World) -> None:
    """The ledger has no token of it yet."""
    run = world.upgrade().run
    world.ledger.begin_step(StepRecord(run.key, "production", "implement", 1, world.now))
    world.ledger.record_outcome(run.key, "", Verdict(Outcome.REFUSED), world.now)
    lock(world, "prod1", run.key, LiveProcess(7, execution_token(run.key, "production", "implement", 1), "migrate"))
    one = ask(world)["prod1"]
    assert "process 7 of the run lives on the host: migrate" in one.takeover.reasons
    assert one.as_json()["processes"] == [{"pid": 7, "command": "migrate"}]


@pytest.mark.parametrize("outcome", [None, Outcome.BACKED_OUT, Outcome.UNKNOWN])
def test_a_controller_that_is_gone_or_elsewhere_is_told(world: World, outcome: Outcome | None) -> None:
    run = world.upgrade().run
    here = world.directory / "here"
    here.mkdir()
    world.ledger.begin_step(StepRecord(run.key, "production", "implement", 1, world.now, directory=str(here)))
    if outcome:
        world.ledger.record_outcome(run.key, "", Verdict(outcome), world.now)
    lock(world, "prod1", run.key)
    one = ask(world)["prod1"]
    assert one.standing is not None
    assert one.standing.controller is Controller.GONE
    assert one.takeover.allowed is (outcome is Outcome.BACKED_OUT)
    assert one.in_order is (outcome is None)
    world.gone.add(here)
    other = ask(world)["prod1"].standing
    assert other is not None
    assert other.controller is Controller.NOT_HERE


def test_a_lock_of_a_run_nobody_knows_and_a_host_that_is_away_are_not_in_order(world: World) -> None:
    lock(world, "prod1", "somebody-elses")
    world.unreachable.add("prod2")
    found = ask(world)
    assert not found["prod1"].in_order
    assert "not in the ledger" in found["prod1"].takeover.reasons[0]
    assert not found["prod2"].in_order
    assert found["train1"].in_order
    assert json.loads(json.dumps(found["prod2"].as_json()))["error"] == "prod2: no connection"


def test_an_overdue_lock_is_told(world: World) -> None:
    run = world.upgrade().run
    lock(world, "prod1", run.key)
    world.now += timedelta(hours=13)
    one = ask(world)["prod1"]
    assert one.overdue
    assert not one.in_order


def test_an_environment_the_cmdb_does_not_know_is_an_error(world: World) -> None:
    with pytest.raises(CmdbError, match="does not know"):
        places_of(world.cmdb, [plan(client="nobody")])


def test_the_restore_points_of_an_environment_are_told_with_their_end(world: World) -> None:
    """While the run is open there is no end; after it each is told until its time has come."""
    upgrade, kept = world.upgrade(), {plan().dag_id: timedelta(days=30)}
    key = upgrade.run.key
    for environment, label in (("production", "point-1"), ("training", "point-2"), ("production", "point-1")):
        world.ledger.mark(Mark(key, MarkKind.RESTORE_POINT_PROVEN, world.now, environment, data={"label": label}))

    def told(at: datetime) -> list[str]:
        (place,) = places_of(world.cmdb, [plan()], ["production"])
        return [point.told() for point in ways_back(place, world.ledger, kept, at)]

    proven = f"point-1, proven {world.now:%Y-%m-%d %H:%MZ}, kept"
    assert told(world.now) == [f"{proven} 30 days after the run has ended"]
    world.ledger.mark(Mark(key, MarkKind.CHANGE_CLOSED, world.now + timedelta(hours=1), data={}))
    assert told(world.now) == [f"{proven} until {world.now + timedelta(days=30, hours=1):%Y-%m-%d %H:%MZ}"]
    assert told(world.now + timedelta(days=31)) == []
