"""What one client taught: what went wrong on a release elsewhere. The key and the release travel, never a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from changeover.domain.acceptance import READING
from changeover.domain.analysis_facts import AnalysisFacts, Said, hint
from changeover.domain.gate import CheckState, GateResult
from changeover.domain.legs import plain
from changeover.domain.outcome import Outcome

ACCEPTANCE = "acceptance"
OWN = (READING, "suites", "retest-")
"""Results that say how a gate was run there, and nothing about the release."""
HOLD, MET = "release-hold", "release-met-elsewhere"


@dataclass(frozen=True)
class Lesson:
    """`key` of the acceptance check that failed, or of the check that inhibited."""

    key: str
    failed: bool
    """An acceptance said no; otherwise an analysis did, before anything was touched."""


@dataclass(frozen=True)
class Elsewhere:
    """A run to the same release, of some other client. `who` tells runs of one client apart from another's, no more."""

    who: str
    opened_at: datetime
    outcome: Outcome | None
    gates: tuple[GateResult, ...]


def lessons(runs: Iterable[Elsewhere]) -> tuple[Lesson, ...]:
    """Of each client what went wrong since its last success: what was cured there and worked is no hold any more."""
    found: set[tuple[str, bool]] = set()
    by_client: dict[str, list[Elsewhere]] = {}
    for run in runs:
        by_client.setdefault(run.who, []).append(run)
    for each in by_client.values():
        for run in sorted(each, key=lambda one: one.opened_at, reverse=True):
            if run.outcome is not None and run.outcome.is_success:
                break
            found.update(_taught(run))
    return tuple(Lesson(key, failed) for key, failed in sorted(found))


def _taught(run: Elsewhere) -> Iterator[tuple[str, bool]]:
    for gate in run.gates:
        if plain(gate.gate) == ACCEPTANCE:
            failed = (result.key for result in gate.results if result.state is CheckState.FAILED)
            yield from ((key, True) for key in failed if not key.startswith(OWN))
        yield from (
            (finding.key, False) for finding in gate.findings if finding.inhibits and gate.gate.endswith("analysis")
        )


def lesson_findings(facts: AnalysisFacts, learnt: Iterable[Lesson]) -> Iterator[Said]:
    """A failed acceptance elsewhere holds this upgrade; an inhibitor is told, for its check is asked here too."""
    release = f"{facts.plan.application} {facts.plan.to_version}"
    for lesson in learnt:
        if lesson.failed:
            text = f"{lesson.key} failed at acceptance of {release} for another client"
            look = hint(f"Show that {lesson.key} cannot fail here (rehearse it), then have the hold waived.")
            yield Said(HOLD, lesson.key, text, {"release": release}, actions=(look,))
        else:
            text = f"{lesson.key} inhibited an upgrade to {release} of another client"
            yield Said(MET, lesson.key, text, {"release": release})
