"""The night policy, holds and the watcher in a lane: what begins, what waits, what is ended, and what is on record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.night import Night
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Environment, Unattended
from changeover.domain.record import Mark, MarkKind
from changeover.orchestration import stages
from changeover.usecases import baseline, closeout, planning, transition
from changeover.usecases.agreed_windows import mark_windows
from changeover.usecases.answers import no_answer, record_answer
from changeover.usecases.ask import open_request
from changeover.usecases.steer_run import abort, hold, resume
from changeover.usecases.tools import Answer, Reply
from changeover.usecases.watch_clock import watch_run
from tests.support.windows import at, third_saturday
from tests.support.world import NEW, OLD, World, plan
from tests.unit.test_night import COMPLETE

GATES = ("window", "readiness", "go_no_go", "restore_point", "implement", "acceptance", "sign_off")
ENDS = ("commit", "back_out", "stand_down")
OPENS, CLOSES = at("2026-08-14 13:00"), at("2026-08-14 17:00")
DECIDE_BY = at("2026-08-14 15:59:59")
"""The rehearsed back-out takes an hour and a second."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, now=at("2026-08-14 08:00"))


class Lane:
    """One lane as the DAG does it: a gate after the one before it said yes, the rest always."""

    def __init__(self, world: World, night: dict[str, Any] | None = None, name: str = "training", **lane: Any) -> None:
        environments = [e.model_dump(exclude_unset=True) for e in plan().environments]
        environments[1] |= {"window": third_saturday(late_start_tolerance="2h").model_dump(), **lane}
        of = plan(environments=environments, **({"night": night} if night is not None else {}))
        self.world = world
        world.took = {"implement.yml": timedelta(minutes=60), "back_out.yml": timedelta(minutes=60)}
        self.upgrade, self.tools = world.upgrade(of=of), world.tools()
        assert transition.check_entry(self.upgrade, self.tools).reply is Reply.YES
        world.approve(self.upgrade)
        for step in (baseline.build, baseline.implement, baseline.accept_new, baseline.back_out, baseline.accept_old):
            assert step(self.upgrade, self.tools).reply is Reply.YES
        mark_windows(self.upgrade, self.tools)
        self.environment: Environment = of.environment(name)
        world.now = at("2026-08-14 13:30")

    def stage(self, name: str) -> Answer:
        return stages.done(name, self.upgrade, self.tools, self.environment)

    def until(self, last: str) -> Answer:
        answer = None
        for name in GATES[: GATES.index(last) + 1]:
            answer = self.stage(name)
            if answer.reply is not Reply.YES:
                return answer
        assert answer is not None
        return answer

    def end(self) -> Outcome:
        assert self.stage("verdict").reply is not Reply.WAIT
        for name in (*ENDS, "settle"):
            self.stage(name)
        return self.world.ledger.outcomes(self.upgrade.run.key)[self.environment.name].outcome

    def marks(self, kind: MarkKind) -> tuple[Mark, ...]:
        return self.world.ledger.marks(self.upgrade.run.key, kind=kind)

    def order(self, verb: Callable[..., Any], **more: Any) -> Any:
        return verb(self.world.ledger, self.upgrade.run, by="ops", reason="why", at=self.world.now, **more)


# ---- the window's opening


def test_a_lane_that_comes_before_its_window_waits_for_the_opening(world: World) -> None:
    lane = Lane(world)
    world.now = at("2026-08-14 11:00")
    answer = lane.stage("window")
    assert (answer.reply, datetime.fromisoformat(answer.data["until"])) == (Reply.WAIT, OPENS)
    assert lane.stage("window").reply is Reply.WAIT
    assert len(lane.marks(MarkKind.WAITING_FOR_WINDOW)) == 1
    assert lane.marks(MarkKind.WINDOW_MISSED) == ()
    world.now = OPENS
    assert lane.until("implement").reply is Reply.YES


def test_nobody_waits_for_weeks(world: World) -> None:
    lane = Lane(world)
    world.now = at("2026-08-06 12:59")
    assert lane.stage("window").reply is Reply.NO
    world.now = at("2026-08-07 13:00")
    assert lane.stage("window").reply is Reply.WAIT


# ---- decide by


