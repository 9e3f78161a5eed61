"""What the use cases need from the outside, in our words. Adapters implement these; tests use small in-memory ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from changeover.domain.acceptance import SuiteRun
from changeover.domain.analysis_facts import AnalysisTraits
from changeover.domain.artefacts import ArtefactSet
from changeover.domain.cap import Caps, Claim
from changeover.domain.change import ChangeModel, ChangeState, CloseCode
from changeover.domain.effort import Effort
from changeover.domain.estate import Estate, EstateEnvironment, Host, Person
from changeover.domain.execution import ExecutionResult
from changeover.domain.facts import HostFacts
from changeover.domain.gate import GateResult
from changeover.domain.host_lock import HostHold, Lock
from changeover.domain.incident import IncidentReport, Taken
from changeover.domain.kpi import Asked, KpiSum
from changeover.domain.notice import Delivery, Message
from changeover.domain.outcome import Verdict
from changeover.domain.plan import Plan
from changeover.domain.rate_card import RateCard
from changeover.domain.record import Evidence, Mark, MarkKind, Run, StepRecord
from changeover.domain.waiver import Waiver
from changeover.domain.watch import Watched

Clock = Callable[[], datetime]
"""Now, in UTC."""


class Ledger(Protocol):
    """Our own record. Append-only; every write is idempotent under its natural key and survives a crash."""

    def open_run(self, run: Run) -> Run:
        """Store the run, or return the one stored under the key; raise `LedgerError` if its plan digest is another."""

    def run(self, key: str) -> Run | None: ...
    def runs(self, *, limit: int = 50, application: str | None = None) -> tuple[Run, ...]:
        """Newest first."""

    def freeze_hosts(self, key: str, environments: Mapping[str, tuple[Host, ...]]) -> None:
        """Write the hosts of each environment once; raise `LedgerError` when others are frozen already."""

    def frozen_hosts(self, key: str) -> Mapping[str, tuple[Host, ...]]: ...
    def mark(self, mark: Mark) -> None: ...
    def marks(self, key: str, *, environment: str | None = None, kind: MarkKind | None = None) -> tuple[Mark, ...]:
        """Oldest first."""

    def begin_step(self, step: StepRecord) -> None:
        """Write ahead; the same (run, environment, step, generation) again is a no-op."""

    def end_step(self, step: StepRecord) -> None:
        """Complete the step begun before; a step that has ended stays as it ended."""

    def steps(self, key: str, *, environment: str | None = None) -> tuple[StepRecord, ...]: ...
    def record_gate(self, key: str, gate: GateResult, at: datetime) -> None: ...
    def gates(self, key: str, *, environment: str | None = None) -> tuple[tuple[datetime, GateResult], ...]:
        """Oldest first; a gate run again appears again."""

    def add_evidence(self, evidence: Evidence) -> None: ...
    def evidence(self, key: str) -> tuple[Evidence, ...]: ...
    def record_outcome(self, key: str, environment: str, verdict: Verdict, at: datetime) -> None:
        """`environment` "" is the run as a whole. The newest counts; older ones stay in the history."""

    def outcomes(self, key: str) -> Mapping[str, Verdict]: ...
    def enqueue(self, write: CmdbWrite) -> None:
        """Put a CMDB write into the outbox; the same `op_key` again is a no-op."""

    def pending_writes(self, *, limit: int = 100, due: datetime | None = None) -> tuple[CmdbWrite, ...]:
        """In the order they were enqueued; a write behind a failed or dead one of the same change is held back.

        With `due`, a failed write whose next try lies after that time is left out too.
        """

    def write_delivered(self, op_key: str, at: datetime) -> None: ...
    def write_failed(
        self, op_key: str, error: str, at: datetime, *, retry_at: datetime | None = None, refused: bool = False
    ) -> None:
        """Not written yet. `refused` counts a "no" of a CMDB that was there, apart from outages."""

    def write_dead(self, op_key: str, error: str, at: datetime) -> None:
        """Not tried again until a person says so; the later writes of its change wait behind it."""

    def revive_write(self, op_key: str, by: str, at: datetime) -> None:
        """A person (`by`) has a dead write tried again."""

    def outbox(self, *, change: str | None = None, state: WriteState | None = None) -> tuple[OutboxItem, ...]:
        """In the order they were enqueued."""

    def verify_chain(self, key: str) -> tuple[str, ...]:
        """Every fault in the chained record of a run; empty when it is whole."""

    def chain_head(self, key: str) -> str:
        """Digest of the newest entry: kept elsewhere (in a report), it shows a later cut of the chain's end."""


@dataclass(frozen=True)
class Rate:
    """Cost of an hour of a role from a day (ISO date) on, in hundredths of the currency."""

    provider: str
    role: str
    currency: str
    cents: int
    valid_from: str


