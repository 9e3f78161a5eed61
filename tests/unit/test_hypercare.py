"""The watch as a pure decision over its looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from changeover.domain.hypercare import Course, Look, Watched, errors_per_hour, next_step
from changeover.domain.plan import Hypercare

T0 = datetime(2026, 11, 28, 6, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def watch(**changes: Any) -> Hypercare:
    return Hypercare.model_validate({"length": "4h", "interval": "1h"} | changes)


def looks(*kinds: str) -> tuple[Look, ...]:
    """One an hour: `ok`, `bad` (a host is unwell) or the number of a critical incident."""
    return tuple(
        Look(
            T0 + n * HOUR,
            ("app1: stopped",) if kind == "bad" else (),
            (kind,) if kind.startswith("INC") else (),
            (kind,) if kind.startswith("INC") else (),
        )
        for n, kind in enumerate(kinds)
    )


def test_it_ends_when_its_time_is_over_and_the_last_look_is_clean() -> None:
    seen = looks("ok", "bad", "ok", "ok", "ok")
    assert next_step(watch(), Watched(seen), T0 + 3 * HOUR).course is Course.LOOK_AGAIN
    assert next_step(watch(clean_looks=3), Watched(seen), T0 + 4 * HOUR).course is Course.END


def test_it_extends_itself_by_the_looks_that_are_missing() -> None:
    step = next_step(watch(clean_looks=3), Watched(looks("ok", "ok", "ok", "bad", "ok")), T0 + 4 * HOUR)
    assert (step.course, step.until, step.wait) == (Course.EXTEND, T0 + 6 * HOUR, HOUR)
    assert step.reasons == ("1 of 3 clean looks in a row",)


def test_at_its_longest_a_person_decides() -> None:
    seen = Watched(looks(*["ok", "bad"] * 5), extended=T0 + 8 * HOUR)
    step = next_step(watch(), seen, T0 + 9 * HOUR)
    assert step.course is Course.ASK
    assert step.reasons[0] == "the watch has lasted as long as it may, 8:00:00"
    kept = Watched(seen.looks, kept=(T0 + 9 * HOUR,), extended=seen.extended)
    step = next_step(watch(), kept, T0 + 9 * HOUR)
    assert (step.course, step.until) == (Course.EXTEND, T0 + 10 * HOUR), "whoever keeps it grants more time"


def test_one_bad_look_is_no_reason_to_wake_anybody_two_in_a_row_are() -> None:
    assert next_step(watch(), Watched(looks("ok", "bad")), T0 + HOUR).course is Course.LOOK_AGAIN
    assert next_step(watch(), Watched(looks("bad", "ok", "bad")), T0 + 2 * HOUR).course is Course.LOOK_AGAIN
    assert next_step(watch(), Watched(looks("ok", "bad", "bad")), T0 + 2 * HOUR).course is Course.ASK


def test_a_critical_incident_reopens_the_decision_once() -> None:
    seen = looks("ok", "INC1")
    assert next_step(watch(), Watched(seen), T0 + HOUR).course is Course.ASK
    known = Watched((*seen, *looks("ok", "ok", "INC1")[2:]), kept=(T0 + HOUR,))
    assert next_step(watch(), known, T0 + 2 * HOUR).course is Course.LOOK_AGAIN
    other = Watched((*seen, *looks("ok", "ok", "INC2")[2:]), kept=(T0 + HOUR,))
    assert next_step(watch(), other, T0 + 2 * HOUR).reasons == ("1 new critical incident: INC2",)


def test_many_small_incidents_reopen_it_where_the_plan_says_so() -> None:
    seen = Watched((Look(T0, incidents=("INC1", "INC2", "INC3")),))
    assert next_step(watch(), seen, T0).course is Course.LOOK_AGAIN
    assert next_step(watch(reopens={"incidents": 3}), seen, T0).reasons == ("3 new incidents: INC1, INC2, INC3",)


def test_errors_are_those_of_the_last_hour() -> None:
    def at(minutes: int, count: int) -> Look:
        return Look(T0 + timedelta(minutes=minutes), errors={"app1": count})

    assert errors_per_hour([at(0, 500)], "app1") is None
    assert errors_per_hour([at(0, 500), at(1, 507)], "app1") == 7, "a minute is not stretched to an hour"
    assert errors_per_hour([at(0, 0), at(30, 90), at(60, 91), at(90, 92)], "app1") == 2
    assert errors_per_hour([at(0, 0), at(240, 40)], "app1") == 10, "looks may be rarer than an hour"
    assert errors_per_hour([at(0, 900), at(10, 3)], "app1") == 3, "a log that was begun anew"
    assert errors_per_hour([at(0, 900), at(10, 3)], "app2") is None


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"interval": "5h"}, "interval: is longer"),
        ({"at_most": "3h"}, "at_most: is shorter"),
        ({"clean_looks": 9}, "do not fit"),
        ({"clean_looks": 0}, "greater than or equal to 1"),
        ({"reopens": {"failed_looks": True}}, "is not a number"),
    ],
)
def test_a_watch_that_cannot_be_meant_does_not_load(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        watch(**changes)


@given(st.lists(st.sampled_from(["ok", "bad", "INC1", "INC2"]), min_size=1, max_size=30), st.integers(1, 4))
def test_it_never_ends_dirty_never_waits_for_nothing_and_never_for_ever(kinds: list[str], clean: int) -> None:
    """Played to the end with people who always keep: each step is a wait, a question or a clean end."""
    extended: datetime | None = None
    kept: tuple[datetime, ...] = ()
    care = watch(clean_looks=clean)
    for n in range(1, len(kinds) + 1):
        seen, at = looks(*kinds[:n]), T0 + (n - 1) * HOUR
        step = next_step(care, Watched(seen, kept, extended), at)
        if step.course is Course.ASK:
            kept = (*kept, at)
            step = next_step(care, Watched(seen, kept, extended), at)
            assert step.course is not Course.ASK
        if step.course is Course.EXTEND:
            extended = step.until
        if step.course is Course.END:
            assert all(look.clean for look in seen[-clean:])
            assert at >= T0 + care.length
            return
        assert timedelta() < step.wait <= care.interval
        assert step.until is not None
        assert step.until > at
