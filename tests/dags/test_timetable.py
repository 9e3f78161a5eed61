"""The timetable: the planner's instants, each exactly once, and never one that is over."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import pytest
from airflow.timetables.base import DataInterval, TimeRestriction

from changeover.adapters.plan_files import parse_plan
from changeover.domain.freeze import DatedFreeze, Freezes
from changeover.domain.window import RecurringWindow
from changeover.domain.window_start import openings
from changeover.domain.zones import zone, zone_names
from changeover.orchestration.timetable import WindowTimetable, timetable_of
from changeover.settings import PROJECT
from tests.support.content import plan_with, put
from tests.support.windows import at, dated, recurring, third_saturday, zones_by_rules

COVERED = (date(2026, 1, 1), date(2031, 12, 31))
NEVER_CAUGHT_UP = TimeRestriction(earliest=None, latest=None, catchup=False)


def timetable(window: RecurringWindow, now: datetime, freezes: Freezes = ()) -> WindowTimetable:
    return WindowTimetable(window, freezes, covered=COVERED, clock=lambda: now)


def next_start(of: WindowTimetable, last: datetime | None = None) -> datetime | None:
    interval = DataInterval.exact(last) if last else None  # type: ignore[arg-type] # what Airflow calls a DateTime
    info = of.next_dagrun_info(last_automated_data_interval=interval, restriction=NEVER_CAUGHT_UP)
    return datetime.fromisoformat(info.run_after.isoformat()) if info else None


@pytest.mark.parametrize(
    ("now", "last", "starts"),
    [
        ("2026-08-01 00:00", None, "2026-08-14 13:00"),
        ("2026-08-14 13:00", None, "2026-08-14 13:00"),
        ("2026-08-14 13:20", None, "2026-08-14 13:00"),
        ("2026-08-14 13:20", "2026-08-14 13:00", "2026-09-18 13:00"),
        ("2026-08-14 17:00", None, "2026-09-18 13:00"),
        ("2026-08-17 00:00", None, "2026-09-18 13:00"),
        ("2026-08-17 00:00", "2026-07-17 13:00", "2026-09-18 13:00"),
    ],
)
def test_a_night_is_started_once_and_never_when_it_is_over(now: str, last: str | None, starts: str) -> None:
    """C07: paused on Friday, unpaused on Monday: zero runs for August."""
    assert next_start(timetable(third_saturday(), at(now)), at(last) if last else None) == at(starts)


@pytest.mark.parametrize(
    ("now", "starts"), [("2026-08-14 00:00", True), ("2026-08-14 16:59", True), ("2026-08-14 17:00", False)]
)
def test_a_dated_windows_one_night_is_started_until_it_is_over(now: str, *, starts: bool) -> None:
    night = dated("2026-08-15", "01:00", "05:00", "Pacific/Auckland")
    found = next_start(WindowTimetable(night, covered=COVERED, clock=lambda: at(now)))
    assert found == (at("2026-08-14 13:00") if starts else None)


def test_third_saturdays_are_counted_in_local_dates() -> None:
    """T06: always a Friday in UTC."""
    starts, now = [], at("2026-08-01 00:00")
    for _ in range(10):
        now = next_start(timetable(third_saturday(), now), now) or now
        starts.append(f"{now:%m-%dT%H:%M}")
    assert [starts[n] for n in (0, 1, 2, 3, 6, 9)] == [
        "08-14T13:00", "09-18T13:00", "10-16T12:00", "11-20T12:00", "02-19T12:00", "05-14T13:00",
    ]  # fmt: skip


def test_a_night_in_a_freeze_is_not_started() -> None:
    freeze = DatedFreeze.model_validate(
        {"kind": "dated", "name": "fair", "zone": "Pacific/Auckland", "reason": "the fair", "first": "2026-08-15",
         "last": "2026-08-16"}
    )  # fmt: skip
    assert next_start(timetable(third_saturday(), at("2026-08-01 00:00"), (freeze,))) == at("2026-09-18 13:00")


def test_nothing_starts_outside_the_statement_of_work() -> None:
    window = third_saturday()
    early = WindowTimetable(
        window, covered=(date(2026, 10, 1), date(2026, 11, 1)), clock=lambda: at("2026-08-01 00:00")
    )
    assert next_start(early) == at("2026-10-16 12:00")
    assert next_start(early, at("2026-10-16 12:00")) is None


def test_it_is_serialised_the_same_every_time_and_read_back_the_same() -> None:
    window = third_saturday(left_out=["2026-09-19"], added=["2026-09-26"], on_doubled="second")
    text = json.dumps(WindowTimetable(window, covered=COVERED).serialize(), sort_keys=True)
    assert text == json.dumps(WindowTimetable(window, covered=COVERED).serialize(), sort_keys=True)
    again = WindowTimetable.deserialize(json.loads(text))
    assert json.dumps(again.serialize(), sort_keys=True) == text
    assert again.description == (
        "when the window opens: FREQ=MONTHLY;BYDAY=3SA from 2026-08-01, 01:00 to 05:00 Pacific/Auckland"
    )


def unattended() -> str:
    window = (
        "window: {kind: recurring, zone: Pacific/Auckland, rule: FREQ=MONTHLY;BYDAY=3SA, since: 2026-11-01, "
        'start: "01:00", end: "05:00"}\n'
    )
    text = plan_with(("support:\n", "unattended: {window_of: production}\nsupport:\n"))
    begin, end = text.index("window:\n      kind: dated"), text.index("    sign_off")
    return f"{text[:begin]}{window}{text[end:]}"


def build(text: str) -> Any:
    from changeover.orchestration.dag_factory import build_dag

    plan = parse_plan(text.encode(), name="acme/app-2.yaml")
    return build_dag(plan, plan_digest=hashlib.sha256(text.encode()).hexdigest(), plan_text=text)


def test_an_unattended_plan_has_the_timetable_and_survives_serialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the DAG processor stores it and the scheduler reads it, with the timetable from the plugin."""
    from airflow import settings
    from airflow.serialization.serialized_objects import DagSerialization

    monkeypatch.setattr(settings, "PLUGINS_FOLDER", str(PROJECT / "plugins"))
    stored = DagSerialization.to_dict(build(unattended()))
    assert stored["dag"]["timetable"]["__type"] == "changeover.orchestration.timetable.WindowTimetable"
    assert json.dumps(stored, sort_keys=True) == json.dumps(
        DagSerialization.to_dict(build(unattended())), sort_keys=True
    )
    read = DagSerialization.from_dict(stored)
    info = read.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=NEVER_CAUGHT_UP)
    assert info is not None
    assert f"{info.run_after:%a %H:%M}" == "Fri 12:00"


