"""Windows by rule, in zones with odd laws: against instants worked out by hand or from the cases."""

from __future__ import annotations

import zoneinfo
from datetime import date, time, timedelta
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzdata
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from changeover.domain import zones
from changeover.domain.recurrence import days, normal_rule, rule_faults
from changeover.domain.window import LeftOut, Occurrence
from changeover.domain.window_start import offers, openings
from changeover.domain.zones import disagreement, zone, zone_names
from tests.support.windows import at, dated, recurring, third_saturday

ODD_NIGHTS = {
    "half an hour skipped": "Australia/Lord_Howe 2026-10-04 02:15 04:00 2026-10-03T15:45 2026-10-03T17:00 start",
    "half an hour doubled": "Australia/Lord_Howe 2026-04-05 01:45 03:00 2026-04-04T14:45 2026-04-04T16:30 start",
    "two hours skipped": "Antarctica/Troll 2026-03-29 02:30 06:00 2026-03-29T02:30 2026-03-29T04:00 start",
    "two hours doubled": "Antarctica/Troll 2026-10-25 02:30 06:00 2026-10-25T00:30 2026-10-25T06:00 start",
    "a day that never was": "Pacific/Apia 2011-12-30 02:00 04:00 2011-12-30T12:00 2011-12-30T14:00 start end",
    "over a day that never was": "Pacific/Apia 2011-12-29 22:00 02:00 2011-12-30T08:00 2011-12-30T12:00 end",
    "midnight skipped": "Asia/Beirut 2026-03-29 00:00 03:00 2026-03-28T22:00 2026-03-29T00:00 start",
    "ends at a skipped midnight": "Asia/Beirut 2026-03-28 22:00 00:00 2026-03-28T20:00 2026-03-28T22:00 end",
    "no more changes, law of 2026": "America/Vancouver 2026-11-15 02:00 05:00 2026-11-15T09:00 2026-11-15T12:00",
    "quarter hours, skipped": "Pacific/Chatham 2026-09-27 02:50 04:00 2026-09-26T14:05 2026-09-26T14:15 start",
}


@pytest.mark.parametrize("row", ODD_NIGHTS.values(), ids=ODD_NIGHTS)
def test_odd_nights(row: str) -> None:
    name, on, start, end, opens, closes, *noted = row.split()
    window = dated(on, start, end, name)
    assert window.instants() == (at(opens), at(closes))
    assert [note.end for note in window.night.notes] == noted


@pytest.mark.parametrize(
    ("choice", "opens"), [("later", "2026-03-29 01:30"), ("at_change", "2026-03-29 01:00"), (None, "2026-03-29 01:30")]
)
def test_a_skipped_start_is_where_the_plan_says(choice: str | None, opens: str) -> None:
    window = dated("2026-03-29", "02:30", "05:00", "Europe/Berlin", on_skipped=choice)
    assert window.night.opens == at(opens)
    assert [note.decided for note in window.night.notes] == [choice is not None]


@pytest.mark.parametrize(
    ("choice", "opens"), [("first", "2026-10-25 00:30"), ("second", "2026-10-25 01:30"), (None, "2026-10-25 00:30")]
)
def test_a_doubled_start_is_where_the_plan_says(choice: str | None, opens: str) -> None:
    window = dated("2026-10-25", "02:30", "04:00", "Europe/Berlin", on_doubled=choice)
    assert window.night.opens == at(opens)
    assert [note.decided for note in window.night.notes] == [choice is not None]


def test_a_dated_window_cannot_leave_its_only_night_out() -> None:
    with pytest.raises(ValidationError, match="02:30 does not exist on 2026-03-29 in Europe/Berlin; it is left out"):
        dated("2026-03-29", "02:30", "05:00", "Europe/Berlin", on_skipped="leave_out")


def test_a_duration_is_time_that_passes() -> None:
    """Over both changes of the clocks: four hours are four hours, where 22:00 to 02:00 would not always be."""
    for on in ("2026-03-28", "2026-06-20", "2026-10-24"):
        opens, closes = dated(on, "22:00", None, "Europe/Berlin", duration="4h").instants()  # type: ignore[arg-type]
        assert closes - opens == timedelta(hours=4)


@pytest.mark.parametrize("ends", [{}, {"end": "04:00", "duration": "4h"}])
def test_a_window_has_one_end(ends: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match=r"end: is missing; say end or duration|duration: excludes end"):
        recurring("FREQ=DAILY", "UTC", "22:00", "2026-11-01", **ends)


