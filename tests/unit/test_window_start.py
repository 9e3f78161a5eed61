"""May work begin now? C07 row for row, freezes, and what planning and the first task make of it."""

from __future__ import annotations

import zoneinfo
from dataclasses import replace
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import tzdata

from changeover.adapters.shelf import DiskShelf
from changeover.domain.freeze import DatedFreeze, RecurringFreeze, freezes_of, frozen, permit_faults
from changeover.domain.outcome import Outcome
from changeover.domain.plan import Environment, FreezePermit, Plan
from changeover.domain.record import meant_for
from changeover.domain.window import AnyTime, RecurringWindow
from changeover.domain.window_start import Agreed, may_go_on, may_start, openings
from changeover.settings import load
from changeover.usecases import baseline, closeout, lane, planning, transition
from changeover.usecases.open_run import requested_run
from changeover.usecases.tools import Reply, Tools, Upgrade
from changeover.usecases.window_gate import planned_nights
from tests.support.content import put
from tests.support.windows import at, recurring, third_saturday
from tests.support.world import World, plan, release

PINNED = Path(tzdata.__file__).parent / "zoneinfo"
NEEDS = timedelta(minutes=150)
"""Of C07: 90 min upgrade, 60 min back-out."""


@pytest.mark.parametrize(
    ("moment", "tolerance", "may", "missed"),
    [
        ("2026-08-14 12:59:59", "30m", False, False),
        ("2026-08-14 13:00", "30m", True, False),
        ("2026-08-14 13:20", "30m", True, False),
        ("2026-08-14 13:30", "30m", True, False),
        ("2026-08-14 13:30:01", "30m", False, True),
        ("2026-08-14 13:45", "30m", False, True),
        ("2026-08-14 14:30", "2h", True, False),
        ("2026-08-14 14:30:01", "2h", False, True),
        ("2026-08-14 15:00", "2h", False, True),
    ],
)
def test_a_start_is_in_time_or_missed(moment: str, tolerance: str, *, may: bool, missed: bool) -> None:
    decision = may_start(Agreed(third_saturday(late_start_tolerance=tolerance)), at=at(moment), needs=NEEDS)
    assert (decision.may_start, decision.missed) == (may, missed)


def test_a_missed_start_proposes_the_next_night() -> None:
    decision = may_start(Agreed(third_saturday(late_start_tolerance="2h")), at=at("2026-08-14 15:00"), needs=NEEDS)
    assert decision.latest_safe_start == at("2026-08-14 14:30")
    assert decision.following is not None
    assert decision.following.opens == at("2026-09-18 13:00")
    assert "; next 2026-09-18 13:00Z, Sat 2026-09-19 01:00" in decision.reason


def test_what_was_approved_at_14_00_and_queued_until_14_45_is_missed() -> None:
    """The next step is asked without the tolerance, and with the end of the window."""
    agreed = Agreed(third_saturday(late_start_tolerance="2h"))
    assert may_start(agreed, at=at("2026-08-14 14:00"), needs=NEEDS).may_start
    assert may_go_on(agreed, at=at("2026-08-14 14:45"), needs=NEEDS).missed
    assert may_go_on(Agreed(third_saturday()), at=at("2026-08-14 14:30"), needs=NEEDS).may_start


def test_a_run_is_judged_by_the_night_it_was_meant_for() -> None:
    """Asked for before August's night and ready after it: missed, and not the September night five weeks early."""
    agreed, after = Agreed(third_saturday()), at("2026-08-17 00:00")
    assert may_start(agreed, at=after, needs=NEEDS, meant_since=at("2026-08-14 09:00")).missed
    decision = may_start(agreed, at=after, needs=NEEDS)
    assert (decision.may_start, decision.missed) == (False, False)
    assert decision.reason.startswith("the window opens at 2026-09-18 13:00Z")


