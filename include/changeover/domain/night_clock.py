"""What the night policy does now: from the plan's choices, what is true of an environment, and the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from changeover.domain.night import ILLEGAL, SILENCE, Action, Case, Night, chosen
from changeover.domain.record import MarkKind

LONGEST_HOLD = timedelta(days=7)
"""A hold that no clock ends is over after so long: a run is no place to forget one."""
Choices = Callable[[Case], Action | None]


@dataclass(frozen=True)
class NightFacts:
    """What is true when somebody would have to answer. Times are None where no window closes."""

    since: datetime
    """When the hold began, or what it is about came up."""
    change_began: bool = False
    latest_start: datetime | None = None
    """After which the environment's next step does not begin any more; of no weight once the change began."""
    decide_by: datetime | None = None
    closes: datetime | None = None
    undoable: bool = True
    """Whether a change that has begun can be backed out."""


@dataclass(frozen=True)
class Ruling:
    """`until`: how long a hold lasts at most."""

    action: Action
    case: Case
    why: str
    until: datetime | None = None


def choices_of(night: Night | None, environment: str = "") -> Choices:
    return lambda case: chosen(night, case, environment)


def rule(choices: Choices, case: Case, facts: NightFacts, *, at: datetime) -> Ruling:
    """The policy's action for a case now: hold only while it can end well, and never what is illegal for the case."""
    choice = choices(case)
    if choice is None:
        return _possible(
            Ruling(SILENCE[case], case, f"{case}: the plan says nothing for it, so silence is a no"), facts
        )
    if choice is not Action.HOLD:
        return _possible(Ruling(choice, case, f"{case}: {choice}, as the plan says"), facts)
    until = hold_until(choices, facts, at=at)
    if until is not None:
        return Ruling(Action.HOLD, case, f"{case}: hold until {until:%Y-%m-%d %H:%MZ}, as the plan says", until)
    return _possible(_after_hold(choices, case, facts, at), facts)


def hold_until(choices: Choices, facts: NightFacts, *, at: datetime) -> datetime | None:
    """Until when a hold that stands now lasts at most; None when the clock has ended it.

    Before the change: until it is too late to begin. After it: until "decide by", and beyond only where the plan holds
    there as well.
    """
    longest = facts.since + LONGEST_HOLD
    if not facts.change_began:
        end = min(longest, facts.latest_start or longest)
        return end if at < end else None
    moments = (
        (facts.decide_by, choices(Case.DECIDE_BY_PASSED) is Action.HOLD),
        (facts.closes, choices(Case.WINDOW_END_PASSED) is Action.HOLD),
        (longest, False),
    )
    for moment, goes_on in moments:
        if moment is not None and at < moment:
            return min(moment, longest) if at < longest else None
        if moment is not None and not goes_on:
            return None
    return None


def past(facts: NightFacts, *, at: datetime) -> Case | None:
    """The gravest moment that has come for work that is not accepted yet."""
    if facts.closes is not None and at >= facts.closes:
        return Case.WINDOW_END_PASSED
    if facts.change_began and not facts.undoable:
        return None  # the decision lies behind: there is only forwards
    if facts.decide_by is not None and at >= facts.decide_by:
        return Case.DECIDE_BY_PASSED
    return None


def _after_hold(choices: Choices, case: Case, facts: NightFacts, at: datetime) -> Ruling:
    """What the moment that ended the hold brings, as far as the case allows it."""
    moment = past(facts, at=at) if facts.change_began else None
    action = (choices(moment) if moment else None) or SILENCE[case]
    if action is Action.HOLD or action in ILLEGAL[case]:
        action = SILENCE[case]
    return Ruling(action, case, f"{case}: held until it was too late{f' ({moment})' if moment else ''}, so {action}")


def _possible(ruling: Ruling, facts: NightFacts) -> Ruling:
    """No clock takes back what cannot be undone: work that is under way is finished."""
    by_the_clock = ruling.case in (Case.DECIDE_BY_PASSED, Case.WINDOW_END_PASSED)
    if ruling.action is Action.BACK_OUT and by_the_clock and facts.change_began and not facts.undoable:
        return Ruling(Action.PROCEED, ruling.case, f"{ruling.case}: the change cannot be undone, so it is finished")
    return ruling


def cut_off(choices: Choices, facts: NightFacts) -> datetime | None:
    """When a change that still runs is ended so that it can be backed out; None when it may end by itself."""
    if not facts.undoable:
        return None
    if (choices(Case.DECIDE_BY_PASSED) or SILENCE[Case.DECIDE_BY_PASSED]) is Action.BACK_OUT:
        return facts.decide_by
    if (choices(Case.WINDOW_END_PASSED) or SILENCE[Case.WINDOW_END_PASSED]) is Action.BACK_OUT:
        return facts.closes
    return None


def moments_due(decide_by: datetime, *, tell_before: timedelta, at: datetime) -> tuple[MarkKind, ...]:
    """What is to be on record by now of an environment that is not settled; each once."""
    near = (MarkKind.DECIDE_BY_NEAR,) if at >= decide_by - tell_before else ()
    return (*near, MarkKind.DECIDE_BY_PASSED) if at >= decide_by else near
