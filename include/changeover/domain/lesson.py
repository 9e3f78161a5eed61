"""What one client taught: what went wrong on a release elsewhere. The key and the release travel, never a name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from changeover.domain.acceptance import READING
from changeover.domain.analysis_facts import Said, hint
from changeover.domain.check import Catalogue
from changeover.domain.gate import CheckState, GateResult
from changeover.domain.legs import leg_number, plain
from changeover.domain.outcome import Outcome
from changeover.domain.record import Mark, MarkKind
from changeover.domain.version import VersionError, same

ACCEPTANCE, ANALYSIS = "acceptance", "client_analysis"
OWN = (READING, "suites", "retest-")
"""Results that say how a gate was run there, and nothing about the release."""
HOSTS_SEEN = "hosts-seen"
"""A host that nobody could look at after the change is no success (C17)."""
HOLD, CANDIDATE = "release-hold", "release-candidate-check"
_ANSWERED = (CheckState.PASSED, CheckState.ADVISED)


class Taught(StrEnum):
    """By what: an acceptance that said no, an analysis before anything was touched, or an incident afterwards."""

    ACCEPTANCE = "acceptance"
    INHIBITOR = "inhibitor"
    INCIDENT = "incident"


@dataclass(frozen=True)
class Lesson:
    """`key`: the acceptance check that failed, the check that inhibited, or what tells one incident from another."""

    key: str
    by: Taught
    release: str
    severity: int = 0
    """Of an incident; 1 is the gravest."""

    @property
    def candidate(self) -> str:
        """The check that a waiting upgrade has to look at; "" for an incident, which no check of ours has seen."""
        return "" if self.by is Taught.INCIDENT else self.key


@dataclass(frozen=True)
class Elsewhere:
    """A run of some other client. `who` tells runs of one client apart from another's, no more."""

    who: str
    opened_at: datetime
    outcome: Outcome | None
    target: str
    """The release it goes to."""
    gates: tuple[GateResult, ...] = ()
    """The newest of each name and environment."""
    stops: Mapping[int, str] = field(default_factory=dict)
    """Leg → the release it ends at."""
    incidents: tuple[tuple[str, int], ...] = ()
    """What tells it from another, and how grave it is: those put down to its change."""
    environments: tuple[str, ...] = ()
    """The lanes it was asked for."""
    upgraded: tuple[str, ...] = ()
    """Those that ended at the release."""

    @property
    def releases(self) -> tuple[str, ...]:
        return (*self.stops.values(), self.target)

    def release_of(self, gate: str) -> str:
        leg = leg_number(gate)
        return self.target if leg is None else self.stops.get(leg, self.target)


def lessons(
    runs: Iterable[Elsewhere], *, wanted: Sequence[str], scheme: str, catalogue: Catalogue
) -> tuple[Lesson, ...]:
    """What other clients met on the releases `wanted`: the one that is gone to, and every stop on the way.

    Of each client what went wrong since its last success there: what was cured and worked is no hold any more. A
    success in training cures nothing that went wrong in production. An inhibitor counts until an analysis of as many
    hosts does not find it any more.
    """
    found: set[Lesson] = set()
    by_client: dict[str, list[Elsewhere]] = {}
    for run in runs:
        by_client.setdefault(run.who, []).append(run)
    for each in by_client.values():
        newest_first = sorted(each, key=lambda one: one.opened_at, reverse=True)
        for release in dict.fromkeys(wanted):
            there = [run for run in newest_first if _goes_to(run, release, scheme)]
            found |= set(_of_client(there, release, scheme, catalogue))
    return tuple(sorted(found, key=lambda one: (one.release, one.key, one.by)))


def _of_client(runs: Sequence[Elsewhere], release: str, scheme: str, catalogue: Catalogue) -> Iterator[Lesson]:
    looked_at: list[frozenset[str]] = []
    succeeded, cured = False, set[str]()
    for run in runs:
        if run.outcome is not None and run.outcome.is_success:
            succeeded, cured = True, cured | set(run.upgraded)
        open_in = set(run.environments) - cured
        everywhere = succeeded and not open_in
        if not everywhere:
            yield from (Lesson(number, Taught.INCIDENT, release, severity) for number, severity in run.incidents)
        for gate in (gate for gate in run.gates if is_same(run.release_of(gate.gate), release, scheme)):
            if plain(gate.gate) == ACCEPTANCE and (gate.environment in open_in or not succeeded):
                yield from (Lesson(key, Taught.ACCEPTANCE, release) for key in failed(gate))
            if gate.gate == ANALYSIS:
                hosts = frozenset(gate.hosts_planned)
                if not everywhere and not any(hosts <= seen for seen in looked_at):
                    yield from (Lesson(key, Taught.INHIBITOR, release) for key in _inhibiting(gate, catalogue))
                looked_at.append(hosts)


