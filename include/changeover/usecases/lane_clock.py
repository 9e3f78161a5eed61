"""The clock of one environment as a run goes on: its night, "decide by", and what the policy rests on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from changeover.domain.legs import plain
from changeover.domain.night_clock import Choices, NightFacts, choices_of, cut_off
from changeover.domain.no_return import NoReturn, Reversible, no_return
from changeover.domain.plan import Environment, Mode
from changeover.domain.record import Mark, MarkKind, StepStatus
from changeover.domain.window import AnyTime, Occurrence
from changeover.domain.zones import zone
from changeover.ports import fresh
from changeover.usecases.lane_facts import lane_marks, since_back_out
from changeover.usecases.planning_facts import durations
from changeover.usecases.tools import Tools, Upgrade
from changeover.usecases.window_gate import latest_start, planned_nights, reversible


def clock_of(upgrade: Upgrade, tools: Tools, lane: Environment) -> NoReturn | None:
    """None where no window closes, and for a back-out, which waits for none."""
    night = night_of(upgrade, tools, lane)
    if night is None:
        return None
    measured = durations(upgrade, tools, lane)
    return no_return(measured.steps(reversible(upgrade, tools)), measured.way_back, night=night)


def choices(upgrade: Upgrade, environment: str = "") -> Choices:
    return choices_of(upgrade.plan.night, environment)


def night_facts(upgrade: Upgrade, tools: Tools, lane: Environment, *, since: datetime) -> NightFacts:
    """`since`: when what the policy is asked about came up."""
    began = change_began(upgrade, tools, lane)
    clock = clock_of(upgrade, tools, lane)
    latest = None
    if clock is not None and not began:
        latest = latest_start(upgrade, tools, lane, change=_restore_point_taken(upgrade, tools, lane))
    return NightFacts(
        since,
        change_began=began,
        latest_start=latest,
        decide_by=clock.decide_by if clock else None,
        closes=clock.night.closes if clock else None,
        undoable=undoable(upgrade, tools),
    )


def change_began(upgrade: Upgrade, tools: Tools, lane: Environment) -> bool:
    return any(mark.kind is MarkKind.IMPLEMENTING for mark in _present(upgrade, tools, lane))


def change_ends_by(upgrade: Upgrade, tools: Tools, lane: Environment) -> datetime | None:
    """When the change is ended if it still runs, so that what follows can be backed out in the window."""
    clock = clock_of(upgrade, tools, lane)
    if clock is None:
        return None
    can = undoable(upgrade, tools)
    closes = clock.night.closes
    facts = NightFacts(tools.clock(), change_began=True, decide_by=clock.decide_by, closes=closes, undoable=can)
    return cut_off(choices(upgrade, lane.name), facts)


def undoable(upgrade: Upgrade, tools: Tools) -> bool:
    """Whether the role can undo its change once it has begun."""
    return reversible(upgrade, tools).get("implement") is not Reversible.NO


def _restore_point_taken(upgrade: Upgrade, tools: Tools, lane: Environment) -> bool:
    steps = tools.ledger.steps(upgrade.run.key, environment=lane.name)
    return any(plain(step.step) == "restore_point" and step.status is StepStatus.SUCCESSFUL for step in steps)


def _present(upgrade: Upgrade, tools: Tools, lane: Environment) -> Sequence[Mark]:
    return since_back_out(lane_marks(upgrade, tools, lane.name))


def night_of(upgrade: Upgrade, tools: Tools, lane: Environment) -> Occurrence | None:
    """As agreed when the plan was approved: a freeze that is written later stops starts, and moves no clock."""
    if upgrade.mode is Mode.BACK_OUT or isinstance(lane.window, AnyTime):
        return None
    agreed = fresh(MarkKind.WINDOW_AGREED, lane_marks(upgrade, tools, lane.name))
    if agreed is None:
        return planned_nights(upgrade, tools).get(lane.name)
    opens, closes = (datetime.fromisoformat(str(agreed.data[key])) for key in ("opens", "closes"))
    return Occurrence(_local_day(opens, lane.window.zone), opens, closes, lane.window.zone)


def _local_day(opens: datetime, name: str) -> date:
    return opens.astimezone(zone(name)).date()