class EffortBook(Protocol):
    """Time sheets and rate cards. Append-only; what is recorded twice counts once."""

    def record_efforts(self, efforts: Iterable[Effort]) -> int:
        """How many were not there yet; all of them are written, or none."""

    def withdraw_efforts(self, efforts: Iterable[Effort], *, by: str, reason: str) -> int:
        """How many of these lines were on record, and count no more; what is not on record is left alone."""

    def efforts(self) -> tuple[Effort, ...]:
        """Every line that counts."""

    def record_rate_card(self, card: RateCard) -> int:
        """How many of its rates were not there yet; raise `LedgerError` where another one is on record for the day."""

    def has_rate(self, role: str, day: date) -> bool: ...


class NoticeBook(Protocol):
    """Which notices went to whom. Append-only; of several processes that want to send one, a single one may."""

    def begin(self, key: str, *, plan: str, at: datetime) -> int | None:
        """The number of the try that is the caller's from now on; None when it was sent or settled, when somebody is
        at it, or when the time for another try has not come.
        """

    def record(self, delivery: Delivery) -> None:
        """Sent or not sent counts once and for ever; failed counts once for each try."""

    def settled(self, plan: str) -> Set[str]:
        """Delivery keys of a plan that are sent, or will never be."""

    def deliveries(self, *, plan: str | None = None) -> tuple[Delivery, ...]:
        """Oldest first, with the tries that failed."""


class Channel(Protocol):
    """A way to people."""

    def send(self, connection: str, message: Message) -> None:
        """Over this connection of Airflow's; raise `NoticeRefused` for a "no" for good, `NoticeError` for an outage."""


class Fleet(Protocol):
    """What lanes of all plans share: caps, and who is at work on what. Of several that want one place, one gets it."""

    def caps(self) -> Caps:
        """Raise `PlanError` when they cannot be read: caps that nobody knows are no free place."""

    def held(self) -> tuple[Claim, ...]:
        """Oldest first."""

    def take(self, claim: Claim, hindered: Callable[[Sequence[Claim]], tuple[str, ...]]) -> tuple[str, ...]:
        """Take it unless something hinders it, asked about those who hold something at that moment; () when it is held.

        One that is held already stays as it is.
        """

    def give_back(self, run: str, environment: str, at: datetime) -> None:
        """Harmless where nothing is held."""


class KpiReader(Protocol):
    """Sums over what the ledger holds; computed when asked, never stored."""

    def sums(self, asked: Asked) -> tuple[KpiSum, ...]: ...


@dataclass(frozen=True)
class CmdbWrite:
    """One write to the CMDB. `op_key` makes a replay a no-op; `change` orders it.

    kinds and payloads: open_change {title, description, client, application, requested_by, reference,
    environments, model}; plan_change {planned_start, planned_end, risk, affected}; move_change {state}; note {text};
    record_version {client, application, environment, host, version};
    record_run {run, outcome, mode, from_version, to_version, plan_digest, started_at, ended_at,
    environments{name: outcome}};
    link_incident {number}: put down to this change, unless it is put down to one already;
    close_change {code, notes}: closed from implement or review; a change that never came so far is canceled instead.
    """

    op_key: str
    change: str
    """Correlation id of the change: the run key."""
    kind: str
    payload: Mapping[str, Any]
    at: datetime


class WriteState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True)
class OutboxItem:
    """A write in the outbox, and how it fares."""

    write: CmdbWrite
    state: WriteState
    attempts: int = 0
    """Tries that failed, for whatever reason."""
    refusals: int = 0
    """Of these, the ones a reachable CMDB refused."""
    next_at: datetime | None = None
    error: str = ""
    settled_at: datetime | None = None
    """When it was delivered or died."""


@dataclass(frozen=True)
class ChangeRecord:
    """A change as the CMDB has it."""

    correlation_id: str
    number: str
    state: ChangeState
    title: str
    close_code: CloseCode | None = None
    close_notes: str = ""
    notes: tuple[str, ...] = ()
    history: tuple[tuple[datetime, ChangeState], ...] = ()
    model: ChangeModel = ChangeModel.NORMAL
    planned_start: datetime | None = None
    planned_end: datetime | None = None
    risk: str = ""
    affected: tuple[str, ...] = ()
    """Configuration items that are touched."""


@dataclass(frozen=True)
class RunRecord:
    """What the CMDB has of an upgrade run."""

    run: str
    outcome: str
    mode: str
    from_version: str
    to_version: str
    plan_digest: str
    started_at: datetime
    ended_at: datetime | None
    environments: Mapping[str, str]
    """Environment → outcome."""


