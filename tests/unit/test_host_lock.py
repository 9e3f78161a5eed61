"""When a host's lock may be taken over, and why not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from changeover.domain.host_lock import (
    Controller,
    Forced,
    HostHold,
    LiveProcess,
    RunStanding,
    advice,
    overdue,
    read_lock,
    read_marker,
    takeover,
)

AT = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
HELD = {"run": "r1", "step": "implement", "environment": "production", "token": "t1", "taken_at": AT.isoformat()}
ENDED = RunStanding("r1", known=True, outcome="backed_out", controller=Controller.GONE, tokens=frozenset({"t1", "t2"}))
OPEN = replace(ENDED, outcome=None)
ANNA = Forced("anna.berg", "the controller's machine burnt")


def hold(**changes: Any) -> HostHold:
    return replace(HostHold("prod1", True, lock=read_lock(HELD), processes=()), **changes)


def test_the_lock_of_an_ended_run_may_be_taken_over() -> None:
    assert takeover(hold(), ENDED).allowed


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (OPEN, "has not ended"),
        (replace(ENDED, outcome="unknown"), "ended unknown, and nobody has settled it"),
        (replace(ENDED, outcome="back_out_failed"), "ended back_out_failed"),
        (RunStanding("r1", known=False), "not in the ledger"),
        (None, "not in the ledger"),
    ],
)
def test_of_any_other_run_only_a_named_person_with_a_reason_takes_it(standing: RunStanding | None, reason: str) -> None:
    refused = takeover(hold(), standing)
    assert (refused.allowed, refused.may_be_forced) == (False, True)
    assert reason in refused.reasons[0]
    assert not takeover(hold(), standing, forced=Forced("anna.berg", " ")).allowed
    assert not takeover(hold(), standing, forced=Forced("", "why")).allowed
    forced = takeover(hold(), standing, forced=ANNA)
    assert forced.allowed
    assert "anna.berg" in forced.reasons[0]
    assert reason in forced.reasons[1]


def test_an_unproven_run_that_a_person_closed_holds_nothing() -> None:
    assert takeover(hold(), replace(ENDED, outcome="unknown", closed_by="anna.berg")).allowed


@pytest.mark.parametrize("token", ["t1", "t2"])
def test_never_while_a_process_of_the_run_lives_whoever_forces_it(token: str) -> None:
    """Also a process of another execution of the same run than the one that took the lock."""
    busy = hold(processes=(LiveProcess(41, token, "python migrate.py"),))
    for standing in (ENDED, OPEN):
        refused = takeover(busy, standing, forced=ANNA)
        assert not refused.allowed
        assert "process 41" in refused.reasons[0]
        assert "migrate.py" in refused.reasons[0]


def test_a_process_of_another_run_is_no_reason() -> None:
    assert takeover(hold(processes=(LiveProcess(41, "t9", "python"),)), ENDED).allowed


def test_beside_a_lock_that_cannot_be_read_any_execution_may_be_its_own() -> None:
    unread = hold(lock=read_lock({"unreadable": "{"}))
    assert takeover(unread, None).may_be_forced
    assert takeover(unread, None, forced=ANNA).allowed
    busy = replace(unread, processes=(LiveProcess(41, "t9", "python"),))
    assert not takeover(busy, None, forced=ANNA).allowed


@pytest.mark.parametrize(
    ("found", "standing"),
    [
        (hold(processes=None), ENDED),
        (HostHold("prod1", False, "no connection", processes=None), ENDED),
        (hold(), replace(ENDED, controller=Controller.RUNS)),
    ],
)
def test_what_cannot_be_seen_or_still_runs_cannot_be_forced(found: HostHold, standing: RunStanding) -> None:
    refused = takeover(found, standing, forced=ANNA)
    assert not refused.allowed
    assert refused.reasons


def test_a_controller_that_may_be_at_work_elsewhere_takes_a_named_person() -> None:
    """The run is ended in the ledger, but a step of it has its records on another machine."""
    elsewhere = replace(ENDED, controller=Controller.NOT_HERE)
    assert not takeover(hold(), elsewhere).allowed
    assert takeover(hold(), elsewhere).may_be_forced
    assert takeover(hold(), elsewhere, forced=ANNA).allowed


def test_a_free_host_is_free() -> None:
    free = hold(lock=None)
    assert takeover(free, None).allowed
    assert advice(free, None, takeover(free, None)) == "nothing: the host is free"


@pytest.mark.parametrize("content", [{"unreadable": ""}, {"run": ""}, {"step": "x"}])
def test_a_lock_without_a_run_is_held_by_somebody(content: dict[str, Any]) -> None:
    lock = read_lock(content)
    assert lock is not None
    assert lock.unreadable


def test_times_are_read_in_utc_and_a_bad_one_is_none() -> None:
    assert read_lock({**HELD, "taken_at": "2026-11-25T04:00:00+01:00"}).taken_at == AT  # type: ignore[union-attr]
    assert read_marker({"run": "r1", "at": "yesterday"}).at is None  # type: ignore[union-attr]


def test_a_lock_older_than_a_night_is_overdue() -> None:
    lock = read_lock(HELD)
    assert lock is not None
    assert not overdue(lock, AT + timedelta(hours=12))
    assert overdue(lock, AT + timedelta(hours=12, seconds=1))


def test_the_advice_names_the_command() -> None:
    assert "changeover settle r1" in advice(hold(), OPEN, takeover(hold(), OPEN))
    assert "--do close" in advice(hold(), ENDED, takeover(hold(), ENDED))
