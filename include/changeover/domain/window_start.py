"""May work begin now? Windows, freezes and the time that step and back-out need, laid against the clock.

A start is judged against the night it was meant for. A start that comes too late is missed, never late: the next night
is proposed, and nothing is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice

from changeover.domain.freeze import Freezes, freezes_differ, frozen
from changeover.domain.wall_clock import Note
from changeover.domain.window import AnyTime, DatedWindow, LeftOut, Occurrence, RecurringWindow
from changeover.domain.zones import disagreement

ByTheClock = DatedWindow | RecurringWindow
Covered = tuple[date, date]
"""First and last day, both included."""


@dataclass(frozen=True)
class Offer:
    """A night of a window, or the day of one that is not offered and why (`hindrance`)."""

    night: Occurrence | LeftOut
    hindrance: str = ""

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.night.notes


def offers(
    window: ByTheClock, freezes: Freezes = (), *, closing_after: datetime, covered: Covered | None = None
) -> Iterator[Offer]:
    """Nights that close after an instant, in their order; those in a freeze, or left out, with the reason.

    `covered`: of a window that recurs, nights outside these days (of order and support contract) do not count.
    """
    for night in window.nights(closing_after=closing_after):
        if covered is not None and isinstance(window, RecurringWindow):
            if night.day > covered[1]:
                return
            if night.day < covered[0]:
                continue
        if isinstance(night, LeftOut):
            yield Offer(night, night.reason)
            continue
        span = frozen(freezes, night.opens, night.closes)
        yield Offer(night, str(span) if span else "")


def openings(
    window: ByTheClock, freezes: Freezes = (), *, closing_after: datetime, covered: Covered | None = None
) -> Iterator[Occurrence]:
    """The nights that are offered: what the planner lays out and the timetable starts, exactly once each."""
    for offer in offers(window, freezes, closing_after=closing_after, covered=covered):
        if isinstance(offer.night, Occurrence) and not offer.hindrance:
            yield offer.night


@dataclass(frozen=True)
class StartDecision:
    """Whether host work may start now. `missed` only when a window exists and can no longer be used."""

    may_start: bool
    missed: bool
    reason: str
    latest_safe_start: datetime | None = None
    night: Occurrence | None = None
    """The night the start was meant for."""
    following: Occurrence | None = None
    """Proposed instead of a night that was missed."""


@dataclass(frozen=True)
class Agreed:
    """What was agreed about an environment: its window, the freezes that concern it, the days that are covered."""

    window: AnyTime | ByTheClock
    freezes: Freezes = ()
    covered: Covered | None = None


def meant_night(agreed: Agreed, since: datetime) -> Occurrence | None:
    """The night that a run asked for at an instant is meant for; None where none is offered any more.

    The first that closes afterwards. Where the next one opens before that, the last that is open, and the one to come
    when it was too late for it already.
    """
    window = agreed.window
    if isinstance(window, AnyTime):
        return None
    nights = openings(window, agreed.freezes, closing_after=since, covered=agreed.covered)
    night = next(nights, None)
    for later in nights:
        late = night is not None and since > night.opens + window.late_start_tolerance
        if night is None or later.opens >= night.closes or not (later.opens <= since or late):
            break
        night = later
    return night


def may_start(agreed: Agreed, *, at: datetime, needs: timedelta, meant_since: datetime | None = None) -> StartDecision:
    """`needs`: measured step plus measured back-out; a start that could not be undone inside the window is refused.

    `meant_since`: when the run was asked for, or the opening at which it was to start by itself (`meant_night`).
    """
    window = agreed.window
    if isinstance(window, AnyTime):
        return _any_time(window, agreed.freezes, at, needs)
    return _by_the_clock(window, agreed, at, needs, meant_since or at, tolerance=window.late_start_tolerance)


def may_go_on(agreed: Agreed, *, at: datetime, needs: timedelta, meant_since: datetime | None = None) -> StartDecision:
    """For the next step of a lane that began in time: the tolerance for late starts is behind it, the end is not."""
    window = agreed.window
    if isinstance(window, AnyTime):
        return _any_time(window, agreed.freezes, at, needs)
    return _by_the_clock(window, agreed, at, needs, meant_since or at, tolerance=None)


def _any_time(window: AnyTime, freezes: Freezes, at: datetime, needs: timedelta) -> StartDecision:
    until = at + needs
    if why := str(frozen(freezes, at, until) or "") or freezes_differ(freezes, at, until):
        return StartDecision(False, False, f"not now: {why}")
    return StartDecision(True, False, f"agreed at any time: {window.reason}")


def _by_the_clock(
    window: ByTheClock, agreed: Agreed, at: datetime, needs: timedelta, since: datetime, *, tolerance: timedelta | None
) -> StartDecision:
    night = meant_night(agreed, since)
    if night is None:
        return StartDecision(
            False, False, f"no night is offered after {since:%Y-%m-%d %H:%MZ}{_hindered(window, agreed, since)}"
        )
    span = (night.opens, night.closes)
    if differ := disagreement(window.zone, *span) or freezes_differ(agreed.freezes, *span):
        return StartDecision(False, False, f"refused: {differ}", night=night)
    safe = night.closes - needs
    latest = safe if tolerance is None else min(safe, night.opens + tolerance)
    if at < night.opens:
        hindered = _hindered(window, agreed, since, before=night)
        reason = f"the window opens at {night.opens:%Y-%m-%d %H:%MZ} ({night}){hindered}"
        return StartDecision(False, False, reason, latest, night)
    if late := _late(night, at, needs, tolerance):
        others = openings(window, agreed.freezes, closing_after=at, covered=agreed.covered)
        following = next((other for other in others if other.opens > at), None)
        proposed = f"next {following.opens:%Y-%m-%d %H:%MZ}, {following.told()}" if following else "no further night"
        return StartDecision(False, True, f"missed: {late}; {proposed}", latest, night, following)
    return StartDecision(True, False, f"inside the window {night}", latest, night)


def _late(night: Occurrence, at: datetime, needs: timedelta, tolerance: timedelta | None) -> str:
    """Why a start after the opening comes too late; "" when it does not."""
    if at > night.closes - needs:
        return f"step and back-out need {needs}, the window {night} leaves {max(night.closes - at, timedelta(0))}"
    if tolerance is not None and at > night.opens + tolerance:
        return f"later than {tolerance} after the opening ({night})"
    return f"the window {night} is over" if at >= night.closes else ""


def _hindered(window: ByTheClock, agreed: Agreed, since: datetime, before: Occurrence | None = None) -> str:
    """Nights that would have come first, and why they are not offered."""
    passed = []
    for offer in islice(offers(window, agreed.freezes, closing_after=since, covered=agreed.covered), 3):
        if offer.night == before:
            break
        if offer.hindrance:
            passed.append(f"; not offered on {offer.night.day}: {offer.hindrance}")
    return "".join(passed)
