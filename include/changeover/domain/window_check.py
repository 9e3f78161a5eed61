"""What has to be right about a plan's windows: at the desk (`plan check`), and again before the plan is approved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice, pairwise, takewhile

from changeover.domain.finding import Finding, Severity
from changeover.domain.freeze import Freezes, freezes_of, permit_faults
from changeover.domain.plan import Environment, Plan
from changeover.domain.wall_clock import Note, span_text
from changeover.domain.window import AnyTime, DatedWindow, Occurrence, RecurringWindow, duration_text
from changeover.domain.window_start import Offer, offers
from changeover.domain.zones import disagreement

Told = tuple[tuple[str | int, ...], str]
LOOKS_AHEAD = timedelta(days=366)
"""Of a window that recurs, nights further away are not looked at: rules and laws may have changed by then."""
_OPTIONS = {"on_skipped": "later, at_change or leave_out", "on_doubled": "first, second or leave_out"}


def window_faults(plan: Plan, freezes: Freezes, *, now: datetime) -> Iterator[Told]:
    """Why the plan's windows could not be used as they stand."""
    for i, environment in enumerate(plan.environments):
        window, path = environment.window, ("environments", i, "window")
        if isinstance(window, DatedWindow):
            yield from (((*path, key), text) for key, text in _dated_faults(plan, window, now))
        if not isinstance(window, AnyTime):
            yield from (((*path, key), text) for key, text in _offer_faults(plan, environment, freezes, now))
    yield from permit_faults(plan, freezes)
    yield from _sequence_faults(plan.environments)


def window_notes(plan: Plan, freezes: Freezes, *, now: datetime) -> Iterator[Told]:
    """Times that the clocks skip or show twice, decided or not, and nights that are not offered."""
    for i, environment in enumerate(plan.environments):
        ahead = _ahead(plan, environment, freezes, now)
        nights = [offer.night for offer in ahead if isinstance(offer.night, Occurrence) and not offer.hindrance]
        for offer in ahead:
            for note in offer.notes:
                yield ("environments", i, "window", note.end), _asked(note)
            if offer.hindrance and isinstance(environment.window, RecurringWindow):
                yield ("environments", i, "window", "rule"), f"not offered on {offer.night.day}: {offer.hindrance}"
        short = next((night for night in nights if night.length < environment.implement_within), None)
        if short is not None:
            limit, length = duration_text(environment.implement_within), span_text(short.length)
            text = f"{limit} is longer than the window on {short.day} ({length}): the step could go on past its closing"
            yield ("environments", i, "implement_within"), text


def window_findings(
    plan: Plan, lanes: Iterable[Environment], freezes: Freezes, *, now: datetime
) -> tuple[Finding, ...]:
    """What the approval waits for: every odd hour decided, a night on offer, zone data that everybody agrees about."""
    return tuple(finding for lane in lanes for finding in _lane_findings(plan, lane, freezes, now))


def _lane_findings(plan: Plan, lane: Environment, freezes: Freezes, now: datetime) -> Iterator[Finding]:
    for key, text in _offer_faults(plan, lane, freezes, now):
        yield Finding(f"window-{key.replace('_', '-')}", lane.name, text, remediation="another window, or a permit")
    for offer in _ahead(plan, lane, freezes, now):
        for note in offer.notes:
            severity = Severity.ADVISORY if note.decided else Severity.INHIBITOR
            choice = note.choice.replace("_", "-")
            yield Finding(f"window-{choice}", lane.name, _asked(note), severity, f"say {note.choice} in the plan")
        if offer.hindrance:
            summary = f"not offered on {offer.night.day}: {offer.hindrance}"
            yield Finding("window-not-offered", lane.name, summary, Severity.ADVISORY)


def _asked(note: Note) -> str:
    if note.decided:
        return f"{note.text}, as the plan says ({note.choice})"
    return f"{note.text}; decide before the approval: {note.choice}: {_OPTIONS[note.choice]}, or another time"


def _dated_faults(plan: Plan, window: DatedWindow, now: datetime) -> Iterator[tuple[str, str]]:
    order, night = plan.statement_of_work, window.night
    if night.closes <= now:
        yield "on", f"lies in the past: the window closed at {night.closes:%Y-%m-%d %H:%MZ}"
    first, last = window.local_days()
    if not order.valid_from <= first <= last <= order.valid_until:
        yield "on", f"{first} to {last} is not within {order.id} ({order.valid_from} to {order.valid_until})"
    if not plan.support_contract.holds_on(first):
        yield "on", f"{first} is not within {plan.support_contract.told}"


def _offer_faults(plan: Plan, environment: Environment, freezes: Freezes, now: datetime) -> Iterator[tuple[str, str]]:
    """No night on offer, or zone data that differ about one."""
    window = environment.window
    if isinstance(window, AnyTime):
        return
    ahead = _ahead(plan, environment, freezes, now)
    good = [offer.night for offer in ahead if isinstance(offer.night, Occurrence) and not offer.hindrance]
    if not good:
        key = "on" if isinstance(window, DatedWindow) else "rule"
        if hindered := [f"{offer.night.day}: {offer.hindrance}" for offer in ahead]:
            yield key, f"no night can be offered: {'; '.join(hindered[:3])}"
        elif isinstance(window, RecurringWindow):
            yield key, f"gives no night from now on within {plan.covered_told}"
    elif differ := disagreement(window.zone, good[0].opens, good[-1].closes):
        yield "zone", differ


def _ahead(plan: Plan, environment: Environment, freezes: Freezes, now: datetime) -> tuple[Offer, ...]:
    """The nights of the coming year that order and contract cover; of a dated window its one night."""
    window = environment.window
    if isinstance(window, AnyTime):
        return ()
    concerned = freezes_of(plan, environment, freezes)
    found = islice(offers(window, concerned, closing_after=now, covered=plan.covered), 1000)
    last = now.date() + LOOKS_AHEAD
    return tuple(takewhile(lambda offer: isinstance(window, DatedWindow) or offer.night.day <= last, found))


def _sequence_faults(environments: tuple[Environment, ...]) -> Iterator[Told]:
    """Environments are upgraded in plan order, so a later one cannot have its window before an earlier one's."""
    dated = [(i, e, e.window.instants()) for i, e in enumerate(environments) if isinstance(e.window, DatedWindow)]
    for (_, before, (opens, _)), (i, after, (_, closes)) in pairwise(dated):
        if closes <= opens:
            yield (
                ("environments", i, "window", "on"),
                f"{after.name} comes after {before.name} in this plan, and its window is over before that one opens",
            )
