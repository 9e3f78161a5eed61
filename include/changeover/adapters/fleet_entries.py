"""Who is at work on what, in the ledger: one chain for all runs, so that of two lanes only one takes a place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from changeover.adapters.cap_files import load_caps
from changeover.adapters.chain import Draft, Entry, EntryKind, seal
from changeover.adapters.codec import canonical, dumps, loads
from changeover.adapters.ledger_entries import EntryStore
from changeover.domain.cap import Caps, Claim

BOOK = "changeover.fleet"
"""The chain's name; a run's key has a digest at its end, so no run is ever called that."""


class EntryFleet:
    """The `Fleet` port over an `EntryStore` and the file of caps."""

    def __init__(self, store: EntryStore, caps: Path) -> None:
        self._store, self._caps = store, caps

    def caps(self) -> Caps:
        return load_caps(self._caps)

    def held(self) -> tuple[Claim, ...]:
        return _held(self._store.entries(BOOK, EntryKind.CLAIM, EntryKind.CLAIM_ENDED))

    def take(self, claim: Claim, hindered: Callable[[Sequence[Claim]], tuple[str, ...]]) -> tuple[str, ...]:
        with self._store.writing(BOOK) as chain:
            held = self.held()
            if any(each.place == claim.place for each in held):
                return ()
            if why := hindered(held):
                return why
            draft = Draft(
                EntryKind.CLAIM, claim.since.astimezone(UTC), dumps(Claim, claim), claim.run, claim.environment
            )
            chain.add(seal(BOOK, draft, chain.last))
        return ()

    def give_back(self, run: str, environment: str, at: datetime) -> None:
        with self._store.writing(BOOK) as chain:
            if all(each.place != (run, environment) for each in self.held()):
                return
            body = canonical({"run": run, "environment": environment})
            draft = Draft(EntryKind.CLAIM_ENDED, at.astimezone(UTC), body, run, environment)
            chain.add(seal(BOOK, draft, chain.last))


def _held(entries: Iterable[Entry]) -> tuple[Claim, ...]:
    live: dict[tuple[str, str], Claim] = {}
    for entry in entries:
        place = (entry.name, entry.environment)
        if entry.kind is EntryKind.CLAIM:
            live[place] = loads(Claim, entry.body)
        else:
            live.pop(place, None)
    return tuple(live.values())
