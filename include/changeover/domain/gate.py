"""Gates: passed means every declared check ran on every planned host, and none says no (C17)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from changeover.domain.finding import Finding


class CheckState(StrEnum):
    """What one check said on one host. A crashed check is `error` and blocks like a failed one."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


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
        return sum(1 for result in self.results if result.state in (CheckState.PASSED, CheckState.FAILED))

    def reasons(self) -> tuple[str, ...]:
        """Every reason for a "no", in a fixed order; empty means passed."""
        return (
            *_coverage(self.declared, self.results, self.hosts_planned, self.hosts_seen),
            *(
                f"{r.key}{_on(r.host)}: {r.state}{_because(r.message)}"
                for r in self.results
                if r.state is not CheckState.PASSED
            ),
            *(f"{f.key} ({f.subject}): {f.summary}" for f in self.findings if f.inhibits),
        )


def _coverage(
    declared: Iterable[tuple[str, str]], results: Iterable[CheckResult], planned: Iterable[str], seen: Iterable[str]
) -> Iterable[str]:
    declared, planned = tuple(declared), tuple(planned)
    ran = {(r.key, r.host) for r in results}
    if not declared:
        yield "nothing checked: the gate declares no check"
    if not planned:
        yield "nothing checked: no host is planned"
    for host in sorted(set(planned) - set(seen)):
        yield f"host {host} was planned and not seen"
    for key, host in declared:
        if (key, host) not in ran:
            yield f"{key}{_on(host)}: declared and not run"


def _on(host: str) -> str:
    return f" on {host}" if host else ""


def _because(message: str) -> str:
    return f": {message}" if message else ""
