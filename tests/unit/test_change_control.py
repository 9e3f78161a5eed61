"""A change's model decides who approves and which states it passes; the CMDB's word stops a lane before host work."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from changeover.domain.change import ChangeModel, ChangeState, Risk
from changeover.domain.change_control import ChangeAsRecorded, ChangeControl, not_allowed, not_pre_approved
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Plan
from changeover.domain.plan_check import Library, plan_faults
from changeover.domain.record import MarkKind, StepRecord, StepStatus
from changeover.errors import CmdbError, CmdbUnavailable
from changeover.ports import ChangeRecord, CmdbWrite
from changeover.usecases import lane, planning, prepare
from changeover.usecases.ask import facts, tally_of
from changeover.usecases.change_gate import plan_change
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.start_gate import may_begin
from changeover.usecases.tools import Reply, Tools, Upgrade, mark
from changeover.usecases.transition import check_entry, open_change
from tests.support.windows import at
from tests.support.world import START, World, plan

STANDARD = {"model": "standard", "pre_approval": {"reference": "STD-12", "by": "owner", "until": date(2026, 12, 31)}}
EMERGENCY = {"model": "emergency", "emergency": {"reason": "CVE-2026-1 is exploited", "by": ["support"]}}
NIGHT = {"kind": "dated", "zone": "UTC", "on": date(2026, 8, 14), "start": time(13), "end": time(20)}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def begun(world: World, of: Plan | None = None, **asked: Any) -> tuple[Upgrade, Tools]:
    upgrade, tools = world.upgrade(of=of, **asked), world.tools()
    assert check_entry(upgrade, tools).reply is Reply.YES
    return upgrade, tools


def rehearsed(world: World, upgrade: Upgrade) -> None:
    for step in ("implement", "back_out"):
        done = StepRecord(
            upgrade.run.key, "baseline", step, 1, START, START + timedelta(minutes=5), StepStatus.SUCCESSFUL
        )
        world.ledger.begin_step(done)
        world.ledger.end_step(done)


def record_of(world: World, upgrade: Upgrade) -> ChangeRecord:
    found = world.cmdb.change(upgrade.run.key)
    assert found is not None
    return found


def in_the_cmdb(world: World, upgrade: Upgrade, kind: str, **payload: Any) -> None:
    """What a person does there, past us."""
    world.cmdb.apply(CmdbWrite(f"person/{kind}/{payload}", upgrade.run.key, kind, payload, world.now))


# the plan


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"model": "standard"}, "change.pre_approval: a change of model standard needs it"),
        ({"model": "emergency"}, "change.emergency: a change of model emergency needs it"),
        ({"model": "normal", **{k: v for k, v in EMERGENCY.items() if k != "model"}}, "belongs to model emergency"),
        (
            {**EMERGENCY, "emergency": {"reason": "x", "by": ["ops"]}},
            "change.emergency.by.0: 'ops' requested the upgrade",
        ),
        ({**EMERGENCY, "emergency": {"reason": "x", "by": ["nobody"]}}, "'nobody' is not a participant"),
        ({**EMERGENCY, "emergency": {"reason": "x", "by": []}}, "change.emergency.by"),
        ({**STANDARD, "pre_approval": {**STANDARD["pre_approval"], "by": "ops"}}, "requested the upgrade"),  # type: ignore[dict-item]
    ],
)
def test_a_model_asks_for_what_it_rests_on(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError) as refused:
        plan(change=change)
    assert fault in str(refused.value) or fault in str([e["loc"] for e in refused.value.errors()]).replace("', '", ".")


def test_a_lapsed_pre_approval_is_a_fault_of_the_plan() -> None:
    of = plan(change=STANDARD)
    library = Library(None, None, ("test_a.py",), ("a.yaml",))
    after, before = at("2027-01-01T00:00"), at("2026-12-31T00:00")

    def told(now: datetime) -> list[str]:
        return [text for path, text in plan_faults(of, library, now=now) if path[0] == "change"]

    assert told(before) == []
    assert told(after) == ["the pre-approval STD-12 was valid until 2026-12-31, today is 2027-01-01"]


def test_a_standard_change_is_one_whose_risk_is_not_high() -> None:
    control = ChangeControl.model_validate(STANDARD)
    today = date(2026, 8, 14)
    assert not_pre_approved(control, Risk.MODERATE, today) == ""
    assert "its risk is high" in not_pre_approved(control, Risk.HIGH, today)
    assert "have it renewed" in not_pre_approved(control, Risk.LOW, date(2027, 1, 1))


# states and approvals


@pytest.mark.parametrize(
    ("change", "states"),
    [
        ({"model": "normal"}, "new assess authorize scheduled implement"),
        (STANDARD, "new scheduled implement"),
        (EMERGENCY, "new authorize scheduled implement"),
    ],
)
def test_a_run_takes_its_change_the_way_of_the_model(world: World, change: dict[str, Any], states: str) -> None:
    upgrade, tools = begun(world, plan(change=change))
    open_change(upgrade, tools)
    rehearsed(world, upgrade)
    assert planning.write_run_sheet(upgrade, tools).reply is Reply.YES
    if upgrade.plan.change.model is ChangeModel.STANDARD:
        assert planning.pre_approved(upgrade, tools).reply is Reply.YES
    else:
        by = upgrade.plan.approved_by.by[0]
        digest = upgrade.run.plan_digest
        mark(upgrade, tools, MarkKind.APPROVED, gate="plan", by=by, plan_digest=digest)
    assert planning.bind_approval(upgrade, tools).reply is Reply.YES
    report = deliver(world.ledger, world.cmdb, world.now)
    assert report.complete, report.failed
    record = record_of(world, upgrade)
    assert " ".join(state for _, state in record.history) == states
    assert str(record.model) == change["model"]


def test_an_emergency_is_approved_by_its_own_approvers(world: World) -> None:
    upgrade, tools = begun(world, plan(change=EMERGENCY))
    assert tally_of(upgrade, tools, gate="plan").may_answer == ("support",)


def test_whoever_starts_a_standard_change_approves_nothing(world: World) -> None:
    """The plan's only approver may start it: nobody is asked."""
    upgrade, tools = world.upgrade(of=plan(change=STANDARD)), world.tools()
    started = replace(upgrade, run=replace(upgrade.run, requested_by="owner"))
    assert check_entry(started, tools).reply is Reply.YES