def test_a_start_is_refused_where_the_machines_zone_data_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused, not missed: nobody came too late."""
    put(tmp_path / "Pacific/Auckland", (PINNED / "Pacific/Chatham").read_bytes())
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    decision = may_start(Agreed(third_saturday()), at=at("2026-08-14 13:00"), needs=NEEDS)
    assert (decision.may_start, decision.missed) == (False, False)
    assert decision.reason.startswith("refused: zone data of this machine")


def test_the_end_of_the_window_is_outside_it() -> None:
    agreed = Agreed(third_saturday())
    assert may_go_on(
        agreed, at=at("2026-08-14 16:59:59"), needs=timedelta(0), meant_since=at("2026-08-14 13:00")
    ).may_start
    assert may_go_on(agreed, at=at("2026-08-14 17:00"), needs=timedelta(0), meant_since=at("2026-08-14 13:00")).missed


# ---- freezes

YEAR_END: dict[str, Any] = {
    "kind": "dated", "name": "year-end", "zone": "Pacific/Auckland", "reason": "closing of the books",
    "first": "2026-12-24", "last": "2026-12-26",
}  # fmt: skip


@pytest.mark.parametrize(
    ("moment", "blocked"),
    [
        ("2026-12-23 10:59", False),
        ("2026-12-23 11:00", True),
        ("2026-12-23 23:30", True),
        ("2026-12-26 10:59", True),
        ("2026-12-26 11:00", False),
        ("2026-12-26 20:00", False),
    ],
)
def test_a_freeze_holds_on_the_clients_days(moment: str, *, blocked: bool) -> None:
    """T05."""
    freeze = DatedFreeze.model_validate(YEAR_END)
    assert (frozen((freeze,), at(moment), at(moment)) is not None) is blocked
    agreed = Agreed(AnyTime(kind="any_time", reason="nobody works"), (freeze,))
    assert may_start(agreed, at=at(moment), needs=timedelta(0)).may_start is not blocked


def test_a_freeze_that_recurs_takes_its_nights_away_and_says_why() -> None:
    month_end = RecurringFreeze.model_validate(
        {"kind": "recurring", "name": "books", "zone": "Pacific/Auckland", "reason": "month's books",
         "rule": "FREQ=MONTHLY;BYMONTHDAY=15", "since": "2026-01-01", "days": 3, "start": "00:30"}
    )  # fmt: skip
    decision = may_start(Agreed(third_saturday(), (month_end,)), at=at("2026-08-01 00:00"), needs=NEEDS)
    assert decision.night is not None
    assert decision.night.opens == at("2026-09-18 13:00")
    assert "not offered on 2026-08-15: freeze books (month's books): Sat 2026-08-15 00:30" in decision.reason


def test_a_freeze_is_never_shorter_for_a_change_of_the_clocks() -> None:
    """Begins at 02:30 of a doubled hour's night: at the first; ends at it: at the second. Skipped: from the change."""
    span = {"kind": "dated", "name": "x", "zone": "Europe/Berlin", "reason": "r", "start": "02:30", "end": "02:30"}
    autumn = DatedFreeze.model_validate(span | {"first": "2026-10-25", "last": "2026-10-25"} | {"end": "03:30"})
    assert autumn.span(autumn.first, autumn.last).begins == at("2026-10-25 00:30")
    until = DatedFreeze.model_validate(span | {"first": "2026-10-24", "last": "2026-10-25"})
    assert until.span(until.first, until.last).ends == at("2026-10-25 01:30")
    spring = DatedFreeze.model_validate(span | {"first": "2026-03-29", "last": "2026-03-30"})
    assert spring.span(spring.first, spring.last).begins == at("2026-03-29 01:00")


@pytest.mark.parametrize(
    ("scope", "concerned"),
    [
        ({}, True),
        ({"environments": ["production"]}, True),
        ({"environments": ["training"]}, False),
        ({"ci_classes": ["host"]}, True),
        ({"ci_classes": ["integration"]}, False),
        ({"environments": ["production"], "ci_classes": ["integration", "environment"]}, True),
    ],
)
def test_a_freeze_is_for_whom_it_says(scope: dict[str, list[str]], *, concerned: bool) -> None:
    freeze = DatedFreeze.model_validate(YEAR_END | scope)
    assert bool(freezes_of(plan(), plan().environment("production"), (freeze,))) is concerned


def permitted(by: str, **other: Any) -> Plan:
    return plan(freeze_permits=[FreezePermit(freeze="year-end", by=by, reason="the law wants it", **other)])


