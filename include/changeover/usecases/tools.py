"""What every use case is given: the pinned upgrade, and the outside world through ports."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from changeover.domain.check import Catalogue
from changeover.domain.estate import Host
from changeover.domain.finding import Finding
from changeover.domain.path import Product, UpgradePath, along, plan_path, product_of
from changeover.domain.path_findings import release_findings
from changeover.domain.plan import Environment, Mode, Plan
from changeover.domain.record import Mark, MarkKind, Run
from changeover.domain.release import ReleaseRecord
from changeover.ports import (
    AcceptanceSuite,
    AnalysisContent,
    Clock,
    Cmdb,
    CmdbWrite,
    Executor,
    ExpectationSuite,
    Fleet,
    Ledger,
    Probe,
    Vault,
    Watch,
)
from changeover.settings import Settings
from changeover.usecases.check_plans import Shelf


def _sleep(length: timedelta) -> None:
    time.sleep(length.total_seconds())


@dataclass(frozen=True)
class Tools:
    """The outside world. `tell` writes a line for whoever watches; `stop` says why the caller has to end, if it has."""

    settings: Settings
    catalogue: Catalogue
    clock: Clock
    ledger: Ledger
    cmdb: Cmdb
    executor: Executor
    probe: Probe
    acceptance: AcceptanceSuite
    expectations: ExpectationSuite
    vault: Vault
    tell: Callable[[str], None]
    stop: Callable[[], str] = lambda: ""
    task: str = ""
    """The task of Airflow that this is done for; "" for a person without it."""
    shelf: Shelf | None = None
    """The client's freezes and the application's role as they lie on disk; None: there is nothing to ask."""
    content: AnalysisContent | None = None
    watch: Watch | None = None
    """Without content or watch nothing is known of artefacts, waivers and changes: an analysis then says so."""
    fleet: Fleet | None = None
    """What is shared with other plans; None: there are no others."""
    wait: Callable[[timedelta], None] = _sleep


@dataclass(frozen=True)
class Upgrade:
    """One run, with the plan and the release record it is pinned to. `product`: every record, or the one alone."""

    run: Run
    plan: Plan
    record: ReleaseRecord
    product: Product | None = None

    @cached_property
    def path(self) -> UpgradePath:
        """The way from the plan's version to the wanted one, as the records stand now."""
        plan = self.plan
        known = self.product or product_of(self.record)
        return plan_path(known, from_version=plan.from_version, to_version=plan.to_version, named=plan.named)

    @cached_property
    def release(self) -> ReleaseRecord:
        """The record, with what the releases between the plan's versions bring."""
        return along(self.record, self.path)

    def release_findings(self) -> tuple[Finding, ...]:
        """What the records say of the way from the plan's version to the wanted one."""
        plan = self.plan
        return release_findings(
            self.record,
            self.product or product_of(self.record),
            from_version=plan.from_version,
            to_version=plan.to_version,
            named=plan.named,
        )

    @property
    def mode(self) -> Mode:
        return Mode(self.run.mode)

    @property
    def lanes(self) -> tuple[Environment, ...]:
        """The lanes this run was asked to go through, in plan order."""
        return tuple(lane for lane in self.plan.lanes if lane.name in self.run.environments)


class Reply(StrEnum):
    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "not_applicable"
    WAIT = "wait"


@dataclass(frozen=True)
class Answer:
    """What a stage says. "No" is an answer; a broken tool raises instead.

    With "wait", data has `until` (ISO) and `seen`: the stage is asked again then, or once the steering is another.
    """

    reply: Reply
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


def yes(text: str, **data: Any) -> Answer:
    return Answer(Reply.YES, text, data)


def no(*reasons: str) -> Answer:
    return Answer(Reply.NO, "; ".join(reasons) or "no reason was given")


def not_applicable(text: str) -> Answer:
    return Answer(Reply.NOT_APPLICABLE, text)


def wait(text: str, *, until: datetime, seen: str) -> Answer:
    return Answer(Reply.WAIT, text, {"until": until.isoformat(), "seen": seen})


def mark(
    upgrade: Upgrade,
    tools: Tools,
    kind: MarkKind,
    environment: str = "",
    *,
    host: str = "",
    key: str = "",
    **data: Any,
) -> None:
    """Write one fact into the ledger, now."""
    tools.ledger.mark(Mark(upgrade.run.key, kind, tools.clock(), environment, host, data, key))


def tell_cmdb(upgrade: Upgrade, tools: Tools, kind: str, op: str, **payload: Any) -> None:
    """Put a CMDB write into the outbox; `op` names it within the run, so that a repeated task writes once."""
    key = upgrade.run.key
    tools.ledger.enqueue(CmdbWrite(f"{key}/{op}", key, kind, payload, tools.clock()))


def back_outs(upgrade: Upgrade, tools: Tools, environment: str) -> int:
    """How often this run backed the environment out: what is done again after it is another thing than before it."""
    return len(tools.ledger.marks(upgrade.run.key, environment=environment, kind=MarkKind.BACKED_OUT))


def hosts_of(upgrade: Upgrade, tools: Tools, environment: str) -> tuple[Host, ...]:
    """The frozen hosts of an environment: the only ones a run may touch."""
    return tools.ledger.frozen_hosts(upgrade.run.key).get(environment, ())