def test_a_standard_change_without_a_rehearsal_needs_people(world: World) -> None:
    upgrade, tools = begun(world, plan(change=STANDARD))
    answer = planning.pre_approved(upgrade, tools)
    assert answer.reply is Reply.NO
    assert "risk is high" in answer.text
    assert not tally_of(upgrade, tools, gate="plan").reached


def test_a_lapsed_pre_approval_lets_no_run_begin(world: World) -> None:
    lapsed = {**STANDARD, "pre_approval": {**STANDARD["pre_approval"], "until": date(2026, 8, 13)}}  # type: ignore[dict-item]
    upgrade, tools = world.upgrade(of=plan(change=lapsed)), world.tools()
    answer = check_entry(upgrade, tools)
    assert "valid until 2026-08-13" in answer.text


def test_whoever_approves_reads_model_risk_and_affected_items(world: World) -> None:
    upgrade, tools = begun(world, plan(change=EMERGENCY))
    rehearsed(world, upgrade)
    tally = tally_of(upgrade, tools, gate="plan")
    text = facts(upgrade, tools, tally, "plan", "")
    assert "| change | emergency: CVE-2026-1 is exploited |" in text
    assert "| risk | moderate: production is touched; an emergency is not assessed |" in text
    assert "acme/tracker/production, prod1, prod2 |" in text


def test_planned_dates_risk_and_items_are_in_the_cmdb(world: World) -> None:
    environments = [e.model_dump(exclude_unset=True) for e in plan().environments]
    environments = [environments[0], *({**e, "window": NIGHT} for e in environments[1:])]
    upgrade, tools = begun(world, plan(environments=environments))
    open_change(upgrade, tools)
    plan_change(upgrade, tools)
    deliver(world.ledger, world.cmdb, world.now)
    record = record_of(world, upgrade)
    assert (record.planned_start, record.planned_end) == (at("2026-08-14T13:00"), at("2026-08-14T20:00"))
    assert record.risk == "high"  # not rehearsed yet
    assert record.affected[:2] == ("acme/tracker/training", "train1")


# at run time

RECORDED = ChangeAsRecorded("CHG1", ChangeState.IMPLEMENT, at("2026-08-14T13:00"), at("2026-08-14T20:00"))


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ("2026-08-14T12:59", "is planned from 2026-08-14 13:00Z"),
        ("2026-08-14T13:00", ""),
        ("2026-08-14T19:59", ""),
        ("2026-08-14T20:00", "was planned until 2026-08-14 20:00Z"),
    ],
)
def test_planned_dates_of_the_cmdb_hold(now: str, why: str) -> None:
    found = not_allowed(RECORDED, at=at(now))
    assert (why in found) if why else found == ""
    assert not_allowed(RECORDED, at=at(now), dates_count=False) == ""


@pytest.mark.parametrize("state", [state for state in ChangeState if state is not ChangeState.IMPLEMENT])
def test_work_begins_in_implement_and_in_no_other_state(state: ChangeState) -> None:
    found = not_allowed(ChangeAsRecorded("CHG1", state), at=START)
    assert str(state) in found
    assert "start a new run" in found


