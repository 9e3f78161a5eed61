"""Hold, resume and abort: what the marks of a run say, which orders are possible, and what people are told."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from changeover.adapters import ledger_sql
from changeover.adapters.memory import MemoryLedger
from changeover.cli import app
from changeover.cli_session import os_user
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Mark, MarkKind, Run, StepRecord
from changeover.domain.standing import standing
from changeover.domain.steering import (
    LaneState,
    RunFacts,
    holds,
    lane_state,
    paused_since,
    steering,
    why_not_abort,
    why_not_hold,
    why_not_resume,
)
from changeover.errors import ChangeoverError
from changeover.orchestration.triggers import SteeringTrigger
from changeover.settings import PROJECT, load
from changeover.usecases.disagreements import sweep
from changeover.usecases.steer_run import abort, run_facts
from changeover.usecases.tools import Tools, Upgrade
from changeover.usecases.watch_runs import watch_runs
from tests.support.records import a_run, later
from tests.support.world import World

WORDS = {"held": MarkKind.HELD, "resumed": MarkKind.RESUMED, "aborted": MarkKind.ABORTED}


def mark(kind: MarkKind, minute: int, environment: str = "", **data: object) -> Mark:
    return Mark("run", kind, later(minutes=minute), environment, data={"by": "ops", "reason": "why", **data})


# ---- what the marks say


def test_the_newest_order_counts_and_an_environments_hold_is_its_own() -> None:
    marks = [mark(MarkKind.HELD, 1), mark(MarkKind.RESUMED, 2), mark(MarkKind.HELD, 3, "training", case="sign_off")]
    assert steering(marks).hold is None
    held = steering(marks, "training").hold
    assert held is not None
    assert (held.environment, held.case) == ("training", "sign_off")
    assert steering(marks, "production").hold is None
    assert holds(marks) == (held,)
    assert holds([*marks, mark(MarkKind.RESUMED, 4)]) == ()


def test_a_hold_of_the_run_may_end_in_one_environment_alone() -> None:
    """Where the clock of that environment ended it."""
    marks = [mark(MarkKind.HELD, 1), mark(MarkKind.RESUMED, 2, "training")]
    assert steering(marks, "training").hold is None
    assert steering(marks, "production").hold is not None


@given(st.lists(st.sampled_from(sorted(WORDS)), max_size=12))
def test_whoever_waits_sees_every_change_of_state(words: list[str]) -> None:
    """The state is told apart from the one before exactly when something that counts has changed."""
    marks = [mark(WORDS[word], minute) for minute, word in enumerate(words)]
    for count in range(1, len(marks) + 1):
        before, after = steering(marks[: count - 1]), steering(marks[:count])
        same = (before.hold, before.abort is None) == (after.hold, after.abort is None)
        assert (before.seen == after.seen) is same


def test_paused_counts_from_the_first_look_that_saw_it() -> None:
    paused, free = MarkKind.AIRFLOW_PAUSED, MarkKind.AIRFLOW_UNPAUSED
    assert paused_since([mark(paused, 1), mark(paused, 2)]) == later(minutes=1)
    assert paused_since([mark(paused, 1), mark(free, 2)]) is None
    assert paused_since([mark(paused, 1), mark(free, 2), mark(paused, 3)]) == later(minutes=3)


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ((), LaneState.NOT_BEGUN),
        ((MarkKind.LANE_STARTED, MarkKind.RESTORE_POINT_PROVEN), LaneState.NOT_BEGUN),
        ((MarkKind.IMPLEMENTING, MarkKind.IMPLEMENTED), LaneState.BEGUN),
        ((MarkKind.IMPLEMENTING, MarkKind.BACKING_OUT), LaneState.GOING_BACK),
        ((MarkKind.IMPLEMENTING, MarkKind.SIGNED_OFF, MarkKind.COMMITTING), LaneState.KEPT),
        ((MarkKind.IMPLEMENTING, MarkKind.BACKING_OUT, MarkKind.BACKED_OUT, MarkKind.IMPLEMENTING), LaneState.BEGUN),
    ],
)
def test_how_far_an_environment_is(kinds: tuple[MarkKind, ...], state: LaneState) -> None:
    marks = [mark(kind, minute) for minute, kind in enumerate(kinds)]
    assert lane_state(marks, settled=False) is state
    assert lane_state(marks, settled=True) is LaneState.ENDED


# ---- which orders are possible

SAFE = {"training": LaneState.ENDED, "production": LaneState.NOT_BEGUN}


def test_an_order_to_a_run_that_is_over_is_refused() -> None:
    for facts in (RunFacts(ended="backed_out"), RunFacts(aborted=True)):
        assert why_not_hold(facts)
        assert why_not_resume(facts)
        assert why_not_abort(facts, back_out=True)
    assert why_not_hold(RunFacts(ended="backed_out")) == ("the run has ended: backed out",)


def test_a_run_is_held_once_and_only_what_is_held_is_resumed() -> None:
    assert why_not_hold(RunFacts(at_work=("implement of training",))) == ()
    assert "held already" in why_not_hold(RunFacts(held=True))[0]
    assert why_not_resume(RunFacts()) == ("it is not held",)
    assert why_not_resume(RunFacts(held=True)) == ()


@pytest.mark.parametrize(
    ("facts", "back_out", "words"),
    [
        (RunFacts(lanes=SAFE), False, ""),
        (RunFacts(lanes=SAFE, at_work=("build of baseline",)), False, "at work is build of baseline: wait for its end"),
        (RunFacts(lanes={"p": LaneState.BEGUN}), False, "wait for its end, or `--back-out` takes it back"),
        (RunFacts(lanes={"p": LaneState.BEGUN}), True, ""),
        (RunFacts(lanes={"p": LaneState.BEGUN}, at_work=("implement of p",)), True, "at work is implement of p"),
        (RunFacts(lanes={"p": LaneState.GOING_BACK}), True, "p is being backed out"),
        (RunFacts(lanes={"p": LaneState.KEPT}), True, "a run of mode back-out takes it back"),
    ],
)
def test_an_abort_is_possible_only_where_it_is_safe(facts: RunFacts, words: str, *, back_out: bool) -> None:
    assert words in "; ".join(why_not_abort(facts, back_out=back_out))
    assert bool(words) is bool(why_not_abort(facts, back_out=back_out))


def test_a_gate_that_only_looks_at_results_stands_in_nobodys_way() -> None:
    ledger, run = MemoryLedger(), a_run("run")
    ledger.open_run(run)
    ledger.begin_step(StepRecord("run", "training", "acceptance", 1, later()))
    assert run_facts(ledger, run).at_work == ()
    ledger.begin_step(StepRecord("run", "training", "restore_point", 1, later(), directory="/x"))
    assert run_facts(ledger, run).at_work == ("restore_point of training",)


class Crossed(MemoryLedger):
    """A task that begins the change between an abort's look and its mark."""

    def mark(self, mark: Mark) -> None:
        if mark.kind is MarkKind.ABORTED:
            super().mark(Mark(mark.run, MarkKind.IMPLEMENTING, mark.at, "production", "prod1"))
        super().mark(mark)


