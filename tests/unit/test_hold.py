"""Hold, resume and abort in a lane: what waits, what goes on, what is taken back, and that nothing else is touched."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from changeover.domain.outcome import Outcome
from changeover.orchestration import stages
from changeover.usecases import closeout
from changeover.usecases.answers import record_answer
from changeover.usecases.ask import open_request
from changeover.usecases.steer_run import abort, hold, resume
from changeover.usecases.tools import Reply
from tests.support.night_lane import ASKED, DECIDE_BY, GATES, Lane, ask
from tests.support.windows import at
from tests.support.world import NEW, OLD, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, now=at("2026-08-14 08:00"))


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