def test_somebody_with_the_role_permits_an_upgrade_in_a_freeze() -> None:
    freeze = (DatedFreeze.model_validate(YEAR_END | {"may_permit": ["owner"]}),)
    production = plan().environment("production")
    assert freezes_of(permitted("owner"), production, freeze) == ()
    assert freezes_of(permitted("owner", environments=("training",)), production, freeze) == freeze
    assert freezes_of(permitted("support"), production, freeze) == freeze
    assert permit_faults(permitted("support"), freeze) == (
        (("freeze_permits", 0, "by"), "support is support; freeze 'year-end' can be permitted by owner"),
    )
    assert permit_faults(permitted("owner"), ())[0][1] == "acme has no freeze 'year-end'; known: none"


@pytest.mark.parametrize(
    ("by", "words"), [("ops", "requested the upgrade and cannot permit it"), ("x", "not a participant")]
)
def test_who_asked_for_the_upgrade_cannot_permit_it(by: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        permitted(by)


# ---- the lane, the planning and the first task


def in_window(window: Any, **changes: Any) -> Plan:
    environments = [e.model_dump() for e in plan().environments]
    environments[1]["window"] = window.model_dump() if hasattr(window, "model_dump") else window
    return plan(environments=environments, **changes)


def rehearsed(world: World, of: Plan, **asked: Any) -> tuple[Upgrade, Tools]:
    world.took = {"implement.yml": timedelta(minutes=90), "back_out.yml": timedelta(minutes=60)}
    upgrade, tools = world.upgrade(of=of, **asked), world.tools()
    assert transition.check_entry(upgrade, tools).reply is Reply.YES
    world.approve(upgrade)
    for step in (baseline.build, baseline.implement, baseline.accept_new, baseline.back_out, baseline.accept_old):
        assert step(upgrade, tools).reply is Reply.YES
    return upgrade, tools


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, now=at("2026-08-14 08:00"))


def training(upgrade: Upgrade) -> Environment:
    return upgrade.plan.environment("training")


def test_the_window_is_asked_again_when_the_change_itself_is_to_begin(world: World) -> None:
    """C07: queued for a pool slot after the restore point. Traffic is opened again, nothing was changed."""
    upgrade, tools = rehearsed(world, in_window(third_saturday(late_start_tolerance="2h")))
    world.now = at("2026-08-14 14:00")
    for stage in ("window", "readiness", "go_no_go", "restore_point"):
        assert getattr(lane, stage)(upgrade, tools, training(upgrade)).reply is Reply.YES
    world.now = at("2026-08-14 14:45")
    answer = lane.implement(upgrade, tools, training(upgrade))
    assert answer.reply is Reply.NO
    assert answer.text.startswith("missed: step and back-out need 2:30:02")
    for stage in ("verdict", "commit", "back_out", "stand_down", "settle"):
        getattr(lane, stage)(upgrade, tools, training(upgrade))
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.MISSED
    assert world.playbooks("training") == ["readiness.yml", "restore_point.yml", "stand_down.yml"]


def test_a_change_that_began_is_attached_to_after_the_window(world: World) -> None:
    """A retried task asks no clock: its work is on the hosts already."""
    upgrade, tools = rehearsed(world, in_window(third_saturday(late_start_tolerance="2h")))
    world.now = at("2026-08-14 14:00")
    for stage in ("window", "readiness", "go_no_go", "restore_point", "implement"):
        assert getattr(lane, stage)(upgrade, tools, training(upgrade)).reply is Reply.YES
    world.now = at("2026-08-14 18:00")
    assert lane.implement(upgrade, tools, training(upgrade)).reply is Reply.YES


def test_the_run_sheet_says_until_when_people_can_decide(world: World) -> None:
    upgrade, tools = rehearsed(world, in_window(third_saturday(late_start_tolerance="2h")))
    answer = planning.write_run_sheet(upgrade, tools)
    assert answer.reply is Reply.YES
    row = next(line for line in answer.data["run_sheet"].splitlines() if line.startswith("| training"))
    assert row.endswith("| 1:30:01 | 1:00:01 | 02:29 (2026-08-14 14:29Z) | 03:59 (2026-08-14 15:59Z) |")
    assert "Latest safe starts on training: restore_point 02:29" in answer.data["run_sheet"]


ODD = {"kind": "dated", "zone": "Europe/Berlin", "on": "2026-10-25", "start": "00:30", "end": "02:30"}