@dataclass(frozen=True)
class Incident:
    number: str
    severity: int
    opened_at: datetime
    closed_at: datetime | None
    summary: str
    caused_by: str = ""
    """Correlation id of the change it is put down to."""
    environment: str = ""
    host: str = ""
    """The CI it is about, as far as it is known."""

    @property
    def told(self) -> str:
        return f"{self.number} (severity {self.severity}): {self.summary}"


class IncidentLog(Protocol):
    """Where incidents that other systems tell are recorded."""

    def record_incident(self, report: IncidentReport) -> tuple[Incident, Taken] | tuple[str, ...]:
        """Once per client and key, however often it is told; or what the CMDB does not know, as `path: message`."""


class Cmdb(Protocol):
    """The configuration and change database. Reads raise `CmdbError` when the answer is ambiguous or cannot be had."""

    def people(self, client: str) -> tuple[Person, ...]: ...
    def environment(self, client: str, application: str, name: str) -> EstateEnvironment | None:
        """With its hosts and the version on record (None while its hosts differ); None for an unknown environment."""

    def change(self, correlation_id: str) -> ChangeRecord | None: ...
    def versions(self, client: str, application: str, environment: str) -> Mapping[str, str | None]:
        """Host → version on record."""

    def open_incidents(
        self, client: str, application: str, *, since: datetime | None = None
    ) -> tuple[Incident, ...]: ...
    def incidents_since(self, client: str, application: str, since: datetime) -> tuple[Incident, ...]:
        """Those opened since then, open or closed by now; oldest first."""

    def run_record(self, run: str) -> RunRecord | None: ...
    def apply(self, write: CmdbWrite) -> None:
        """Idempotent by op_key. Raise `CmdbError` on an illegal move of the change, or when the write did not stick;
        `CmdbUnavailable` when the CMDB could not be asked.
        """

    def estate(self, client: str) -> Estate | None:
        """All that is live of a client, by slug or name, as `import_estate` takes it; None for an unknown client."""

    def import_estate(self, estate: Estate, *, reset: bool = False) -> None:
        """Make the CMDB hold this estate; repeatable. Versions already recorded by runs are kept, unless `reset`.

        What the estate no longer names is retired: environments and hosts of its applications, people it brought.
        """


@dataclass(frozen=True)
class ExecutionSpec:
    """One playbook on these hosts. `generation` rises only by a decision to do the step again; a retry keeps it."""

    run_key: str
    environment: str
    step: str
    generation: int
    playbook: str
    hosts: tuple[Host, ...]
    variables: Mapping[str, Any]
    timeout: timedelta
    directory: Path
    """Deterministic, private: `…/executions/<environment>.<step>.<generation>`."""
    sources: tuple[Host, ...] = ()
    """Hosts that are only read from (a baseline's data); inventory group `sources`, counted like the others."""


@dataclass(frozen=True)
class StopSpec:
    """An execution that is to end. `hosts` are all that it may have touched; its processes carry the token."""

    directory: Path
    hosts: tuple[Host, ...]
    token: str


@dataclass(frozen=True)
class Credentials:
    """Held in memory only. `secrets` reach roles through the `changeover_secret` lookup."""

    ssh_keys: Mapping[str, str]
    """Airflow connection id → private key text."""
    secrets: Mapping[str, str] = field(default_factory=dict)


class Executor(Protocol):
    """Runs Ansible detached from the caller."""

    def run(
        self,
        spec: ExecutionSpec,
        credentials: Credentials,
        *,
        on_event: Callable[[str], None],
        stop: Callable[[], str],
    ) -> ExecutionResult:
        """Start it, attach to it if it runs, or return its result if it ended. Never runs a directory twice.

        `stop` is asked again and again: why it has to end, "" while it may go on.
        """

    def prepare(self, directory: Path) -> None:
        """Have the directory before the ledger says that the step began: where it lacks, another machine has it."""

    def here(self, directory: Path) -> bool:
        """Whether the directory is on this machine."""

    def running(self, directory: Path) -> bool:
        """Whether an execution of that directory is alive."""

    def stop(self, execution: StopSpec, credentials: Credentials, *, why: str) -> tuple[bool, str]:
        """End it here and on its hosts; (confirmed over fresh connections, what was seen).

        What has not begun will not begin any more.
        """

    def left(self, directory: Path) -> ExecutionResult | None:
        """The result of what ended or was lost; None while it runs, and where nothing of it is here."""


class Probe(Protocol):
    """Reads facts of hosts over SSH, all at once, within a hard limit."""

    def host_facts(
        self, hosts: Sequence[Host], credentials: Credentials, *, timeout: timedelta
    ) -> Mapping[str, HostFacts]: ...


class Watch(Protocol):
    """Looks at what lies below the paths of hosts that anything of ours may write to."""

    def look(
        self, hosts: Sequence[Host], credentials: Credentials, *, ignoring: Sequence[str], timeout: timedelta
    ) -> Mapping[str, Watched]:
        """`ignoring`: patterns below the watched paths, of what the running application itself writes."""


