"""The chain of a run's ledger: every entry carries the digest of the one before it, so that no change goes unseen."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from changeover.adapters.codec import canonical

GENESIS = "0" * 64
"""What the first entry of every run has for the digest before it."""


class EntryKind(StrEnum):
    """What an entry records."""

    RUN = "run"
    HOSTS = "hosts"
    MARK = "mark"
    STEP_BEGUN = "step_begun"
    STEP_ENDED = "step_ended"
    GATE = "gate"
    EVIDENCE = "evidence"
    OUTCOME = "outcome"
    WRITE = "write"
    WRITE_DELIVERED = "write_delivered"
    WRITE_DEAD = "write_dead"
    WRITE_REVIVED = "write_revived"
    EFFORT = "effort"
    EFFORT_WITHDRAWN = "effort_withdrawn"
    """A line of a time sheet counts no more; its name is the line's key."""
    RATE = "rate"
    ATTENDED = "attended"
    NOTICE_BEGUN = "notice_begun"
    NOTICE_FAILED = "notice_failed"
    NOTICE = "notice"
    CLAIM = "claim"
    CLAIM_ENDED = "claim_ended"


@dataclass(frozen=True)
class Draft:
    """Something to be recorded. `key` is the natural key within (run, kind); None is recorded each time."""

    kind: EntryKind
    at: datetime
    body: str
    name: str = ""
    environment: str = ""
    key: str | None = None


@dataclass(frozen=True)
class Entry:
    run: str
    seq: int
    kind: EntryKind
    name: str
    environment: str
    key: str | None
    at: datetime
    body: str
    prev_hash: str
    hash: str


def seal(run: str, draft: Draft, last: Entry | None) -> Entry:
    """The entry that follows `last`."""
    seq, prev_hash = (last.seq + 1, last.hash) if last else (1, GENESIS)
    at = draft.at.astimezone(UTC)
    digest = _digest(run, seq, draft.kind, draft.name, draft.environment, draft.key, at, draft.body, prev_hash)
    return Entry(run, seq, draft.kind, draft.name, draft.environment, draft.key, at, draft.body, prev_hash, digest)


def chain_faults(entries: Iterable[Entry]) -> tuple[str, ...]:
    """Entries that are missing, moved or not what was recorded; a cut-off end shows only in a head noted elsewhere."""
    faults = []
    seq, prev_hash = 1, GENESIS
    for entry in entries:
        if entry.seq != seq:
            faults.append(f"entries {seq} to {entry.seq - 1} are missing")
        elif entry.prev_hash != prev_hash:
            faults.append(f"entry {entry.seq} ({entry.kind} {entry.name}) does not follow the entry before it")
        if _digest_of(entry) != entry.hash:
            faults.append(f"entry {entry.seq} ({entry.kind} {entry.name}) is not what was recorded")
        seq, prev_hash = entry.seq + 1, entry.hash
    return tuple(faults)


def _digest_of(entry: Entry) -> str:
    e = entry
    return _digest(e.run, e.seq, e.kind, e.name, e.environment, e.key, e.at, e.body, e.prev_hash)


def _digest(*parts: str | int | datetime | None) -> str:
    plain = [part.isoformat() if isinstance(part, datetime) else part for part in parts]
    return hashlib.sha256(canonical(plain).encode("ascii")).hexdigest()
