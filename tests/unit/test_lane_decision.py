"""The one decision of a lane: commit on full proof, back out what was begun, touch nothing otherwise."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from changeover.domain.lane import Decision, LaneFacts, decide, hosts_to_back_out

DONE = LaneFacts(lane_started=True, change_began=True, implemented=True, accepted=True, signed_off=True)


@pytest.mark.parametrize("facts", list(product([True, False], repeat=6)))
def test_every_combination(facts: tuple[bool, ...]) -> None:
    """64 of them; commit and back-out each have exactly their conditions."""
    started, began, implemented, accepted, signed, wanted = facts
    decision, why = decide(LaneFacts(started, began, implemented, accepted, signed, back_out_wanted=wanted))
    assert why
    if wanted:
        assert decision is Decision.BACK_OUT
    elif not started:
        assert decision is Decision.NOT_STARTED
    elif not began:
        assert decision is Decision.STAND_DOWN
    else:
        assert decision is (Decision.COMMIT if implemented and accepted and signed else Decision.BACK_OUT)


def test_what_is_missing_is_told() -> None:
    assert (
        decide(replace(DONE, accepted=False, signed_off=False))[1]
        == "the change began and is not accepted, not signed off"
    )


def test_nothing_is_decided_beside_work_in_progress() -> None:
    """C02: whoever asks too early is told so, and no back-out starts."""
    with pytest.raises(ValueError, match="has not ended"):
        decide(replace(DONE, work_in_progress=True))


def test_hosts_of_a_back_out() -> None:
    touched = ("a", "b", "a", "c")
    assert hosts_to_back_out("per_environment", touched=touched, failed=["b"]) == ("a", "b", "c")
    assert hosts_to_back_out("per_host", touched=touched, failed=["c", "b", "x"]) == ("b", "c")
    # All hosts came out well and the environment was not accepted: then every one of them goes back.
    assert hosts_to_back_out("per_host", touched=touched, failed=[]) == ("a", "b", "c")
    assert hosts_to_back_out("per_host", touched=[], failed=["a"]) == ()