def test_a_plan_that_people_start_has_no_schedule() -> None:
    assert timetable_of(parse_plan(plan_with().encode(), name="acme/app-2.yaml")) is None


def test_freezes_that_cannot_be_read_start_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHANGEOVER_FREEZES", str(tmp_path))
    put(tmp_path / "acme.yaml", "a: [")
    held = timetable_of(parse_plan(unattended().encode(), name="acme/app-2.yaml"))
    assert held is not None
    assert next_start(held) is None
    assert held.description == "not for now: the freezes of acme cannot be read"


THREE_YEARS = [date(2026, 11, 26) + timedelta(days=n) for n in range(3 * 365 + 1)]


def every_start_of(name: str, start: str, *, near: int = 2) -> None:
    """A window on every day for three years: planner, timetable and each day on its own give the same instants.

    The planner is asked for every night, the timetable for those `near` a change of the clocks (it is the slower one).
    """
    window = recurring("FREQ=DAILY", name, start, str(THREE_YEARS[0]), duration="30m")
    first = datetime.combine(THREE_YEARS[0], time(0), tzinfo=UTC) - timedelta(days=2)
    planned = list(takewhile(lambda night: night.day <= THREE_YEARS[-1], openings(window, closing_after=first)))
    assert [night.day for night in planned] == THREE_YEARS, name
    starts = [night.opens for night in planned]
    assert all(before < after for before, after in pairwise(starts)), name
    offsets = [night.opens.astimezone(zone(name)).utcoffset() for night in planned]
    changes = [n for n in range(1, len(planned)) if offsets[n] != offsets[n - 1] or planned[n].notes]
    assert next_start(WindowTimetable(window, covered=COVERED, clock=lambda: first)) == starts[0]
    for n in sorted(
        {m for change in changes for m in range(change - near, change + near + 1)} & set(range(1, len(planned)))
    ):
        walked = WindowTimetable(window, covered=COVERED, clock=lambda n=n: starts[n - 1])  # type: ignore[misc]
        assert next_start(walked, starts[n - 1]) == starts[n], (name, planned[n])
    for night in planned:
        wall = night.opens.astimezone(zone(name)).replace(tzinfo=None)
        assert night.notes or wall == datetime.combine(night.day, window.start), (name, night)


def test_planner_and_timetable_agree_in_zones_of_every_set_of_rules() -> None:
    assert len(zones_by_rules()) > 50
    for n, name in enumerate(zones_by_rules()):
        every_start_of(name, ("00:30", "02:30", "01:45", "23:59")[n % 4])


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_planner_and_timetable_agree_in_every_zone() -> None:
    for name in zone_names():
        for start in ("00:00", "02:30"):
            every_start_of(name, start)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll", "Asia/Gaza"]
)
def test_planner_and_timetable_agree_night_for_night(name: str) -> None:
    every_start_of(name, "02:15", near=len(THREE_YEARS))


def test_a_choice_holds_in_the_timetable_too() -> None:
    first, second = (
        recurring(
            "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU", "Europe/Berlin", "02:30", "2026-01-01", end="04:00", on_doubled=choice
        )
        for choice in ("first", "second")
    )
    now = at("2026-10-01 00:00")
    assert next_start(timetable(first, now)) == at("2026-10-25 00:30")
    assert next_start(timetable(second, now)) == at("2026-10-25 01:30")
