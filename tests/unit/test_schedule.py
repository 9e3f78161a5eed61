"""The planned time: working days back from a window, latest times inside it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from changeover.usecases.documents.subject import clock, spoken
from tests.support import papers


def phases(text: str | None = None, *, start: date | None = None) -> dict[tuple[int, str], tuple[date, date]]:
    subject = papers.subject(text, start=start)
    return {(p.process.number, p.environment): (p.first, p.last) for p in subject.schedule.phases}


def test_every_sub_process_has_its_place_in_order() -> None:
    found = list(phases())
    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11]


def test_without_windows_work_begins_when_it_first_can() -> None:
    """The vendor published 8.0.12 on 2026-10-15, after the order was signed."""
    assert phases()[1, ""][0] == date(2026, 10, 15)


def test_work_is_counted_back_from_the_first_window() -> None:
    found = phases(papers.with_window(on="2026-12-05"))
    assert found[9, "production"] == (date(2026, 12, 5), date(2026, 12, 6))
    assert found[8, "training"] == (date(2026, 12, 4), date(2026, 12, 4))
    assert found[7, ""][1] == date(2026, 12, 3)


def test_no_working_day_is_a_weekend_unless_a_window_says_so() -> None:
    for (number, _), (first, last) in phases(start=date(2026, 11, 7)).items():
        if number != 10:  # people watch on weekends too
            assert first.weekday() < 5
            assert last.weekday() < 5


def test_a_start_that_is_too_late_for_the_window_is_said() -> None:
    subject = papers.subject(papers.with_window(on="2026-12-05"), start=date(2026, 11, 30))
    assert any("its window opens on 2026-12-05" in note for note in subject.schedule.notes)


def test_a_window_that_comes_too_soon_is_said() -> None:
    subject = papers.subject(papers.with_window(on="2026-10-17"))
    assert any("before 2026-10-15" in note for note in subject.schedule.notes)


def test_the_latest_start_leaves_room_for_the_way_back() -> None:
    """Window 21:00Z to 03:00Z; change 30, acceptance 20, back-out 30 minutes at most; late start 30 minutes."""
    lane = papers.subject(papers.with_window()).schedule.lane("production")
    assert lane.latest_start == datetime(2026, 12, 5, 21, 30, tzinfo=UTC)
    assert lane.no_return == datetime(2026, 12, 6, 2, 10, tzinfo=UTC)
    assert lane.fits


def test_a_window_too_short_for_the_way_back_is_said() -> None:
    subject = papers.subject(papers.with_window(start="22:00", end="23:00"))
    assert "production: the window is too short for the change and its way back" in subject.schedule.notes


def test_lengths_are_read_by_people() -> None:
    assert [clock(timedelta(seconds=seconds)) for seconds in (0, 9, 60, 1222, 3600, 9000)] == [
        "0 min", "9 s", "1 min", "20 min 22 s", "1 h 00", "2 h 30",
    ]  # fmt: skip
    assert [spoken(timedelta(minutes=minutes)) for minutes in (1, 90, 240, 1440)] == [
        "1 minute", "90 minutes", "4 hours", "1 day",
    ]  # fmt: skip
