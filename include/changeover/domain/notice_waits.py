"""What stands still in a run, read off its marks: holds, pauses in Airflow, and gates at which the policy waits on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from changeover.domain.night import CASE_OF_GATE, Action
from changeover.domain.record import Mark, MarkKind
from changeover.domain.steering import DECIDED


@dataclass(frozen=True)
class Waiting:
    """One of them, named by the mark that began it. `over`: when something ended it."""

    mark: Mark
    gate: str = ""
    """Where an answer is what is waited for."""
    over: datetime | None = None

    @property
    def paused(self) -> bool:
        return self.mark.kind is MarkKind.AIRFLOW_PAUSED

    @property
    def key(self) -> str:
        return f"{'paused' if self.paused else 'held'}/{self.mark.environment}/{self.mark.at.isoformat()}"


def waits(marks: Sequence[Mark]) -> tuple[Waiting, ...]:
    """`marks` of the whole run, oldest first."""
    found = []
    for n, mark in enumerate(marks):
        gate = _gate_of(mark)
        if ends := _ends_of(mark, gate):
            over = next((each.at for each in marks[n + 1 :] if each.kind in ends and _concerns(each, mark, gate)), None)
            found.append(Waiting(mark, gate, over))
    return tuple(found)


def _ends_of(mark: Mark, gate: str) -> frozenset[MarkKind]:
    """Kinds of marks that end what this one began; none where it began no waiting."""
    if mark.kind is MarkKind.AIRFLOW_PAUSED:
        return frozenset({MarkKind.AIRFLOW_UNPAUSED})
    if mark.kind is MarkKind.HELD:
        return frozenset({MarkKind.RESUMED, MarkKind.ABORTED, *DECIDED})
    return frozenset({MarkKind.APPROVED, MarkKind.REJECTED, MarkKind.ABORTED, *DECIDED}) if gate else frozenset()


def _gate_of(mark: Mark) -> str:
    """The gate at which nobody answered and the policy waits on; what failed is held by a mark of its own."""
    if mark.kind is not MarkKind.NIGHT_ACTED or mark.data.get("action") != Action.HOLD:
        return ""
    return next((gate for gate, case in CASE_OF_GATE.items() if case == mark.data.get("case")), "")


def _concerns(later: Mark, mark: Mark, gate: str) -> bool:
    here = later.environment in ("", mark.environment)
    return here and (later.kind not in (MarkKind.APPROVED, MarkKind.REJECTED) or later.data.get("gate") == gate)
