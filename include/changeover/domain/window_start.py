"""May work begin now? Windows, freezes and the time that step and back-out need, laid against the clock.

A start is judged against the night it was meant for. A start that comes too late is missed, never late: the next night
is proposed, and nothing is touched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from changeover.domain.freeze import Freezes, freezes_differ, frozen
from changeover.domain.wall_clock import Note
from changeover.domain.window import AnyTime, DatedWindow, LeftOut, Occurrence, RecurringWindow
from changeover.domain.zones import disagreement

ByTheClock = DatedWindow | RecurringWindow


@dataclass(frozen=True)
class Offer:
    """A night of a window, or the day of one that is not offered and why (`hindrance`)."""

    night: Occurrence | LeftOut
    hindrance: str = ""

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.night.notes


def offers(window: ByTheClock, freezes: Freezes = (), *, closing_after: datetime) -> Iterator[Offer]:
    """Nights that close after an instant, in their order; those in a freeze, or left out, with the reason."""
    for night in window.nights(closing_after=closing_after):
        if isinstance(night, LeftOut):
            yield Offer(night, night.reason)
            continue
        span = frozen(freezes, night.opens, night.closes)
        yield Offer(night, str(span) if span else "")


def openings(window: ByTheClock, freezes: Freezes = (), *, closing_after: datetime) -> Iterator[Occurrence]:
    """The nights that are offered: what the planner lays out and the timetable starts, exactly once each."""
    for offer in offers(window, freezes, closing_after=closing_after):
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


def may_start(
    window: AnyTime | ByTheClock,
    *,
    at: datetime,
    needs: timedelta,
    freezes: Freezes = (),
    meant_since: datetime | None = None,
) -> StartDecision:
    """`needs`: measured step plus measured back-out; a start that could not be undone inside the window is refused.

    `meant_since`: when the run was asked for. Its night is the first that closed after that.
    """
    return _decide(window, at, needs, freezes, meant_since, first=True)


def may_go_on(
    window: AnyTime | ByTheClock,
    *,
    at: datetime,
    needs: timedelta,
    freezes: Freezes = (),
    meant_since: datetime | None = None,
) -> StartDecision:
    """For the next step of a lane that began in time: the tolerance for late starts is behind it, the end is not."""
    return _decide(window, at, needs, freezes, meant_since, first=False)


def _decide(
    window: AnyTime | ByTheClock,
    at: datetime,
    needs: timedelta,
    freezes: Freezes,
    meant_since: datetime | None,
    *,
    first: bool,
) -> StartDecision:
    if isinstance(window, AnyTime):
        until = at + needs
        if why := str(frozen(freezes, at, until) or "") or freezes_differ(freezes, at, until):
            return StartDecision(False, False, f"not now: {why}")
        return StartDecision(True, False, f"agreed at any time: {window.reason}")
    since = meant_since or at
    nights = openings(window, freezes, closing_after=since)
    night = next(nights, None)
    if night is None:
        return StartDecision(
            False, False, f"no night is offered after {since:%Y-%m-%d %H:%MZ}{_hindered(window, freezes, since)}"
        )
    if differ := disagreement(window.zone, night.opens, night.closes) or freezes_differ(
        freezes, night.opens, night.closes
    ):
        return StartDecision(False, False, f"refused: {differ}", night=night)
    if at < night.opens:
        opens = f"the window opens at {night.opens:%Y-%m-%d %H:%MZ} ({night})"
        hindered = _hindered(window, freezes, since, before=night)
        return StartDecision(False, False, f"{opens}{hindered}", _latest(window, night, needs, first=first), night)
    return _inside(window, night, at, needs, first=first, following=next((n for n in nights if n.opens > at), None))


def _inside(
    window: ByTheClock, night: Occurrence, at: datetime, needs: timedelta, *, first: bool, following: Occurrence | None
) -> StartDecision:
    latest = _latest(window, night, needs, first=first)
    if at > night.closes - needs:
        left = max(night.closes - at, timedelta(0))
        reason = f"missed: step and back-out need {needs}, the window {night} leaves {left}"
    elif at > latest:
        reason = f"missed: later than {window.late_start_tolerance} after the opening ({night})"
    elif at >= night.closes:
        reason = f"missed: the window {night} is over"
    else:
        return StartDecision(True, False, f"inside the window {night}", latest, night)
    proposed = f"; next {following.opens:%Y-%m-%d %H:%MZ}, {following.told()}" if following else "; no further night"
    return StartDecision(False, True, f"{reason}{proposed}", latest, night, following)


def _latest(window: ByTheClock, night: Occurrence, needs: timedelta, *, first: bool) -> datetime:
    safe = night.closes - needs
    return min(safe, night.opens + window.late_start_tolerance) if first else safe


def _hindered(window: ByTheClock, freezes: Freezes, since: datetime, before: Occurrence | None = None) -> str:
    """Nights that would have come first, and why they are not offered."""
    passed = []
    for offer in islice(offers(window, freezes, closing_after=since), 3):
        if offer.night == before:
            break
        if offer.hindrance:
            passed.append(f"; not offered on {offer.night.day}: {offer.hindrance}")
    return "".join(passed)
