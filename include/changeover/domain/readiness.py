"""Readiness: every check of the stage asked of every planned host; a fact that was not read is a "no"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from changeover.domain.check import Catalogue, Check, CheckStage
from changeover.domain.estate import EstateEnvironment, Host
from changeover.domain.facts import ReadinessFacts
from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Plan
from changeover.domain.readiness_checks import (
    ENVIRONMENT_CHECKS,
    HOST_CHECKS,
    EnvironmentQuestion,
    HostQuestion,
    Said,
)
from changeover.domain.release import ReleaseRecord

Question = TypeVar("Question", HostQuestion, EnvironmentQuestion)


def readiness_gate(
    gate: str,
    environment: str,
    *,
    plan: Plan,
    release: ReleaseRecord,
    record: EstateEnvironment,
    hosts: Sequence[Host],
    facts: ReadinessFacts,
    catalogue: Catalogue,
    stage: CheckStage = CheckStage.READINESS,
) -> GateResult:
    """Whether the change may begin. `hosts` are the frozen ones; `record` is the environment as the CMDB has it now."""
    results, findings = [], []
    for check in catalogue.at(stage, off=plan.checks_off):
        for host, state, why in _asked(check, plan, release, record, hosts, facts):
            results.append(CheckResult(check.key, host, state, why))
            if state is CheckState.ADVISED:
                findings.append(_advisory(check, host or environment, why))
    return GateResult(
        gate,
        environment,
        declared=tuple((result.key, result.host) for result in results),
        results=tuple(results),
        hosts_planned=tuple(host.name for host in hosts),
        hosts_seen=tuple(host.name for host in hosts if _seen(host.name, facts)),
        findings=tuple(findings),
    )


def _asked(
    check: Check,
    plan: Plan,
    release: ReleaseRecord,
    record: EstateEnvironment,
    hosts: Sequence[Host],
    facts: ReadinessFacts,
) -> Iterable[tuple[str, CheckState, str]]:
    if ask := ENVIRONMENT_CHECKS.get(check.key):
        names = tuple(host.name for host in hosts)
        yield "", *_answer(check, ask, EnvironmentQuestion(check, plan, release, record, facts, names))
        return
    for host in hosts:
        question = HostQuestion(check, plan, release, record, facts, host)
        yield host.name, *_answer(check, HOST_CHECKS.get(check.key, _not_implemented), question)


def _answer(check: Check, ask: Callable[[Question], Said], question: Question) -> tuple[CheckState, str]:
    try:
        said = ask(question)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:  # a report of another shape than agreed
        return CheckState.ERROR, f"the facts cannot be understood: {type(exc).__name__}: {exc}"
    if said.ok:
        return CheckState.PASSED, said.why
    return CheckState.FAILED if check.severity is Severity.INHIBITOR else CheckState.ADVISED, said.why


def _not_implemented(question: HostQuestion) -> Said:
    raise ValueError(f"no check {question.check.key!r} is implemented")


def _advisory(check: Check, subject: str, why: str) -> Finding:
    return Finding(check.key, subject, why, Severity.ADVISORY, check.remediation)


def _seen(host: str, facts: ReadinessFacts) -> bool:
    probe = facts.probes.get(host)
    return probe is not None and probe.reachable and bool(facts.reports.get(host))
