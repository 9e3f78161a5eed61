"""Take a time sheet into the ledger: whole, or not at all with every fault told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from changeover.domain.effort import Known, Line, Work, read_effort
from changeover.domain.fault import Fault
from changeover.domain.plan import Plan
from changeover.domain.record import Run
from changeover.ports import EffortBook, Ledger

EVERY_RUN = 1_000_000


@dataclass(frozen=True)
class Imported:
    """`new` lines of `lines` were not on record yet."""

    lines: int = 0
    new: int = 0
    hours: float = 0.0
    faults: tuple[Fault, ...] = ()


def import_effort(
    file: str,
    header: tuple[str, ...],
    lines: Iterable[Line],
    *,
    ledger: Ledger,
    book: EffortBook,
    plans: Iterable[Plan],
    today: date,
) -> Imported:
    """`plans` are those on disk: effort may be booked on a plan that was never run."""
    works = _works(ledger.runs(limit=EVERY_RUN), plans)
    known = Known(*works, has_rate=book.has_rate, today=today, recorded=book.efforts())
    efforts, faults = read_effort(file, header, lines, known)
    if faults:
        return Imported(faults=faults)
    new = book.record_efforts(efforts)
    return Imported(len(efforts), new, sum(effort.seconds for effort in efforts) / 3600)


def withdraw_effort(
    file: str,
    header: tuple[str, ...],
    lines: Iterable[Line],
    *,
    ledger: Ledger,
    book: EffortBook,
    plans: Iterable[Plan],
    today: date,
    by: str,
    reason: str,
) -> Imported:
    """The lines of a sheet that was imported count no more; `new` of them did. All are on record, or none goes."""
    known = Known(*_works(ledger.runs(limit=EVERY_RUN), plans), has_rate=lambda role, day: True, today=today)
    efforts, faults = read_effort(file, header, lines, known)
    on_record = Counter(effort.line for effort in book.efforts())
    wanted = Counter(effort.line for effort in efforts)
    absent = tuple(
        Fault(file, 0, "", f"not on record: {effort.who}, {effort.day}, {effort.seconds / 3600:g} hours")
        for effort in dict.fromkeys(efforts)
        if wanted[effort.line] > on_record[effort.line]
    )
    if faults or absent:
        return Imported(faults=(*faults, *absent))
    gone = book.withdraw_efforts(efforts, by=by, reason=reason)
    return Imported(len(efforts), gone, sum(effort.seconds for effort in efforts) / 3600)


def _works(runs: tuple[Run, ...], plans: Iterable[Plan]) -> tuple[Mapping[str, Work], Mapping[str, Work]]:
    """Runs by key, plans by DAG id: as their newest run has it, and where there is none, as the file says."""
    by_plan = {plan.dag_id: Work(plan.dag_id, plan.client, plan.application, plan.team or "") for plan in plans}
    by_run = {run.key: Work(run.dag_id, run.client, run.application, run.team) for run in runs}
    return by_run, by_plan | {run.dag_id: by_run[run.key] for run in reversed(runs)}