def test_a_change_that_still_runs_at_decide_by_is_ended_and_backed_out_inside_the_window(world: World) -> None:
    """The limit is the execution's own, so that it holds without Airflow; the moment is marked while the task waits."""
    lane = Lane(world, implement_within="4h")
    assert lane.until("restore_point").reply is Reply.YES
    world.took["implement.yml"] = timedelta(hours=3)
    answer = lane.stage("implement")
    assert answer.reply is Reply.NO
    assert "timed out" in answer.text
    assert "decide_by_passed: the change was still running and was ended" in answer.text
    assert world.now == DECIDE_BY
    assert [mark.environment for mark in lane.marks(MarkKind.DECIDE_BY_PASSED)] == ["training"]
    assert lane.end() is Outcome.BACKED_OUT
    assert [mark.at <= CLOSES for mark in lane.marks(MarkKind.BACKED_OUT) if mark.environment == "training"] == [True]
    assert world.versions["train1"] == OLD


def test_a_change_that_was_announced_and_never_started_is_not_started_after_decide_by(world: World) -> None:
    """Its task died between the mark and the start, and the retry came hours later."""
    lane = Lane(world)
    assert lane.until("restore_point").reply is Reply.YES
    world.ledger.mark(Mark(lane.upgrade.run.key, MarkKind.IMPLEMENTING, world.now, "training", "train1"))
    world.now = DECIDE_BY
    assert "is not started any more" in lane.stage("implement").text
    assert "implement.yml" not in world.playbooks("training")
    assert lane.end() is Outcome.BACKED_OUT


def test_a_plan_may_finish_what_still_runs_at_decide_by(world: World) -> None:
    lane = Lane(world, {"decide_by_passed": "proceed", "window_end_passed": "proceed"}, implement_within="4h")
    assert lane.until("restore_point").reply is Reply.YES
    world.took["implement.yml"] = timedelta(hours=3)
    assert lane.until("sign_off").reply is Reply.YES
    assert lane.end() is Outcome.SUCCESSFUL
    (acted,) = lane.marks(MarkKind.NIGHT_ACTED)
    assert (acted.data["case"], acted.data["action"]) == ("decide_by_passed", "proceed")


def test_the_windows_end_has_its_own_choice(world: World) -> None:
    """Finished beyond decide by, ended when the window closes."""
    lane = Lane(world, {"decide_by_passed": "proceed", "window_end_passed": "back_out"}, implement_within="9h")
    assert lane.until("restore_point").reply is Reply.YES
    world.took["implement.yml"] = timedelta(hours=8)
    assert "window_end_passed" in lane.stage("implement").text
    assert world.now == CLOSES
    assert lane.end() is Outcome.BACKED_OUT


def test_held_at_decide_by_the_change_ends_by_itself_and_its_result_waits_for_people(world: World) -> None:
    night = {"decide_by_passed": "hold", "window_end_passed": "hold"}
    lane = Lane(world, night, implement_within="4h")
    assert lane.until("restore_point").reply is Reply.YES
    world.took["implement.yml"] = timedelta(hours=2, minutes=50)
    assert lane.stage("implement").reply is Reply.YES
    assert lane.stage("acceptance").reply is Reply.WAIT
    (held,) = lane.marks(MarkKind.HELD)
    assert (held.environment, held.data["case"]) == ("training", "decide_by_passed")
    lane.order(resume)
    assert lane.stage("acceptance").reply is Reply.YES


def test_acceptance_that_would_begin_after_decide_by_does_not(world: World) -> None:
    """A worker was long in coming: without a policy silence is a no."""
    lane = Lane(world)
    assert lane.until("implement").reply is Reply.YES
    world.now = DECIDE_BY
    answer = lane.stage("acceptance")
    assert answer.text.startswith("decide_by_passed: the plan says nothing for it")
    assert lane.end() is Outcome.BACKED_OUT


def test_the_moments_of_a_lane_are_marked_once_by_whoever_sees_them_first(world: World) -> None:
    lane = Lane(world, {"tell_before": "30m"})
    assert lane.until("implement").reply is Reply.YES
    assert watch_run(lane.upgrade, lane.tools) == ()
    world.now = DECIDE_BY - timedelta(minutes=30)
    assert watch_run(lane.upgrade, lane.tools) == ("training: decide_by_near",)
    assert watch_run(lane.upgrade, lane.tools) == ()
    world.now = DECIDE_BY
    assert watch_run(lane.upgrade, lane.tools) == ("training: decide_by_passed",)
    (near,) = lane.marks(MarkKind.DECIDE_BY_NEAR)
    assert near.data["reason"] == "decide by Sat 2026-08-15 03:59 Pacific/Auckland (2026-08-14 15:59Z)"


def test_a_lane_that_has_not_begun_or_is_over_is_not_watched(world: World) -> None:
    lane = Lane(world)
    world.now = DECIDE_BY
    assert watch_run(lane.upgrade, lane.tools) == ()
    world.now = at("2026-08-14 13:30")
    assert lane.until("sign_off").reply is Reply.YES
    lane.end()
    world.now = DECIDE_BY
    assert watch_run(lane.upgrade, lane.tools) == ()


