"""Batches as pure planning: who goes with whom, who may leave, and when nothing more may begin."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from changeover.domain.batch import (
    Batches,
    Expected,
    Seen,
    Standing,
    canary_faults,
    may_leave,
    must_stop,
    plan_batches,
    standing_after,
)
from changeover.domain.execution import HostState

HOSTS = tuple(f"app{n:02d}" for n in range(1, 11))


def batches(**changes: Any) -> Batches:
    return Batches.model_validate({"sizes": [1]} | changes)


def test_the_canary_goes_alone_and_the_last_size_is_repeated() -> None:
    planned = plan_batches(batches(sizes=[2, "30%"]), HOSTS)
    assert [len(batch) for batch in planned] == [1, 2, 3, 3, 1]
    assert planned[0] == ("app01",)


def test_a_canary_named_in_the_plan_goes_first() -> None:
    planned = plan_batches(batches(canary=["app07", "app03"], sizes=["100%"]), HOSTS)
    assert planned[0] == ("app03", "app07")
    assert len(planned) == 2
    assert canary_faults(batches(canary=["moon"]), HOSTS) == (
        f"batches.canary: moon is not among the hosts {', '.join(HOSTS)}",
    )


def test_hosts_that_are_done_are_left_alone() -> None:
    planned = plan_batches(batches(sizes=[2]), HOSTS, done=("app01", "app02"))
    assert "app01" not in {host for batch in planned for host in batch}
    assert [host for batch in planned for host in batch] == list(HOSTS[2:])


@given(
    st.integers(1, 40),
    st.lists(st.one_of(st.integers(1, 9), st.integers(1, 100).map(lambda n: f"{n}%")), min_size=1, max_size=4),
    st.sets(st.integers(0, 39)),
)
def test_every_host_that_is_not_done_is_in_exactly_one_batch(count: int, sizes: list[Any], done: set[int]) -> None:
    hosts = tuple(f"h{n}" for n in range(count))
    finished = {f"h{n}" for n in done}
    planned = plan_batches(batches(sizes=sizes), hosts, done=finished)
    flat = [host for batch in planned for host in batch]
    assert sorted(flat) == sorted(set(hosts) - finished)
    assert all(planned)


@pytest.mark.parametrize("size", [0, "0%", "101%", "half", -1, True, 2.5])
def test_a_size_that_is_none_is_refused(size: Any) -> None:
    with pytest.raises(ValidationError):
        batches(sizes=[size])


def expected(**standings: Standing) -> Expected:
    return Expected("2.0", "2.6", "pep440", {"a": Standing.NOT_ATTEMPTED, "b": Standing.NOT_ATTEMPTED} | standings)


def test_a_host_may_leave_while_enough_others_serve() -> None:
    seen = [Seen("a", True, "2.0"), Seen("b", True, "2.0")]
    assert may_leave(("a",), batches(), seen, expected()) == ()
    (short,) = may_leave(("a", "b"), batches(), seen, expected())
    assert short == "a, b may not leave: 0 of 2 hosts would serve, 1 have to"
    assert may_leave(("a", "b"), batches(keep_serving=0), seen, expected()) == ()


def test_a_sick_neighbour_keeps_a_host_in_service() -> None:
    seen = [Seen("a", True, "2.0"), Seen("b", True, "2.0", "tracker is stopped")]
    assert "a may not leave" in may_leave(("a",), batches(), seen, expected())[0]


def test_a_share_that_has_to_serve_is_rounded_up() -> None:
    seen = [Seen(host, True, "2.0") for host in ("a", "b", "c")]
    assert may_leave(("a", "b"), batches(keep_serving="50%"), seen, expected(c=Standing.NOT_ATTEMPTED))


def test_one_unreachable_host_anywhere_lets_nobody_leave() -> None:
    """C12: also one that is not in the batch."""
    seen = [Seen("a", True, "2.0"), Seen("b", False, None, "timed out")]
    assert may_leave(("a",), batches(keep_serving=0), seen, expected()) == ("b is unreachable: timed out",)


def test_a_host_at_another_version_than_the_ledger_says_stops_it() -> None:
    seen = [Seen("a", True, "2.6"), Seen("b", True, "2.0")]
    assert may_leave(("b",), batches(), seen, expected()) == ("a: 2.6 found, 2.0 expected",)
    assert may_leave(("b",), batches(), seen, expected(a=Standing.DONE)) == ()
    unwell = [Seen("a", True, "2.6", "tracker is stopped"), Seen("b", True, "2.0")]
    assert may_leave(("b",), batches(keep_serving=0), unwell, expected(a=Standing.DONE))


def test_the_failure_budget_counts_over_all_batches_and_forgives_no_unreachable_host() -> None:
    one = dict.fromkeys(HOSTS, Standing.DONE) | {"app01": Standing.FAILED}
    two = one | {"app02": Standing.BACKED_OUT}
    assert must_stop(batches(), one) != ()
    assert must_stop(batches(failure_budget=1), one) == ()
    assert must_stop(batches(failure_budget="10%"), one) == ()
    assert must_stop(batches(failure_budget="10%"), two) == ("2 hosts failed (app01, app02), 1 may",)
    away = dict.fromkeys(HOSTS, Standing.DONE) | {"app03": Standing.UNREACHABLE}
    assert must_stop(batches(failure_budget="100%"), away) == ("app03 is unreachable: nothing goes on beside it",)


def test_only_an_accepted_host_is_done() -> None:
    assert standing_after(HostState.OK, accepted=True) is Standing.DONE
    assert standing_after(HostState.OK, accepted=False) is Standing.FAILED
    assert standing_after(HostState.FAILED, accepted=True) is Standing.FAILED
    assert standing_after(HostState.UNREACHABLE, accepted=False) is Standing.UNREACHABLE
