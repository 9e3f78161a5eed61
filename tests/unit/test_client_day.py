"""Agreements are judged by the client's day, as windows are offered by it: at both ends of a statement of work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from changeover.domain.client_day import client_day
from changeover.domain.finding import Finding, Waived
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Plan
from changeover.domain.plan_check import Library, plan_faults, plan_notes
from changeover.domain.window_start import openings
from changeover.usecases import planning, transition
from changeover.usecases.client_analysis import GATE
from changeover.usecases.open_run import requested_run
from changeover.usecases.tools import Reply, Upgrade
from changeover.usecases.waivers import with_waivers
from tests.support.windows import at, dated, recurring
from tests.support.world import World, plan, release

LAST, FIRST = "America/Los_Angeles", "Pacific/Auckland"
EVENINGS = recurring("FREQ=DAILY", LAST, "18:00", "2026-11-01", end="23:00")
MORNINGS = recurring("FREQ=DAILY", FIRST, "01:00", "2026-11-01", end="05:00")
ENDS = {"valid_until": "2026-11-30"}
BEGINS = {"valid_from": "2026-12-01", "signed_on": "2026-12-01"}


def ordered(window: Any, order: dict[str, str], **changes: Any) -> Plan:
    environments = [each.model_dump() for each in plan().environments]
    environments[1]["window"] = window.model_dump()
    work = plan().statement_of_work.model_dump() | order
    return plan(environments=environments, statement_of_work=work, **changes)


def started(world: World, of: Plan, *, run_id: str = "manual__1", lanes: tuple[str, ...] = ()) -> Upgrade:
    asked = {"environments": list(lanes)} if lanes else {}
    run = requested_run(
        of, plan_digest="d" * 64, plan_text="text", dag_run_id=run_id, requested_by="ops", asked=asked, at=world.now
    )
    return Upgrade(world.ledger.open_run(run), of, release())


@pytest.mark.parametrize(
    ("window", "order", "moment"),
    [(EVENINGS, ENDS, "2026-12-01 02:00"), (MORNINGS, BEGINS, "2026-11-30 12:00")],
    ids=["last evening", "first morning"],
)
def test_a_night_that_is_offered_is_within_the_order_for_the_first_task_too(
    tmp_path: Path, window: Any, order: dict[str, str], moment: str
) -> None:
    """By UTC's date the one is a day late, the other a day early."""
    world = World(tmp_path, now=at(moment))
    of = ordered(window, order)
    (night, *_) = openings(window, closing_after=world.now, covered=of.covered)
    assert night.opens == world.now
    assert transition.check_entry(started(world, of), world.tools()).reply is Reply.YES
    assert [text for path, text in plan_faults(of, NOTHING, now=world.now) if path[0] == "statement_of_work"] == []


NOTHING = Library(None, None, ("a",), ("a",))


@pytest.mark.parametrize(
    ("window", "order", "moment", "day"),
    [(EVENINGS, ENDS, "2026-12-01 08:30", "2026-12-01"), (MORNINGS, BEGINS, "2026-11-30 10:59", "2026-11-30")],
    ids=["after the last day", "before the first"],
)
def test_the_clients_midnight_is_the_end(
    tmp_path: Path, window: Any, order: dict[str, str], moment: str, day: str
) -> None:
    world = World(tmp_path, now=at(moment))
    of = ordered(window, order)
    answer = transition.check_entry(started(world, of), world.tools())
    assert answer.reply is Reply.NO
    assert f"today is {day}" in answer.text
    assert [path for path, _ in plan_faults(of, NOTHING, now=world.now) if path[0] == "statement_of_work"]