def test_exceptions_are_left_out_and_added() -> None:
    window = third_saturday(left_out=["2026-09-19"], added=["2026-09-26"])
    nights = list(islice(window.nights(closing_after=at("2026-08-01 00:00")), 4))
    assert [night.day.isoformat() for night in nights] == ["2026-08-15", "2026-09-19", "2026-09-26", "2026-10-17"]
    assert [type(night) for night in nights] == [Occurrence, LeftOut, Occurrence, Occurrence]
    offered = islice(openings(window, closing_after=at("2026-08-01 00:00")), 2)
    assert [night.opens for night in offered] == [at("2026-08-14 13:00"), at("2026-09-25 13:00")]


@pytest.mark.parametrize(
    ("exceptions", "words"),
    [
        ({"left_out": ["2026-09-20"]}, "left_out.0: 2026-09-20 is not a day of the rule"),
        ({"added": ["2026-09-19"]}, "added.0: 2026-09-19 is a day of the rule already"),
        (
            {"since": "2026-08-01", "rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"},
            "rule: gives no day from 2026-08-01 on",
        ),
    ],
)
def test_exceptions_that_cannot_be_meant_are_refused(exceptions: dict[str, str], words: str) -> None:
    value = {"rule": "FREQ=MONTHLY;BYDAY=3SA", "zone": "UTC", "start": "01:00", "since": "2026-08-01", "end": "05:00"}
    with pytest.raises(ValidationError, match=words):
        recurring(**(value | exceptions))


def test_a_night_that_would_close_first_is_not_offered() -> None:
    """02:30 to 03:15 on the night when 02:30 becomes 03:30."""
    window = recurring("FREQ=WEEKLY;BYDAY=SU", "Europe/Berlin", "02:30", "2026-03-22", end="03:15")
    found = list(islice(offers(window, closing_after=at("2026-03-20 00:00")), 3))
    assert [offer.hindrance[:31] for offer in found] == ["", "the window closes before it ope", ""]


def test_the_night_of_a_day_that_never_was_is_the_next_days() -> None:
    """Exactly one start per instant, under the date that people had."""
    window = recurring("FREQ=DAILY", "Pacific/Apia", "02:00", "2011-12-28", end="04:00")
    nights = list(islice(openings(window, closing_after=at("2011-12-27 00:00")), 4))
    assert [night.day.day for night in nights] == [28, 29, 31, 1]
    assert [night.notes for night in nights] == [()] * 4


# ---- rules


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("", "is empty"),
        ("FREQ=HOURLY", "FREQ=HOURLY is not DAILY, WEEKLY, MONTHLY or YEARLY"),
        ("BYDAY=SA", "FREQ is missing"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0 is not a number from 1 to 9999"),
        ("FREQ=DAILY;COUNT=0", "COUNT=0 is not a number"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "COUNT and UNTIL exclude each other"),
        ("FREQ=DAILY;UNTIL=20270230", "UNTIL=20270230 is not a day or a time"),
        ("FREQ=WEEKLY;BYDAY=3SA", "BYDAY=3SA counts weekdays"),
        ("FREQ=MONTHLY;BYDAY=3XX", "BYDAY=3XX is not a list of weekdays"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "BYMONTHDAY=32 is not a list of days"),
        ("FREQ=YEARLY;BYMONTH=13", "BYMONTH=13 is not a list of months"),
        ("FREQ=DAILY;BYHOUR=3", "BYHOUR is not used here: the time of day is `start`"),
        ("FREQ=YEARLY;BYEASTER=0", "BYEASTER is not a part of an RFC 5545 rule"),
        ("FREQ=DAILY;FREQ=WEEKLY", "FREQ is said twice"),
        ("third Saturday", "is not a part of an RFC 5545 rule"),
        ("FREQ=DAILY\nDTSTART:20260101", "FREQ=DAILY\nDTSTART:20260101 is not"),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS needs another BY part"),
        ("FREQ=MONTHLY;BYWEEKNO=3", "BYWEEKNO goes with FREQ=YEARLY only"),
        ("FREQ=DAILY;INTERVAL=١", "INTERVAL=١ is not a number"),
    ],
)
def test_a_wrong_rule_is_refused_in_plain_words(rule: str, words: str) -> None:
    assert words.upper() in " ".join(rule_faults(rule)).upper()


def test_every_fault_of_a_rule_is_told_at_once() -> None:
    assert len(rule_faults("FREQ=HOURLY;BYDAY=XX;BYHOUR=1;FOO=2")) == 4


@pytest.mark.parametrize(
    ("until", "last"),
    [("20260814T125959Z", 0), ("20260814T130000Z", 1), ("20260815", 1), ("20260815T005959", 0), ("20260815T010000", 1)],
)
def test_until_counts_to_the_second_in_its_own_clock(until: str, last: int) -> None:
    """In UTC with a Z, else on the client's wall; the third Saturday of August opens at 2026-08-14 13:00Z."""
    given_days = days(
        f"FREQ=MONTHLY;BYDAY=3SA;UNTIL={until}",
        since=date(2026, 8, 1),
        start=time(1, 0),
        zone_name="Pacific/Auckland",
    )
    assert len(list(given_days)) == last


