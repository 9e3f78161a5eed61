"""Where ledger, Airflow and hosts tell different stories of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from changeover.domain.estate import Host
from changeover.domain.execution import execution_token
from changeover.domain.host_lock import HostHold, LiveProcess, Lock, Marker
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Mark, MarkKind, Run, StepRecord, StepStatus
from changeover.errors import ChangeoverError
from changeover.ports import Credentials
from changeover.usecases.disagreements import LATELY, Sweep, sweep
from changeover.usecases.tools import Upgrade
from changeover.usecases.transition import check_entry
from tests.support.world import World


@dataclass
class PlayedAirflow:
    says: str | None = "running"
    answers: bool = True

    def state(self, run: Run) -> str | None:
        if not self.answers:
            raise ChangeoverError("Airflow's API does not answer")
        return self.says

    def paused(self, run: Run) -> bool:
        return False

    def again(self, run: Run, environment: str, stage: str) -> tuple[str, ...]:
        raise AssertionError("a sweep starts nothing")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def upgrade(world: World) -> Upgrade:
    made = world.upgrade()
    check_entry(made, world.tools())
    return made


def look(world: World, airflow: PlayedAirflow | None = None) -> Sweep:
    return sweep(ledger=world.ledger, workflow=airflow or PlayedAirflow(), holds=world, vault=world, now=world.now)


def keys(found: Sweep) -> list[tuple[str, str]]:
    return [(one.key, one.subject) for one in found.disagreements]


def implementing(world: World, run: str) -> StepRecord:
    step = StepRecord(run, "production", "implement", 1, world.now)
    world.ledger.begin_step(step)
    return step


def lock(world: World, host: str, run: str) -> None:
    world.held[host] = HostHold(host, True, lock=Lock(run, "restore_point", "production"))


def test_a_run_at_work_that_holds_its_hosts_is_in_agreement(world: World, upgrade: Upgrade) -> None:
    implementing(world, upgrade.run.key)
    lock(world, "prod1", upgrade.run.key)
    lock(world, "prod2", upgrade.run.key)
    found = look(world)
    assert (found.disagreements, found.broken) == ((), ())
    assert str(found) == "1 runs and 4 hosts held against each other; 0 disagree"


@pytest.mark.parametrize("state", ["success", "failed"])
def test_a_run_that_airflow_ended_and_the_ledger_did_not(world: World, upgrade: Upgrade, state: str) -> None:
    found = look(world, PlayedAirflow(state))
    assert keys(found) == [("run-without-end", "")]
    assert found.disagreements[0].then == f"changeover settle {upgrade.run.key}"


def test_a_run_that_airflow_does_not_know_is_told_after_a_while(world: World, upgrade: Upgrade) -> None:
    """It may be one that somebody does without Airflow."""
    assert look(world, PlayedAirflow(None)).disagreements == ()
    world.now += timedelta(hours=1, seconds=1)
    assert keys(look(world, PlayedAirflow(None))) == [("run-without-end", "")]


def test_an_implement_whose_hosts_hold_no_lock(world: World, upgrade: Upgrade) -> None:
    implementing(world, upgrade.run.key)
    lock(world, "prod1", "another-run")
    assert keys(look(world)) == [
        ("foreign-lock", "prod1"),
        ("implement-without-lock", "prod1"),
        ("implement-without-lock", "prod2"),
    ]


def test_a_host_that_is_away_during_implement(world: World, upgrade: Upgrade) -> None:
    implementing(world, upgrade.run.key)
    lock(world, "prod1", upgrade.run.key)
    world.unreachable.add("prod2")
    world.unreachable.add("train1")
    found = look(world)
    assert keys(found) == [("host-not-asked", "train1"), ("host-away-in-implement", "prod2")]
    assert str(found) == "1 runs and 2 hosts held against each other; 2 disagree"


@pytest.mark.parametrize(
    ("outcome", "phase", "disagrees"),
    [
        (Outcome.SUCCESSFUL, "committed", False),
        (Outcome.SUCCESSFUL, "implementing", True),
        (Outcome.SUCCESSFUL, "backed_out", True),
        (Outcome.BACKED_OUT, "backed_out", False),
        (Outcome.BACKED_OUT, "backing_out", True),
        (Outcome.BACKED_OUT, "committed", True),
        (Outcome.REFUSED, "implemented", True),
        (Outcome.UNKNOWN, "implementing", False),
    ],
)
def test_the_marker_of_a_host_against_how_its_environment_ended(
    world: World, upgrade: Upgrade, outcome: Outcome, phase: str, *, disagrees: bool
) -> None:
    world.held["prod2"] = HostHold("prod2", True, marker=Marker(upgrade.run.key, "implement", "t", phase, world.now))
    world.ledger.record_outcome(upgrade.run.key, "production", Verdict(outcome), world.now)
    assert keys(look(world)) == ([("marker-against-outcome", "prod2")] if disagrees else [])
    closing = {"action": "close", "by": "owner"}
    world.ledger.mark(Mark(upgrade.run.key, MarkKind.SETTLED, world.now, "production", "", closing))
    assert keys(look(world)) == []


def test_work_on_a_host_whose_run_airflow_ended(world: World, upgrade: Upgrade) -> None:
    """Its controller is on a machine that the sweep cannot reach; the processes are told, with what ends them."""
    key = upgrade.run.key
    for step, task in (("implement", "s08_s09_production.implement"), ("settle_reading", "")):
        world.ledger.begin_step(StepRecord(key, "production", step, 1, world.now, task=task))
    alive = [
        LiveProcess(7, execution_token(key, "production", step, 1), step) for step in ("implement", "settle_reading")
    ]
    world.held["prod1"] = HostHold("prod1", True, lock=Lock(key, "implement", "production"), processes=tuple(alive))
    found = look(world, PlayedAirflow("failed"))
    assert keys(found) == [("run-without-end", ""), ("work-of-ended-run", "prod1")]
    assert "process 7 (implement)" in found.disagreements[1].text
    assert found.disagreements[1].then == f"changeover stop {key}"


def test_an_implement_that_ends_while_the_hosts_are_asked_is_no_disagreement(world: World, upgrade: Upgrade) -> None:
    step = implementing(world, upgrade.run.key)

    class Meanwhile(World):
        def holds(
            self, hosts: Sequence[Host], credentials: Credentials, *, timeout: timedelta
        ) -> Mapping[str, HostHold]:
            world.ledger.end_step(replace(step, ended_at=world.now, status=StepStatus.SUCCESSFUL))
            return {host.name: HostHold(host.name, True) for host in hosts}

    holds = Meanwhile(world.directory)
    found = sweep(ledger=world.ledger, workflow=PlayedAirflow(), holds=holds, vault=world, now=world.now)
    assert found.disagreements == ()


@pytest.mark.parametrize("outcome", [Outcome.SUCCESSFUL, Outcome.BACKED_OUT, Outcome.UNKNOWN])
def test_a_lock_of_an_ended_run(world: World, upgrade: Upgrade, outcome: Outcome) -> None:
    world.ledger.record_outcome(upgrade.run.key, "", Verdict(outcome), world.now)
    lock(world, "prod1", upgrade.run.key)
    found = look(world, PlayedAirflow("success"))
    assert keys(found) == [("lock-of-ended-run", "prod1")]
    assert str(outcome).replace("_", " ") in found.disagreements[0].text
    assert look(world, PlayedAirflow("running")).disagreements == ()


def test_a_lock_that_nobody_can_read(world: World, upgrade: Upgrade) -> None:
    world.held["train1"] = HostHold("train1", True, lock=Lock("", unreadable="{"))
    assert keys(look(world)) == [("foreign-lock", "train1")]


def test_a_closed_run_that_airflow_goes_on_with(world: World, upgrade: Upgrade) -> None:
    key = upgrade.run.key
    world.ledger.record_outcome(key, "", Verdict(Outcome.UNKNOWN), world.now)
    world.ledger.mark(Mark(key, MarkKind.SETTLED, world.now, "", "", {"action": "close", "by": "owner"}))
    assert keys(look(world)) == [("closed-run-goes-on", "")]
    assert look(world, PlayedAirflow("failed")).disagreements == ()


def test_long_ended_runs_are_not_asked_any_more_unless_they_were_never_proven(world: World, upgrade: Upgrade) -> None:
    lock(world, "prod1", upgrade.run.key)
    world.ledger.record_outcome(upgrade.run.key, "", Verdict(Outcome.BACKED_OUT), world.now)
    world.now += LATELY + timedelta(seconds=1)
    assert look(world, PlayedAirflow("failed")).runs == 0
    world.ledger.record_outcome(upgrade.run.key, "", Verdict(Outcome.UNKNOWN), world.now)
    assert keys(look(world, PlayedAirflow("failed"))) == [("lock-of-ended-run", "prod1")]


def test_a_host_that_is_away_after_a_proven_end_is_nobodys_alarm(world: World, upgrade: Upgrade) -> None:
    """It is switched off for the night: nothing of it is in doubt. Of an open run's host everything is."""
    world.unreachable.add("train1")
    assert ("host-not-asked", "train1") in keys(look(world))
    world.ledger.record_outcome(upgrade.run.key, "training", Verdict(Outcome.SUCCESSFUL), world.now)
    assert ("host-not-asked", "train1") not in keys(look(world))
    world.unreachable.add("prod1")
    assert ("host-not-asked", "prod1") in keys(look(world))
    world.ledger.record_outcome(upgrade.run.key, "", Verdict(Outcome.REFUSED), world.now)
    assert look(world, PlayedAirflow("failed")).disagreements == ()


def test_what_cannot_be_asked_is_told_and_hides_nothing_else(world: World, upgrade: Upgrade) -> None:
    class NoKeys(World):
        def credentials(self, connections: Sequence[str]) -> Credentials:
            raise KeyError("ssh_acme")

    found = sweep(
        ledger=world.ledger,
        workflow=PlayedAirflow("failed"),
        holds=world,
        vault=NoKeys(world.directory),
        now=world.now,
    )
    assert keys(found) == [("run-without-end", "")]
    assert "ssh_acme" in found.broken[0]
    silent = look(world, PlayedAirflow(answers=False))
    assert (silent.disagreements, len(silent.broken)) == ((), 1)
