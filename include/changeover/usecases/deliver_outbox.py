"""Deliver the outbox to the CMDB: in order per change, each write once, and nothing lost in an outage."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from changeover.errors import CmdbUnavailable
from changeover.ports import Cmdb, CmdbWrite, Ledger, OutboxItem, WriteState

log = logging.getLogger(__name__)

REFUSALS = 5
"""A write the CMDB refused so often is dead: a person has to look. An outage never kills a write."""
OUTAGE_AFTER = 3
"""So many changes in a row without an answer are an outage: the rest is not tried in this pass."""
FIRST_WAIT = timedelta(seconds=5)
LONGEST_WAIT = timedelta(minutes=5)


@dataclass(frozen=True)
class FailedWrite:
    op_key: str
    change: str
    error: str
    dead: bool
    next_at: datetime | None
    """When it is tried again; None when it is dead."""


@dataclass(frozen=True)
class DeliveryReport:
    """What one pass did. `held` writes wait behind a failed one, or for its next try."""

    delivered: tuple[str, ...]
    failed: tuple[FailedWrite, ...]
    held: int

    @property
    def complete(self) -> bool:
        """Everything that was in the outbox is in the CMDB."""
        return not self.failed and not self.held


@dataclass
class _Pass:
    """What has happened so far."""

    delivered: list[str] = field(default_factory=list)
    failed: list[FailedWrite] = field(default_factory=list)
    blocked: set[str] = field(default_factory=set)
    unanswered: int = 0


def deliver(ledger: Ledger, cmdb: Cmdb, now: datetime) -> DeliveryReport:
    """A failed write blocks only its own change; `now` is the time of the pass.

    Safe to run in several processes at once: the CMDB takes an op_key once.
    """
    done = _Pass()
    while (writes := _next_writes(ledger, done, now)) and done.unanswered < OUTAGE_AFTER:
        for write in writes:
            if write.change not in done.blocked and done.unanswered < OUTAGE_AFTER:
                _deliver_one(ledger, cmdb, write, now, done)
    held = len(ledger.outbox(state=WriteState.PENDING)) - sum(not failure.dead for failure in done.failed)
    return DeliveryReport(tuple(done.delivered), tuple(done.failed), held)


def wait(op_key: str, attempts: int) -> timedelta:
    """Before the next try: doubled each time up to a limit, spread by the key so that writes do not march in step."""
    spread = 0.8 + 0.4 * (hashlib.sha256(op_key.encode()).digest()[0] / 255)
    doubled: timedelta = FIRST_WAIT * (1 << min(attempts - 1, 10))
    return min(doubled, LONGEST_WAIT) * spread


def _next_writes(ledger: Ledger, done: _Pass, at: datetime) -> tuple[CmdbWrite, ...]:
    pending = ledger.pending_writes(limit=100 + len(done.blocked), due=at)
    return tuple(write for write in pending if write.change not in done.blocked)


def _deliver_one(ledger: Ledger, cmdb: Cmdb, write: CmdbWrite, now: datetime, done: _Pass) -> None:
    try:
        cmdb.apply(write)
    except CmdbUnavailable as exc:
        done.unanswered += 1
        _failed(ledger, write, str(exc), now, done, refused=False)
    except Exception as exc:  # noqa: BLE001  # whatever one write does, the other changes' writes must get through
        done.unanswered = 0
        _failed(ledger, write, f"{type(exc).__name__}: {exc}", now, done, refused=True)
    else:
        done.unanswered = 0
        ledger.write_delivered(write.op_key, now)
        done.delivered.append(write.op_key)
        log.info(
            "cmdb write delivered: change=%s op=%s kind=%s",
            write.change,
            write.op_key,
            write.kind,
        )


def _failed(
    ledger: Ledger,
    write: CmdbWrite,
    error: str,
    at: datetime,
    done: _Pass,
    *,
    refused: bool,
) -> None:
    item = _item(ledger, write)
    dead = refused and item.refusals + 1 >= REFUSALS
    retry_at = None if dead else at + wait(write.op_key, item.attempts + 1)
    if dead:
        ledger.write_dead(write.op_key, error, at)
    else:
        ledger.write_failed(write.op_key, error, at, retry_at=retry_at, refused=refused)
    done.blocked.add(write.change)
    done.failed.append(FailedWrite(write.op_key, write.change, error, dead, retry_at))
    log.warning(
        "cmdb write failed: change=%s op=%s dead=%s error=%s",
        write.change,
        write.op_key,
        dead,
        error,
    )


def _item(ledger: Ledger, write: CmdbWrite) -> OutboxItem:
    return next(item for item in ledger.outbox(change=write.change) if item.write.op_key == write.op_key)