RULES = ("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SA,MO", "FREQ=MONTHLY;BYDAY=-1SU", "FREQ=MONTHLY;BYMONTHDAY=-3,15",
         "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "FREQ=YEARLY;BYMONTH=3;BYDAY=2SU",
         "FREQ=WEEKLY;INTERVAL=2", "FREQ=DAILY;COUNT=40", "FREQ=YEARLY;BYYEARDAY=-1", "FREQ=YEARLY;BYWEEKNO=20",
         "FREQ=DAILY;INTERVAL=3", "FREQ=WEEKLY;BYDAY=MO,SA;BYSETPOS=1", "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=-2",
         "FREQ=WEEKLY;WKST=SU;BYDAY=SU,MO,SA;BYSETPOS=1,-1", "FREQ=WEEKLY;WKST=SU;INTERVAL=2;BYDAY=SU,SA;BYSETPOS=1",
         "FREQ=WEEKLY;BYDAY=TU,SA;BYSETPOS=1;COUNT=30", "FREQ=MONTHLY;BYDAY=MO,1FR", "FREQ=YEARLY;BYDAY=SA,-1SU",
         "FREQ=YEARLY;BYMONTH=3,12;BYDAY=MO,2SU;BYSETPOS=2", "FREQ=WEEKLY;BYDAY=SU;WKST=TH",
         "FREQ=WEEKLY;WKST=SU;INTERVAL=2;BYDAY=SU,MO")  # fmt: skip


@given(st.sampled_from(RULES), st.dates(date(2020, 1, 1), date(2027, 12, 31)), st.integers(0, 900))
def test_days_that_are_skipped_to_are_the_days_of_the_rule(rule: str, since: date, ahead: int) -> None:
    """Beginning later to be quicker changes no day."""
    begin = since + timedelta(days=ahead)

    def first(**quicker: date) -> list[date]:
        every = days(rule, since=since, start=time(1, 0), zone_name="UTC", **quicker)
        return list(islice((day for day in every if day >= begin), 5))

    assert first(not_before=begin) == first()


def by_hand(rule: str, since: date, until: date) -> list[date]:
    """RFC 5545 written out: the set of each whole week, month or year, the positions in it, then what lies before."""
    parts = dict(part.split("=") for part in rule.split(";"))
    names = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
    first_of_week = names.index(parts.get("WKST", "MO"))
    by_year = parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts

    def week(day: date) -> date:
        return day - timedelta(days=(day.weekday() - first_of_week) % 7)

    def same(one: date, other: date, *, year: bool) -> bool:
        return one.year == other.year and (year or one.month == other.month)

    def fits(day: date, told: str) -> bool:
        if names[day.weekday()] != told[-2:]:
            return False
        step = timedelta(days=7)
        before = sum(same(day - n * step, day, year=by_year) for n in range(1, 54))
        after = sum(same(day + n * step, day, year=by_year) for n in range(1, 54))
        return told[:-2] in ("", str(before + 1), str(-after - 1))

    def chosen(day: date) -> bool:
        month = "BYMONTH" not in parts or str(day.month) in parts["BYMONTH"].split(",")
        weekdays = parts.get("BYDAY", names[since.weekday()] if parts["FREQ"] == "WEEKLY" else "")
        return month and any(fits(day, told) for told in weekdays.split(","))

    sets: dict[object, list[date]] = {}
    for n in range((until - since).days + 800):
        day = since + timedelta(days=n - 400)
        period = {"WEEKLY": week(day), "MONTHLY": (day.year, day.month), "YEARLY": day.year}[parts["FREQ"]]
        turn = (week(day) - week(since)).days // 7 if parts["FREQ"] == "WEEKLY" else 0
        if chosen(day) and turn % int(parts.get("INTERVAL", "1")) == 0:
            sets.setdefault(period, []).append(day)
    found = set()
    for each in sets.values():
        places = parts.get("BYSETPOS", "").split(",")
        found |= {each[int(p) - (int(p) > 0)] for p in places if p and abs(int(p)) <= len(each)}
        found |= set(each) if places == [""] else set()
    every = sorted(day for day in found if since <= day <= until)
    return every[: int(parts.get("COUNT", "9999"))]


CHOSEN = tuple(rule for rule in RULES if "BYSETPOS" in rule or "WEEKLY" in rule or "BYDAY=" in rule)


@given(st.sampled_from(CHOSEN), st.dates(date(2024, 1, 1), date(2027, 12, 31)), st.integers(0, 300))
def test_a_rule_gives_the_days_of_its_whole_sets_whenever_it_is_asked(rule: str, since: date, ahead: int) -> None:
    """Against the rules written out by hand; dateutil alone cuts the first week off at the beginning."""
    begin, until = since + timedelta(days=ahead), since + timedelta(days=700)
    found = days(rule, since=since, start=time(1, 0), zone_name="UTC", not_before=begin)
    given_days = [day for day in islice(found, 800) if begin <= day <= until]
    assert given_days == [day for day in by_hand(rule, since, until) if day >= begin]