def test_an_abort_tells_of_a_change_that_began_at_the_same_moment() -> None:
    ledger, run = Crossed(), a_run("run", environments=("training", "production"))
    ledger.open_run(run)
    done = abort(ledger, run, by="ops", reason="why", at=later(), back_out=False)
    assert done.refused == ()
    assert done.then[0] == "production: its change began at the same moment; it ends, and is backed out"


# ---- what people are told


def test_everything_that_stands_in_the_way_is_told() -> None:
    agreed = {"decide_by": later(hours=2).isoformat()}
    marks = [
        mark(MarkKind.WINDOW_AGREED, 0, "training", **agreed),
        mark(MarkKind.LANE_STARTED, 1, "training"),
        mark(MarkKind.AIRFLOW_PAUSED, 2),
        mark(MarkKind.HELD, 3),
        mark(MarkKind.WAITING_FOR_WINDOW, 4, "production", reason="the window opens at 22:00"),
    ]
    told = standing(marks)
    assert told[0].startswith("paused in Airflow since ")
    assert told[0].endswith("; tasks will not be scheduled")
    assert "held by ops since" in told[1]
    assert told[2].startswith("training: decide by")
    assert told[3] == "production: waits; the window opens at 22:00"
    over = [*marks, mark(MarkKind.DECIDE_BY_PASSED, 5, "training")]
    assert standing(over)[2].endswith("(passed)")
    assert not any("decide by" in text for text in standing([*over, mark(MarkKind.COMMITTING, 6, "training")]))


# ---- on the command line


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ledger_sql.SqlLedger:
    monkeypatch.setenv("CHANGEOVER_HOME", str(tmp_path))
    monkeypatch.delenv("CHANGEOVER_LEDGER_URL", raising=False)
    url = load().ledger_url
    ledger_sql.migrate(url)
    ledger = ledger_sql.SqlLedger(url)
    text = (PROJECT / "include/plans/lindgren/roundup-2.6.yaml").read_text(encoding="utf-8")
    ledger.open_run(a_run("lindgren.1", plan_text=text))
    return ledger


def call(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, words)
    return done.exit_code, done.output


WHO = ("--by", "petra.lang", "--reason", "the client rang")


def test_a_run_is_held_and_resumed_by_name_and_status_tells(home: ledger_sql.SqlLedger) -> None:
    code, told = call("hold", "lindgren", *WHO)
    assert (code, told.splitlines()[0]) == (0, "held: run lindgren.1, by petra.lang: the client rang")
    kept = home.marks("lindgren.1", kind=MarkKind.HELD)[0].data["reason"]
    assert kept == f"[at a terminal of {os_user()}] the client rang"
    assert "held by petra.lang since" in call("status", "lindgren")[1]
    assert call("hold", "lindgren", *WHO) == (1, "not done: it is held already; `resume` ends that\n")
    assert call("resume", "lindgren", *WHO)[0] == 0
    assert call("resume", "lindgren", *WHO)[0] == 1
    assert [m.kind for m in home.marks("lindgren.1")] == [MarkKind.HELD, MarkKind.RESUMED]


