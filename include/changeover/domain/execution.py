"""What one execution of Ansible did, host by host, counted by ourselves; and what may be said of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any

from changeover.domain.record import StepStatus


def execution_token(run_key: str, environment: str, step: str, generation: int) -> str:
    """Follows from the names alone: it can be looked for on hosts even when every record here is lost."""
    return sha256("\n".join((run_key, environment, step, str(generation))).encode()).hexdigest()[:32]


class HostState(StrEnum):
    """How a host came out. Only `ok` is a success; `rescued` hides a failure and counts as one."""

    OK = "ok"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    RESCUED = "rescued"
    NOT_ATTEMPTED = "not_attempted"


@dataclass(frozen=True)
class HostResult:
    host: str
    state: HostState
    failed_task: str | None = None
    message: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    """The last `changeover_report` fact the role set on this host."""
    changed: int = 0


@dataclass(frozen=True)
class ExecutionResult:
    """`unknown` means nobody can say what is true on the hosts until they are asked."""

    status: StepStatus
    hosts: tuple[HostResult, ...]
    reasons: tuple[str, ...]
    token: str
    started_at: datetime | None
    ended_at: datetime | None
    directory: str

    @property
    def successful(self) -> bool:
        return self.status is StepStatus.SUCCESSFUL

    def report(self, host: str) -> Mapping[str, Any]:
        return next((result.report for result in self.hosts if result.host == host), {})


@dataclass(frozen=True)
class Failure:
    """A task that went wrong on a host, in the words of the tool."""

    task: str
    message: str = ""


@dataclass(frozen=True)
class HostTally:
    """What the events said of one host. `ran` counts tasks that did something: not skipped ones, not mere includes."""

    host: str
    started: int = 0
    ran: int = 0
    reached: int = 0
    """Tasks that came to an end on the host itself, as opposed to ones that only think (`debug`, `set_fact`)."""
    skipped: int = 0
    changed: int = 0
    failures: tuple[Failure, ...] = ()
    ignored: tuple[Failure, ...] = ()
    unreachable: Failure | None = None
    last_task: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HostSummary:
    """The tool's own closing count for one host."""

    ok: int = 0
    failures: int = 0
    unreachable: int = 0
    rescued: int = 0
    ignored: int = 0


class Ending(StrEnum):
    """Why Ansible came to its end."""

    BY_ITSELF = "by itself"
    TIMED_OUT = "timed out"
    STOPPED = "stopped"
    TOOL_BROKE = "the tool broke"


@dataclass(frozen=True)
class HostQuiet:
    """Whether a fresh connection confirmed that no process of the execution is left on a host."""

    host: str
    confirmed: bool
    seen: str


@dataclass(frozen=True)
class ExecutionFacts:
    """Everything known when Ansible has ended. `summary` is None when it ended without one."""

    planned: tuple[str, ...]
    tallies: Mapping[str, HostTally]
    summary: Mapping[str, HostSummary] | None
    return_code: int | None
    ending: Ending = Ending.BY_ITSELF
    detail: str = ""
    """What the limit was, who stopped it, or how the tool broke."""
    damaged_events: int = 0
    quiet: Mapping[str, HostQuiet] = field(default_factory=dict)


@dataclass(frozen=True)
class ExecutionVerdict:
    status: StepStatus
    hosts: tuple[HostResult, ...]
    reasons: tuple[str, ...]


def judge(facts: ExecutionFacts) -> ExecutionVerdict:
    """Successful only on positive proof for every planned host; unknown where a host may still be at work."""
    hosts = tuple(_host_result(facts, host) for host in facts.planned)
    doubts = tuple(_doubts(facts))
    faults = (*_endings(facts), *_faults(facts, hosts))
    if doubts:
        return ExecutionVerdict(StepStatus.UNKNOWN, hosts, (*doubts, *faults))
    if faults:
        return ExecutionVerdict(StepStatus.FAILED, hosts, faults)
    return ExecutionVerdict(StepStatus.SUCCESSFUL, hosts, ())


def hosts_to_quiet(facts: ExecutionFacts) -> tuple[str, ...]:
    """Planned hosts on which something may still run: they have to be asked over a fresh connection before `judge`."""
    tallies = [facts.tallies[host] for host in facts.planned if host in facts.tallies]
    if facts.ending is not Ending.BY_ITSELF or facts.summary is None:
        return tuple(tally.host for tally in tallies if tally.started)
    return tuple(tally.host for tally in tallies if _lost_at_work(tally))


_NEVER_CONNECTED = re.compile(
    r"ssh: connect to host |Could not resolve hostname|Host key verification failed|Permission denied \(|"
    r"kex_exchange_identification|No route to host|Connection timed out during banner exchange"
)
"""What ssh says when it did not get in at all."""