# ---- failures


def test_a_failed_change_may_be_held_for_people_until_decide_by_and_is_then_backed_out(world: World) -> None:
    lane = Lane(world, {"implement_failed": "hold"})
    world.breaks[("training", "implement.yml")] = ("train1",)
    assert lane.until("implement").reply is Reply.NO
    waits = lane.stage("verdict")
    assert (waits.reply, datetime.fromisoformat(waits.data["until"])) == (Reply.WAIT, DECIDE_BY)
    assert world.playbooks("training")[-1] == "implement.yml"
    world.now = DECIDE_BY
    assert lane.end() is Outcome.BACKED_OUT
    (over,) = lane.marks(MarkKind.RESUMED)
    assert over.data["by"] == "rule: night policy"


def test_somebody_resumes_what_the_policy_held_and_the_back_out_begins(world: World) -> None:
    lane = Lane(world, {"acceptance_failed": "hold"})
    world.unwell.add("training")
    assert lane.until("acceptance").reply is Reply.NO
    assert lane.stage("verdict").reply is Reply.WAIT
    lane.order(resume)
    assert lane.end() is Outcome.BACKED_OUT


def test_an_execution_that_was_lost_has_a_choice_of_its_own(world: World) -> None:
    lane = Lane(world, {"implement_failed": "back_out", "execution_unknown": "hold"})
    world.lost.add(("training", "implement.yml"))
    assert lane.until("implement").reply is Reply.NO
    assert lane.stage("verdict").reply is Reply.WAIT
    assert lane.marks(MarkKind.HELD)[0].data["case"] == "execution_unknown"


def test_without_a_policy_a_failure_is_backed_out_at_once(world: World) -> None:
    lane = Lane(world)
    world.breaks[("training", "implement.yml")] = ("train1",)
    assert lane.until("implement").reply is Reply.NO
    assert lane.end() is Outcome.BACKED_OUT
    assert lane.marks(MarkKind.NIGHT_ACTED) == lane.marks(MarkKind.HELD) == ()


def test_a_refused_readiness_may_be_held_measured_again_and_is_skipped_when_it_is_too_late(world: World) -> None:
    lane = Lane(world, {"readiness_refused": "hold"})
    world.unreachable.add("train1")
    assert lane.until("readiness").reply is Reply.WAIT
    assert lane.stage("readiness").reply is Reply.WAIT
    lane.order(resume)
    assert lane.stage("readiness").reply is Reply.WAIT, "still not ready: held again"
    assert len(lane.marks(MarkKind.HELD)) == 2
    world.now = at("2026-08-14 15:30")
    assert lane.stage("readiness").reply is Reply.NO
    assert lane.end() in (Outcome.REFUSED, Outcome.UNKNOWN)
    assert world.versions["train1"] == OLD


def test_an_environment_that_was_skipped_holds_up_only_those_of_another_kind(world: World) -> None:
    lane = Lane(world, {"readiness_refused": "skip_environment"})
    world.unreachable.add("train1")
    assert lane.until("readiness").reply is Reply.NO
    lane.end()
    world.unreachable.clear()
    production = lane.upgrade.plan.environment("production")
    assert stages.done("window", lane.upgrade, lane.tools, production).text == "training did not end upgraded"
    alike = lane.upgrade.plan.model_copy(
        update={
            "environments": (
                *lane.upgrade.plan.environments[:2],
                production.model_copy(update={"kind": "training"}),
            )
        }
    )
    from dataclasses import replace

    same = replace(lane.upgrade, plan=alike)
    assert stages.done("window", same, lane.tools, alike.environment("production")).reply is Reply.YES


# ---- gates


ASKED: dict[str, Any] = {"go_no_go": {"by": ["owner"], "wait": "30m"}, "sign_off": {"by": ["owner"], "wait": "30m"}}


def ask(lane: Lane, gate: str) -> float:
    answer = open_request(lane.upgrade, lane.tools, gate=gate, environment="training")
    assert answer.reply is Reply.YES
    return float(answer.data["seconds"])


def silent(lane: Lane, gate: str) -> Answer:
    return no_answer(lane.upgrade, lane.tools, gate=gate, environment="training")


