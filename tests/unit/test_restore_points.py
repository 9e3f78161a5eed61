"""Restore points: trusted only as themselves, asked for before a change, and removed only when nobody may need them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Mark, MarkKind
from changeover.domain.restore_point import (
    KeptPoint,
    PointWanted,
    RunOfPoint,
    expired,
    kept_points,
    point_faults,
    point_of,
    removable,
)
from changeover.usecases import closeout, lane, prepare
from changeover.usecases.expire_points import expire_points
from changeover.usecases.tools import Reply, Tools, Upgrade
from tests.support.world import World, plan
from tests.unit.test_lane import go_through, prepared

NOW = datetime(2026, 8, 15, 1, 5, tzinfo=UTC)
GOOD = {
    "label": "run-production",
    "digest": "a" * 64,
    "path": "/srv/app/restore_points/run-production",
    "taken_at": NOW.isoformat(),
    "readable": True,
    "current": True,
    "identity": {"host": "prod1", "database": "/srv/app/tracker/db/db"},
}
WANTED = PointWanted("run-production", NOW - timedelta(hours=1), NOW)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def faults(wanted: PointWanted = WANTED, **changes: Any) -> tuple[str, ...]:
    return point_faults(point_of("prod1", {"restore_point": GOOD | changes}), wanted)


def test_a_restore_point_that_is_itself_is_trusted() -> None:
    assert faults() == ()
    assert point_faults(point_of("prod1", GOOD), WANTED) == (), "prepare reports it flat"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"readable": False}, "no restore into scratch proved it"),
        ({"readable": "yes"}, "no restore into scratch proved it"),
        ({"label": "run-training"}, "the host reports run-training"),
        ({"digest": ""}, "it has no digest"),
        ({"identity": {"host": "prod2"}}, "it is of prod2"),
        ({"current": False}, "data was entered since"),
        ({"taken_at": "yesterday"}, "cannot be read"),
        ({"taken_at": (NOW - timedelta(hours=2)).isoformat()}, "before this run"),
        ({"taken_at": (NOW + timedelta(hours=2)).isoformat()}, "which is not yet"),
    ],
)
def test_one_that_is_not_is_refused_with_the_reason(changes: dict[str, Any], why: str) -> None:
    (fault,) = faults(**changes)
    assert why in fault


def test_a_label_on_record_with_another_digest_is_refused() -> None:
    (fault,) = faults(replace(WANTED, recorded="b" * 64))
    assert "on record with digest bbbbbbbbbbbb, found with aaaaaaaaaaaa" in fault
    assert faults(replace(WANTED, recorded="a" * 64)) == ()


def test_a_report_of_nothing_proves_nothing() -> None:
    assert len(point_faults(point_of("prod1", {}), WANTED)) == 4


@pytest.mark.parametrize("wrong", [{"readable": False}, {"identity": {"host": "prod9"}}, {"digest": ""}])
def test_nothing_is_changed_without_a_restored_backup(world: World, wrong: dict[str, Any]) -> None:
    """C19: the drill did not prove it on this host, so implement never starts and traffic is opened again."""
    upgrade, tools = prepared(world)
    world.points["train1"] = wrong
    answers = go_through(upgrade, tools, upgrade.lanes[0])
    assert answers["restore_point"].reply is Reply.NO
    assert "implement.yml" not in world.playbooks("training")
    assert world.playbooks("training")[-1] == "stand_down.yml"
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.REFUSED


def test_implement_started_by_hand_without_a_restore_point_is_refused(world: World) -> None:
    """C19: an operator who clears or runs only that task gets no further."""
    upgrade, tools = prepared(world)
    training = upgrade.lanes[0]
    lane.window(upgrade, tools, training)
    answer = lane.implement(upgrade, tools, training)
    assert answer.reply is Reply.NO
    assert "no restore point" in answer.text
    assert "implement.yml" not in world.playbooks("training")


def test_no_lane_starts_before_its_restore_drill_was_proven(world: World) -> None:
    """C19: the drill of the preparations is asked of every host, production's too, before the first lane."""
    upgrade, tools = world.upgrade(), world.tools()
    from changeover.usecases.transition import check_entry

    check_entry(upgrade, tools)
    world.points["prod2"] = {"readable": False}
    assert prepare.prepare(upgrade, tools).reply is Reply.NO
    key = upgrade.run.key
    approval = {"gate": "plan", "by": "owner", "plan_digest": "d" * 64}
    world.ledger.mark(Mark(key, MarkKind.APPROVED, world.now, "", "", approval))
    answer = lane.window(upgrade, tools, upgrade.lanes[0])
    assert answer.text == "the preparations are not proven"