def test_whoever_is_not_in_the_plan_or_says_no_reason_orders_nothing(home: ledger_sql.SqlLedger) -> None:
    code, told = call("abort", "lindgren", "--by", "somebody")
    assert code == 2
    assert "--by: somebody is not in the plan" in told
    assert "--reason: say why" in told
    assert call("hold", "elsewhere", *WHO)[0] == 2
    assert home.marks("lindgren.1") == ()


def test_an_abort_that_is_not_safe_says_what_is_possible(home: ledger_sql.SqlLedger) -> None:
    home.mark(Mark("lindgren.1", MarkKind.IMPLEMENTING, later(), "production", "prod1"))
    code, told = call("abort", "lindgren", *WHO)
    assert code == 1
    assert "the change of production has begun: wait for its end, or `--back-out` takes it back" in told
    code, told = call("abort", "lindgren", *WHO, "--back-out")
    assert code == 0
    assert "Airflow does not run here; a request that waits is not withdrawn" in told
    assert home.marks("lindgren.1", kind=MarkKind.ABORTED)[0].data["back_out"] is True


# ---- waiting in the triggerer


def first_event(
    trigger: SteeringTrigger, *, then: Mark | None = None, ledger: ledger_sql.SqlLedger | None = None
) -> str:
    async def wait() -> str:
        async def later_on() -> None:
            await asyncio.sleep(0.1)
            if then is not None and ledger is not None:
                ledger.mark(then)

        other = asyncio.create_task(later_on())
        async for event in trigger.run():
            await other
            return str(event.payload)
        raise AssertionError("it ended without an event")

    return asyncio.run(asyncio.wait_for(wait(), 10))


def test_a_wait_ends_when_the_run_is_resumed_and_at_its_time(home: ledger_sql.SqlLedger) -> None:
    from changeover import wiring

    home.mark(Mark("lindgren.1", MarkKind.HELD, later()))
    seen = steering(home.marks("lindgren.1")).seen
    far = (wiring.now() + timedelta(hours=1)).isoformat()
    trigger = SteeringTrigger("lindgren.1", "", seen=seen, until=far)
    path, kept = trigger.serialize()
    assert path == "changeover.orchestration.triggers.SteeringTrigger"
    resumed = Mark("lindgren.1", MarkKind.RESUMED, later(minutes=1))
    assert "goes on" in first_event(SteeringTrigger(**kept), then=resumed, ledger=home)
    soon = (wiring.now() + timedelta(seconds=0.3)).isoformat()
    assert "time" in first_event(SteeringTrigger("lindgren.1", "", seen="free; goes on", until=soon))


# ---- beside the run, every minute


class Airflow:
    def __init__(self, *, paused: bool = False, says: str = "running") -> None:
        self.is_paused, self.says = paused, says

    def state(self, run: Run) -> str | None:
        return self.says

    def paused(self, run: Run) -> bool:
        return self.is_paused

    def again(self, run: Run, environment: str, stage: str) -> tuple[str, ...]:
        raise AssertionError("a look starts nothing")


def test_a_pause_in_airflow_is_noted_once_told_each_time_and_ends(tmp_path: Path) -> None:
    world = World(tmp_path)
    upgrade, tools = world.upgrade(), world.tools()
    airflow = Airflow(paused=True)

    def look() -> tuple[tuple[str, ...], tuple[str, ...]]:
        return watch_runs(world.ledger, airflow, lambda run: (upgrade, tools), now=world.now)

    noted, broken = look()
    assert (len(noted), broken) == (1, ())
    assert "tasks will not be scheduled" in noted[0]
    assert look() == ((), ())
    world.now += timedelta(minutes=5)
    (told,) = sweep(ledger=world.ledger, workflow=airflow, holds=world, vault=world, now=world.now).disagreements
    assert told.key == "paused-in-airflow"
    assert "tasks will not be scheduled (next: switch acme.tracker-2.6 on again in Airflow)" in str(told)
    airflow.is_paused = False
    assert "no longer paused" in look()[0][0]
    assert not sweep(ledger=world.ledger, workflow=airflow, holds=world, vault=world, now=world.now).disagreements


def test_a_run_that_cannot_be_read_hides_no_other_and_one_that_ended_is_left_alone(tmp_path: Path) -> None:
    world = World(tmp_path)
    upgrade, tools = world.upgrade(), world.tools()
    world.ledger.open_run(a_run("acme.other"))

    def opened(run: Run) -> tuple[Upgrade, Tools]:
        if run.key == "acme.other":
            raise ChangeoverError("its plan cannot be read")
        return upgrade, tools

    noted, broken = watch_runs(world.ledger, Airflow(paused=True), opened, now=world.now)
    assert len(noted) == 2
    assert broken == ("acme.other: its plan cannot be read",)
    world.ledger.record_outcome("acme.other", "", Verdict(Outcome.REFUSED, ()), world.now)
    assert watch_runs(world.ledger, Airflow(says="failed"), opened, now=world.now) == ((), ())