class AnalysisContent(Protocol):
    """What the product has for an analysis, beside plan and release record."""

    def artefacts(self, application: str, version: str) -> ArtefactSet: ...
    def traits(self, application: str) -> AnalysisTraits: ...
    def plan(self, text: str) -> Plan | None:
        """A plan that a run was pinned to; None for one of an older format."""

    def waivers(self, client: str) -> tuple[Waiver, ...]:
        """Raise `PlanError` with every fault of the client's file."""


class Holds(Protocol):
    """Reads lock, marker and living executions of hosts over fresh connections; changes nothing."""

    def holds(self, hosts: Sequence[Host], credentials: Credentials, *, timeout: timedelta) -> Mapping[str, HostHold]:
        """One answer per host, whatever the host does."""


class LockKeeper(Protocol):
    """Takes a lock off a host for a person."""

    def free(self, host: Host, credentials: Credentials, lock: Lock, *, by: str, reason: str) -> str:
        """Why it could not be done, or is another lock by now; "" when it is gone."""


class Workflow(Protocol):
    """What drives a run (Airflow). Raise `ChangeoverError` when it does not answer."""

    def state(self, run: Run) -> str | None:
        """running, queued, success or failed; None when it does not know the run."""

    def paused(self, run: Run) -> bool:
        """Whether somebody switched the run's DAG off, so that no further task is scheduled."""

    def again(self, run: Run, environment: str, stage: str) -> tuple[str, ...]:
        """Have a lane's stage and all that follows done again; the answer names the tasks. "" is the whole run."""


class TaskWorkflow(Protocol):
    """What drives a run, down to its tasks. Raise `ChangeoverError` when it does not answer."""

    def state(self, run: Run) -> str | None:
        """As `Workflow` tells it."""

    def task_state(self, run: Run, task: str) -> str | None:
        """What Airflow shows of one task of the run; None when it shows nothing, or does not know it."""


class AcceptanceSuite(Protocol):
    """The application's pytest-testinfra suite."""

    def run(
        self,
        application: str,
        hosts: Sequence[Host],
        credentials: Credentials,
        *,
        target_version: str,
        environment: str,
        evidence: Path,
        timeout: timedelta,
        begin: Callable[[], bool] = lambda: True,
        only: Sequence[str] = (),
    ) -> SuiteRun:
        """`only`: names of the tests that are wanted; all when empty. One that does not exist is not declared.

        Raise `GateError` when pytest itself broke or ran out of time, which counts from the first test on.

        `begin` is asked when everything is ready, and answers when the tests may begin; False calls them off.
        """


Datasets = Mapping[str, Sequence[Mapping[str, Any]]]
"""Dataset name → rows, as read on a host by the role's `verify`."""


@dataclass(frozen=True)
class Comparison:
    """Business data before and after: of one host, or of a whole environment ("")."""

    host: str
    before: Datasets
    after: Datasets


class ExpectationSuite(Protocol):
    """The application's Great Expectations suite over business data before and after."""

    def queries(self, application: str, version: str) -> Mapping[str, Mapping[str, Any]]:
        """Dataset name → {query, key}: what `verify` has to read at that version."""

    def warm(self) -> None:
        """Begin to get ready for a `run_many` that will come; its start costs seconds."""

    def run_many(
        self,
        application: str,
        comparisons: Sequence[Comparison],
        *,
        environment: str,
        evidence: Path,
        timeout: timedelta,
    ) -> SuiteRun:
        """Every expectation for every comparison; raise `GateError` when the library broke or ran out of time."""


class Vault(Protocol):
    """Where credentials come from (Airflow connections)."""

    def credentials(self, connections: Sequence[str]) -> Credentials:
        """SSH keys of these connections and the secrets beside them; raise `ChangeoverError` if one is missing."""


def fresh(kind: MarkKind, marks: Sequence[Mark]) -> Mark | None:
    """The newest mark of a kind."""
    return next((mark for mark in reversed(marks) if mark.kind is kind), None)


__all__ = [
    "AcceptanceSuite",
    "AnalysisContent",
    "ChangeRecord",
    "Channel",
    "Clock",
    "Cmdb",
    "CmdbWrite",
    "Comparison",
    "Credentials",
    "Datasets",
    "EffortBook",
    "ExecutionResult",
    "ExecutionSpec",
    "Executor",
    "ExpectationSuite",
    "Fleet",
    "Holds",
    "HostFacts",
    "HostHold",
    "Incident",
    "IncidentLog",
    "KpiReader",
    "Ledger",
    "NoticeBook",
    "OutboxItem",
    "Probe",
    "Rate",
    "RunRecord",
    "SuiteRun",
    "Vault",
    "Watch",
    "Workflow",
    "WriteState",
    "fresh",
]
