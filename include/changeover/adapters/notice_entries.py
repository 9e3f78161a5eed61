"""Notices in the ledger: one chain of their own, beside the runs', since a reminder comes before any run."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from datetime import UTC, datetime

from changeover.adapters.chain import Draft, Entry, EntryKind, chain_faults, seal
from changeover.adapters.codec import canonical, dumps, loads
from changeover.adapters.ledger_entries import ChainWriter, EntryStore
from changeover.domain.notice import Delivery, DeliveryState, Tries, may_try

BOOK = "changeover.notices"
"""The chain's name; a run's key has a digest at its end, so no run is ever called that."""
_ENDS = (EntryKind.NOTICE, EntryKind.NOTICE_FAILED)


class EntryNoticeBook:
    """The `NoticeBook` port over an `EntryStore`."""

    def __init__(self, store: EntryStore) -> None:
        self._store = store

    def begin(self, key: str, *, plan: str, at: datetime) -> int | None:
        with self._store.writing(BOOK) as chain:
            if chain.find(EntryKind.NOTICE, _short(key)):
                return None
            tries = _tries(chain, key)
            if not may_try(tries, at):
                return None
            number = tries.attempts + 1
            body = canonical({"delivery": key, "attempt": number})
            _add(chain, Draft(EntryKind.NOTICE_BEGUN, at.astimezone(UTC), body, plan, key=_of_try(key, number)))
        return number

    def record(self, delivery: Delivery) -> None:
        failed = delivery.state is DeliveryState.FAILED
        kind = EntryKind.NOTICE_FAILED if failed else EntryKind.NOTICE
        key = _of_try(delivery.key, delivery.attempt) if failed else _short(delivery.key)
        draft = Draft(
            kind, delivery.at.astimezone(UTC), dumps(Delivery, delivery), delivery.plan, delivery.environment, key
        )
        with self._store.writing(BOOK) as chain:
            if chain.find(kind, key) is None:
                _add(chain, draft)

    def settled(self, plan: str) -> Set[str]:
        entries = self._store.entries(BOOK, EntryKind.NOTICE, name=plan)
        return frozenset(loads(Delivery, entry.body).key for entry in entries)

    def deliveries(self, *, plan: str | None = None) -> tuple[Delivery, ...]:
        return tuple(loads(Delivery, entry.body) for entry in self._store.entries(BOOK, *_ENDS, name=plan))

    def faults(self) -> tuple[str, ...]:
        return chain_faults(self._store.entries(BOOK))


def _tries(chain: ChainWriter, key: str) -> Tries:
    number, last = 0, None
    while begun := chain.find(EntryKind.NOTICE_BEGUN, _of_try(key, number + 1)):
        number, last = number + 1, begun
    if last is None:
        return Tries()
    failed: Entry | None = chain.find(EntryKind.NOTICE_FAILED, _of_try(key, number))
    return Tries(number, last.at, failed.at if failed else None)


def _of_try(key: str, number: int) -> str:
    return _short(f"{key}|{number}")


def _short(key: str) -> str:
    return key if len(key) <= 200 else hashlib.sha256(key.encode()).hexdigest()


def _add(chain: ChainWriter, draft: Draft) -> None:
    chain.add(seal(BOOK, draft, chain.last))
