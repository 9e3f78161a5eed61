"""The watcher: compares the clock with "decide by", in the task that waits for a change and every minute beside it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from changeover.domain.execution import Ending, ExecutionResult
from changeover.domain.generation import changing_generation
from changeover.domain.legs import plain
from changeover.domain.night import Action, Case
from changeover.domain.night_clock import Ruling, moments_due
from changeover.domain.no_return import NoReturn
from changeover.domain.plan import Environment, Mode
from changeover.domain.record import MarkKind
from changeover.domain.steering import DECIDED
from changeover.domain.wall_clock import local_text
from changeover.usecases.lane_clock import change_ends_by, clock_of
from changeover.usecases.lane_facts import lane_marks
from changeover.usecases.steer import write_ruling
from changeover.usecases.tools import Tools, Upgrade, back_outs, mark

SHORTEST = timedelta(seconds=1)
NEAR = timedelta(minutes=15)
"""How long before "decide by" people are told, where the plan does not say."""


def clock_watch(upgrade: Upgrade, tools: Tools, lane: Environment) -> Callable[[], None] | None:
    """Marks the moments as they come while a step runs; None where no window closes."""
    clock = clock_of(upgrade, tools, lane)
    if clock is None:
        return None
    told: set[MarkKind] = set()

    def look() -> None:
        told.update(_mark_due(upgrade, tools, lane, clock, told))

    return look


def watch_run(upgrade: Upgrade, tools: Tools) -> tuple[str, ...]:
    """Every lane that is under way and not settled: what was marked now."""
    if upgrade.mode is not Mode.IMPLEMENT:
        return ()
    found: list[str] = []
    outcomes = tools.ledger.outcomes(upgrade.run.key)
    for lane in upgrade.lanes:
        kinds = {each.kind for each in lane_marks(upgrade, tools, lane.name)}
        if MarkKind.LANE_STARTED not in kinds or kinds & DECIDED or lane.name in outcomes:
            continue
        if clock := clock_of(upgrade, tools, lane):
            found += [f"{lane.name}: {kind}" for kind in _mark_due(upgrade, tools, lane, clock, kinds)]
    return tuple(found)


def change_limit(upgrade: Upgrade, tools: Tools, lane: Environment) -> timedelta:
    """How long the change may run: the plan's limit, and no longer than until it has to be backed out.

    The detached execution keeps it by itself, whatever becomes of Airflow meanwhile.
    """
    ends_by = change_ends_by(upgrade, tools, lane)
    if ends_by is None:
        return lane.implement_within
    return max(SHORTEST, min(lane.implement_within, ends_by - tools.clock()))


def too_late_to_begin(upgrade: Upgrade, tools: Tools, lane: Environment) -> str:
    """Why a change that was announced and never started is not started any more; "" when it may, or runs already."""
    generation = changing_generation(back_outs=back_outs(upgrade, tools, lane.name))
    steps = tools.ledger.steps(upgrade.run.key, environment=lane.name)
    if any(plain(step.step) == "implement" and step.generation == generation for step in steps):
        return ""
    ends_by = change_ends_by(upgrade, tools, lane)
    if ends_by is None or tools.clock() < ends_by:
        return ""
    return f"the change would have to be backed out from {ends_by:%Y-%m-%d %H:%MZ} on, so it is not started any more"


def ended_by_clock(upgrade: Upgrade, tools: Tools, lane: Environment, done: ExecutionResult) -> str:
    """Why the change was ended although it had time by its plan; "" when it was not. It is kept on record."""
    ends_by, now = change_ends_by(upgrade, tools, lane), tools.clock()
    if ends_by is None or now < ends_by or not any(reason.startswith(Ending.TIMED_OUT) for reason in done.reasons):
        return ""
    clock = clock_of(upgrade, tools, lane)
    case = Case.DECIDE_BY_PASSED if clock and ends_by <= clock.decide_by else Case.WINDOW_END_PASSED
    why = f"{case}: the change was still running and was ended, so that it can be backed out"
    write_ruling(upgrade, tools, Ruling(Action.BACK_OUT, case, why), case, lane.name)
    return why


def _mark_due(
    upgrade: Upgrade, tools: Tools, lane: Environment, clock: NoReturn, told: set[MarkKind]
) -> tuple[MarkKind, ...]:
    near = upgrade.plan.night.tell_before if upgrade.plan.night else NEAR
    due = [kind for kind in moments_due(clock.decide_by, tell_before=near, at=tools.clock()) if kind not in told]
    for kind in due:
        mark(
            upgrade,
            tools,
            kind,
            lane.name,
            key=f"{kind}-{lane.name}-{clock.night.opens.isoformat()}",
            decide_by=clock.decide_by.isoformat(),
            reason=f"decide by {_told(clock.decide_by, clock)}",
        )
    return tuple(due)


def _told(moment: datetime, clock: NoReturn) -> str:
    return f"{local_text(moment, clock.night.zone)} {clock.night.zone} ({moment:%Y-%m-%d %H:%MZ})"
