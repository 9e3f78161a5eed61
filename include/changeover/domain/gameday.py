"""A game day: a fault made on purpose in a phase of a real upgrade, and what was told held against what is so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from changeover.domain.outcome import Outcome
from changeover.domain.settlement import Truth


class Phase(StrEnum):
    """Where in an environment's lane the fault is made: always beside work that is in progress."""

    BEFORE = "before change"
    MID = "mid-change"
    ACCEPTANCE = "in acceptance"
    BACK_OUT = "in back-out"


class Runs(StrEnum):
    """What an independent look found on a host."""

    OLD = "old"
    NEW = "new"
    BETWEEN = "between"
    UNSEEN = "unseen"


@dataclass(frozen=True)
class Sight:
    """One host as a witness sees it that shares neither connection nor code with the upgrade."""

    host: str
    runs: Runs
    answers: bool
    """The release that is installed answers its users."""
    lost_rows: int = 0
    """Rows that were there before and are neither in the data in use nor in a restore point of the run."""
    missing_rows: int = 0
    """Rows that were there before and are not in the data in use."""
    changes: int = 0
    """How often the change itself was done there."""
    changes_wanted: int = 1
    """How often it may have been done: once for each try that the ledger knows."""


@dataclass(frozen=True)
class Told:
    """What the product said: the outcome in the ledger, and host → what `settle` said of it (absent: not asked)."""

    outcome: Outcome | None
    truths: Mapping[str, Truth] = field(default_factory=dict)


_CLAIMS = {
    Outcome.SUCCESSFUL: Runs.NEW,
    Outcome.SUCCESSFUL_WITH_ISSUES: Runs.NEW,
    Outcome.BACKED_OUT: Runs.OLD,
    Outcome.REFUSED: Runs.OLD,
    Outcome.MISSED: Runs.OLD,
}
_WORKING = (Outcome.SUCCESSFUL, Outcome.SUCCESSFUL_WITH_ISSUES, Outcome.BACKED_OUT)
_TRUTHS = {Truth.NEW: Runs.NEW, Truth.OLD: Runs.OLD, Truth.UNTOUCHED: Runs.OLD}


def lies(told: Told, sights: Sequence[Sight], *, mended: bool) -> tuple[str, ...]:
    """Every claim that is not so. `unknown` and `back_out_failed` claim nothing.

    What is said to have been accepted has to answer; an unchanged host only once the fault is over (`mended`).
    """
    found: list[str] = []
    claimed = _CLAIMS.get(told.outcome) if told.outcome else None
    for sight in sights:
        if claimed is not None and sight.runs is not claimed:
            found.append(f"recorded {told.outcome}, and {sight.host} is {sight.runs}")
        if claimed is not None and sight.missing_rows:
            found.append(f"recorded {told.outcome}, and {sight.missing_rows} rows of {sight.host} are gone")
        if claimed is not None and (mended or told.outcome in _WORKING) and not sight.answers:
            found.append(f"recorded {told.outcome}, and {sight.host} does not answer")
        truth = told.truths.get(sight.host)
        said = _TRUTHS.get(truth) if truth is not None else None
        if said is not None and sight.runs is not said:
            found.append(f"settle said {truth} of {sight.host}, which is {sight.runs}")
    return tuple(found)


@dataclass(frozen=True)
class Cell:
    """One fault in one phase, and what came of it."""

    fault: str
    phase: Phase
    told: Outcome | None = None
    """As recorded when the lane had ended, the fault still there."""
    settled: str = ""
    """The way in which it was settled afterwards: "" when there was nothing to settle."""
    ended: Outcome | None = None
    """As recorded in the end."""
    lies: tuple[str, ...] = ()
    lost_rows: int = 0
    doubles: int = 0
    leaks: tuple[str, ...] = ()
    orphans: tuple[str, ...] = ()
    left_out: str = ""
    """Why this was not run here; it then counts neither as true nor as false."""
    broken: str = ""
    """Why the game day itself could not judge: the fault was never made, or a tool of it broke."""
    seconds: float = 0.0

    @property
    def true(self) -> bool:
        wrong = self.lies or self.lost_rows or self.doubles or self.leaks or self.orphans or self.broken
        return not wrong and self.ended is not None and not self.left_out

    def in_words(self) -> str:
        """What the matrix shows."""
        if self.left_out:
            return "not run"
        if self.broken:
            return f"BROKEN: {self.broken}"
        words = str(self.told or "no outcome").replace("_", " ")
        if self.settled:
            words += f"; {self.settled}: {str(self.ended or 'no outcome').replace('_', ' ')}"
        return words if self.true else f"FALSE: {words}"

    def as_json(self) -> dict[str, Any]:
        return {
            "fault": self.fault,
            "phase": str(self.phase),
            "outcome": self.told and str(self.told),
            "settled": self.settled,
            "ended": self.ended and str(self.ended),
            "true": self.true,
            "lies": list(self.lies),
            "lost_rows": self.lost_rows,
            "double_executions": self.doubles,
            "leaked_secrets": list(self.leaks),
            "orphan_processes": list(self.orphans),
            "left_out": self.left_out,
            "broken": self.broken,
            "seconds": round(self.seconds, 1),
        }


@dataclass(frozen=True)
class Matrix:
    """Every cell that was asked for."""

    cells: tuple[Cell, ...]
    whole: bool = True
    """Not so: it was ended before every cell had its turn."""

    @property
    def run(self) -> tuple[Cell, ...]:
        return tuple(cell for cell in self.cells if not cell.left_out)

    @property
    def true(self) -> bool:
        """Every outcome was true; a game day on which nothing was run proves nothing."""
        return self.whole and bool(self.run) and all(cell.true for cell in self.run)

    @property
    def missing(self) -> tuple[Cell, ...]:
        """What was asked for and could not be played here: nothing is known of it."""
        return tuple(cell for cell in self.cells if cell.left_out)

    def totals(self) -> str:
        run = self.run
        left_out = f", {len(self.cells) - len(run)} not run" if len(run) < len(self.cells) else ""
        left_out += "" if self.whole else ", ended early"
        return (
            f"{len(run)} cells{left_out}: {sum(cell.true for cell in run)} true,"
            f" {sum(len(cell.lies) for cell in run)} lies, {sum(cell.lost_rows for cell in run)} lost rows,"
            f" {sum(cell.doubles for cell in run)} double executions, {sum(len(cell.leaks) for cell in run)} leaked"
            f" secrets, {sum(len(cell.orphans) for cell in run)} orphan processes"
        )

    def markdown(self) -> str:
        """Faults down, phases across."""
        phases = [phase for phase in Phase if any(cell.phase is phase for cell in self.cells)]
        by = {(cell.fault, cell.phase): cell for cell in self.cells}
        rows = [
            "| fault | " + " | ".join(phases) + " |",
            "|---|" + "---|" * len(phases),
        ]
        for fault in dict.fromkeys(cell.fault for cell in self.cells):
            found = [by.get((fault, phase)) for phase in phases]
            rows.append(f"| {fault} | " + " | ".join(cell.in_words() if cell else "" for cell in found) + " |")
        return "\n".join(rows)

    def as_json(self) -> dict[str, Any]:
        cells = [cell.as_json() for cell in self.cells]
        return {"schema_version": 1, "true": self.true, "totals": self.totals(), "cells": cells}
