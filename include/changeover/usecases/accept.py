"""Acceptance: the wanted release runs on every host, the suite passes, the business data is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from changeover.domain.acceptance import Retest, acceptance_gate
from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult
from changeover.domain.gate import GateResult
from changeover.domain.record import MarkKind, StepRecord, StepStatus
from changeover.ports import Comparison, SuiteRun
from changeover.usecases.evidence import (
    business_data_before,
    evidence_path,
    keep_text,
    record_file,
)
from changeover.usecases.retests import retests
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Tools, Upgrade, hosts_of, mark

SUITE_LIMIT = timedelta(minutes=10)


@dataclass(frozen=True)
class AcceptanceWanted:
    """Which release is to be accepted, and under which name the gate is kept."""

    gate: str
    environment: str
    target_version: str
    hosts: tuple[str, ...] = ()
    """Only these hosts; empty means all of the environment."""
    retests: tuple[Retest, ...] = ()
    """What has to be seen tested beside what the analysis wants tested of the wanted release."""
    only: tuple[str, ...] = ()
    """Only these tests, by name, and no look at the business data; empty means all of both."""


def accept(upgrade: Upgrade, tools: Tools, wanted: AcceptanceWanted) -> GateResult:
    """Read the hosts, run both suites beside each other, decide, and keep everything as evidence."""
    hosts = _hosts(upgrade, tools, wanted)
    turn = _times_run(upgrade, tools, wanted) + 1
    step = StepRecord(upgrade.run.key, wanted.environment, wanted.gate, turn, tools.clock())
    tools.ledger.begin_step(step)
    folder = evidence_path(upgrade, tools, wanted.environment, f"{wanted.gate}-{turn}")
    with _tests_waiting(upgrade, tools, wanted, hosts, folder) as tests:
        reading = _read(upgrade, tools, wanted, hosts)
        reports = {host.host: host.report for host in reading.hosts}
        suites = _run_suites(upgrade, tools, wanted, reports, tests)
    gate = acceptance_gate(
        wanted.gate,
        wanted.environment,
        target_version=wanted.target_version,
        hosts_planned=tuple(host.name for host in hosts),
        reports=reports,
        suites=suites,
        reading_reasons=reading.reasons if not reading.successful else (),
        version_scheme=upgrade.release.version_scheme,
        retests=wanted.retests or _wanted_again(upgrade, tools, wanted),
    )
    _record(upgrade, tools, gate, step, hosts, reports)
    return gate


def _read(upgrade: Upgrade, tools: Tools, wanted: AcceptanceWanted, hosts: tuple[Host, ...]) -> ExecutionResult:
    step, version = f"{wanted.gate}_verify", wanted.target_version
    work = HostWork(step, "verify.yml", wanted.environment, version, changes=False, hosts=hosts)
    return run_on_hosts(upgrade, tools, work)


def _record(
    upgrade: Upgrade,
    tools: Tools,
    gate: GateResult,
    step: StepRecord,
    hosts: tuple[Host, ...],
    reports: Mapping[str, Mapping[str, Any]],
) -> None:
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    for host, report in reports.items():
        key = f"{step.step}-{step.environment}-{host}-{step.generation}"
        version = report.get("version")
        mark(upgrade, tools, MarkKind.VERSION_DISCOVERED, step.environment, host=host, key=key, version=version)
    tools.ledger.end_step(
        replace(
            step,
            ended_at=tools.clock(),
            status=StepStatus.SUCCESSFUL if gate.passed else StepStatus.FAILED,
            hosts={host.name: "seen" if host.name in gate.hosts_seen else "not seen" for host in hosts},
            reasons=gate.reasons(),
        )
    )


def _wanted_again(upgrade: Upgrade, tools: Tools, wanted: AcceptanceWanted) -> tuple[Retest, ...]:
    """By the analysis, of the plan's own release: neither of a stop on the way nor of the old release."""
    planned = wanted.target_version == upgrade.plan.to_version
    return retests(upgrade, tools, wanted.environment) if planned else ()


