"""The night policy, holds and the watcher in a lane: what begins, what waits, what is ended, and what is on record."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from changeover.domain.night import Night
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Unattended
from changeover.domain.record import Mark, MarkKind
from changeover.orchestration import stages
from changeover.usecases import planning
from changeover.usecases.answers import no_answer
from changeover.usecases.ask import open_request
from changeover.usecases.steer_run import resume
from changeover.usecases.tools import Answer, Reply
from changeover.usecases.watch_clock import watch_run
from tests.support.night_lane import ASKED, CLOSES, DECIDE_BY, OPENS, Lane, ask
from tests.support.windows import at
from tests.support.world import OLD, World
from tests.unit.test_night import COMPLETE


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, now=at("2026-08-14 08:00"))


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
