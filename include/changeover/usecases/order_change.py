"""A person's word on a run's change in the CMDB: cancel it, or move it to another time. The run hears of it there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from changeover.domain.change import ChangeState, may_move
from changeover.domain.record import Run
from changeover.ports import ChangeRecord, Cmdb, CmdbWrite


@dataclass(frozen=True)
class ChangeOrder:
    """`cancel`, or new planned dates; by whom and why."""

    by: str
    reason: str
    cancel: bool = False
    start: datetime | None = None
    end: datetime | None = None

    @property
    def told(self) -> str:
        if self.cancel:
            return "canceled"
        return f"moved to {self.start:%Y-%m-%d %H:%MZ} until {self.end:%Y-%m-%d %H:%MZ}"


def order_faults(order: ChangeOrder, run: Run, record: ChangeRecord, cmdb: Cmdb) -> Iterator[str]:
    """Why it cannot be carried out."""
    moved = order.start is not None or order.end is not None
    if order.cancel == moved:
        yield "say --cancel, or --from and --to"
    if moved and (order.start is None or order.end is None or order.end <= order.start):
        yield "--from and --to: two instants, the later one last"
    if not order.reason.strip():
        yield "--reason: say why; it is kept on the change"
    if order.by not in {person.id for person in cmdb.people(run.client)}:
        yield f"--by: the CMDB knows nobody of {run.client} as {order.by!r}"
    if record.state in (ChangeState.CLOSED, ChangeState.CANCELED):
        yield f"change {record.number} is {record.state}: nothing of it is ordered any more"
    elif order.cancel and not may_move(record.state, ChangeState.CANCELED, record.model):
        yield f"change {record.number} is in {record.state}, from which it is not canceled"


def carry_out(order: ChangeOrder, run: Run, record: ChangeRecord, cmdb: Cmdb, *, at: datetime) -> None:
    """Into the CMDB at once, with a note that says who and why; what runs half-way ends as its lane decides."""
    kind, payload = _write(order, record)
    op = f"{run.key}/ordered-{at:%Y%m%dT%H%M%S%f}"
    cmdb.apply(CmdbWrite(op, run.key, kind, payload, at))
    text = f"{order.told} by {order.by}: {' '.join(order.reason.split())}"
    cmdb.apply(CmdbWrite(f"{op}-note", run.key, "note", {"text": text}, at))


def _write(order: ChangeOrder, record: ChangeRecord) -> tuple[str, dict[str, Any]]:
    if order.cancel or order.start is None or order.end is None:
        return "move_change", {"state": "canceled"}
    dates = {"planned_start": order.start.isoformat(), "planned_end": order.end.isoformat()}
    return "plan_change", {**dates, "risk": record.risk, "affected": list(record.affected)}
