"""A whole run told to a ledger and a CMDB: what a demonstration of the shipped Tryton plan leaves behind."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from changeover.adapters.memory import MemoryCmdb, MemoryLedger
from changeover.domain.estate import Estate, EstateEnvironment, Host
from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Evidence, Mark, MarkKind, Run, StepRecord, StepStatus
from changeover.ports import CmdbWrite
from changeover.settings import PROJECT

PLAN = PROJECT / "include" / "plans" / "nordwind" / "tryton-8.0.yaml"
BEGAN = datetime(2026, 11, 25, 9, 0, 0, tzinfo=UTC)
HOSTS = {"baseline": ("baseline",), "training": ("training",), "production": ("prod-app1", "prod-app2")}
ROWS = {"parties": 240, "products": 86, "sales": 1312, "order_lines": 4120}


def estate() -> Estate:
    numbers = iter(range(1, 9))
    environments = tuple(
        EstateEnvironment(
            name=name,
            kind=name,
            application="tryton",
            version="7.0.59",
            hosts=tuple(
                Host(name=host, address=f"127.0.77.{next(numbers)}", port=22200, user="lab", connection="ssh_nordwind")
                for host in hosts
            ),
        )
        for name, hosts in HOSTS.items()
    )
    return Estate.model_validate(
        {
            "client": {"slug": "nordwind", "name": "Nordwind Trading GmbH"},
            "applications": [{"slug": "tryton", "vendor": "Tryton Foundation"}],
            "environments": [environment.model_dump() for environment in environments],
        }
    )


@dataclass
class Story:
    """Tells a run step by step; `clock` moves on by itself."""

    folder: Path
    ledger: MemoryLedger
    cmdb: MemoryCmdb
    run: Run
    clock: datetime = BEGAN

    def later(self, seconds: float = 1) -> datetime:
        self.clock += timedelta(seconds=seconds)
        return self.clock

    def mark(self, kind: MarkKind, environment: str = "", host: str = "", **data: Any) -> None:
        self.ledger.mark(Mark(self.run.key, kind, self.later(), environment, host, data))

    def step(self, environment: str, name: str, seconds: float, *, generation: int = 1, failure: str = "") -> None:
        begun = StepRecord(self.run.key, environment, name, generation, self.later())
        self.ledger.begin_step(begun)
        self.ledger.end_step(
            replace(
                begun,
                ended_at=self.later(seconds),
                status=StepStatus.FAILED if failure else StepStatus.SUCCESSFUL,
                hosts=dict.fromkeys(HOSTS[environment], "failed" if failure else "ok"),
                reasons=(failure,) if failure else (),
            )
        )

    def gate(
        self, name: str, environment: str, *checks: str, failed: str = "", findings: tuple[Finding, ...] = ()
    ) -> None:
        hosts = HOSTS.get(environment, ("run",))
        pairs = tuple((check, host if environment else "") for check in checks for host in hosts)
        results = tuple(
            CheckResult(key, host, CheckState.FAILED if key == failed else CheckState.PASSED, _seen(key, key == failed))
            for key, host in pairs
        )
        result = GateResult(name, environment, pairs, results, hosts, hosts, findings)
        self.ledger.record_gate(self.run.key, result, self.later())

    def data(self, environment: str, name: str, rows: dict[str, int]) -> None:
        path = self.folder / environment / name
        path.parent.mkdir(parents=True, exist_ok=True)
        read = {dataset: [{"id": n} for n in range(count)] for dataset, count in rows.items()}
        path.write_text(json.dumps(dict.fromkeys(HOSTS[environment], read)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.ledger.add_evidence(Evidence(self.run.key, environment, name, str(path), digest, self.later()))

    def tell_cmdb(self, kind: str, **payload: Any) -> None:
        key = self.run.key
        self.cmdb.apply(CmdbWrite(f"{key}/{kind}-{len(self.cmdb.applied)}", key, kind, payload, self.later()))

    def lane(self, environment: str, *, failed: str = "") -> None:
        """A lane to its end: committed, or backed out when the acceptance check `failed` says no."""
        hosts = HOSTS[environment]
        self.mark(MarkKind.LANE_STARTED, environment)
        self.gate("readiness", environment, "reachable", "privilege", "disk-free", "service-healthy", "lock-free")
        for host in hosts:
            self.mark(MarkKind.TAKEN, environment, host, names=[])
        self.step(environment, "restore_point", 9.4)
        self.data(environment, "business-data-before.json", ROWS)
        self.mark(MarkKind.RESTORE_POINT_PROVEN, environment, label=f"{self.run.key}-{environment}")
        for host in hosts:
            self.mark(MarkKind.IMPLEMENTING, environment, host)
        self.step(environment, "implement", 21.3)
        self.gate(
            "acceptance",
            environment,
            "version-running",
            "login",
            "order-feed-reads-orders",
            "rows-equal",
            failed=failed,
        )
        self.data(environment, "acceptance-1/business-data-after.json", ROWS)
        if not failed:
            self._commit(environment)
            return
        self.mark(MarkKind.DECIDED, environment, decision="back_out", why="the change began and is not accepted")
        self.mark(MarkKind.BACKING_OUT, environment, label=f"{self.run.key}-{environment}")
        self.step(environment, "back_out", 11.8)
        for host in hosts:
            self.mark(MarkKind.GIVEN_BACK, environment, host, by="back_out")
        self.gate(
            "back_out_acceptance", environment, "version-running", "login", "order-feed-reads-orders", "rows-equal"
        )
        self.mark(MarkKind.BACKED_OUT, environment)
        self.versions(environment, "7.0.59")
        reasons = (
            f"7.0.59 runs on {', '.join(hosts)} and was accepted",
            f"acceptance: {failed}: failed: {_seen(failed, True)}",
        )
        self.ledger.record_outcome(self.run.key, environment, Verdict(Outcome.BACKED_OUT, reasons), self.later())

    def _commit(self, environment: str) -> None:
        self.mark(MarkKind.SIGNED_OFF, environment, by="anna.berg", plan_digest=self.run.plan_digest)
        self.mark(MarkKind.DECIDED, environment, decision="commit", why="implemented, accepted and signed off")
        self.step(environment, "commit", 2.2)
        for host in HOSTS[environment]:
            self.mark(MarkKind.GIVEN_BACK, environment, host, by="commit")
        self.mark(MarkKind.COMMITTED, environment)
        self.versions(environment, "8.0.12")
        verdict = Verdict(Outcome.SUCCESSFUL, (f"8.0.12 runs on {', '.join(HOSTS[environment])} and was accepted",))
        self.ledger.record_outcome(self.run.key, environment, verdict, self.later())

    def versions(self, environment: str, version: str) -> None:
        place = {"client": "nordwind", "application": "tryton", "environment": environment}
        for host in HOSTS[environment]:
            self.mark(MarkKind.VERSION_DISCOVERED, environment, host, version=version)
            self.tell_cmdb("record_version", host=host, version=version, **place)


def _seen(check: str, failed: bool) -> str:
    if not failed:
        return "" if check in ("login", "lock-free") else "as it should be"
    return "order-feed read no order: HTTP 404 for /nordwind/sale.sale/search_read"


def opened(folder: Path, *, mode: str = "implement", key: str = "nordwind.tryton-8.0.20261125090000-1a2b3c4d") -> Story:
    """The run is opened and its change is in the CMDB; nothing else has happened."""
    text = PLAN.read_text(encoding="utf-8")
    digest = hashlib.sha256(PLAN.read_bytes()).hexdigest()
    run = Run(
        key, "nordwind.tryton-8.0", "manual__2026-11-25T09:00:00", "nordwind", "tryton-8.0", "tryton", mode,
        ("training", "production"), digest, text, "jonas.weber", "series 7.0 leaves support", "CR-2291", BEGAN,
    )  # fmt: skip
    story = Story(folder, MemoryLedger(clock=lambda: BEGAN), MemoryCmdb(), run)
    story.cmdb.import_estate(estate())
    story.ledger.open_run(run)
    story.ledger.freeze_hosts(run.key, {environment.name: environment.hosts for environment in estate().environments})
    story.tell_cmdb("open_change", title="Tryton 7.0 to 8.0", client="nordwind", application="tryton",
                    environments=["training", "production"])  # fmt: skip
    story.mark(MarkKind.CHANGE_OPENED)
    story.gate("entry", "", "statement-of-work", "request", "release-applicable")
    return story


def upgraded(folder: Path, *, failed: str = "") -> Story:
    """From opening to close; `failed` is the acceptance check that says no in production."""
    story = opened(folder)
    advice = Finding(
        "release-changed-endpoint", "/<database>/", "/<database>/ becomes /<database>/rpc/", Severity.ADVISORY,
        "Tell the owner of every integration; retest order-feed.",
    )  # fmt: skip
    story.gate("release_analysis", "", "path-supported", findings=(advice,))
    story.step("baseline", "build", 31.0)
    story.mark(MarkKind.IMPLEMENTING, "baseline", "baseline")
    story.step("baseline", "implement", 22.5)
    story.gate("acceptance", "baseline", "version-running", "login", "order-feed-reads-orders", "rows-equal")
    story.step("baseline", "back_out", 12.9)
    story.gate("back_out_acceptance", "baseline", "version-running", "login", "rows-equal")
    story.step("baseline", "implement", 21.9, generation=2)
    story.mark(MarkKind.COMMITTED, "baseline")
    story.versions("baseline", "8.0.12")
    story.mark(MarkKind.APPROVED, gate="plan", by="anna.berg", plan_digest=story.run.plan_digest)
    for environment in ("training", "production"):
        story.lane(environment, failed=failed if environment == "production" else "")
    if not failed:
        story.mark(MarkKind.SUPPORT_ACCEPTED, by="mira.schulz")
    verdict = (
        Verdict(Outcome.BACKED_OUT, ("training: successful", "production: backed_out"))
        if failed
        else Verdict(Outcome.SUCCESSFUL, ("training: successful", "production: successful"))
    )
    story.ledger.record_outcome(story.run.key, "", verdict, story.later())
    for state in ("assess", "authorize", "scheduled", "implement", "review"):
        story.tell_cmdb("move_change", state=state)
    story.tell_cmdb("close_change", code="unsuccessful" if failed else "successful", notes=f"{verdict.outcome}")
    return story