def first_days(rule: str, since: str, **asked: date) -> list[str]:
    found = days(rule, since=date.fromisoformat(since), start=time(1, 0), zone_name="UTC", **asked)
    return [day.isoformat() for day in islice(found, 3)]


def test_the_first_week_is_a_whole_one() -> None:
    """Asked on a Saturday it had invented Saturdays; begun on a Wednesday it had taken that for the week's first."""
    mondays = ["2026-08-03", "2026-08-10", "2026-08-17"]
    rule = "FREQ=WEEKLY;BYDAY=MO,SA;BYSETPOS=1"
    assert first_days(rule, "2026-01-05", not_before=date(2026, 8, 1)) == mondays
    assert first_days("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1", "2026-08-05")[:2] == mondays[1:]


def test_plain_and_counted_weekdays_are_united() -> None:
    """Every Monday and the first Friday; a freeze of Saturdays that names the third once more freezes them all."""
    assert first_days("FREQ=MONTHLY;BYDAY=MO,1FR", "2026-08-01") == ["2026-08-03", "2026-08-07", "2026-08-10"]
    assert first_days("FREQ=MONTHLY;BYDAY=SA,3SA", "2026-08-01") == ["2026-08-01", "2026-08-08", "2026-08-15"]


def test_a_rule_that_names_no_weekday_takes_its_first_days() -> None:
    assert first_days("FREQ=YEARLY;BYWEEKNO=20", "2026-01-07") == ["2026-05-13", "2027-05-19", "2028-05-17"]


def test_a_rule_goes_on_as_long_as_zone_data_do() -> None:
    far = days("FREQ=WEEKLY;INTERVAL=2;BYDAY=SA", since=date(1984, 1, 7), start=time(1), zone_name="UTC")
    assert next(day for day in far if day.year == 2027) == date(2027, 1, 9)  # 1122 fortnights later
    assert first_days("FREQ=YEARLY;INTERVAL=50", "2026-03-01") == ["2026-03-01", "2076-03-01", "2126-03-01"]
    assert first_days("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "1970-01-01") == []


def test_a_rule_is_read_as_calendars_write_it() -> None:
    assert normal_rule(" RRULE:freq=monthly;byday=3SA ") == "FREQ=MONTHLY;BYDAY=3SA"


# ---- zone data


def test_zones_come_from_the_pinned_data_whatever_the_machine_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vancouver on the law of 2026, beside a machine that says New York's hours are Vancouver's."""
    stale = tmp_path / "America" / "Vancouver"
    stale.parent.mkdir()
    stale.write_bytes((Path(tzdata.__file__).parent / "zoneinfo" / "America" / "New_York").read_bytes())
    monkeypatch.setattr(zoneinfo, "TZPATH", (str(tmp_path),))
    ZoneInfo.clear_cache()
    try:
        assert dated("2026-11-15", "02:00", "05:00", "America/Vancouver").night.opens == at("2026-11-15 09:00")
        told = disagreement("America/Vancouver", at("2026-11-15 09:00"), at("2026-11-15 12:00"))
    finally:
        ZoneInfo.clear_cache()
    assert told.startswith("zone data of this machine (of unknown release) and the pinned data (IANA ")
    assert "bring the machine's tzdata package up to date" in told


@pytest.mark.parametrize("path", [(), ("/nowhere",), (str(Path(tzdata.__file__).parent / "zoneinfo"),)])
def test_a_machine_without_data_of_its_own_or_with_the_same_does_not_differ(
    path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoneinfo, "TZPATH", path)
    for name in ("America/Vancouver", "Africa/Casablanca", "Europe/Chisinau"):
        assert disagreement(name, at("2026-01-01 00:00"), at("2029-01-01 00:00")) == ""


def test_the_release_is_named() -> None:
    assert zones.release() == f"IANA {tzdata.IANA_VERSION} (tzdata {tzdata.__version__})"


@pytest.mark.parametrize(("name", "meant"), [("Japan", "Asia/Tokyo"), ("GMT", "Etc/GMT"), ("MET", "Europe/Brussels")])
def test_a_name_without_a_region_is_refused_with_the_one_to_use(name: str, meant: str) -> None:
    with pytest.raises(zones.UnknownZoneError, match=f"'{name}' is an abbreviation or an old name.*such as '{meant}'"):
        zone(name)
    assert zone(meant).key == meant


def test_every_zone_of_the_pinned_data_can_be_had() -> None:
    assert len(zone_names()) > 400
    assert all(zone(name).key == name for name in zone_names())
