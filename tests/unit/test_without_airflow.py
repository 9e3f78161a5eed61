"""A lane driven without Airflow follows the rules of its DAG."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.errors import ExecutionError
from changeover.gameday.without_airflow import TRIES, LaneDriver
from changeover.usecases.tools import Reply, Tools
from tests.support.world import NEW, OLD, World
from tests.unit.test_lane import prepared


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def driver(world: World, *, breaks: int = 0) -> LaneDriver:
    """`breaks`: so many times, tools are broken when a stage asks for them."""
    upgrade, _ = prepared(world)
    left = [breaks]

    def make() -> Tools:
        if left[0]:
            left[0] -= 1
            raise ExecutionError("the database is being restarted")
        return world.tools()

    return LaneDriver(upgrade, upgrade.lanes[0], make, lambda text: None, pause=0)


def test_it_commits_what_was_accepted(world: World) -> None:
    one = driver(world)
    assert one.state(one.upgrade.run) == "running"
    one.go()
    assert one.state(one.upgrade.run) == "success"
    assert world.versions["train1"] == NEW
    assert one.answers["back_out"].reply is Reply.NOT_APPLICABLE  # type: ignore[union-attr]  # no tool broke


def test_a_no_ends_the_gates_and_the_verdict_comes_all_the_same(world: World) -> None:
    world.unwell.add("training")
    one = driver(world)
    one.go()
    assert one.state(one.upgrade.run) == "failed"
    assert "sign_off" not in one.answers
    assert world.versions["train1"] == OLD
    assert world.playbooks("training")[-2:] == ["verify.yml", "release.yml"]


def test_a_broken_tool_is_tried_again_as_often_as_airflow_would(world: World) -> None:
    recovers = driver(world, breaks=TRIES - 1)
    recovers.go()
    assert recovers.state(recovers.upgrade.run) == "success"


def test_a_tool_that_stays_broken_ends_the_gates(world: World) -> None:
    one = driver(world, breaks=TRIES)
    one.go()
    assert one.answers["window"] == "broke: the database is being restarted"
    assert "readiness" not in one.answers
    assert world.playbooks("training") == []


def test_what_settle_orders_goes_on_from_its_stage(world: World) -> None:
    one = driver(world)
    one.go()
    before = list(world.playbooks("training"))
    assert one.again(one.upgrade.run, "training", "verdict") == ("verdict",)
    assert set(world.playbooks("training")[len(before) :]) <= {"commit.yml"}
