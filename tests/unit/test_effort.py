"""Time sheets and rate cards: every fault at once, taken whole, and counted once."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from changeover.adapters.effort_entries import BOOK, EntryEffortBook
from changeover.adapters.memory import MemoryLedger, MemoryStore
from changeover.adapters.rate_files import load_rate_card, read_rate_card
from changeover.adapters.time_sheet import TimeSheet, read_time_sheet
from changeover.domain.fault import Fault
from changeover.domain.rate_card import RateCard
from changeover.errors import LedgerError
from changeover.settings import PROJECT
from changeover.usecases.import_effort import Imported, import_effort, withdraw_effort
from tests.support.records import KEY, a_run

HEAD = "who,role,date,hours,run,plan,billable,why,note\n"
TODAY = date(2026, 11, 25)
GOOD = (
    f"anna,upgrade_manager,2026-11-24,1.25,{KEY},,no,rework,the module again\n"
    f"ben,support_lead,2026-11-24,2,{KEY},,yes,,\n"
    "ben,support_lead,2026-11-23,0.5,,nordwind-erp,no,out_of_scope,\n"
)


class Desk:
    """A ledger with one run, a rate card, and a directory to save time sheets in."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.store, self.ledger = directory, MemoryStore(), MemoryLedger()
        self.ledger._store = self.store
        self.ledger.open_run(a_run(team="north"))
        self.book = EntryEffortBook(self.store, clock=lambda: datetime(2026, 11, 25, tzinfo=UTC))
        self.book.record_rate_card(card())

    def take(self, text: str | bytes) -> Imported:
        path = self.directory / "sheet.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        sheet = read_time_sheet(path)
        assert isinstance(sheet, TimeSheet)
        return import_effort(
            "sheet.csv", sheet.header, sheet.lines, ledger=self.ledger, book=self.book, plans=(), today=TODAY
        )

    def withdraw(self, text: str) -> Imported:
        path = self.directory / "wrong.csv"
        path.write_text(text, encoding="utf-8")
        sheet = read_time_sheet(path)
        assert isinstance(sheet, TimeSheet)
        return withdraw_effort(
            "wrong.csv", sheet.header, sheet.lines, ledger=self.ledger, book=self.book, plans=(), today=TODAY,
            by="petra.lang", reason="typed wrong",
        )  # fmt: skip


def card(**changes: Any) -> RateCard:
    fields = {
        "schema_version": 1, "provider": "us", "currency": "EUR", "valid_from": "2026-01-01",
        "rates": {"upgrade_manager": "95.00", "support_lead": "80.05"},
    }  # fmt: skip
    return RateCard.model_validate(fields | changes)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_time_sheet_is_taken_with_whose_upgrade_it_was(desk: Desk) -> None:
    done = desk.take(HEAD + GOOD)
    assert (done.lines, done.new, done.hours, done.faults) == (3, 3, 3.75, ())
    first, _, third = desk.book.efforts()
    assert (first.seconds, first.client, first.application, first.team) == (4500, "nordwind", "tryton", "north")
    assert (third.run, third.plan, third.client) == ("", "nordwind-erp", "nordwind")


def test_the_same_lines_count_once_however_often_they_come(desk: Desk) -> None:
    desk.take(HEAD + GOOD)
    assert desk.take(HEAD + GOOD).new == 0
    longer = GOOD + f"anna,upgrade_manager,2026-11-25,1,{KEY},,no,wait,\n"
    assert desk.take(HEAD + longer).new == 1
    assert len(desk.book.efforts()) == 4
    assert desk.book.faults() == ()


def test_two_equal_lines_of_one_sheet_are_two(desk: Desk) -> None:
    """Two separate hours on one day look the same; the sheet taken again still counts two."""
    twice = f"anna,upgrade_manager,2026-11-24,1,{KEY},,no,wait,\n" * 2
    assert [desk.take(HEAD + twice).new, desk.take(HEAD + twice).new] == [2, 0]


