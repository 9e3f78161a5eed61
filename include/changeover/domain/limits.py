"""Whether what was measured fits the limits that a plan gives its steps: what does not is stopped half-way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from changeover.domain.finding import Finding
from changeover.domain.legs import plain
from changeover.domain.plan import Environment
from changeover.domain.runsheet import Durations
from changeover.domain.window import duration_text


def limit_findings(lane: Environment, measured: Durations) -> Iterator[Finding]:
    """One for each step whose careful time is over its limit; the change of all legs has one limit together."""
    steps = [(step.name, step.work) for step in measured.steps({})]
    changes = [work for name, work in steps if plain(name) == "implement"]
    change = sum((work.careful for work in changes), timedelta(0))
    if change > lane.implement_within:
        source = changes[0].source if len(changes) == 1 else f"{len(changes)} legs together"
        yield _too_long(lane, "implement", change, source, "implement_within", lane.implement_within)
    copies = [(name, work) for name, work in steps if plain(name) == "restore_point"]
    for name, work in (*copies, ("back_out", measured.of("back_out"))):
        if work.careful > lane.restore_within:
            yield _too_long(lane, name, work.careful, work.source, "restore_within", lane.restore_within)


def _too_long(lane: Environment, step: str, takes: timedelta, source: str, field: str, limit: timedelta) -> Finding:
    seconds = timedelta(seconds=round(takes.total_seconds()))
    return Finding(
        f"limit-too-short-{step.replace('_', '-')}",
        lane.name,
        f"{step} takes {seconds} ({source}), and the plan has it stopped after {duration_text(limit)}",
        remediation=f"a longer {field} for {lane.name}; then see that the window still holds it",
    )
