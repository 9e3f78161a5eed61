"""The change record: its models, states, moves and risk (ITIL; state numbers as the market's systems store them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from changeover.domain.outcome import Outcome


class ChangeState(StrEnum):
    NEW = "new"
    ASSESS = "assess"
    AUTHORIZE = "authorize"
    SCHEDULED = "scheduled"
    IMPLEMENT = "implement"
    REVIEW = "review"
    CLOSED = "closed"
    CANCELED = "canceled"


MOVES: dict[ChangeState, tuple[ChangeState, ...]] = {
    ChangeState.NEW: (ChangeState.ASSESS, ChangeState.CANCELED),
    ChangeState.ASSESS: (ChangeState.AUTHORIZE, ChangeState.NEW, ChangeState.CANCELED),
    ChangeState.AUTHORIZE: (ChangeState.SCHEDULED, ChangeState.NEW, ChangeState.CANCELED),
    ChangeState.SCHEDULED: (ChangeState.IMPLEMENT, ChangeState.CANCELED),
    ChangeState.IMPLEMENT: (ChangeState.REVIEW, ChangeState.CANCELED),
    ChangeState.REVIEW: (ChangeState.CLOSED,),
    ChangeState.CLOSED: (),
    ChangeState.CANCELED: (),
}


class ChangeModel(StrEnum):
    """How much is decided before the change: all of it, nothing any more (it was decided once for all), the least."""

    NORMAL = "normal"
    STANDARD = "standard"
    EMERGENCY = "emergency"


_FROM_SCHEDULED = {
    state: MOVES[state]
    for state in (
        ChangeState.SCHEDULED,
        ChangeState.IMPLEMENT,
        ChangeState.REVIEW,
        ChangeState.CLOSED,
        ChangeState.CANCELED,
    )
}
MODELS: Mapping[ChangeModel, Mapping[ChangeState, tuple[ChangeState, ...]]] = {
    ChangeModel.NORMAL: MOVES,
    ChangeModel.STANDARD: {ChangeState.NEW: (ChangeState.SCHEDULED, ChangeState.CANCELED), **_FROM_SCHEDULED},
    ChangeModel.EMERGENCY: {
        ChangeState.NEW: (ChangeState.AUTHORIZE, ChangeState.CANCELED),
        ChangeState.AUTHORIZE: (ChangeState.SCHEDULED, ChangeState.NEW, ChangeState.CANCELED),
        **_FROM_SCHEDULED,
    },
}
"""The states a model has, each with its moves: standard is approved beforehand, emergency is not assessed."""
STATE_NUMBERS = {
    ChangeState.NEW: -5,
    ChangeState.ASSESS: -4,
    ChangeState.AUTHORIZE: -3,
    ChangeState.SCHEDULED: -2,
    ChangeState.IMPLEMENT: -1,
    ChangeState.REVIEW: 0,
    ChangeState.CLOSED: 3,
    ChangeState.CANCELED: 4,
}


class CloseCode(StrEnum):
    SUCCESSFUL = "successful"
    SUCCESSFUL_ISSUES = "successful_issues"
    UNSUCCESSFUL = "unsuccessful"


def may_move(current: ChangeState, wanted: ChangeState, model: ChangeModel = ChangeModel.NORMAL) -> bool:
    """Already being there counts as done (C20); a state that the model does not have is neither left nor reached."""
    moves = MODELS[model]
    return current in moves and (current is wanted or wanted in moves[current])


def route(
    current: ChangeState, wanted: ChangeState, model: ChangeModel = ChangeModel.NORMAL
) -> tuple[ChangeState, ...]:
    """The shortest list of states to pass, `wanted` last; empty when already there or when no way leads there."""
    moves = MODELS[model]
    paths: list[tuple[ChangeState, ...]] = [(current,)]
    seen = {current}
    while paths:
        path = paths.pop(0)
        if path[-1] is wanted:
            return path[1:]
        for state in moves.get(path[-1], ()):
            if state not in seen:
                seen.add(state)
                paths.append((*path, state))
    return ()


class Risk(IntEnum):
    LOW = 1
    MODERATE = 2
    HIGH = 3


@dataclass(frozen=True)
class RiskFacts:
    """What the risk of a change is judged by."""

    production: bool
    rehearsed: bool
    reversible: bool
    hosts: int = 1
    customised: bool = False
    model: ChangeModel = ChangeModel.NORMAL


def risk(facts: RiskFacts) -> tuple[Risk, tuple[str, ...]]:
    """How bad it may become and how likely, each from 1 to 3, and what raised them.

    High from a product of 6, moderate from 3. A change of production that nobody rehearsed or nobody can undo is high,
    whatever else is said.
    """
    bad = {
        "production is touched": facts.production,
        "it cannot be undone": not facts.reversible,
        f"{facts.hosts} hosts": facts.hosts > 3,
    }
    likely = {
        "it was not rehearsed": not facts.rehearsed,
        "the client has modules or integrations of its own": facts.customised,
        "an emergency is not assessed": facts.model is ChangeModel.EMERGENCY,
    }
    impact, likelihood = (min(3, 1 + sum(each.values())) for each in (bad, likely))
    reasons = tuple(reason for reason, holds in (bad | likely).items() if holds)
    if facts.production and not (facts.rehearsed and facts.reversible):
        return Risk.HIGH, reasons
    product = impact * likelihood
    return (Risk.HIGH if product >= 6 else Risk.MODERATE if product >= 3 else Risk.LOW), reasons


def close_code(outcome: Outcome) -> CloseCode:
    if outcome is Outcome.SUCCESSFUL:
        return CloseCode.SUCCESSFUL
    if outcome is Outcome.SUCCESSFUL_WITH_ISSUES:
        return CloseCode.SUCCESSFUL_ISSUES
    return CloseCode.UNSUCCESSFUL