def failed(gate: GateResult) -> tuple[str, ...]:
    """Keys of what did not pass: failed, crashed, skipped or never run; and hosts that nobody could look at."""
    ran = {(result.key, result.host) for result in gate.results}
    keys = {result.key for result in gate.results if result.state not in _ANSWERED}
    keys |= {key for key, host in gate.declared if (key, host) not in ran}
    lost = {HOSTS_SEEN} if set(gate.hosts_planned) - set(gate.hosts_seen) else set()
    return tuple(sorted({key for key in keys if not key.startswith(OWN)} | lost))


def _inhibiting(gate: GateResult, catalogue: Catalogue) -> set[str]:
    """What a check says of that client's own hosts or of our own disk teaches nobody else."""
    checks = {finding.key: catalogue.find(finding.key) for finding in gate.findings if finding.inhibits}
    return {key for key, check in checks.items() if check is not None and check.teaches}


def _goes_to(run: Elsewhere, release: str, scheme: str) -> bool:
    return any(is_same(version, release, scheme) for version in run.releases)


def is_same(one: str, other: str, scheme: str) -> bool:
    """By the product's scheme, in which 8.0.12 and 8.0.12.0 may be one; what it cannot read is equal as text alone."""
    try:
        return same(one, other, scheme)
    except VersionError:
        return one == other


def incidents_of(marks: Iterable[Mark]) -> tuple[tuple[str, int], ...]:
    """Those put down to a run's change, as its marks tell them. The number at the client does not travel."""
    marks = tuple(marks)
    if not any(mark.kind is MarkKind.CHANGE_OPENED for mark in marks):
        return ()
    grave: dict[str, int] = {}
    for mark in marks:
        if mark.kind is MarkKind.INCIDENT_SEEN:
            told = f"{mark.run}\n{mark.data.get('number')}"
            grave[f"incident-{sha256(told.encode()).hexdigest()[:8]}"] = int(mark.data.get("severity") or 1)
    return tuple(sorted(grave.items()))


def lesson_findings(application: str, learnt: Iterable[Lesson]) -> Iterator[Said]:
    """Each holds this upgrade, and names the check that it has to look at."""
    for lesson in learnt:
        release = f"{application} {lesson.release}"
        evidence = {"release": release, "taught_by": str(lesson.by)}
        look = hint(f"{_look(lesson)} Have the hold waived once it is shown that it cannot happen here.")
        yield Said(HOLD, lesson.key, _told(lesson, release), evidence, actions=(look,))
        yield Said(CANDIDATE, lesson.key, _look(lesson), evidence)


def _told(lesson: Lesson, release: str) -> str:
    match lesson.by:
        case Taught.INCIDENT:
            return f"an incident of severity {lesson.severity} was put down to {release} at another client"
        case Taught.INHIBITOR:
            return f"{lesson.key} inhibits an upgrade to {release} of another client"
    return f"{lesson.key} failed at acceptance of {release} for another client"


def _look(lesson: Lesson) -> str:
    match lesson.by:
        case Taught.INCIDENT:
            return f"Ask support what {lesson.key} was, and add an acceptance test that would have seen it."
        case Taught.INHIBITOR:
            return f"Look at what the check {lesson.key} said here."
    if lesson.key == HOSTS_SEEN:
        return "Look whether every host answers after a rehearsal: one did not there."
    return f"Look at what the acceptance test {lesson.key} says here, in a rehearsal."


def candidates_told(learnt: Iterable[Lesson], gates: Iterable[GateResult]) -> tuple[tuple[str, bool], ...]:
    """Each candidate check, and whether this run has shown by now that it passes here. `gates`: the run's newest."""
    gates = tuple(gates)
    told = []
    for lesson in learnt:
        said = [gate for gate in gates if _asked(lesson, gate)]
        if not said:
            told.append((f"{lesson.key}: not asked here yet. {_look(lesson)}", False))
            continue
        bad = [gate for gate in said if _said_no(lesson, gate)]
        places = ", ".join(dict.fromkeys(gate.environment or "the analysis" for gate in bad or said))
        told.append((f"{lesson.key}: {'did not pass' if bad else 'passed'} here ({places})", not bad))
    return tuple(told)


def _asked(lesson: Lesson, gate: GateResult) -> bool:
    if not lesson.candidate:
        return False
    if lesson.by is Taught.INHIBITOR:
        return gate.gate == ANALYSIS and any(result.key == lesson.key for result in gate.results)
    if plain(gate.gate) != ACCEPTANCE:
        return False
    return lesson.key == HOSTS_SEEN or any(key == lesson.key for key, _ in gate.declared)


def _said_no(lesson: Lesson, gate: GateResult) -> bool:
    if lesson.by is Taught.ACCEPTANCE:
        return lesson.key in failed(gate)
    crashed = any(result.key == lesson.key and result.state not in _ANSWERED for result in gate.results)
    return crashed or any(finding.key == lesson.key and finding.inhibits for finding in gate.findings)
