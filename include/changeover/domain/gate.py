"""Gates: passed means every declared check ran on every planned host, and none says no (C17)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from changeover.domain.finding import Finding


class CheckState(StrEnum):
    """What one check said on one host. A crashed check is `error` and blocks like a failed one.

    `advised` is the "no" of an advisory check: it is told and recorded, and does not block.
    """

    PASSED = "passed"
    ADVISED = "advised"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


_ANSWERS = (CheckState.PASSED, CheckState.ADVISED, CheckState.FAILED)
_HARMLESS = (CheckState.PASSED, CheckState.ADVISED)


@dataclass(frozen=True)
class CheckResult:
    """One check on one host (`host` is "" for a check of the whole environment)."""

    key: str
    host: str
    state: CheckState
    message: str = ""


@dataclass(frozen=True)
class GateResult:
    """What a gate saw, and its answer. `declared` are (check, host) pairs that had to be run."""

    gate: str
    environment: str
    declared: tuple[tuple[str, str], ...]
    results: tuple[CheckResult, ...]
    hosts_planned: tuple[str, ...]
    hosts_seen: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    evidence: Mapping[str, str] | None = None
    """Name → path of files that show it."""

    @property
    def passed(self) -> bool:
        return not self.reasons()

    @property
    def checks_run(self) -> int:
        """Checks that came to an answer: a skipped or crashed one did not."""
        return sum(1 for result in self.results if result.state in _ANSWERS)

    def reasons(self) -> tuple[str, ...]:
        """Every reason for a "no", in a fixed order; empty means passed."""
        return (
            *_hosts(self.declared, self.hosts_planned, self.hosts_seen),
            *_checks(self.declared, self.results),
            *(
                f"{r.key}{_on(r.host)}: {r.state}{_because(r.message)}"
                for r in self.results
                if r.state not in _HARMLESS
            ),
            *(f"{f.key} ({f.subject}): {f.summary}" for f in self.findings if f.inhibits),
        )


def _hosts(declared: Iterable[tuple[str, str]], planned: Iterable[str], seen: Iterable[str]) -> Iterable[str]:
    """Hosts seen = hosts planned, and where checks are declared per host, each planned host has some."""
    planned, seen = set(planned), set(seen)
    checked = {host for _, host in declared if host}
    if not planned:
        yield "nothing checked: no host is planned"
    for host in sorted(planned - seen):
        yield f"host {host} was planned and not seen"
    for host in sorted((seen | checked) - planned):
        yield f"host {host} was not planned"
    for host in sorted(planned - checked) if checked else ():
        yield f"host {host} was planned and no check is declared for it"


def _checks(declared: Iterable[tuple[str, str]], results: Iterable[CheckResult]) -> Iterable[str]:
    """Checks run = checks declared, one by one."""
    wanted = Counter(declared)
    ran = Counter((result.key, result.host) for result in results)
    if not wanted:
        yield "nothing checked: the gate declares no check"
    for key, host in wanted:
        if wanted[key, host] > ran[key, host]:
            yield f"{key}{_on(host)}: declared and not run"
    for key, host in ran:
        if (key, host) not in wanted:
            yield f"{key}{_on(host)}: run and not declared"


def _on(host: str) -> str:
    return f" on {host}" if host else ""


def _because(message: str) -> str:
    return f": {message}" if message else ""