def test_the_digest_of_every_restore_point_is_on_record(world: World) -> None:
    upgrade, tools = prepared(world, environments=["production"])
    go_through(upgrade, tools, upgrade.lanes[0])
    marks = world.ledger.marks(upgrade.run.key, kind=MarkKind.RESTORE_POINT_TAKEN)
    assert {mark.host for mark in marks} == {"prod1", "prod2"}
    assert all(mark.data["digest"] and mark.data["identity"] for mark in marks)


DAYS = timedelta(days=30)


@pytest.mark.parametrize(
    ("run", "goes"),
    [
        (RunOfPoint(NOW, True, False), True),
        (RunOfPoint(None, False, False), False),
        (RunOfPoint(NOW, False, False), False),
        (RunOfPoint(NOW, True, True), False),
    ],
)
def test_only_points_of_ended_proven_runs_expire_and_not_beside_an_open_one(run: RunOfPoint, goes: bool) -> None:
    assert expired(run, DAYS, NOW + DAYS + timedelta(seconds=1)) is goes
    assert not expired(run, DAYS, NOW + DAYS)


@pytest.mark.parametrize("path", ["", "/", "/srv", "restore_points/x", "/srv/app/../../x", "/srv/app/points/other"])
def test_a_path_that_is_no_restore_points_place_is_never_removed(path: str) -> None:
    assert removable(KeptPoint("production", "prod1", "x", path))


def test_a_restore_points_own_place_is_removed() -> None:
    assert removable(KeptPoint("production", "prod1", "x", "/srv/app/restore_points/x")) == ""


def closed(world: World) -> tuple[Upgrade, Tools]:
    upgrade, tools = prepared(world, environments=["training"])
    go_through(upgrade, tools, upgrade.lanes[0])
    world.ledger.record_outcome(upgrade.run.key, "", Verdict(Outcome.SUCCESSFUL), world.now)
    world.ledger.mark(Mark(upgrade.run.key, MarkKind.CHANGE_CLOSED, world.now))
    return upgrade, tools


def test_housekeeping_removes_points_past_their_time_and_says_so_in_the_ledger(world: World) -> None:
    upgrade, tools = closed(world)
    assert plan().restore_points_kept == DAYS
    assert expire_points(tools, lambda _: upgrade).removed == []
    world.now += DAYS + timedelta(hours=1)
    (gone,) = expire_points(tools, lambda _: upgrade).removed
    assert gone.startswith("train1:/srv/app/restore_points/")
    assert kept_points(world.ledger.marks(upgrade.run.key)) == ()
    begun = len(world.played)
    assert expire_points(tools, lambda _: upgrade).removed == []
    assert len(world.played) == begun
    assert world.ledger.verify_chain(upgrade.run.key) == ()


def test_an_open_run_of_the_same_plan_keeps_every_point(world: World) -> None:
    """It may be the back-out that needs this very one."""
    upgrade, tools = closed(world)
    world.now += DAYS * 2
    other = replace(upgrade.run, key="other", dag_run_id="manual__9", mode="back-out", opened_at=world.now)
    world.ledger.open_run(other)
    assert expire_points(tools, lambda _: upgrade).removed == []
    assert "expire.yml" not in world.playbooks("training")


def test_an_unproven_run_keeps_its_points_until_a_person_closed_it(world: World) -> None:
    upgrade, tools = closed(world)
    world.ledger.record_outcome(upgrade.run.key, "", Verdict(Outcome.BACK_OUT_FAILED), world.now)
    world.now += DAYS * 2
    assert expire_points(tools, lambda _: upgrade).removed == []
    data = {"action": "close", "by": "owner"}
    world.ledger.mark(Mark(upgrade.run.key, MarkKind.SETTLED, world.now, "", "", data))
    assert len(expire_points(tools, lambda _: upgrade).removed) == 1


def test_a_host_that_is_away_is_tried_again_a_day_later(world: World) -> None:
    upgrade, tools = closed(world)
    world.now += DAYS * 2
    world.unreachable.add("train1")
    assert len(expire_points(tools, lambda _: upgrade).left) == 1
    world.unreachable.clear()
    assert expire_points(tools, lambda _: upgrade).removed == []
    world.now += timedelta(days=1, minutes=1)
    assert len(expire_points(tools, lambda _: upgrade).removed) == 1


def test_closeout_of_a_run_leaves_its_points(world: World) -> None:
    upgrade, tools = prepared(world, environments=["training"])
    go_through(upgrade, tools, upgrade.lanes[0])
    closeout.close(upgrade, tools)
    assert kept_points(world.ledger.marks(upgrade.run.key))
