"""Calendars that people export: carried over so that the same hours are meant, or refused with event and next step."""

from __future__ import annotations

import warnings
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from changeover.adapters.freeze_files import add_freezes
from changeover.adapters.icalendar_files import calendar_text
from changeover.adapters.icalendar_import import Found, read_calendar
from changeover.domain.freeze import DatedFreeze, RecurringFreeze
from changeover.domain.window import RecurringWindow
from tests.support.content import put
from tests.support.windows import at, recurring
from tests.support.world import plan

BERLIN, AUCKLAND = ";TZID=Europe/Berlin:", ";TZID=Pacific/Auckland:"
NIGHT = (f"DTSTART{BERLIN}20260815T010000", "DURATION:PT4H")
SATURDAYS = (f"DTSTART{AUCKLAND}20260815T010000", f"DTEND{AUCKLAND}20260815T050000", "RRULE:FREQ=WEEKLY;BYDAY=SA")


def read(tmp_path: Path, *events: tuple[str, ...], head: str = "") -> Found:
    bodies = [("BEGIN:VEVENT", "UID:1", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT") for lines in events]
    lines = ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *head.split(), *(line for each in bodies for line in each))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_calendar(put(tmp_path / "c.ics", "\r\n".join((*lines, "END:VCALENDAR", ""))), zone=None)


def window(tmp_path: Path, *lines: str) -> dict[str, Any]:
    found = read(tmp_path, ("SUMMARY:Night", *lines))
    assert found.faults == []
    ((_, value),) = found.windows
    return value


def freeze(tmp_path: Path, *lines: str) -> dict[str, Any]:
    found = read(tmp_path, ("SUMMARY:Books", "CATEGORIES:FREEZE", *lines))
    assert found.faults == []
    (value,) = found.freezes
    return value


@pytest.mark.parametrize(
    "lines",
    [
        (f"DTSTART{BERLIN}20261224T180000", "DTEND:20261226T220000Z"),
        (f"DTSTART{BERLIN}20261224T180000", f"DTEND{AUCKLAND}20261227T110000"),
        (f"DTSTART{BERLIN}20261224T180000", "DURATION:PT53H"),
    ],
    ids=["UTC", "another zone", "duration"],
)
def test_the_end_of_a_freeze_is_the_instant_it_says(tmp_path: Path, lines: tuple[str, ...]) -> None:
    value = DatedFreeze.model_validate(freeze(tmp_path, *lines))
    assert value.span(value.first, value.last).ends == at("2026-12-26 22:00")
    assert f"{value.end:%H:%M}" == "23:00"


def test_a_freeze_that_is_said_by_its_length_is_not_shorter_for_a_change_of_the_clocks(tmp_path: Path) -> None:
    """Two days and two nights over the night in March: by the clock 18:00, by the time that passes 19:00."""
    value = freeze(tmp_path, f"DTSTART{BERLIN}20260328T180000", "DURATION:PT48H")
    assert (value["last"], value["end"]) == (date(2026, 3, 30), "19:00")


@pytest.mark.parametrize("until", ["", ";COUNT=3"])
def test_a_freeze_whose_rule_does_not_give_its_first_time_is_refused(tmp_path: Path, until: str) -> None:
    """The first would be lost; and a COUNT counts it there, and not here."""
    rule = f"RRULE:FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=31{until}"
    found = read(tmp_path, ("SUMMARY:Year end", "DTSTART;VALUE=DATE:20261224", "DTEND;VALUE=DATE:20261227", rule),
                 head="X-WR-TIMEZONE:Europe/Berlin")  # fmt: skip
    assert found.freezes == []
    (fault,) = found.faults
    assert fault.startswith("Year end: begins on 2026-12-24, a day that its RRULE does not give; write this first")


def test_a_freeze_whose_rule_gives_its_first_time_recurs(tmp_path: Path) -> None:
    rule = "RRULE:FREQ=MONTHLY;BYMONTHDAY=-2"
    value = freeze(tmp_path, f"DTSTART{BERLIN}20260830T000000", "DURATION:P2D", rule)
    assert RecurringFreeze.model_validate(value).days == 2


@pytest.mark.parametrize(
    ("name", "told", "key"),
    [
        ("EXDATE", ":20260821T130000Z", "left_out"),
        ("EXDATE", ";TZID=Europe/Berlin:20260821T150000", "left_out"),
        ("EXDATE", ";VALUE=DATE:20260822", "left_out"),
        ("EXDATE", ":20260822T010000", "left_out"),
        ("RDATE", ":20260825T130000Z", "added"),
    ],
)
def test_single_nights_are_on_the_clients_day(tmp_path: Path, name: str, told: str, key: str) -> None:
    """A Saturday night at 01:00 in Auckland is Friday 13:00 in UTC."""
    day = {"left_out": date(2026, 8, 22), "added": date(2026, 8, 26)}[key]
    assert window(tmp_path, *SATURDAYS, f"{name}{told}")[key] == [day]


def test_a_night_at_an_hour_that_the_clocks_skip_is_left_out_by_its_instant(tmp_path: Path) -> None:
    hour = (f"DTSTART{BERLIN}20260322T023000", f"DTEND{BERLIN}20260322T050000", "RRULE:FREQ=WEEKLY;BYDAY=SU")
    assert window(tmp_path, *hour, "EXDATE:20260329T013000Z")["left_out"] == [date(2026, 3, 29)]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((*SATURDAYS, f"RDATE{AUCKLAND}20260826T020000"), "it begins at 01:00; write this night as a window"),
        ((*SATURDAYS, f"EXDATE{AUCKLAND}20260822T020000"), "begins at 01:00; correct it in the calendar, it takes no "),
        ((*SATURDAYS, "RDATE;VALUE=DATE:20260826"), "RDATE gives 2026-08-26 without a time of day; write this night"),
        ((*SATURDAYS, "RDATE;VALUE=PERIOD:20260825T130000Z/PT2H"), "RDATE gives a period with an end of its own; "),
        ((*NIGHT, f"EXDATE{BERLIN}20260815T010000"), "has EXDATE and no RRULE; write each night as its own window"),
        ((f"DTSTART{BERLIN}20260815T010030", "DURATION:PT4H"), "DTSTART is at 01:00:30, and times are held to the "),
        ((f"DTSTART{BERLIN}20260815T010000", f"DTEND{BERLIN}20260815T030030"), "DTEND is at 03:00:30, and times are"),
        ((f"DTSTART{BERLIN}20260815T010030", "DURATION:P2D", "CATEGORIES:FREEZE"), "DTSTART is at 01:00:30"),
        ((f"DTSTART{BERLIN}20260815T010000", "CATEGORIES:FREEZE"), "has neither DTEND nor DURATION; say until when"),
        ((f"DTSTART{BERLIN}20260815T010000", "DTEND;VALUE=DATE:20260816", "CATEGORIES:FREEZE"), "DTEND a day; give "),
        ((f"DTSTART{BERLIN}20260815T010000", "DTEND:20260816T010000", "CATEGORIES:FREEZE"), "DTEND names no zone"),
        (("DTSTART;TZID=/x.org/Mars/Base:20260815T010000", "DURATION:PT4H"), "'/x.org/Mars/Base' is not an IANA"),
    ],
)  # fmt: skip
def test_what_cannot_be_held_the_same_is_refused(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    found = read(tmp_path, ("SUMMARY:Night", *lines))
    assert (found.windows, found.freezes) == ([], [])
    (fault,) = found.faults
    assert fault.startswith("Night: ")
    assert words in fault


def test_what_was_cancelled_is_left_out_and_told(tmp_path: Path) -> None:
    gone = ("SUMMARY:Gone", *NIGHT, "STATUS:CANCELLED")
    found = read(tmp_path, gone, ("SUMMARY:Stays", *NIGHT))
    assert [name for name, _ in found.windows] == ["Stays"]
    assert found.notes == ["Gone: left out, it is cancelled"]
    assert read(tmp_path, gone).faults == ["holds no event that counts: all of them are cancelled"]
    assert read(tmp_path, ("SUMMARY:Night", *NIGHT), head="METHOD:CANCEL").windows == []


def test_a_single_night_that_was_cancelled_is_not_lost_in_silence(tmp_path: Path) -> None:
    one = ("SUMMARY:Night", *NIGHT, f"RECURRENCE-ID{BERLIN}20260815T010000", "STATUS:CANCELLED")
    assert read(tmp_path, one).faults == [
        "Night: RECURRENCE-ID cannot be carried over; write this night as a window of its own"
    ]


@pytest.mark.parametrize("before", ["/freeassociation.sourceforge.net/", "/x.org/20210210_1/", "/x.org/Tzfile/", "/"])
def test_what_programs_write_before_a_zones_name_is_dropped_and_told(tmp_path: Path, before: str) -> None:
    lines = (f"DTSTART;TZID={before}Europe/Berlin:20260815T010000", "DURATION:PT4H")
    assert window(tmp_path, *lines)["zone"] == "Europe/Berlin"
    assert read(tmp_path, lines).notes == [f"event 1: TZID {before}Europe/Berlin is read as Europe/Berlin"]


def test_a_first_night_beside_the_rule_is_added_unless_it_was_taken_away(tmp_path: Path) -> None:
    lines = (f"DTSTART{BERLIN}20260819T010000", "DURATION:PT4H", "RRULE:FREQ=WEEKLY;BYDAY=SA")
    assert window(tmp_path, *lines)["added"] == [date(2026, 8, 19)]
    without = window(tmp_path, *lines, f"EXDATE{BERLIN}20260819T010000")
    assert without.keys() & {"added", "left_out"} == set()


# ---- out


@pytest.mark.parametrize(
    ("until", "instant"),
    [("20261231", "20261231T105959Z"), ("20261231T010000", "20261230T120000Z"), ("20261230T120000Z",) * 2],
)
def test_the_end_of_a_rule_is_exported_as_an_instant(tmp_path: Path, until: str, instant: str) -> None:
    """Beside a DTSTART with a time RFC 5545 (3.3.10) allows no other; Auckland is 13 hours ahead in December."""
    night = recurring(f"FREQ=WEEKLY;BYDAY=SA;UNTIL={until}", "Pacific/Auckland", "01:00", "2026-08-01", end="05:00")
    environments = [each.model_dump() for each in plan().environments]
    environments[1]["window"] = night.model_dump()
    raw = calendar_text(plan(environments=environments), (), now=at("2026-08-01 00:00"))
    assert f"UNTIL={instant}" in raw.decode()
    path = tmp_path / "out.ics"
    path.write_bytes(raw)
    ((_, value),) = read_calendar(path, zone=None).windows
    back = RecurringWindow.model_validate(value)
    since = at("2026-08-01 00:00")
    assert list(back.nights(closing_after=since)) == list(night.nights(closing_after=since))


# ---- names


def test_freezes_are_named_by_what_people_call_them_and_the_year(tmp_path: Path) -> None:
    """So that next year's calendar can be imported beside this year's."""

    def year(number: int, *names: str) -> list[dict[str, Any]]:
        times = (f"DTSTART;VALUE=DATE:{number}1224", f"DTEND;VALUE=DATE:{number}1227")
        return read(
            tmp_path, *((f"SUMMARY:{name}", *times) for name in names), head="X-WR-TIMEZONE:Europe/Berlin"
        ).freezes

    first = year(2026, "Jahresabschluß Büro", "Inventur 2026", "Inventur", "棚卸")
    assert [each["name"] for each in first] == [
        "jahresabschluss-buro-2026",
        "inventur-2026",
        "inventur-2026-2",
        "imported-2026",
    ]
    assert add_freezes("acme", first, freezes=tmp_path / "freezes")[1] == ()
    second = year(2027, "Jahresabschluß Büro", "棚卸")
    assert add_freezes("acme", second, freezes=tmp_path / "freezes")[1] == ()
    (fault, *_) = add_freezes("acme", second, freezes=tmp_path / "freezes")[1]
    assert "freeze 'jahresabschluss-buro-2027' is in" in fault
    assert "rename that one, or leave this event out if it is the same" in fault
