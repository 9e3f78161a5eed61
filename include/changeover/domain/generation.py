"""Which execution of a step is meant: a retry attaches to the one it started, only a decision starts another."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.domain.record import StepRecord, StepStatus


def reading_generation(steps: Sequence[StepRecord], step: str) -> int:
    """A step that only reads is done afresh each time, unless one is still running: then that one is meant."""
    mine = [record for record in steps if record.step == step]
    if not mine:
        return 1
    last = max(mine, key=lambda record: record.generation)
    return last.generation if last.status is StepStatus.RUNNING else last.generation + 1


def changing_generation(*, back_outs: int) -> int:
    """A step that changes hosts is done once, and once more only after each completed back-out."""
    return 1 + back_outs
