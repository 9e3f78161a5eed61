"""Time sheets and rate cards in the ledger: one chain of their own, append-only like every run's."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date

from changeover.adapters.chain import Draft, EntryKind, chain_faults, seal
from changeover.adapters.codec import canonical, dumps, loads
from changeover.adapters.ledger_entries import ChainWriter, EntryStore, utc_now
from changeover.domain.effort import Effort
from changeover.domain.rate_card import RateCard
from changeover.errors import LedgerError
from changeover.ports import Clock, Rate

BOOK = "changeover.effort"
"""The chain's name; a run's key has a digest at its end, so no run is ever called that."""


class EntryEffortBook:
    """The `EffortBook` port over an `EntryStore`."""

    def __init__(self, store: EntryStore, *, clock: Clock = utc_now) -> None:
        self._store, self._clock = store, clock

    def record_efforts(self, efforts: Iterable[Effort]) -> int:
        """A line is known by its content, and by which of the equal lines of its sheet it is."""
        at, seen, new = self._clock().astimezone(UTC), Counter[str](), 0
        with self._store.writing(BOOK) as chain:
            for effort in efforts:
                body = dumps(Effort, effort)
                key = _standing_key(chain, effort, _number(seen, effort))
                new += _add(chain, Draft(EntryKind.EFFORT, at, body, effort.role, key=key))
        return new

    def withdraw_efforts(self, efforts: Iterable[Effort], *, by: str, reason: str) -> int:
        at, seen, gone = self._clock().astimezone(UTC), Counter[str](), 0
        with self._store.writing(BOOK) as chain:
            for effort in efforts:
                key = _standing_key(chain, effort, _number(seen, effort))
                if chain.find(EntryKind.EFFORT, key) is not None:
                    why = canonical({"by": by, "reason": reason})
                    gone += _add(chain, Draft(EntryKind.EFFORT_WITHDRAWN, at, why, key, key=key))
        return gone

    def efforts(self) -> tuple[Effort, ...]:
        gone = {entry.key for entry in self._store.entries(BOOK, EntryKind.EFFORT_WITHDRAWN)}
        entries = self._store.entries(BOOK, EntryKind.EFFORT)
        return tuple(loads(Effort, entry.body) for entry in entries if entry.key not in gone)

    def record_rate_card(self, card: RateCard) -> int:
        at, since = self._clock().astimezone(UTC), card.valid_from.isoformat()
        drafts = [
            Draft(EntryKind.RATE, at, dumps(Rate, Rate(card.provider, role, card.currency, card.cents(role), since)),
                  role, key=f"{role}/{since}")
            for role in card.rates
        ] + [
            Draft(EntryKind.ATTENDED, at,
                  canonical({"role": who.role, "percent": who.percent, "valid_from": since}),
                  measure, key=f"{measure}/{since}")
            for measure, who in card.attended.items()
        ]  # fmt: skip
        self._must_be_one_provider(card)
        with self._store.writing(BOOK) as chain:
            return sum(_add(chain, draft, once=True) for draft in drafts)

    def rates(self) -> tuple[Rate, ...]:
        return tuple(loads(Rate, entry.body) for entry in self._store.entries(BOOK, EntryKind.RATE))

    def has_rate(self, role: str, day: date) -> bool:
        return any(rate.role == role and rate.valid_from <= day.isoformat() for rate in self.rates())

    def faults(self) -> tuple[str, ...]:
        return chain_faults(self._store.entries(BOOK))

    def _must_be_one_provider(self, card: RateCard) -> None:
        for rate in self.rates():
            if (rate.provider, rate.currency) != (card.provider, card.currency):
                raise LedgerError(
                    f"this ledger counts in {rate.currency} at the rates of {rate.provider}, "
                    f"and this card is of {card.provider} in {card.currency}",
                    where=f"rate card {card.provider}",
                    then="keep one provider and one currency to a ledger",
                )


def _number(seen: Counter[str], effort: Effort) -> int:
    """Which of the equal lines of its sheet it is, from 1."""
    line = canonical(list(effort.line))
    seen[line] += 1
    return seen[line]


def _standing_key(chain: ChainWriter, effort: Effort, number: int) -> str:
    """Under which the line is on record, or would be: another one for each time that it was withdrawn."""
    line, again = f"{canonical(list(effort.line))}{number}", 0
    while True:
        key = hashlib.sha256(f"{line}{f'/{again}' if again else ''}".encode()).hexdigest()
        if chain.find(EntryKind.EFFORT_WITHDRAWN, key) is None:
            return key
        again += 1


def _add(chain: ChainWriter, draft: Draft, *, once: bool = False) -> int:
    """1 when it was not there. With `once`, what is there under the key must be the same."""
    known = chain.find(draft.kind, str(draft.key))
    if known is not None:
        if once and known.body != draft.body:
            raise LedgerError(
                f"{draft.kind} {draft.key} is on record and is another one",
                where="rate card",
                then="give the changed card a new valid_from: what was valid stays on record",
            )
        return 0
    chain.add(seal(BOOK, draft, chain.last))
    return 1
