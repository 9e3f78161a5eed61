"""The change record's states: only the moves that ITIL knows, and a way to each state that can be reached."""

from __future__ import annotations

from itertools import pairwise, product

import pytest

from changeover.domain.change import (
    MODELS,
    MOVES,
    STATE_NUMBERS,
    ChangeModel,
    ChangeState,
    CloseCode,
    Risk,
    RiskFacts,
    close_code,
    may_move,
    risk,
    route,
)
from changeover.domain.outcome import Outcome


def test_being_there_counts_as_done() -> None:
    """C20: a move to the state it is in is no error."""
    assert all(may_move(state, state) for state in ChangeState)
    assert all(route(state, state) == () for state in ChangeState)


@pytest.mark.parametrize(("current", "wanted"), list(product(ChangeState, ChangeState)))
def test_a_route_is_a_chain_of_allowed_moves_and_the_shortest(current: ChangeState, wanted: ChangeState) -> None:
    way = route(current, wanted)
    if not way:
        assert current is wanted or not reachable(current, wanted)
        return
    assert way[-1] is wanted
    assert all(b in MOVES[a] for a, b in pairwise((current, *way)))
    assert len(set(way)) == len(way)
    if wanted in MOVES[current]:
        assert way == (wanted,)


def reachable(current: ChangeState, wanted: ChangeState) -> bool:
    seen: set[ChangeState] = set()
    todo = [current]
    while todo:
        for state in MOVES[todo.pop()]:
            if state not in seen:
                seen.add(state)
                todo.append(state)
    return wanted in seen


def test_the_usual_way() -> None:
    assert route(ChangeState.NEW, ChangeState.CLOSED) == (
        ChangeState.ASSESS,
        ChangeState.AUTHORIZE,
        ChangeState.SCHEDULED,
        ChangeState.IMPLEMENT,
        ChangeState.REVIEW,
        ChangeState.CLOSED,
    )


def test_an_end_stays_an_end() -> None:
    for end in (ChangeState.CLOSED, ChangeState.CANCELED):
        assert not any(may_move(end, state) for state in ChangeState if state is not end)


def test_no_state_is_skipped_on_the_way_to_implement() -> None:
    assert not may_move(ChangeState.NEW, ChangeState.IMPLEMENT)
    assert not may_move(ChangeState.AUTHORIZE, ChangeState.IMPLEMENT)
    assert not may_move(ChangeState.REVIEW, ChangeState.CANCELED)


def test_every_state_has_a_number_of_its_own() -> None:
    assert STATE_NUMBERS.keys() == set(ChangeState)
    assert len(set(STATE_NUMBERS.values())) == len(ChangeState)


def test_only_a_success_is_closed_as_one() -> None:
    codes = {outcome: close_code(outcome) for outcome in Outcome}
    assert codes.pop(Outcome.SUCCESSFUL) is CloseCode.SUCCESSFUL
    assert codes.pop(Outcome.SUCCESSFUL_WITH_ISSUES) is CloseCode.SUCCESSFUL_ISSUES
    assert set(codes.values()) == {CloseCode.UNSUCCESSFUL}


@pytest.mark.parametrize(
    ("model", "way"),
    [
        (ChangeModel.NORMAL, "assess authorize scheduled implement review closed"),
        (ChangeModel.STANDARD, "scheduled implement review closed"),
        (ChangeModel.EMERGENCY, "authorize scheduled implement review closed"),
    ],
)
def test_each_model_has_its_way_to_the_end(model: ChangeModel, way: str) -> None:
    assert " ".join(route(ChangeState.NEW, ChangeState.CLOSED, model)) == way
    assert all(set(to) <= set(MODELS[model]) for to in MODELS[model].values())


def test_a_state_that_the_model_does_not_have_is_not_reached() -> None:
    assert not may_move(ChangeState.NEW, ChangeState.ASSESS, ChangeModel.STANDARD)
    assert not may_move(ChangeState.ASSESS, ChangeState.ASSESS, ChangeModel.EMERGENCY)
    assert route(ChangeState.NEW, ChangeState.AUTHORIZE, ChangeModel.STANDARD) == ()


@pytest.mark.parametrize(
    ("facts", "wanted", "reasons"),
    [
        (RiskFacts(production=False, rehearsed=True, reversible=True), Risk.LOW, 0),
        (RiskFacts(production=True, rehearsed=True, reversible=True), Risk.LOW, 1),
        (RiskFacts(production=True, rehearsed=True, reversible=True, customised=True), Risk.MODERATE, 2),
        (RiskFacts(production=True, rehearsed=True, reversible=True, customised=True, hosts=9), Risk.HIGH, 3),
        (RiskFacts(production=True, rehearsed=False, reversible=True), Risk.HIGH, 2),
        (RiskFacts(production=True, rehearsed=True, reversible=False), Risk.HIGH, 2),
        (RiskFacts(production=False, rehearsed=False, reversible=False), Risk.MODERATE, 2),
    ],
)
def test_the_risk_says_what_raised_it(facts: RiskFacts, wanted: Risk, reasons: int) -> None:
    found, why = risk(facts)
    assert (found, len(why)) == (wanted, reasons)
