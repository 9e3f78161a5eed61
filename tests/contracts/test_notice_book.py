"""The book of notices on every database: of several processes one sends, and what was sent stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from changeover.adapters import ledger_sql
from changeover.adapters.notice_entries import EntryNoticeBook
from changeover.domain.notice import Delivery, DeliveryState
from tests.support.windows import at

NOW = at("2026-08-15T20:00")
SENT = Delivery(
    "run/started/production", "started", "acme.tracker", "run", "production", "jo", "email", DeliveryState.SENT, NOW,
    "d" * 64, "Started", 1,
)  # fmt: skip
FAILED = replace(SENT, state=DeliveryState.FAILED, why="no answer")


def book(url: str) -> EntryNoticeBook:
    ledger_sql.migrate(url)
    return EntryNoticeBook(ledger_sql.open_store(url))


def test_of_many_at_once_a_single_one_may_send(empty_url: str) -> None:
    book(empty_url)

    def begin(_: int) -> int | None:
        return EntryNoticeBook(ledger_sql.open_store(empty_url)).begin(SENT.key, plan=SENT.plan, at=NOW)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(map(str, pool.map(begin, range(6)))) == ["1", *["None"] * 5]


def test_what_was_sent_is_not_begun_again(empty_url: str) -> None:
    of = book(empty_url)
    assert of.begin(SENT.key, plan=SENT.plan, at=NOW) == 1
    of.record(SENT)
    of.record(replace(SENT, attempt=7))
    assert of.begin(SENT.key, plan=SENT.plan, at=NOW + timedelta(days=1)) is None
    assert of.deliveries() == (SENT,)
    assert of.settled(SENT.plan) == {SENT.key}
    assert of.settled("another") == frozenset()
    assert of.faults() == ()


def test_tries_that_failed_wait_longer_each_time(empty_url: str) -> None:
    of, now, begun = book(empty_url), NOW, []
    for minute in range(40):
        now = NOW + timedelta(minutes=minute)
        if number := of.begin(SENT.key, plan=SENT.plan, at=now):
            begun.append(minute)
            of.record(replace(FAILED, attempt=number, at=now))
    assert begun == [0, 1, 3, 7, 15, 30]
    assert len(of.deliveries(plan=SENT.plan)) == len(begun)
    assert of.settled(SENT.plan) == frozenset()


def test_a_long_key_is_no_trouble(empty_url: str) -> None:
    of, long = book(empty_url), replace(SENT, notice="n" * 500)
    assert of.begin(long.key, plan=long.plan, at=NOW) == 1
    of.record(long)
    assert of.settled(long.plan) == {long.key}
    assert of.begin(long.key, plan=long.plan, at=NOW) is None
