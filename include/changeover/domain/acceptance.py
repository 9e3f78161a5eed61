"""Acceptance: the wanted release runs on every planned host, and every suite ran in full and said yes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.version import VersionError, same

VERSION = "version-running"
READING = "hosts-read"


@dataclass(frozen=True)
class SuiteRun:
    """What an acceptance or expectation suite did. `declared` are the (check, host) pairs it should have run."""

    declared: tuple[tuple[str, str], ...]
    results: tuple[CheckResult, ...]
    hosts_seen: tuple[str, ...]
    evidence: Mapping[str, Path]


@dataclass(frozen=True)
class Retest:
    """Something the analysis wants tested again, and the acceptance tests that cover it."""

    key: str
    subjects: tuple[str, ...]
    owner: str
    tests: tuple[str, ...]


def acceptance_gate(
    gate: str,
    environment: str,
    *,
    target_version: str,
    hosts_planned: Sequence[str],
    reports: Mapping[str, Mapping[str, Any]],
    suites: Mapping[str, SuiteRun],
    reading_reasons: Sequence[str] = (),
    version_scheme: str = "pep440",
    retests: Sequence[Retest] = (),
) -> GateResult:
    """`reports` are what `verify` said of each host, `reading_reasons` why that reading is not whole.

    A host was seen when it reported, and when some suite ran a check on it. A suite that declares nothing is a "no".
    """
    results = [
        *_reading(reading_reasons),
        *(_version(host, reports.get(host, {}), target_version, version_scheme) for host in hosts_planned),
        *_covered(hosts_planned, suites),
        *(_retested(retest, suites) for retest in retests),
    ]
    declared = [(result.key, result.host) for result in results]
    for suite in suites.values():
        declared += suite.declared
        results += suite.results
    tested = {host for suite in suites.values() for host in suite.hosts_seen}
    return GateResult(
        gate,
        environment,
        tuple(declared),
        tuple(results),
        hosts_planned=tuple(hosts_planned),
        hosts_seen=tuple(host for host in hosts_planned if reports.get(host) and host in tested),
        evidence={
            f"{name}/{file}": str(path) for name, suite in suites.items() for file, path in suite.evidence.items()
        },
    )


def _reading(reasons: Sequence[str]) -> tuple[CheckResult, ...]:
    if reasons:
        return (CheckResult(READING, "", CheckState.FAILED, "; ".join(reasons)),)
    return (CheckResult(READING, "", CheckState.PASSED),)


def _version(host: str, report: Mapping[str, Any], wanted: str, scheme: str) -> CheckResult:
    found = report.get("version")
    if not isinstance(found, str) or not found:
        return CheckResult(VERSION, host, CheckState.FAILED, "the running version could not be read")
    try:
        equal = same(found, wanted, scheme)
    except VersionError as exc:
        return CheckResult(VERSION, host, CheckState.FAILED, str(exc))
    if equal:
        return CheckResult(VERSION, host, CheckState.PASSED, found)
    return CheckResult(VERSION, host, CheckState.FAILED, f"{found} found, {wanted} wanted")


def _covered(planned: Sequence[str], suites: Mapping[str, SuiteRun]) -> list[CheckResult]:
    """A suite that checks nothing, and a host that no suite checks, each have a result of their own."""
    if not suites:
        return [CheckResult("suites", "", CheckState.FAILED, "nothing checked: no suite was run")]
    empty = [
        CheckResult(f"suite-{name}", "", CheckState.FAILED, "nothing checked: the suite declares no check")
        for name, suite in suites.items()
        if not suite.declared
    ]
    checked = {host for suite in suites.values() for _, host in suite.declared}
    return empty + [
        CheckResult("suites", host, CheckState.FAILED, "no suite declares a check for this host")
        for host in planned
        if host not in checked
    ]


def _retested(retest: Retest, suites: Mapping[str, SuiteRun]) -> CheckResult:
    """A test that was to be run again and was not is a "no"; one that failed says so itself."""
    key, what = f"retest-{retest.key}", ", ".join(retest.subjects)
    if not retest.tests:
        text = f"{what}: no acceptance test covers it; the {retest.owner} has to say that it works"
        return CheckResult(key, "", CheckState.ADVISED, text)
    ran: dict[str, list[CheckResult]] = {test: [] for test in retest.tests}
    for result in (result for suite in suites.values() for result in suite.results):
        ran.get(result.key.rpartition("::")[2], []).append(result)
    missing = [test for test, results in ran.items() if not results]
    if missing:
        return CheckResult(key, "", CheckState.FAILED, f"{what}: not tested again, {', '.join(missing)} did not run")
    bad = sorted({test for test, results in ran.items() for r in results if r.state is not CheckState.PASSED})
    if bad:
        return CheckResult(key, "", CheckState.ADVISED, f"{what}: tested again, and {', '.join(bad)} did not pass")
    return CheckResult(key, "", CheckState.PASSED, f"{what}: tested again by {', '.join(retest.tests)}")
