"""A small world in memory: hosts with versions, and ports that act on them, so that use cases run at a desk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from changeover.adapters.check_files import load_catalogue
from changeover.adapters.memory import MemoryCmdb, MemoryLedger
from changeover.domain.acceptance import SuiteRun
from changeover.domain.check import Catalogue
from changeover.domain.estate import Estate, Host
from changeover.domain.execution import ExecutionResult, HostResult, HostState
from changeover.domain.facts import HostFacts
from changeover.domain.gate import CheckResult, CheckState
from changeover.domain.host_lock import HostHold
from changeover.domain.plan import Plan
from changeover.domain.record import Mark, MarkKind, StepStatus
from changeover.domain.release import ReleaseRecord
from changeover.ports import Comparison, Credentials, ExecutionSpec, StopSpec
from changeover.settings import load
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.open_run import requested_run
from changeover.usecases.tools import Tools, Upgrade, tell_cmdb
from changeover.usecases.transition import open_change

OLD, NEW = "2.0.0", "2.6.0"
START = datetime(2026, 8, 14, 13, 0, tzinfo=UTC)
ENVIRONMENTS = {"baseline": ["base1"], "training": ["train1"], "production": ["prod1", "prod2"]}


def plan(**changes: Any) -> Plan:
    """A complete plan; `changes` replace whole top-level fields."""
    any_time = {"kind": "any_time", "reason": "no users"}
    fields: dict[str, Any] = {
        "schema_version": 1,
        "client": "acme",
        "upgrade": "tracker-2.6",
        "title": "Tracker",
        "application": "tracker",
        "from_version": OLD,
        "to_version": NEW,
        "release": "tracker/2.6",
        "trigger": {"kind": "client_request", "reference": "R-1", "dated": date(2026, 1, 1), "reason": "wanted"},
        "statement_of_work": {
            "id": "SOW-1",
            "signed_on": date(2026, 1, 1),
            "environments": list(ENVIRONMENTS),
            "valid_from": date(2026, 1, 1),
            "valid_until": date(2026, 12, 31),
        },
        "support_contract": {
            "id": "SUP-1",
            "applications": ["tracker"],
            "environments": ["training", "production"],
            "valid_from": date(2025, 1, 1),
            "valid_until": date(2035, 12, 31),
        },
        "requested_by": "ops",
        "participants": [
            {"id": who, "name": who.title(), "role": who, "side": "provider"} for who in ("ops", "owner", "support")
        ],
        "approval": {"by": ["owner"]},
        "environments": [
            {"name": "baseline", "kind": "baseline", "data_from": "production", "window": any_time},
            {"name": "training", "kind": "training", "window": any_time},
            {"name": "production", "kind": "production", "window": any_time},
        ],
        "support": {"hypercare": {"length": "2m", "interval": "1m"}, "accepted_by": {"by": ["support"]}},
    }
    return Plan.model_validate(fields | changes)


def release() -> ReleaseRecord:
    return ReleaseRecord.model_validate(
        {
            "schema_version": 1,
            "product": "tracker",
            "release": "2.6",
            "version": NEW,
            "version_scheme": "pep440",
            "released": date(2026, 1, 1),
            "supported_from": [">=2.0,<2.6"],
            "artefacts": {"requirements": ["tracker==2.6.0"]},
            "sources": ["the vendor's notes"],
        }
    )


def estate() -> Estate:
    return Estate.model_validate(
        {
            "client": {"slug": "acme", "name": "Acme"},
            "people": [
                {"id": who, "name": who.title(), "role": who, "side": "provider"} for who in ("ops", "owner", "support")
            ],
            "applications": [{"slug": "tracker"}],
            "environments": [
                {
                    "name": name,
                    "kind": name,
                    "application": "tracker",
                    "version": OLD,
                    "hosts": [
                        {
                            "name": host,
                            "address": f"127.0.9.{number}",
                            "user": "ops",
                            "connection": "ssh_acme",
                            "host_keys": [f"127.0.9.{number} ssh-ed25519 AAAA"],
                            "variables": {"app_root": "/srv/app", "host_state_dir": "/srv/state"},
                        }
                        for number, host in enumerate(hosts, start=10 * place)
                    ],
                }
                for place, (name, hosts) in enumerate(ENVIRONMENTS.items(), start=1)
            ],
        }
    )


def _reachable_only() -> Catalogue:
    """The catalogue with the one check this world has facts for."""
    every = load_catalogue(load({}).checks)
    return Catalogue(checks=(every["host-reachable"],))


@dataclass
class World:
    """What is true on the hosts, and every playbook that was run on them."""

    directory: Path
    now: datetime = START
    versions: dict[str, str | None] = field(default_factory=dict)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    """Host → lines of errors in the log of its service; a host that is not named tells none."""
    breaks: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(environment, playbook) → hosts it fails on."""
    lost: set[tuple[str, str]] = field(default_factory=set)
    """(environment, playbook) whose execution leaves no result."""
    break_step: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """(environment, step) → hosts it fails on."""
    caller_lost: set[str] = field(default_factory=set)
    """Steps whose caller is lost once, when the work has ended."""
    unwell: set[str] = field(default_factory=set)
    """Environments whose application suite says no on the new release; `environment version` for another one."""
    tests: dict[str, set[str]] = field(default_factory=dict)
    """Test by name → environments where it says no; asked where only some tests are wanted."""
    unreachable: set[str] = field(default_factory=set)
    played: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    specs: list[ExecutionSpec] = field(default_factory=list)
    """What was played, in full."""
    warmed: list[int] = field(default_factory=list)
    """How much had been played each time the expectations were told to get ready."""
    ended: dict[Path, ExecutionResult] = field(default_factory=dict)
    """As the real one does: an execution that ended is not run again."""
    took: dict[str, timedelta] = field(default_factory=dict)
    gone: set[Path] = field(default_factory=set)
    """Execution directories that are on another machine."""
    stopped: list[tuple[StopSpec, str]] = field(default_factory=list)
    alive: set[str] = field(default_factory=set)
    """Execution directories that still run."""
    points: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What differs in a host's report of its restore points."""
    spec: Any = None
    held: dict[str, HostHold] = field(default_factory=dict)
    """What hosts say of lock, marker and processes; one that is not named is free."""
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    cmdb: MemoryCmdb = field(default_factory=MemoryCmdb)

    def __post_init__(self) -> None:
        self.cmdb.import_estate(estate())
        self.versions = {host: OLD for hosts in ENVIRONMENTS.values() for host in hosts} | {"base1": None}
        self.rows = {host: [{"id": 1, "total": "10.00"}] for host in self.versions}

    def tools(self) -> Tools:
        return Tools(
            settings=replace(load({}), home=self.directory),
            catalogue=_reachable_only(),
            clock=lambda: self.now,
            ledger=self.ledger,
            cmdb=self.cmdb,
            executor=self,
            probe=self,
            acceptance=Suite(self),
            expectations=Data(self),
            vault=self,
            tell=lambda line: None,
            wait=self._pass,
        )

    def _pass(self, length: timedelta) -> None:
        self.now += length

    def upgrade(self, *, of: Plan | None = None, **asked: Any) -> Upgrade:
        of = of or plan()
        run = requested_run(
            of,
            plan_digest="d" * 64,
            plan_text="text",
            dag_run_id="manual__1",
            requested_by="ops",
            asked=asked,
            at=self.now,
        )
        return Upgrade(self.ledger.open_run(run), of, release())

    def approve(self, upgrade: Upgrade, *, digest: str = "d" * 64) -> None:
        key = upgrade.run.key
        self.open_change(upgrade)
        self.ledger.mark(
            Mark(key, MarkKind.APPROVED, self.now, "", "", {"gate": "plan", "by": "owner", "plan_digest": digest})
        )
        for lane in upgrade.lanes:
            self.ledger.mark(Mark(key, MarkKind.RESTORE_POINT_PROVEN, self.now, lane.name, "", {"label": "prep"}))

    def open_change(self, upgrade: Upgrade) -> None:
        """As the stages before the lanes leave it: in implement, in the CMDB too."""
        open_change(upgrade, self.tools())
        for state in ("authorize", "scheduled", "implement"):
            tell_cmdb(upgrade, self.tools(), "move_change", state, state=state)
        deliver(self.ledger, self.cmdb, self.now)

    def playbooks(self, environment: str) -> list[str]:
        return [playbook for where, playbook, _ in self.played if where == environment]

    # vault, probe
    def credentials(self, connections: Sequence[str]) -> Credentials:
        return Credentials(dict.fromkeys(connections, "key"))

    def host_facts(
        self, hosts: Sequence[Host], credentials: Credentials, *, timeout: timedelta
    ) -> Mapping[str, HostFacts]:
        return {host.name: HostFacts(host.name, host.name not in self.unreachable) for host in hosts}

    def holds(self, hosts: Sequence[Host], credentials: Credentials, *, timeout: timedelta) -> Mapping[str, HostHold]:
        away = {name: HostHold(name, False, f"{name}: no connection", processes=None) for name in self.unreachable}
        return {host.name: away.get(host.name) or self.held.get(host.name, HostHold(host.name, True)) for host in hosts}

    # executor
    def running(self, directory: Path) -> bool:
        return str(directory) in self.alive

    def prepare(self, directory: Path) -> None:
        self.gone.discard(directory)

    def here(self, directory: Path) -> bool:
        return directory not in self.gone

    def stop(self, execution: StopSpec, credentials: Credentials, *, why: str) -> tuple[bool, str]:
        self.stopped.append((execution, why))
        names = tuple(host.name for host in execution.hosts)
        if not self.here(execution.directory):
            return False, "its controller process is not on this machine"
        if set(names) & self.unreachable:
            return False, f"{', '.join(sorted(set(names) & self.unreachable))}: no connection"
        self.alive.discard(str(execution.directory))
        results = tuple(HostResult(name, HostState.FAILED) for name in names)
        ended = ExecutionResult(StepStatus.FAILED, results, (why,), execution.token, self.now, self.now, "")
        self.ended.setdefault(execution.directory, ended)
        return True, "no process left"

    def left(self, directory: Path) -> ExecutionResult | None:
        return None if self.running(directory) else self.ended.get(directory)

    def run(
        self,
        spec: ExecutionSpec,
        credentials: Credentials,
        *,
        on_event: Callable[[str], None],
        stop: Callable[[], str],
    ) -> ExecutionResult:
        """Never the same directory twice, as the port says."""
        if spec.directory not in self.ended:
            self.ended[spec.directory] = self._play(spec, stop)
            if spec.step in self.caller_lost:
                self.caller_lost.remove(spec.step)
                raise ConnectionError("the caller is gone")
        return self.ended[spec.directory]

    def _play(self, spec: ExecutionSpec, stop: Callable[[], str]) -> ExecutionResult:
        names = tuple(host.name for host in spec.hosts)
        self.specs.append(spec)
        self.played.append((spec.environment, spec.playbook, names))
        self.spec = spec
        needs = self.took.get(spec.playbook, timedelta(seconds=1))
        ended = spec.playbook == "implement.yml" and needs > spec.timeout
        self.now += spec.timeout if ended else needs
        why = stop()
        if why:
            results = tuple(HostResult(host, HostState.FAILED) for host in names)
            return ExecutionResult(StepStatus.FAILED, results, (f"stopped: {why}",), "token", self.now, self.now, "")
        if ended:
            results = tuple(HostResult(host, HostState.FAILED) for host in names)
            reason = f"timed out: {spec.timeout}"
            return ExecutionResult(StepStatus.FAILED, results, (reason,), "token", self.now, self.now, "")
        if (spec.environment, spec.playbook) in self.lost:
            results = tuple(HostResult(host, HostState.NOT_ATTEMPTED) for host in names)
            return ExecutionResult(StepStatus.UNKNOWN, results, ("it was lost",), "token", self.now, None, "")
        bad = set(self.breaks.get((spec.environment, spec.playbook), ())) | (self.unreachable & set(names))
        bad |= set(self.break_step.get((spec.environment, spec.step), ()))
        for host in names:
            if host not in bad:
                self._change(host, spec)
        results = tuple(self._result(host, host in bad) for host in names)
        status = StepStatus.FAILED if bad else StepStatus.SUCCESSFUL
        reasons = tuple(f"{host}: it broke" for host in sorted(bad))
        return ExecutionResult(status, results, reasons, "token", self.now, self.now, str(spec.directory))

    def _change(self, host: str, spec: ExecutionSpec) -> None:
        if spec.playbook in ("implement.yml", "implement_batch.yml", "back_out.yml", "build.yml"):
            self.versions[host] = spec.variables["target_version"]
        if spec.playbook in ("commit.yml", "release.yml", "stand_down.yml") and host in self.held:
            self.held[host] = replace(self.held[host], lock=None)

    def _result(self, host: str, bad: bool) -> HostResult:
        if host in self.unreachable:
            return HostResult(host, HostState.UNREACHABLE)
        report = {
            **self._point(host),
            "version": self.versions[host],
            "services": {"tracker": "running"},
            "data": {"issues": self.rows[host]},
            "verified": True,
            "readable": True,
            **({"errors": {"tracker": self.errors[host]}} if host in self.errors else {}),
        } | self.points.get(host, {})
        return HostResult(host, HostState.FAILED if bad else HostState.OK, report=report)

    def _point(self, host: str) -> dict[str, Any]:
        """What the newest execution says of the host's restore point; nothing where none is asked for."""
        label = self.spec.variables.get("restore_point") if self.spec else ""
        if self.spec and self.spec.playbook == "expire.yml":
            return {"removed": list(self.spec.variables["changeover_expired"].get(host, ()))}
        if not label or self.spec.playbook not in ("build.yml", "prepare.yml", "restore_point.yml"):
            return {}
        return {
            "label": label,
            "digest": sha256(f"{host} {label}".encode()).hexdigest(),
            "path": f"/srv/app/restore_points/{label}",
            "taken_at": self.now.isoformat(),
            "current": True,
            "identity": {"host": host},
            "taken": ["tracker"],
        } | self.points.get(host, {})


