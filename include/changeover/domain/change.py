"""The change record's states and moves (ITIL; state numbers as the market's systems store them)."""

from __future__ import annotations

from enum import StrEnum

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


def may_move(current: ChangeState, wanted: ChangeState) -> bool:
    """Already being there counts as done (C20)."""
    return current is wanted or wanted in MOVES[current]


def route(current: ChangeState, wanted: ChangeState) -> tuple[ChangeState, ...]:
    """The shortest list of states to pass, `wanted` last; empty when already there or when no way leads there."""
    paths: list[tuple[ChangeState, ...]] = [(current,)]
    seen = {current}
    while paths:
        path = paths.pop(0)
        if path[-1] is wanted:
            return path[1:]
        for state in MOVES[path[-1]]:
            if state not in seen:
                seen.add(state)
                paths.append((*path, state))
    return ()


def close_code(outcome: Outcome) -> CloseCode:
    if outcome is Outcome.SUCCESSFUL:
        return CloseCode.SUCCESSFUL
    if outcome is Outcome.SUCCESSFUL_WITH_ISSUES:
        return CloseCode.SUCCESSFUL_ISSUES
    return CloseCode.UNSUCCESSFUL
