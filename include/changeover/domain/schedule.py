"""The planned time of an upgrade: working days up to the windows, and every step inside one with its latest time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from changeover.domain.blueprint import SubProcess
from changeover.domain.plan import Environment, Plan
from changeover.domain.runsheet import Durations
from changeover.domain.window import AnyTime, DatedWindow, Occurrence, RecurringWindow
from changeover.domain.window_start import Agreed, may_start, openings
from changeover.domain.zones import zone

READINESS = timedelta(minutes=10)
SETTLING = timedelta(minutes=5)
"""What is planned for the steps that no rehearsal times."""
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Phase:
    """A sub-process in the calendar; both days belong to it."""

    process: SubProcess
    environment: str
    first: date
    last: date


@dataclass(frozen=True)
class Entry:
    """A line of the project plan. `begins` and `ends` are instants of a window; otherwise whole days are meant."""

    key: str
    kind: str
    """`sub-process`, `window` or `milestone`."""
    title: str
    environment: str
    first: date
    last: date
    begins: datetime | None = None
    ends: datetime | None = None
    decided_by: str = ""


@dataclass(frozen=True)
class Step:
    """Of a lane. `begins` counts from the lane's own beginning."""

    task: str
    begins: timedelta
    lasts: timedelta

    @property
    def ends(self) -> timedelta:
        return self.begins + self.lasts


@dataclass(frozen=True)
class LaneTimes:
    """One environment's night. Without a dated window no time of day is known, only what follows on what."""

    environment: Environment
    durations: Durations
    steps: tuple[Step, ...]
    night: Occurrence | None = None
    """The window's night that is laid out; None where any time will do."""

    @property
    def length(self) -> timedelta:
        return self.steps[-1].ends

    @property
    def opens(self) -> datetime | None:
        return self.night.opens if self.night else None

    @property
    def closes(self) -> datetime | None:
        return self.night.closes if self.night else None

    @property
    def latest_start(self) -> datetime | None:
        """Of the change: it, its acceptance and the back-out still fit into the window, as the lane's own gate asks."""
        if self.night is None:
            return None
        needs = self.durations.implement + self.durations.acceptance + self.durations.back_out
        window, opens = self.environment.window, self.night.opens
        return may_start(Agreed(window), at=opens, needs=needs, meant_since=opens).latest_safe_start

    @property
    def no_return(self) -> datetime | None:
        """Point of no return: a back-out that begins later does not end in the window."""
        return self.closes - self.durations.way_back if self.closes else None

    @property
    def fits(self) -> bool:
        return self.opens is None or (self.latest_start or self.opens) >= self.opens


@dataclass(frozen=True)
class Schedule:
    phases: tuple[Phase, ...]
    lanes: tuple[LaneTimes, ...]
    notes: tuple[str, ...]

    def lane(self, name: str) -> LaneTimes:
        return next(lane for lane in self.lanes if lane.environment.name == name)


def lane_times(environment: Environment, durations: Durations) -> LaneTimes:
    """People who are asked are waited for as long as the plan lets them."""
    go, sign_off = environment.go_no_go, environment.sign_off
    lengths = (
        ("window", timedelta(0)),
        ("readiness", READINESS),
        ("go_no_go", go.wait if go else timedelta(0)),
        ("restore_point", durations.restore_point),
        ("implement", durations.change),
        ("acceptance", durations.acceptance),
        ("sign_off", sign_off.wait if sign_off else timedelta(0)),
        ("verdict", timedelta(0)),
        ("settle", SETTLING),
    )
    steps: list[Step] = []
    at = timedelta(0)
    for name, lasts in lengths:
        steps.append(Step(name, at, lasts))
        at += lasts
    window = environment.window
    return LaneTimes(environment, durations, tuple(steps), window.night if isinstance(window, DatedWindow) else None)


def schedule(
    plan: Plan,
    processes: Sequence[SubProcess],
    lanes: Sequence[LaneTimes],
    *,
    earliest: date,
    start: date | None = None,
) -> Schedule:
    """Forward from `start`; without one backward from the first dated window, or forward from `earliest`."""
    before = [process for process in processes if process.number < 8]
    first = working(start or _backward(plan, before) or earliest)
    phases: list[Phase] = []
    day = first
    for process in before:
        last = _after(day, process.days - 1)
        phases.append(Phase(process, "", day, last))
        day = _after(last, 1)
    notes = [] if first >= earliest else [f"begins on {first}, which is before {earliest}, the first day it can"]
    ends = phases[-1].last
    laid_out = []
    for times in (_on_a_night(times, after=ends) for times in lanes):
        laid_out.append(times)
        opens, closes = _days(times, _after(ends, 1))
        if opens <= ends:
            notes.append(f"{times.environment.name}: its window opens on {opens}, and what comes before ends on {ends}")
        phases += [
            Phase(process, times.environment.name, opens, closes) for process in processes if process.number in (8, 9)
        ]
        ends = closes
    notes += [
        f"{times.environment.name}: the window is too short for the change and its way back"
        for times in laid_out
        if not times.fits
    ]
    phases += _after_the_lanes(plan, processes, ends)
    return Schedule(tuple(phases), tuple(laid_out), tuple(notes))


def _after_the_lanes(plan: Plan, processes: Sequence[SubProcess], ends: date) -> list[Phase]:
    watch = -(-plan.support.hypercare.length // _DAY)
    support, closeout = (next(p for p in processes if p.number == number) for number in (10, 11))
    watched = ends + _DAY * max(watch, 1)
    closes = working(watched + _DAY)
    return [Phase(support, "", ends + _DAY, watched), Phase(closeout, "", closes, _after(closes, closeout.days - 1))]


def _on_a_night(times: LaneTimes, *, after: date) -> LaneTimes:
    """Of a window that recurs, the first night after the work before it; freezes are for the planner to know."""
    window = times.environment.window
    if not isinstance(window, RecurringWindow):
        return times
    ready = datetime.combine(after + _DAY, time(), UTC)
    return replace(times, night=next((n for n in openings(window, closing_after=ready) if n.day > after), None))


def _days(times: LaneTimes, otherwise: date) -> tuple[date, date]:
    window = times.environment.window
    if times.night is None or isinstance(window, AnyTime):
        return otherwise, otherwise
    return times.night.day, times.night.closes.astimezone(zone(window.zone)).date()


def _backward(plan: Plan, before: Sequence[SubProcess]) -> date | None:
    """The last day on which work can begin and still be ready for the first dated window."""
    for undated, lane in enumerate(plan.lanes):
        if isinstance(lane.window, DatedWindow):
            return _before(lane.window.on, sum(process.days for process in before) + undated)
    return None


def working(day: date) -> date:
    """That day, or the Monday after it. Holidays are not known here."""
    while day.weekday() >= 5:
        day += _DAY
    return day


def _after(day: date, count: int) -> date:
    for _ in range(count):
        day = working(day + _DAY)
    return day


def _before(day: date, count: int) -> date:
    for _ in range(count):
        day -= _DAY
        while day.weekday() >= 5:
            day -= _DAY
    return day