def test_a_run_that_starts_by_itself_belongs_to_its_nights_day(tmp_path: Path) -> None:
    """Its first task comes after midnight, in a window that is open until two."""
    late = recurring("FREQ=DAILY", LAST, "22:00", "2026-11-01", end="02:00", late_start_tolerance="3h")
    world = World(tmp_path, now=at("2026-12-01 08:10"))
    of = ordered(late, ENDS, unattended={"window_of": "training"})
    run = started(world, of, run_id="scheduled__2026-12-01T06:00:00+00:00")
    assert transition.check_entry(run, world.tools()).reply is Reply.YES


STANDARD = {"model": "standard", "pre_approval": {"reference": "STD-1", "by": "owner", "until": "2026-11-30"}}


@pytest.mark.parametrize(("moment", "approved"), [("2026-12-01 02:00", True), ("2026-12-01 08:30", False)])
def test_a_pre_approval_ends_with_the_clients_day(tmp_path: Path, moment: str, *, approved: bool) -> None:
    world = World(tmp_path, now=at("2026-11-30 20:00"))
    of = ordered(EVENINGS, {}, change=STANDARD)
    upgrade, tools = started(world, of), world.tools()
    assert transition.check_entry(upgrade, tools).reply is Reply.YES
    world.now = at(moment)
    answer = planning.pre_approved(upgrade, tools)
    assert ("was valid until 2026-11-30, today is 2026-12-01" in answer.text) is not approved


@pytest.mark.parametrize(("moment", "counts"), [("2026-12-01 02:00", True), ("2026-12-01 08:30", False)])
def test_a_waiver_ends_with_the_clients_day(tmp_path: Path, moment: str, *, counts: bool) -> None:
    world = World(tmp_path, now=at("2026-11-30 20:00"))
    upgrade, tools = started(world, ordered(EVENINGS, {})), world.tools()
    waived = Waived("W-1", "owner", "known and harmless", "2026-11-30")
    found = Finding("disk", "train1", "full", environment="training", waived=waived)
    passed = (CheckResult("disk", "", CheckState.PASSED, "looked"),)
    gate = GateResult(GATE, "", (("disk", ""),), passed, ("plan",), ("plan",), (found,))
    tools.ledger.record_gate(upgrade.run.key, gate, world.now)
    world.now = at(moment)
    readiness = GateResult("readiness", "training", (("disk", ""),), passed, ("plan",), ("plan",))
    assert with_waivers(readiness, upgrade, tools).passed is counts


def test_the_window_that_starts_the_upgrade_says_which_clock() -> None:
    environments = [each.model_dump() for each in plan().environments]
    environments[1]["window"] = dated("2026-12-01", "01:00", "05:00", FIRST).model_dump()
    environments[2]["window"] = EVENINGS.model_dump()
    both, moment = plan(environments=environments), at("2026-12-01 05:00")
    by_itself = plan(environments=environments, unattended={"window_of": "production"})
    assert client_day(both, moment).isoformat() == "2026-12-01"
    assert client_day(by_itself, moment).isoformat() == "2026-11-30"
    assert client_day(by_itself, moment, lanes=("training",)).isoformat() == "2026-12-01"
    assert client_day(plan(), moment).isoformat() == "2026-12-01"


def test_of_a_faulty_plan_the_valid_windows_say_which_day_it_is() -> None:
    moment, environments = at("2026-12-01 05:00"), [each.model_dump() for each in plan().environments]
    environments[1]["window"] = MORNINGS.model_dump()
    environments[2]["window"] = EVENINGS.model_dump()
    faulty = plan(environments=environments)
    del faulty.__dict__["unattended"], faulty.environments[1].__dict__["window"]
    assert client_day(faulty, moment).isoformat() == "2026-11-30"
    del faulty.__dict__["environments"]
    assert client_day(faulty, moment).isoformat() == "2026-12-01"


def test_an_order_that_begins_today_by_the_clients_clock_needs_no_note() -> None:
    notes = plan_notes(ordered(MORNINGS, BEGINS), NOTHING, now=at("2026-11-30 12:00"))
    assert [path for path, _ in notes if path[0] == "statement_of_work"] == []