def test_a_gate_that_is_held_asks_again_until_an_answer_comes_too_late(world: World) -> None:
    lane = Lane(world, {"go_no_go": "hold"}, **ASKED)
    assert lane.until("readiness").reply is Reply.YES
    assert ask(lane, "go_no_go") == 1800
    world.now += timedelta(minutes=30)
    again = silent(lane, "go_no_go")
    assert (again.reply, again.data["seconds"]) == (Reply.YES, 1800)
    world.now = at("2026-08-14 14:50")
    assert silent(lane, "go_no_go").data["seconds"] < 600, "latest safe start is 14:59:57"
    world.now = at("2026-08-14 15:00")
    late = silent(lane, "go_no_go")
    assert (late.reply, "held until it was too late" in late.text) == (Reply.NO, True)
    assert lane.end() is Outcome.REFUSED


def test_a_sign_off_nobody_gives_goes_by_the_policy_of_its_environment(world: World) -> None:
    night = {"sign_off": "back_out", "environments": {"training": {"sign_off": "proceed"}}}
    lane = Lane(world, night, sign_off=ASKED["sign_off"])
    assert lane.until("acceptance").reply is Reply.YES
    ask(lane, "sign_off")
    world.now += timedelta(minutes=30)
    assert silent(lane, "sign_off").reply is Reply.YES
    assert lane.end() is Outcome.SUCCESSFUL


def test_a_sign_off_is_waited_for_no_longer_than_decide_by(world: World) -> None:
    """Then a no can still be carried out inside the window: held no longer, the moment's own choice counts."""
    lane = Lane(world, {"sign_off": "hold", "decide_by_passed": "back_out"}, sign_off={"by": ["owner"], "wait": "9h"})
    assert lane.until("acceptance").reply is Reply.YES
    assert world.now + timedelta(seconds=ask(lane, "sign_off")) == DECIDE_BY
    world.now = DECIDE_BY
    assert silent(lane, "sign_off").reply is Reply.NO
    assert lane.end() is Outcome.BACKED_OUT
    assert [mark.at <= CLOSES for mark in lane.marks(MarkKind.BACKED_OUT) if mark.environment == "training"] == [True]


def test_past_decide_by_people_still_get_the_time_up_to_the_windows_end(world: World) -> None:
    lane = Lane(world, {"decide_by_passed": "proceed"}, sign_off={"by": ["owner"], "wait": "9h"})
    assert lane.until("implement").reply is Reply.YES
    world.now = at("2026-08-14 16:30")
    assert lane.stage("acceptance").reply is Reply.YES
    assert world.now + timedelta(seconds=ask(lane, "sign_off")) == CLOSES


def test_the_plans_approval_is_held_until_the_first_window_cannot_be_used(world: World) -> None:
    lane = Lane(world, {"plan_approval": "hold"})
    where = {"gate": "plan", "environment": ""}
    open_request(lane.upgrade, lane.tools, **where)
    world.now = at("2026-08-14 14:30")
    assert no_answer(lane.upgrade, lane.tools, **where).data["seconds"] < 1800
    world.now = at("2026-08-14 15:00")
    assert no_answer(lane.upgrade, lane.tools, **where).reply is Reply.NO


def test_support_that_says_nothing_is_asked_again_for_a_week_and_then_it_is_a_no(world: World) -> None:
    lane = Lane(world, {"support": "hold"})
    where = {"gate": "support", "environment": ""}
    open_request(lane.upgrade, lane.tools, **where)
    world.now += timedelta(days=6)
    assert no_answer(lane.upgrade, lane.tools, **where).data["seconds"] == 4 * 3600
    world.now += timedelta(days=1)
    assert no_answer(lane.upgrade, lane.tools, **where).reply is Reply.NO


def test_an_unattended_plan_without_a_complete_night_is_refused_before_anybody_is_asked(world: World) -> None:
    lane = Lane(world)
    lane.upgrade.__dict__["plan"] = lane.upgrade.plan.model_copy(
        update={"unattended": Unattended(window_of="training"), "night": Night(implement_failed="back_out")}
    )
    answer = planning.write_run_sheet(lane.upgrade, lane.tools)
    assert answer.reply is Reply.NO
    assert "night-policy-incomplete (plan): it starts by itself, and its night policy says nothing for" in answer.text
    assert "implement_failed" not in answer.text
    lane.upgrade.__dict__["plan"] = lane.upgrade.plan.model_copy(update={"night": Night.model_validate(COMPLETE)})
    assert planning.write_run_sheet(lane.upgrade, lane.tools).reply is Reply.YES


# ---- hold, resume, abort


