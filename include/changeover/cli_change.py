"""The command `change`: a run's change as the CMDB has it; cancel it, or move it to another time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from changeover import wiring
from changeover.cli_found import found_run
from changeover.cli_session import witnessed

if TYPE_CHECKING:
    from changeover.ports import ChangeRecord
    from changeover.usecases.order_change import ChangeOrder


def change(wanted: str | None, order: ChangeOrder | None, *, as_json: bool) -> int:
    """0 shown or carried out; 1 there is no such run or change; 2 a faulty order, of which nothing was done."""
    from changeover.usecases.deliver_outbox import deliver
    from changeover.usecases.order_change import carry_out, order_faults

    settings = wiring.load_settings()
    run = found_run(wanted, settings)
    if isinstance(run, str):
        typer.echo(run, err=True)
        return 1
    ledger, cmdb = wiring.ledger(settings), wiring.cmdb(settings)
    deliver(ledger, cmdb, wiring.now())  # what the run still has to write comes before what a person orders
    record = cmdb.change(run.key)
    if record is None:
        typer.echo(f"run {run.key} has no change in the CMDB: an analysis or a rehearsal, or it was refused", err=True)
        return 1
    if order is not None:
        if faults := tuple(order_faults(order, run, record, cmdb)):
            for fault in faults:
                typer.echo(fault, err=True)
            return 2
        carry_out(replace(order, reason=witnessed(order.reason)), run, record, cmdb, at=wiring.now())
        record = cmdb.change(run.key) or record
    typer.echo(json.dumps(_json(record), indent=2) if as_json else _text(record))
    return 0


def instant(text: str) -> datetime:
    """ISO 8601 with its offset; an instant without one would be somebody's guess."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        raise typer.BadParameter(f"{text!r} is not an instant such as 2026-08-21T13:00Z") from exc
    if found.utcoffset() is None:
        raise typer.BadParameter(f"{text!r} lacks its offset: 2026-08-21T13:00Z, or 2026-08-21T15:00+02:00")
    return found.astimezone(UTC)


def _text(record: ChangeRecord) -> str:
    lines = [
        f"change {record.number}: {record.title}",
        f"model {record.model}, state {record.state}, risk {record.risk or 'not judged yet'}",
        f"planned {_at(record.planned_start)} until {_at(record.planned_end)}",
        f"affects {', '.join(record.affected) or 'nothing on record yet'}",
        *(f"{at:%Y-%m-%d %H:%MZ}  {state}" for at, state in record.history),
        *(f"note: {note}" for note in record.notes),
    ]
    if record.close_code:
        lines.append(f"closed as {record.close_code}: {record.close_notes}")
    return "\n".join(lines)


def _json(record: ChangeRecord) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "run": record.correlation_id,
        "number": record.number,
        "title": record.title,
        "model": str(record.model),
        "state": str(record.state),
        "risk": record.risk,
        "planned_start": _iso(record.planned_start),
        "planned_end": _iso(record.planned_end),
        "affected": list(record.affected),
        "history": [{"at": _iso(at), "state": str(state)} for at, state in record.history],
        "notes": list(record.notes),
        "close_code": str(record.close_code) if record.close_code else None,
        "close_notes": record.close_notes,
    }


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%MZ}" if moment else "(open)"


def _iso(moment: datetime | None) -> str | None:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if moment else None
