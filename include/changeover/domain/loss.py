"""What a back-out would lose: rows entered or changed since users were let in; and whether it may be done at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changeover.domain.no_return import Reversible
from changeover.domain.record import Mark, MarkKind

Rows = Sequence[Mapping[str, Any]]
Tables = Mapping[str, Rows]
"""Table (dataset) → its rows."""


@dataclass(frozen=True)
class TableLoss:
    """Of one table on one host. `known` False: it could not be read before or now, so the amount is unknown."""

    host: str
    table: str
    entered: tuple[Mapping[str, Any], ...] = ()
    changed: tuple[Mapping[str, Any], ...] = ()
    removed: int = 0
    known: bool = True

    def told(self, since: str) -> str:
        if not self.known:
            return f"{self.host}: an unknown amount in `{self.table}` since {since}"
        count = len(self.entered)
        parts = [f"{count} {'row' if count == 1 else 'rows'} in `{self.table}` entered since {since}"]
        parts += [f"{len(self.changed)} changed"] if self.changed else []
        parts += [f"{self.removed} removed"] if self.removed else []
        return f"{self.host}: {', '.join(parts)}"

    @property
    def nothing(self) -> bool:
        return self.known and not (self.entered or self.changed or self.removed)


def table_losses(
    host: str, then: Tables | None, now: Tables | None, keys: Mapping[str, Sequence[str]]
) -> list[TableLoss]:
    """Every table that is known of; one that was read only once is told as an unknown amount, never as nothing."""
    names = dict.fromkeys((*(keys or {}), *(then or {}), *(now or {})))
    if not names:
        return [TableLoss(host, "the whole application", known=False)]
    found = []
    for table in names:
        before, after, key = (then or {}).get(table), (now or {}).get(table), tuple(keys.get(table) or ())
        if before is None or after is None or not key:
            found.append(TableLoss(host, table, known=False))
        else:
            found.append(_table_loss(host, table, _by_key(before, key), _by_key(after, key)))
    return found


def _table_loss(
    host: str, table: str, before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> TableLoss:
    entered = tuple(row for key, row in after.items() if key not in before)
    changed = tuple(row for key, row in after.items() if key in before and _differs(before[key], row))
    return TableLoss(host, table, entered, changed, removed=sum(key not in after for key in before))


def _by_key(rows: Rows, key: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    plain = (json.loads(json.dumps(dict(row), default=str)) for row in rows)
    return {json.dumps([row.get(column) for column in key]): row for row in plain}


def _differs(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """In the columns that both releases have."""
    return any(before[column] != after[column] for column in before.keys() & after.keys())


def export_of(losses: Iterable[TableLoss]) -> dict[str, dict[str, dict[str, Any]]]:
    """Host → table → the rows themselves, as they are put aside."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for loss in losses:
        found.setdefault(loss.host, {})[loss.table] = {
            "known": loss.known,
            "entered": [dict(row) for row in loss.entered],
            "changed": [dict(row) for row in loss.changed],
            "removed": loss.removed,
        }
    return found


def at_stake(marks: Iterable[Mark]) -> tuple[str, ...]:
    """The newest word on what would be lost, or was."""
    told: tuple[str, ...] = ()
    for mark in marks:
        if mark.kind is MarkKind.DATA_AT_STAKE:
            told = tuple(str(text) for text in mark.data.get("told") or ())
    return told


def put_aside(marks: Iterable[Mark]) -> tuple[str, ...]:
    """What a back-out took away, and where it is kept; nothing when none did."""
    found = [m for m in marks if m.kind is MarkKind.DATA_AT_STAKE and m.data.get("kept")]
    return tuple(f"put aside in {found[-1].data['kept']}: {text}" for text in at_stake(found)) if found else ()


def opened_at(marks: Sequence[Mark]) -> datetime | None:
    """When users were let in with the new release, at the earliest; None when they were not since the last back-out."""
    last = max((n for n, mark in enumerate(marks) if mark.kind is MarkKind.BACKED_OUT), default=-1)
    kinds = (MarkKind.COMMITTING, MarkKind.COMMITTED, MarkKind.TRAFFIC_OPENED)
    return next((mark.at for mark in marks[last + 1 :] if mark.kind in kinds), None)


@dataclass(frozen=True)
class BackOutAsked:
    """What decides whether a back-out may be done, and how."""

    environment: str
    restore_point: str | None
    opened: datetime | None
    """When users were let in; None: they were not."""
    approved_by: tuple[str, ...]
    backed_out_by: str = ""
    """The run that put the old release back already."""
    reversible: Reversible = Reversible.UNTIL_COMMIT
    """Of the role's `implement`."""


PERSONS = 2
"""So many people have to say yes to a back-out that may lose data."""


def refusals(asked: BackOutAsked) -> tuple[str, ...]:
    """Why it is refused, with what is still possible; nothing when it may be done."""
    kept = f"the copy {asked.restore_point} on the hosts can be read, and restored by hand beside the new release"
    still = kept if asked.restore_point else "the client's own backups"
    if asked.backed_out_by:
        return (
            f"run {asked.backed_out_by} put the old release back already: once more would lose what came since",
            "still possible: nothing is to be put back; start an upgrade again when its cause is mended",
        )
    if asked.restore_point is None:
        return (
            f"no proven restore point of {asked.environment} is on record",
            f"still possible: go on with the new release and correct it; {still}",
        )
    if asked.reversible is Reversible.NO:
        why = "the application's role declares that its implement cannot be taken back"
        return (why, f"still possible: go on with the new release and correct it; {still}")
    if asked.opened is None:
        return ()
    if len(set(asked.approved_by)) < PERSONS:
        yes = ", ".join(sorted(set(asked.approved_by))) or "nobody"
        return (
            f"users were let in at {asked.opened:%Y-%m-%d %H:%MZ}: {PERSONS} people have to say yes, {yes} did",
            "still possible: start it again and have a second person approve; or go on with the new release",
        )
    return ()