def test_a_correction_is_not_added_to_what_it_corrects(desk: Desk) -> None:
    """8 hours, then 6 for the same work: told; withdrawn by name, then taken; and back again if that was wrong."""
    eight, six = (f"anna,upgrade_manager,2026-11-24,{hours},{KEY},,no,wait,\n" for hours in (8, 6))
    desk.take(HEAD + eight)
    (fault,) = desk.take(HEAD + six).faults
    assert "8 hours are on record for the same work: withdraw them" in fault.message
    assert desk.withdraw(HEAD + six).faults[0].message == "not on record: anna, 2026-11-24, 6 hours"
    assert desk.withdraw(HEAD + eight).new == 1
    assert desk.withdraw(HEAD + eight).faults, "once"
    assert desk.take(HEAD + six).new == 1
    assert [effort.seconds for effort in desk.book.efforts()] == [6 * 3600]
    desk.withdraw(HEAD + six)
    assert [desk.take(HEAD + eight).new, desk.take(HEAD + eight).new] == [1, 0]
    assert [effort.seconds for effort in desk.book.efforts()] == [8 * 3600]
    assert desk.book.faults() == ()


def test_other_work_of_the_same_day_is_told_by_its_note(desk: Desk) -> None:
    desk.take(HEAD + f"anna,upgrade_manager,2026-11-24,8,{KEY},,no,wait,\n")
    assert desk.take(HEAD + f"anna,upgrade_manager,2026-11-24,6,{KEY},,no,wait,in the evening\n").new == 1


def test_a_day_has_24_hours_in_all_sheets_together(desk: Desk) -> None:
    first = f"anna,upgrade_manager,2026-11-24,20,{KEY},,no,wait,\n"
    desk.take(HEAD + first)
    second = f"anna,upgrade_manager,2026-11-24,4.5,{KEY},,no,rework,\n"
    (fault,) = desk.take(HEAD + second).faults
    assert fault.message == "anna has 24.5 hours on 2026-11-24"
    assert desk.take(HEAD + first + second.replace("4.5", "4")).new == 1


@pytest.mark.parametrize("hours", ["1_0", "1e1", "\uff11\uff10", "+1", "1.255", ".", "", "24.01", "0", "-1"])
def test_hours_are_written_as_people_write_them(desk: Desk, hours: str) -> None:
    (fault,) = desk.take(HEAD + f"anna,upgrade_manager,2026-11-24,{hours},{KEY},,no,wait,\n").faults
    assert "is not a number of hours such as 1.25" in fault.message


@pytest.mark.parametrize("day", ["2026-W48-3", "20261124", "2026-11-2\uff14", "24.11.2026"])
def test_days_are_written_in_one_way(desk: Desk, day: str) -> None:
    (fault,) = desk.take(HEAD + f"anna,upgrade_manager,{day},1,{KEY},,no,wait,\n").faults
    assert "is not a date such as 2026-11-25" in fault.message


@pytest.mark.parametrize("as_saved", ["\ufeff{}", "{}\r\n"])
def test_sheets_are_read_as_spreadsheets_save_them(desk: Desk, as_saved: str) -> None:
    text = (HEAD + GOOD).replace(",", ";").replace("1.25", "1,25")
    assert desk.take(as_saved.format(text)).new == 3