def _lost_at_work(tally: HostTally) -> bool:
    """The connection broke: what it carried may still run, unless it is plain that nothing ever got through."""
    if tally.unreachable is None:
        return False
    return tally.reached > 0 or not _NEVER_CONNECTED.search(tally.unreachable.message)


def _host_result(facts: ExecutionFacts, host: str) -> HostResult:
    tally = facts.tallies.get(host, HostTally(host))
    summary = (facts.summary or {}).get(host, HostSummary())
    failure = tally.failures[0] if tally.failures else None

    def result(state: HostState, failed: Failure | None = None, message: str = "") -> HostResult:
        text = message or (failed.message if failed else "")
        return HostResult(host, state, failed.task if failed else None, text, tally.report, tally.changed)

    if tally.unreachable is not None or summary.unreachable:
        return result(HostState.UNREACHABLE, tally.unreachable)
    if summary.rescued:
        return result(HostState.RESCUED, failure)
    if failure or summary.failures:
        return result(HostState.FAILED, tally.failures[-1] if failure else None)
    if not tally.ran:
        note = f"every task was skipped ({tally.skipped})" if tally.skipped else "no task ran"
        return result(HostState.NOT_ATTEMPTED, message=note)
    if tally.ignored:
        names = ", ".join(dict.fromkeys(entry.task for entry in tally.ignored))
        return result(HostState.OK, message=f"failures ignored by the playbook: {names}")
    return result(HostState.OK)


def _doubts(facts: ExecutionFacts) -> Iterable[str]:
    if facts.ending is Ending.TOOL_BROKE:
        yield f"Ansible's record of this execution broke off: {facts.detail or 'no detail'}"
    if facts.damaged_events:
        yield f"{facts.damaged_events} of Ansible's events could not be read or recorded"
    for host in hosts_to_quiet(facts):
        quiet = facts.quiet.get(host)
        if quiet is None or not quiet.confirmed:
            yield f"stop not confirmed on {host}: {quiet.seen if quiet else 'it was not asked'}"
    if facts.ending is Ending.BY_ITSELF:
        yield from _unexplained(facts)


def _unexplained(facts: ExecutionFacts) -> Iterable[str]:
    """Ansible ended of its own accord, yet what it left behind does not add up."""
    died = facts.return_code is None or facts.return_code < 0
    if died:
        yield f"ansible-playbook was ended from outside (return code {facts.return_code})"
    if facts.summary is None:
        started = sorted(tally.host for tally in facts.tallies.values() if tally.started)
        if started and not died:
            yield f"ansible-playbook ended without a summary after it had started on {', '.join(started)}"
        return
    for host, summary in sorted(facts.summary.items()):
        tally = facts.tallies.get(host, HostTally(host))
        if (
            summary.failures > len(tally.failures)
            or summary.rescued > len(tally.failures)
            or (summary.unreachable and tally.unreachable is None)
            or (summary.ok and not tally.started)
        ):
            yield f"events of {host} are missing: Ansible's summary counts more than its events show"


def _endings(facts: ExecutionFacts) -> Iterable[str]:
    if facts.ending in (Ending.TIMED_OUT, Ending.STOPPED):
        yield f"{facts.ending}: {facts.detail}" if facts.detail else str(facts.ending)
        for host in hosts_to_quiet(facts):
            quiet = facts.quiet.get(host)
            if quiet is not None and quiet.confirmed:
                yield f"stop confirmed on {host}: {quiet.seen}"


def _faults(facts: ExecutionFacts, hosts: tuple[HostResult, ...]) -> Iterable[str]:
    attempted = [host for host in hosts if host.state is not HostState.NOT_ATTEMPTED]
    if not hosts:
        yield "no host was planned: 0 of 0 processed"
    elif not attempted:
        names = ", ".join(host.host for host in hosts)
        yield f"0 of {len(hosts)} planned hosts were processed: {names}"
    for result in hosts:
        yield from _fault(result, named=bool(attempted))
    for host in sorted(set(facts.tallies) - set(facts.planned)):
        if facts.tallies[host].started or facts.tallies[host].ran:
            yield f"{host} was worked on and is not a planned host"
    if facts.ending is Ending.BY_ITSELF and facts.return_code:
        yield f"ansible-playbook return code {facts.return_code}{': ' + facts.detail if facts.detail else ''}"


def _fault(result: HostResult, *, named: bool) -> Iterable[str]:
    because = f": {result.message}" if result.message else ""
    match result.state:
        case HostState.RESCUED:
            yield f"rescued: {result.failed_task or 'a task'} on {result.host}{because}"
        case HostState.FAILED:
            yield f"failed: {result.failed_task or 'a task'} on {result.host}{because}"
        case HostState.UNREACHABLE:
            yield f"unreachable: {result.host}{because}"
        case HostState.NOT_ATTEMPTED if named:
            yield f"not processed: {result.host}{because}"
        case _:
            return