@dataclass(frozen=True)
class _Waiting:
    """Tests that are ready and wait for the word to begin: they may change what is read of the business data."""

    hosts: tuple[Host, ...]
    folder: Path
    pool: ThreadPoolExecutor
    running: Future[SuiteRun]
    word: SimpleQueue[bool]


@contextmanager
def _tests_waiting(
    upgrade: Upgrade, tools: Tools, wanted: AcceptanceWanted, hosts: tuple[Host, ...], folder: Path
) -> Iterator[_Waiting]:
    """Starting both suites costs seconds, which pass while the hosts are read."""
    credentials = tools.vault.credentials(sorted({host.connection for host in hosts}))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    word: SimpleQueue[bool] = SimpleQueue()
    if not wanted.only:
        tools.expectations.warm()
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(
            tools.acceptance.run,
            upgrade.plan.application,
            hosts,
            credentials,
            target_version=wanted.target_version,
            environment=wanted.environment,
            evidence=folder,
            timeout=SUITE_LIMIT,
            begin=word.get,
            only=wanted.only,
        )
        try:
            yield _Waiting(hosts, folder, pool, running, word)
        finally:
            word.put(False)  # a word that comes second is not heard


def _run_suites(
    upgrade: Upgrade,
    tools: Tools,
    wanted: AcceptanceWanted,
    reports: Mapping[str, Mapping[str, Any]],
    tests: _Waiting,
) -> Mapping[str, SuiteRun]:
    folder = tests.folder
    tests.word.put(True)
    if wanted.only:
        return _kept(upgrade, tools, wanted, folder, {"tests": tests.running.result()})
    comparisons = _comparisons(upgrade, tools, wanted, {host.name for host in tests.hosts}, reports)
    after = {comparison.host: comparison.after for comparison in comparisons}
    keep_text(
        upgrade,
        tools,
        wanted.environment,
        f"{folder.name}/business-data-after.json",
        json.dumps(after, indent=1, sort_keys=True, default=str),
    )
    data = tests.pool.submit(
        tools.expectations.run_many,
        upgrade.plan.application,
        comparisons,
        environment=wanted.environment,
        evidence=folder,
        timeout=SUITE_LIMIT,
    )
    return _kept(upgrade, tools, wanted, folder, {"tests": tests.running.result(), "data": data.result()})


def _kept(
    upgrade: Upgrade, tools: Tools, wanted: AcceptanceWanted, folder: Path, suites: Mapping[str, SuiteRun]
) -> Mapping[str, SuiteRun]:
    """Their evidence, on record."""
    for suite in suites.values():
        for name, path in suite.evidence.items():
            record_file(upgrade, tools, wanted.environment, f"{folder.name}/{name}", path)
    return suites


def _comparisons(
    upgrade: Upgrade, tools: Tools, wanted: AcceptanceWanted, hosts: Set[str], reports: Mapping[str, Mapping[str, Any]]
) -> tuple[Comparison, ...]:
    """Each host's own data before and after; a host that had data and gives none any more is compared with nothing."""
    path = evidence_path(upgrade, tools, wanted.environment, "business-data-before.json")
    before = business_data_before(path) if path.exists() else {}
    return tuple(
        Comparison(host, data, reports.get(host, {}).get("data") or {})
        for host, data in sorted(before.items())
        if host in hosts
    )


def _hosts(upgrade: Upgrade, tools: Tools, wanted: AcceptanceWanted) -> tuple[Host, ...]:
    everyone = hosts_of(upgrade, tools, wanted.environment)
    return tuple(host for host in everyone if host.name in wanted.hosts) if wanted.hosts else everyone


def _times_run(upgrade: Upgrade, tools: Tools, wanted: AcceptanceWanted) -> int:
    return sum(
        1 for step in tools.ledger.steps(upgrade.run.key, environment=wanted.environment) if step.step == wanted.gate
    )