def test_every_fault_is_told_at_once_and_nothing_is_taken(desk: Desk) -> None:
    bad = (
        f",juggler,2026-11-24,1,{KEY},,no,wait,\n"
        f"anna,upgrade_manager,24.11.2026,25,,,maybe,,\n"
        f"anna,upgrade_manager,2026-11-26,0.333,{KEY},nordwind-erp,yes,wait,\n"
        "anna,upgrade_manager,2025-12-31,-1,another,,no,bored,\n"
        f"anna,upgrade_manager,2026-11-24,nan,{KEY},,no,wait,x,more\n"
    )
    done = desk.take(HEAD + GOOD + bad)
    assert desk.book.efforts() == ()
    told = [(fault.line, fault.path) for fault in done.faults]
    assert sorted(told) == sorted([
        (5, "who"), (5, "role"),
        (6, "date"), (6, "hours"), (6, "billable"), (6, "run"),
        (7, "date"), (7, "hours"), (7, "run"), (7, "why"),
        (8, "hours"), (8, "role"), (8, "run"), (8, "why"),
        (9, "hours"), (9, ""),
    ])  # fmt: skip
    assert "sheet.csv:8: run: 'another' is not in the ledger" in map(str, done.faults)


def test_nobody_works_more_than_a_day_in_a_day(desk: Desk) -> None:
    long = f"anna,upgrade_manager,2026-11-24,12,{KEY},,yes,,\n" * 3
    assert [str(fault) for fault in desk.take(HEAD + long).faults] == [
        "sheet.csv:4: hours: anna has 36 hours on 2026-11-24"
    ]


def test_a_sheet_with_other_columns_is_refused(desk: Desk) -> None:
    told = [str(fault) for fault in desk.take("who,who,date,hours,project\n").faults]
    assert [fault.split(": ")[1] for fault in told] == ["role", "run", "plan", "billable", "project", "who"]
    assert desk.take("").faults
    assert [str(fault) for fault in desk.take(HEAD).faults] == ["sheet.csv: holds no line of work"]


@pytest.mark.parametrize("raw", [b"who\xff", b"who\0", None])
def test_what_is_no_csv_file_is_told(tmp_path: Path, raw: bytes | None) -> None:
    if raw is not None:
        (tmp_path / "sheet.csv").write_bytes(raw)
    assert isinstance(read_time_sheet(tmp_path / "sheet.csv"), Fault)


def test_rates_that_were_valid_stay_on_record(desk: Desk) -> None:
    assert desk.book.record_rate_card(card()) == 0
    with pytest.raises(LedgerError, match=r"upgrade_manager/2026-01-01 is on record.*new valid_from"):
        desk.book.record_rate_card(card(rates={"upgrade_manager": "100.00"}))
    assert desk.book.record_rate_card(card(valid_from="2026-12-01", rates={"upgrade_manager": "100.00"})) == 1
    assert [rate.cents for rate in desk.book.rates()] == [9500, 8005, 10000]


def test_a_ledger_has_one_provider_and_one_currency(desk: Desk) -> None:
    for other in ({"provider": "them"}, {"currency": "USD"}):
        with pytest.raises(LedgerError, match="one provider and one currency"):
            desk.book.record_rate_card(card(valid_from="2027-01-01", **other))


def test_the_book_is_no_run(desk: Desk) -> None:
    assert [run.key for run in desk.ledger.runs()] == [KEY]
    assert desk.store.entries(BOOK)


def test_the_shipped_rate_card_is_in_order() -> None:
    shipped = load_rate_card("default", rates=PROJECT / "include" / "rates")
    assert shipped.cents("engineer") == 8850


def test_every_fault_of_a_rate_card_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "us.yaml").write_text(
        "schema_version: 2\nprovider: them\ncurrency: euro\nvalid_from: soon\nrates: {engineer: 95.0}\n"
        "attended: {lunch: {role: engineer, percent: 100}, plan: {role: engineer, percent: 101}}\nextra: 1\n"
    )
    told = {fault.path for fault in read_rate_card("us", rates=tmp_path).faults}
    assert {"schema_version", "currency", "valid_from", "rates.engineer", "attended.plan.percent", "extra"} <= told
    assert "known: us" in str(read_rate_card("nobody", rates=tmp_path).faults[0])


def test_a_role_that_attends_needs_a_rate(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'ghost' has no rate on this card"):
        card(attended={"plan": {"role": "ghost", "percent": 1}})