@dataclass
class Suite:
    world: World

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
        if not begin():
            return SuiteRun((), (), (), {})
        if only:
            return self._some(only, [host.name for host in hosts], environment)
        bad = f"{environment} {target_version}" in self.world.unwell
        bad = bad or (environment in self.world.unwell and target_version == NEW)
        state = CheckState.FAILED if bad else CheckState.PASSED
        names = tuple(host.name for host in hosts)
        return SuiteRun(
            tuple(("works", n) for n in names), tuple(CheckResult("works", n, state) for n in names), names, {}
        )

    def _some(self, only: Sequence[str], hosts: Sequence[str], environment: str) -> SuiteRun:
        """Of these tests, those that the world has: what each of them says there."""
        there = [test for test in only if test in self.world.tests]
        results = tuple(
            CheckResult(
                test, host, CheckState.FAILED if environment in self.world.tests[test] else CheckState.PASSED, "no"
            )
            for test in there
            for host in hosts
        )
        return SuiteRun(tuple((r.key, r.host) for r in results), results, tuple(hosts) if results else (), {})


@dataclass
class Data:
    world: World

    def queries(self, application: str, version: str) -> Mapping[str, Mapping[str, Any]]:
        return {"issues": {"query": "select 1", "key": ["id"]}}

    def warm(self) -> None:
        self.world.warmed.append(len(self.world.played))

    def run_many(
        self,
        application: str,
        comparisons: Sequence[Comparison],
        *,
        environment: str,
        evidence: Path,
        timeout: timedelta,
    ) -> SuiteRun:
        def same(one: Comparison) -> CheckState:
            return CheckState.PASSED if one.before == one.after else CheckState.FAILED

        results = tuple(CheckResult("rows-equal", one.host, same(one)) for one in comparisons)
        hosts = tuple(one.host for one in comparisons)
        return SuiteRun(tuple(("rows-equal", host) for host in hosts), results, hosts, {})
