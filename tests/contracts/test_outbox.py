"""The outbox carries every write to the CMDB: in order per change, once, through outages and crashes (case C20)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from changeover.adapters.cmdb_sql import SqlCmdb
from changeover.adapters.ledger_sql import SqlLedger
from changeover.adapters.memory import MemoryCmdb, MemoryLedger
from changeover.errors import CmdbError, CmdbUnavailable, LedgerError
from changeover.ports import CmdbWrite, OutboxItem, WriteState
from changeover.usecases.deliver_outbox import LONGEST_WAIT, OUTAGE_AFTER, REFUSALS, deliver, wait
from tests.support.records import KEY, NOW, a_write, an_estate, later, move_to, open_change, opened, version_of

AnyLedger = MemoryLedger | SqlLedger
AnyCmdb = MemoryCmdb | SqlCmdb


@pytest.fixture
def outbox(ledger: AnyLedger) -> AnyLedger:
    """A ledger with two runs."""
    opened(ledger, "other")
    opened(ledger)
    return ledger


@pytest.fixture
def target() -> MemoryCmdb:
    cmdb = MemoryCmdb()
    cmdb.import_estate(an_estate())
    return cmdb


def ops(writes: tuple[CmdbWrite, ...]) -> list[str]:
    return [write.op_key for write in writes]


def item(ledger: AnyLedger, op: str) -> OutboxItem:
    return next(one for one in ledger.outbox() if one.write.op_key == f"{KEY}/{op}")


def enqueue(ledger: AnyLedger, *writes: CmdbWrite) -> None:
    for write in writes:
        ledger.enqueue(write)


# what the ledger keeps


def test_writes_come_back_equal_and_in_order(outbox: AnyLedger) -> None:
    writes = (open_change("other"), open_change(), a_write("when", "note", text="x", at=NOW, hosts=("a", "b")))
    enqueue(outbox, *writes)
    assert outbox.pending_writes() == writes
    assert outbox.pending_writes(limit=2) == writes[:2]
    assert [one.write for one in outbox.outbox(change=KEY)] == [writes[1], writes[2]]
    assert item(outbox, "open") == OutboxItem(writes[1], WriteState.PENDING)


def test_a_write_is_enqueued_once(outbox: AnyLedger) -> None:
    """A task that is retried enqueues the same op_key again."""
    enqueue(outbox, a_write("kickoff", text="first"), a_write("kickoff", text="again"))
    outbox.write_delivered(f"{KEY}/kickoff", NOW)
    enqueue(outbox, a_write("kickoff", text="late"))
    assert outbox.pending_writes() == ()
    assert [one.write.payload for one in outbox.outbox()] == [{"text": "first"}]


def test_an_op_key_belongs_to_one_change(outbox: AnyLedger) -> None:
    enqueue(outbox, a_write("kickoff"))
    with pytest.raises(LedgerError, match=f"is a write of change {KEY}, not of other"):
        outbox.enqueue(CmdbWrite(f"{KEY}/kickoff", "other", "note", {"text": "x"}, NOW))


def test_writes_behind_a_failed_one_of_their_change_are_held_back(outbox: AnyLedger) -> None:
    enqueue(outbox, a_write("a"), a_write("a", change="other"), a_write("b"), a_write("b", change="other"))
    outbox.write_failed(f"{KEY}/a", "no answer", NOW, retry_at=later(seconds=30))
    assert ops(outbox.pending_writes()) == [f"{KEY}/a", "other/a", "other/b"]
    assert ops(outbox.pending_writes(due=later(seconds=29))) == ["other/a", "other/b"]
    assert ops(outbox.pending_writes(due=later(seconds=30))) == [f"{KEY}/a", "other/a", "other/b"]
    outbox.write_delivered(f"{KEY}/a", later(seconds=31))
    assert ops(outbox.pending_writes()) == ["other/a", f"{KEY}/b", "other/b"]


def test_a_failure_is_counted_with_its_reason(outbox: AnyLedger) -> None:
    enqueue(outbox, a_write("a"))
    outbox.write_failed(f"{KEY}/a", "no answer", NOW, retry_at=later(seconds=5))
    outbox.write_failed(f"{KEY}/a", "no", later(seconds=5), retry_at=later(seconds=15), refused=True)
    found = item(outbox, "a")
    assert (found.attempts, found.refusals, found.next_at, found.error) == (2, 1, later(seconds=15), "no")


def test_a_dead_write_waits_for_a_person_and_holds_its_change(outbox: AnyLedger) -> None:
    enqueue(outbox, a_write("a"), a_write("b"))
    outbox.write_dead(f"{KEY}/a", "never", NOW)
    assert outbox.pending_writes() == ()
    assert [one.write.op_key for one in outbox.outbox(state=WriteState.DEAD)] == [f"{KEY}/a"]
    outbox.revive_write(f"{KEY}/a", "anna.berg", later(hours=1))
    assert ops(outbox.pending_writes(due=later(hours=1))) == [f"{KEY}/a"]
    outbox.write_dead(f"{KEY}/a", "never ever", later(hours=2))
    assert item(outbox, "a").error == "never ever"
    assert outbox.verify_chain(KEY) == ()


def test_a_delivered_write_stays_delivered(outbox: AnyLedger) -> None:
    enqueue(outbox, a_write("a"))
    outbox.write_delivered(f"{KEY}/a", NOW)
    outbox.write_delivered(f"{KEY}/a", later(hours=1))
    outbox.write_failed(f"{KEY}/a", "late", later(hours=1))
    outbox.write_dead(f"{KEY}/a", "late", later(hours=1))
    found = item(outbox, "a")
    assert (found.state, found.settled_at, found.attempts) == (WriteState.DELIVERED, NOW, 0)
    with pytest.raises(LedgerError, match="is not dead"):
        outbox.revive_write(f"{KEY}/a", "anna.berg", NOW)


def test_an_unknown_write_is_a_fault(outbox: AnyLedger) -> None:
    moves: tuple[Callable[[], None], ...] = (
        lambda: outbox.write_delivered("x", NOW),
        lambda: outbox.write_failed("x", "e", NOW),
        lambda: outbox.write_dead("x", "e", NOW),
        lambda: outbox.revive_write("x", "anna.berg", NOW),
    )
    for settle in moves:
        with pytest.raises(LedgerError, match="no write x was enqueued"):
            settle()


# delivery


def test_everything_is_delivered_in_order(outbox: AnyLedger, target: MemoryCmdb) -> None:
    writes = (open_change(), move_to("assess"), open_change("other"), a_write("kickoff"), move_to("implement"))
    enqueue(outbox, *writes)
    report = deliver(outbox, target, NOW)
    assert report.delivered == tuple(write.op_key for write in writes)
    assert report.complete
    assert target.applied == list(writes)
    assert all(one.state is WriteState.DELIVERED and one.settled_at == NOW for one in outbox.outbox())
    assert deliver(outbox, target, NOW).delivered == ()


def test_more_than_one_batch_is_delivered_in_one_pass(target: MemoryCmdb) -> None:
    ledger = MemoryLedger()
    opened(ledger)
    enqueue(ledger, open_change(), *(a_write(f"note-{n:03}") for n in range(250)))
    assert len(deliver(ledger, target, NOW).delivered) == 251
    assert [write.op_key for write in target.applied] == [one.write.op_key for one in ledger.outbox()]


def test_a_failed_write_blocks_only_its_own_change(outbox: AnyLedger, target: MemoryCmdb) -> None:
    enqueue(
        outbox, open_change(), open_change("other"), move_to("assess"), move_to("assess", "other"), a_write("kickoff")
    )
    target.refusing[f"{KEY}/move-assess"] = "aborted by business rule"
    report = deliver(outbox, target, NOW)
    assert report.delivered == (f"{KEY}/open", "other/open", "other/move-assess")
    (failure,) = report.failed
    assert (failure.op_key, failure.dead, report.held) == (f"{KEY}/move-assess", False, 1)
    assert "aborted by business rule" in failure.error
    target.refusing.clear()
    assert failure.next_at is not None
    assert not deliver(outbox, target, failure.next_at - timedelta(seconds=1)).delivered
    report = deliver(outbox, target, failure.next_at)
    assert report.delivered == (f"{KEY}/move-assess", f"{KEY}/kickoff")


def pass_time(ledger: AnyLedger, cmdb: AnyCmdb, start: datetime, *, minutes: float) -> datetime:
    """Deliver every ten seconds for a while."""
    end = start + timedelta(minutes=minutes)
    at = start
    while at < end:
        deliver(ledger, cmdb, at)
        at += timedelta(seconds=10)
    return end


def test_an_outage_loses_nothing_and_writes_nothing_twice(outbox: AnyLedger, target: MemoryCmdb) -> None:
    """503 for 20 minutes right after the upgrade (C20)."""
    enqueue(outbox, open_change(), move_to("implement"))
    deliver(outbox, target, NOW)
    target.unavailable = True
    late = (version_of("prod-app1", "8.0.3"), version_of("prod-app2", "8.0.3"), a_write("settled"), move_to("review"))
    enqueue(outbox, *late)
    at = pass_time(outbox, target, NOW, minutes=20)
    waiting = item(outbox, "prod-app1-8.0.3")
    assert (waiting.state, waiting.refusals) == (WriteState.PENDING, 0)
    assert 5 < waiting.attempts < 15, "backs off"
    assert len(target.applied) == 2
    target.unavailable = False
    pass_time(outbox, target, at, minutes=LONGEST_WAIT.total_seconds() / 60 * 1.3)
    assert target.applied[2:] == list(late)
    assert set(target.versions("nordwind", "tryton", "production").values()) == {"8.0.3"}
    assert outbox.pending_writes() == ()


def test_an_outage_never_kills_a_write(target: MemoryCmdb) -> None:
    ledger = MemoryLedger()
    opened(ledger)
    enqueue(ledger, open_change())
    target.unavailable = True
    for hours in range(200):
        deliver(ledger, target, later(hours=hours))
    assert item(ledger, "open").state is WriteState.PENDING
    target.unavailable = False
    assert deliver(ledger, target, later(hours=201)).complete


def test_a_write_that_is_refused_again_and_again_dies(outbox: AnyLedger, target: MemoryCmdb) -> None:
    enqueue(outbox, open_change(), a_write("kickoff"), move_to("assess"), open_change("other"))
    target.refusing[f"{KEY}/kickoff"] = "data policy exception"
    reports = [deliver(outbox, target, later(hours=n)) for n in range(REFUSALS + 2)]
    assert [failure.dead for report in reports for failure in report.failed] == [False] * (REFUSALS - 1) + [True]
    dead = item(outbox, "kickoff")
    assert (dead.state, dead.refusals + 1, dead.attempts) == (WriteState.DEAD, REFUSALS, REFUSALS)
    assert "data policy exception" in dead.error
    assert reports[-1].held == 1
    assert [write.change for write in target.applied] == [KEY, "other"]
    target.refusing.clear()
    outbox.revive_write(f"{KEY}/kickoff", "anna.berg", later(days=1))
    assert deliver(outbox, target, later(days=1)).delivered == (f"{KEY}/kickoff", f"{KEY}/move-assess")


def test_refusals_in_the_middle_of_an_outage_do_not_add_up(target: MemoryCmdb) -> None:
    """Only what a reachable CMDB refused counts towards the end of a write."""
    ledger = MemoryLedger()
    opened(ledger)
    enqueue(ledger, open_change())
    target.unavailable = True
    for hours in range(2 * REFUSALS):
        deliver(ledger, target, later(hours=hours))
    target.unavailable = False
    target.refusing[f"{KEY}/open"] = "no"
    (failure,) = deliver(ledger, target, later(days=1)).failed
    assert not failure.dead


def test_an_outage_is_not_asked_about_for_every_change(target: MemoryCmdb) -> None:
    """Each try may cost a time-out: after a few in a row the pass ends."""
    ledger = MemoryLedger()
    changes = [f"run-{n}" for n in range(10)]
    for change in changes:
        opened(ledger, change)
        enqueue(ledger, open_change(change))
    target.unavailable = True
    report = deliver(ledger, target, NOW)
    assert len(report.failed) == OUTAGE_AFTER
    assert report.held == len(changes) - OUTAGE_AFTER
    target.unavailable = False
    deliver(ledger, target, later(seconds=30))
    assert {write.change for write in target.applied} == set(changes)


@dataclass
class Crashing(MemoryCmdb):
    """Takes the write, and the process dies before it can say so."""

    crashes: int = 1

    def apply(self, write: CmdbWrite) -> None:
        super().apply(write)
        if self.crashes:
            self.crashes -= 1
            raise KeyboardInterrupt


def test_a_crash_between_the_write_and_its_tick_is_no_second_write(outbox: AnyLedger) -> None:
    target = Crashing()
    target.import_estate(an_estate())
    enqueue(outbox, open_change(), a_write("kickoff"))
    with pytest.raises(KeyboardInterrupt):
        deliver(outbox, target, NOW)
    assert item(outbox, "open").state is WriteState.PENDING
    assert deliver(outbox, target, later(seconds=1)).delivered == (f"{KEY}/open", f"{KEY}/kickoff")
    assert ops(tuple(target.applied)) == [f"{KEY}/open", f"{KEY}/kickoff"]


@dataclass
class Lossy(MemoryCmdb):
    """Commits and then cuts the line, every second time; answers 503 in between."""

    calls: int = 0

    def apply(self, write: CmdbWrite) -> None:
        self.calls += 1
        if self.calls % 3 == 1:
            raise CmdbUnavailable("503")
        super().apply(write)
        if self.calls % 3 == 2:
            raise CmdbUnavailable("connection reset")


def test_cut_lines_and_outages_leave_each_write_once_and_in_order(outbox: AnyLedger) -> None:
    target = Lossy()
    target.import_estate(an_estate())
    writes = [open_change(), move_to("implement"), a_write("a"), a_write("b"), move_to("review")]
    others = [open_change("other"), move_to("assess", "other")]
    enqueue(outbox, *writes, *others)
    pass_time(outbox, target, NOW, minutes=10)
    assert [write for write in target.applied if write.change == KEY] == writes
    assert [write for write in target.applied if write.change == "other"] == others
    assert outbox.pending_writes() == ()


def test_a_fault_of_ours_in_one_write_does_not_stop_the_others(outbox: AnyLedger) -> None:
    @dataclass
    class Broken(MemoryCmdb):
        def apply(self, write: CmdbWrite) -> None:
            if write.change == KEY:
                raise KeyError("sys_id")
            super().apply(write)

    target = Broken()
    target.import_estate(an_estate())
    enqueue(outbox, open_change(), open_change("other"))
    report = deliver(outbox, target, NOW)
    assert report.delivered == ("other/open",)
    assert report.failed[0].error == "KeyError: 'sys_id'"


def test_two_deliver_at_once_and_each_write_is_taken_once(sql_ledger: SqlLedger, sql_cmdb: SqlCmdb) -> None:
    """Tasks of two environments end at the same time; both deliver."""
    cmdb = sql_cmdb
    cmdb.import_estate(an_estate())
    opened(sql_ledger)
    enqueue(sql_ledger, open_change(), *(a_write(f"note-{n}") for n in range(10)), move_to("implement"))
    with ThreadPoolExecutor(3) as pool:
        reports = [future.result() for future in [pool.submit(deliver, sql_ledger, cmdb, NOW) for _ in range(3)]]
    assert not any(report.failed for report in reports)
    record = cmdb.change(KEY)
    assert record is not None
    assert record.notes == tuple(f"note-{n}" for n in range(10))
    assert sql_ledger.verify_chain(KEY) == ()
    assert sql_ledger.pending_writes() == ()


def test_the_embedded_cmdb_refuses_and_the_refusal_is_on_record(outbox: AnyLedger, cmdb: AnyCmdb) -> None:
    cmdb.import_estate(an_estate())
    enqueue(outbox, open_change(), move_to("closed"))
    (failure,) = deliver(outbox, cmdb, NOW).failed
    assert failure.error.startswith("CmdbError: change CHG0000001 cannot go from new to closed")
    with pytest.raises(CmdbError):
        cmdb.apply(move_to("closed"))


def test_the_wait_doubles_to_its_limit_and_is_spread() -> None:
    waits = [wait("op", attempts) for attempts in range(1, 40)]
    assert waits == sorted(waits)
    assert timedelta(seconds=4) <= waits[0] <= timedelta(seconds=6)
    assert waits[-1] <= LONGEST_WAIT * 1.2
    assert len({wait(f"op-{n}", 3) for n in range(50)}) > 40
