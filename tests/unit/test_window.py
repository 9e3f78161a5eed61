"""Windows: local wall time and a zone become instants, also on nights when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from changeover.domain.plan import Approval
from changeover.domain.window import AnyTime, DatedWindow, duration_text
from changeover.domain.window_start import Agreed, may_start


def window(on: str, start: str, end: str, zone: str, **other: Any) -> DatedWindow:
    return DatedWindow.model_validate({"kind": "dated", "zone": zone, "on": on, "start": start, "end": end, **other})


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHTS = {
    "skipped hour": ("2026-03-08", "02:30", "05:00", "America/New_York", "2026-03-08 07:30", "2026-03-08 09:00"),
    "doubled hour": ("2026-10-25", "02:30", "04:00", "Europe/Berlin", "2026-10-25 00:30", "2026-10-25 03:00"),
    "ends while doubled": ("2026-10-25", "01:00", "02:30", "Europe/Berlin", "2026-10-24 23:00", "2026-10-25 00:30"),
    "half hours": ("2026-06-20", "22:00", "02:00", "Asia/Kolkata", "2026-06-20 16:30", "2026-06-20 20:30"),
    "quarter hours": ("2026-06-20", "22:00", "02:00", "Asia/Kathmandu", "2026-06-20 16:15", "2026-06-20 20:15"),
    "southern winter": ("2026-06-20", "22:00", "02:00", "Australia/Adelaide", "2026-06-20 12:30", "2026-06-20 16:30"),
    "southern summer": ("2026-12-19", "22:00", "02:00", "Australia/Adelaide", "2026-12-19 11:30", "2026-12-19 15:30"),
    "over the change, short": ("2026-03-28", "22:00", "06:00", "Europe/London", "2026-03-28 22:00", "2026-03-29 05:00"),
    "over the change, long": ("2026-10-24", "22:00", "06:00", "Europe/London", "2026-10-24 21:00", "2026-10-25 06:00"),
    "a whole day": ("2026-12-05", "00:00", "00:00", "UTC", "2026-12-05 00:00", "2026-12-06 00:00"),
}  # fmt: skip


@pytest.mark.parametrize(("on", "start", "end", "zone", "opens", "closes"), NIGHTS.values(), ids=NIGHTS)
def test_local_time_becomes_instants(on: str, start: str, end: str, zone: str, opens: str, closes: str) -> None:
    assert window(on, start, end, zone).instants() == (at(opens), at(closes))


def test_a_skipped_time_is_noted_with_the_instant_that_is_taken() -> None:
    assert window("2026-03-08", "02:30", "05:00", "America/New_York").clock_notes() == (
        (
            "start: 02:30 does not exist on 2026-03-08 in America/New_York; 2026-03-08 07:30Z (03:30 local) is taken, "
            "not 2026-03-08 07:00Z (03:00 local)"
        ),
    )


def test_a_doubled_time_is_noted_with_both_instants() -> None:
    assert window("2026-10-25", "01:00", "02:30", "Europe/Berlin").clock_notes() == (
        (
            "end: 02:30 happens twice on 2026-10-25 in Europe/Berlin; "
            "the first, 2026-10-25 00:30Z, is taken, not 2026-10-25 01:30Z"
        ),
    )


def test_an_ordinary_night_has_no_notes() -> None:
    assert window("2026-12-05", "22:00", "04:00", "Europe/Berlin").clock_notes() == ()


@pytest.mark.parametrize(
    "zone",
    [
        "",
        "EST5EDT",
        "localtime",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "Europe",
        "Europe/Nowhere",
        "/etc/localtime",
    ],
)
def test_a_zone_that_does_not_say_which_rules_hold_is_refused(zone: str) -> None:
    """Abbreviations, names that depend on the machine, and names with leap seconds."""
    with pytest.raises(ValidationError, match="is not an IANA time zone such as 'Europe/Berlin'"):
        window("2026-12-05", "22:00", "04:00", zone)


def test_a_window_without_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="zone"):
        DatedWindow.model_validate({"kind": "dated", "on": "2026-12-05", "start": "22:00", "end": "04:00"})


NIGHT = window("2026-12-05", "22:00", "02:00", "UTC", late_start_tolerance="30m")
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("moment", "may", "missed"),
    [
        ("2026-12-05 21:59:59", False, False),
        ("2026-12-05 22:00:00", True, False),
        ("2026-12-05 22:30:00", True, False),
        ("2026-12-05 22:30:01", False, True),
        ("2026-12-06 01:30:00", False, True),
        ("2026-12-07 00:00:00", False, True),
    ],
)
def test_a_start_is_judged_to_the_second(moment: str, *, may: bool, missed: bool) -> None:
    decision = may_start(Agreed(NIGHT), at=at(moment), needs=HOUR)
    assert (decision.may_start, decision.missed) == (may, missed)


def test_a_start_that_could_not_be_undone_in_time_is_missed() -> None:
    decision = may_start(Agreed(NIGHT), at=at("2026-12-05 22:10"), needs=timedelta(hours=3, minutes=51))
    assert decision.missed
    assert decision.latest_safe_start == at("2026-12-05 22:09")


def test_any_time_keeps_its_reason() -> None:
    decision = may_start(
        Agreed(AnyTime(kind="any_time", reason="agreed with Ann")), at=at("2026-12-05 22:10"), needs=HOUR
    )
    assert decision.may_start
    assert decision.reason == "agreed at any time: agreed with Ann"


@given(st.integers(1, 99999), st.sampled_from("smhd"))
def test_a_duration_is_written_as_it_is_read(number: int, unit: str) -> None:
    read = Approval.model_validate({"by": ["ann"], "wait": f"{number}{unit}"}).wait
    if read < timedelta(days=99999):
        assert Approval.model_validate({"by": ["ann"], "wait": duration_text(read)}).wait == read
    else:
        assert read == timedelta(days=99999)


@pytest.mark.parametrize("wrong", ["1 h", "1.5h", "h", "-1h", "1h30m", "PT1H", "100000s", "٣h", 3600, 1.5, True, None])
def test_other_durations_are_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        Approval.model_validate({"by": ["ann"], "wait": wrong})