@pytest.mark.parametrize("stage", ["window", "readiness", "go_no_go", "restore_point", "implement"])
def test_a_held_run_waits_before_its_next_stage_and_keeps_its_place(world: World, stage: str) -> None:
    lane = Lane(world)
    if stage != "window":
        assert lane.until(GATES[GATES.index(stage) - 1]).reply is Reply.YES
    assert lane.order(hold).refused == ()
    played = list(world.played)
    waits = lane.stage(stage)
    assert waits.reply is Reply.WAIT
    assert "held by ops: why" in waits.text
    assert at("2026-08-14 14:59") < datetime.fromisoformat(waits.data["until"]) <= at("2026-08-14 15:00")
    assert world.played == played
    assert lane.order(resume).refused == ()
    assert lane.stage(stage).reply is Reply.YES


def test_a_hold_that_went_on_too_long_has_the_window_missed_and_nothing_touched(world: World) -> None:
    lane = Lane(world)
    assert lane.until("go_no_go").reply is Reply.YES
    lane.order(hold)
    world.now = at("2026-08-14 15:10")
    assert lane.stage("restore_point").text.startswith("missed")
    assert lane.end() is Outcome.MISSED


def test_a_stage_that_has_begun_goes_on_in_spite_of_a_hold(world: World) -> None:
    """Its task was lost: the retry attaches to what runs on the hosts."""
    lane = Lane(world)
    assert lane.until("implement").reply is Reply.YES
    lane.order(hold)
    assert lane.stage("implement").reply is Reply.YES
    assert lane.stage("acceptance").reply is Reply.WAIT


def test_a_hold_after_a_failure_keeps_the_back_out_waiting_no_longer_than_decide_by(world: World) -> None:
    lane = Lane(world)
    world.breaks[("training", "implement.yml")] = ("train1",)
    assert lane.until("restore_point").reply is Reply.YES
    assert lane.stage("implement").reply is Reply.NO
    lane.order(hold)
    assert datetime.fromisoformat(lane.stage("verdict").data["until"]) == DECIDE_BY
    world.now = DECIDE_BY
    assert lane.end() is Outcome.BACKED_OUT


def test_what_has_not_begun_stands_down_even_when_it_is_held(world: World) -> None:
    lane = Lane(world)
    world.unreachable.add("train1")
    assert lane.until("readiness").reply is Reply.NO
    lane.order(hold)
    assert lane.stage("verdict").reply is Reply.YES


def test_an_abort_between_steps_ends_the_run_and_touches_nothing(world: World) -> None:
    lane = Lane(world)
    assert lane.until("go_no_go").reply is Reply.YES
    done = lane.order(abort, back_out=False)
    assert done.refused == ()
    assert lane.stage("restore_point").text == "aborted by ops: why"
    assert lane.end() is Outcome.REFUSED
    production = lane.upgrade.plan.environment("production")
    assert stages.done("window", lane.upgrade, lane.tools, production).reply is Reply.NOT_APPLICABLE
    assert closeout.close(lane.upgrade, lane.tools).outcome is Outcome.REFUSED
    assert set(world.versions.values()) == {OLD}


def test_nobody_is_asked_any_more_in_an_aborted_run(world: World) -> None:
    lane = Lane(world, **ASKED)
    assert lane.until("readiness").reply is Reply.YES
    lane.order(abort, back_out=False)
    answer = open_request(lane.upgrade, lane.tools, gate="go_no_go", environment="training")
    assert answer.text == "go_no_go: nobody is asked; aborted by ops: why"


def test_once_the_change_has_begun_an_abort_is_possible_only_with_its_back_out(world: World) -> None:
    lane = Lane(world)
    assert lane.until("acceptance").reply is Reply.YES
    (reason,) = lane.order(abort, back_out=False).refused
    assert reason == "the change of training has begun: wait for its end, or `--back-out` takes it back"
    assert lane.order(abort, back_out=True).refused == ()
    assert lane.stage("sign_off").reply is Reply.NO
    assert lane.end() is Outcome.BACKED_OUT
    assert world.versions["train1"] == OLD


def test_an_abort_with_back_out_counts_even_after_the_sign_off(world: World) -> None:
    lane = Lane(world)
    assert lane.until("sign_off").reply is Reply.YES
    lane.order(abort, back_out=True)
    assert lane.end() is Outcome.BACKED_OUT


def test_an_answer_that_comes_in_an_aborted_run_lets_nothing_begin(world: World) -> None:
    lane = Lane(world, **ASKED)
    assert lane.until("readiness").reply is Reply.YES
    ask(lane, "go_no_go")
    lane.order(abort, back_out=False)
    record_answer(
        lane.upgrade, lane.tools, gate="go_no_go", environment="training", option="Approve", responder={"id": "owner"}
    )
    assert lane.stage("restore_point").reply is Reply.NO
    assert world.versions["train1"] != NEW