def test_a_change_that_is_canceled_stops_the_lane_before_a_host_is_touched(world: World) -> None:
    upgrade, tools = begun(world)
    world.approve(upgrade)
    in_the_cmdb(world, upgrade, "move_change", state="canceled")
    training = upgrade.lanes[0]
    answer = lane.window(upgrade, tools, training)
    assert answer.reply is Reply.NO
    assert "was canceled in the CMDB" in answer.text
    lane.verdict(upgrade, tools, training)
    lane.stand_down(upgrade, tools, training)
    lane.settle(upgrade, tools, training)
    verdict = world.ledger.outcomes(upgrade.run.key)["training"]
    assert verdict.outcome is Outcome.REFUSED
    assert any("canceled in the CMDB" in reason for reason in verdict.reasons)
    assert world.playbooks("training") == []


@pytest.mark.parametrize("canceled_before", ["restore_point", "implement"])
def test_it_is_asked_again_before_every_step_that_begins(world: World, canceled_before: str) -> None:
    upgrade, tools = begun(world)
    world.approve(upgrade)
    training = upgrade.lanes[0]
    stages = ("window", "readiness", "go_no_go", "restore_point", "implement")
    for stage in stages[: stages.index(canceled_before)]:
        assert getattr(lane, stage)(upgrade, tools, training).reply is Reply.YES
    in_the_cmdb(world, upgrade, "move_change", state="canceled")
    assert getattr(lane, canceled_before)(upgrade, tools, training).reply is Reply.NO
    assert "implement.yml" not in world.playbooks("training")


def test_a_change_that_has_begun_is_not_stopped_half_way(world: World) -> None:
    """The task attaches to work in progress."""
    upgrade, tools = begun(world)
    world.approve(upgrade)
    training = upgrade.lanes[0]
    for stage in ("window", "readiness", "go_no_go", "restore_point", "implement"):
        assert getattr(lane, stage)(upgrade, tools, training).reply is Reply.YES
    in_the_cmdb(world, upgrade, "move_change", state="canceled")
    assert lane.implement(upgrade, tools, training).reply is Reply.YES


def test_a_change_that_was_moved_waits_for_its_new_date(world: World) -> None:
    upgrade, tools = begun(world)
    world.approve(upgrade)
    moved = {"planned_start": "2026-08-21T13:00:00+00:00", "planned_end": "2026-08-21T20:00:00+00:00"}
    in_the_cmdb(world, upgrade, "plan_change", **moved)
    answer = lane.window(upgrade, tools, upgrade.lanes[0])
    assert "is planned from 2026-08-21 13:00Z" in answer.text
    assert prepare.prepare(upgrade, tools).reply is Reply.YES  # nothing of the client's is changed by it
    world.now = at("2026-08-21T13:30")
    assert lane.window(upgrade, tools, upgrade.lanes[0]).reply is Reply.YES


def test_nothing_is_staged_under_a_canceled_change(world: World) -> None:
    upgrade, tools = begun(world)
    world.approve(upgrade)
    in_the_cmdb(world, upgrade, "move_change", state="canceled")
    assert prepare.prepare(upgrade, tools).reply is Reply.NO
    assert world.played == []


def test_an_outage_of_the_cmdb_is_no_answer(world: World) -> None:
    """Fail closed, and try again: a broken tool is no "no"."""
    upgrade, tools = begun(world)
    world.approve(upgrade)
    world.cmdb.unavailable = True
    with pytest.raises(CmdbUnavailable):
        lane.window(upgrade, tools, upgrade.lanes[0])


def test_our_own_move_that_has_not_arrived_is_waited_for(world: World) -> None:
    upgrade, tools = begun(world)
    key = upgrade.run.key
    world.cmdb.refusing[f"{key}/implement"] = "later"
    world.approve(upgrade)
    with pytest.raises(CmdbUnavailable, match="has not arrived"):
        lane.window(upgrade, tools, upgrade.lanes[0])


def test_a_lane_without_a_change_does_not_begin(world: World) -> None:
    upgrade, tools = begun(world)
    answer = may_begin(upgrade, tools, upgrade.lanes[0])
    assert "no change was opened" in answer.text


def test_the_cmdb_lets_no_model_leave_its_way(world: World) -> None:
    upgrade, tools = begun(world, plan(change=STANDARD))
    open_change(upgrade, tools)
    deliver(world.ledger, world.cmdb, world.now)
    with pytest.raises(CmdbError, match=r"standard change .* cannot go from new to assess"):
        in_the_cmdb(world, upgrade, "move_change", state="assess")