def test_a_doubled_hour_is_decided_before_the_approval(world: World) -> None:
    upgrade, tools = world.upgrade(of=in_window(ODD | {"end": "02:30"})), world.tools()
    transition.check_entry(upgrade, tools)
    answer = planning.write_run_sheet(upgrade, tools)
    assert answer.reply is Reply.NO
    assert "window-on-doubled (training): 02:30 happens twice on 2026-10-25 in Europe/Berlin" in answer.text
    decided, tools = world.upgrade(of=in_window(ODD | {"on_doubled": "second"})), world.tools()
    answer = planning.write_run_sheet(decided, tools)
    assert answer.reply is Reply.YES
    assert "as the plan says (on_doubled)" in answer.data["run_sheet"]


def test_a_night_that_cannot_hold_the_work_is_not_approved(world: World) -> None:
    """T01: the clock says 2 h 30, and the night has 1 h 30."""
    spring = {"kind": "dated", "zone": "Europe/Berlin", "on": "2027-03-28", "start": "01:30", "end": "04:00"}
    upgrade, tools = rehearsed(world, in_window(spring, statement_of_work=_order()))
    answer = planning.write_run_sheet(upgrade, tools)
    assert answer.reply is Reply.NO
    assert "window-too-short (training): measured work and back-out need 2:30:02" in answer.text


def test_a_back_out_that_the_plan_would_stop_half_way_is_not_approved(world: World) -> None:
    """The window holds it, and the limit of its step does not."""
    order = in_window(third_saturday())
    short = [each.model_dump() | {"restore_within": "59m"} for each in order.environments]
    upgrade, tools = rehearsed(world, order.model_copy(update={"environments": plan(environments=short).environments}))
    answer = planning.write_run_sheet(upgrade, tools)
    assert answer.reply is Reply.NO
    assert "limit-too-short-back-out (training): back_out takes 1:00:00" in answer.text


def _order() -> dict[str, Any]:
    return plan().statement_of_work.model_dump() | {"valid_until": "2027-12-31"}


def test_a_freeze_that_came_after_the_run_began_stops_the_lane(world: World, tmp_path: Path) -> None:
    settings = replace(load({}), freezes=tmp_path / "freezes")
    upgrade, tools = rehearsed(world, in_window(third_saturday()))
    tools = replace(tools, shelf=DiskShelf(settings))
    put(
        settings.freezes / "acme.yaml",
        "schema_version: 1\nclient: acme\nfreezes:\n"
        "  - {kind: dated, name: fair, zone: Pacific/Auckland, reason: the fair, first: 2026-08-15, "
        "last: 2026-08-16}\n",
    )
    world.now = at("2026-08-14 13:00")
    answer = lane.window(upgrade, tools, training(upgrade))
    assert answer.reply is Reply.NO
    assert "not offered on 2026-08-15: freeze fair (the fair)" in answer.text
    assert world.playbooks("training") == []


def started_by_itself(world: World, of: Plan, opening: str = "2026-08-14T13:00:00+00:00") -> tuple[Upgrade, Tools]:
    run = requested_run(
        of, plan_digest="d" * 64, plan_text="text", dag_run_id=f"scheduled__{opening}", requested_by="ops", asked={},
        at=world.now,
    )  # fmt: skip
    return Upgrade(world.ledger.open_run(run), of, release()), world.tools()


BY_ITSELF = {"unattended": {"window_of": "training"}}


@pytest.mark.parametrize(("moment", "reply"), [("2026-08-14 13:20", Reply.YES), ("2026-08-14 13:45", Reply.NO)])
def test_the_first_task_of_an_unattended_run_judges_its_start(world: World, moment: str, reply: Reply) -> None:
    """C07: scheduler back at 13:20 and at 13:45."""
    world.now = at(moment)
    upgrade, tools = started_by_itself(world, in_window(third_saturday(), **BY_ITSELF))
    assert transition.check_entry(upgrade, tools).reply is reply


@pytest.mark.parametrize("moment", ["2026-08-14 13:45", "2026-08-14 18:00", "2026-08-17 00:00"])
def test_a_start_that_comes_too_late_ends_missed_and_touches_nothing(world: World, moment: str) -> None:
    world.now = at(moment)
    upgrade, tools = started_by_itself(world, in_window(third_saturday(), **BY_ITSELF))
    answer = transition.check_entry(upgrade, tools)
    assert "starts-in-time: failed: missed: " in answer.text
    assert "next 2026-09-18 13:00Z" in answer.text
    for each in upgrade.lanes:
        for stage in ("window", "verdict", "settle"):
            assert getattr(lane, stage)(upgrade, tools, each).reply is Reply.NOT_APPLICABLE
    verdict = closeout.close(upgrade, tools)
    assert verdict.outcome is Outcome.MISSED
    assert world.played == []


def test_an_upgrade_that_is_done_does_not_start_by_itself_again(world: World) -> None:
    of = in_window(third_saturday(), **BY_ITSELF)
    world.now = at("2026-08-14 13:00")
    upgrade, tools = started_by_itself(world, of)
    for each in upgrade.lanes:
        tools.ledger.record_outcome(upgrade.run.key, each.name, _successful(), world.now)
    world.now = at("2026-09-18 13:00")
    again, tools = started_by_itself(world, of, "2026-09-18T13:00:00+00:00")
    answer = transition.check_entry(again, tools)
    assert answer.reply is Reply.NO
    assert "upgraded everything: nothing is left to start by itself" in answer.text


def _successful() -> Any:
    from changeover.domain.outcome import Verdict

    return Verdict(Outcome.SUCCESSFUL, ("it runs",))


def test_only_airflows_own_runs_are_meant_for_an_opening() -> None:
    assert meant_for("scheduled__2026-08-14T13:00:00+00:00") == at("2026-08-14 13:00")
    assert meant_for("manual__2026-08-14T13:00:00+00:00") is None
    assert meant_for("scheduled__soon") is None
    assert meant_for("scheduled__2026-08-14T13:00:00") is None


# ---- nights that overlap


@pytest.mark.parametrize(
    ("window", "opens"),
    [
        (recurring("FREQ=WEEKLY;BYDAY=FR,SA", "UTC", "20:00", "2026-08-01", duration="30h"), "2026-08-15 20:00"),
        (recurring("FREQ=DAILY", "Europe/Berlin", "00:00", "2026-03-01", duration="24h"), "2026-03-29 22:00"),
    ],
    ids=["weekend", "a day of 23 hours"],
)
def test_each_of_nights_that_overlap_is_started_on_time(window: RecurringWindow, opens: str) -> None:
    """The night before is open still, and the run is not meant for it."""
    moment = at(opens)
    nights = list(islice(openings(window, closing_after=moment), 2))
    assert [night.opens == moment for night in nights] == [False, True]
    decision = may_start(Agreed(window), at=moment + timedelta(minutes=5), needs=NEEDS, meant_since=moment)
    assert (decision.may_start, decision.night) == (True, nights[1])


def test_a_run_that_is_late_for_its_night_does_not_slip_into_the_next_one() -> None:
    window = recurring("FREQ=WEEKLY;BYDAY=FR,SA", "UTC", "20:00", "2026-08-01", duration="30h")
    friday, saturday = at("2026-08-14 20:00"), at("2026-08-15 20:00")
    decision = may_start(Agreed(window), at=saturday - timedelta(hours=1), needs=NEEDS, meant_since=friday)
    assert decision.missed
    assert decision.following is not None
    assert decision.following.opens == saturday


def test_a_run_by_hand_is_meant_for_the_night_that_it_can_still_use() -> None:
    """Started on Saturday afternoon, too late for Friday's night that is open still: it waits for Saturday's."""
    window = recurring("FREQ=WEEKLY;BYDAY=FR,SA", "UTC", "20:00", "2026-08-01", duration="30h")
    saturday = at("2026-08-15 20:00")
    asked = saturday - timedelta(hours=5)
    waits = may_start(Agreed(window), at=asked, needs=NEEDS)
    assert (waits.may_start, waits.missed, waits.reason[:37]) == (False, False, "the window opens at 2026-08-15 20:00Z")
    assert may_start(Agreed(window), at=saturday, needs=NEEDS, meant_since=asked).may_start
    assert may_start(Agreed(window), at=saturday + timedelta(minutes=1), needs=NEEDS).may_start


def test_run_sheet_and_start_mean_the_same_of_nights_that_overlap(world: World) -> None:
    window = recurring("FREQ=WEEKLY;BYDAY=FR,SA", "UTC", "20:00", "2026-08-01", duration="30h")
    world.now = at("2026-08-15 20:10")
    upgrade, tools = started_by_itself(world, in_window(window, **BY_ITSELF), "2026-08-15T20:00:00+00:00")
    assert planned_nights(upgrade, tools)["training"].opens == at("2026-08-15 20:00")
    assert transition.check_entry(upgrade, tools).reply is Reply.YES
