"""The end of a step on hosts: written down whoever finds it, and ordered through the ledger from any machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult, HostResult, HostState, execution_token
from changeover.domain.record import MarkKind, StepRecord, StepStatus
from changeover.domain.stopping import ordered_stop
from changeover.usecases.tools import Tools, Upgrade, mark

LOOKS_EVERY = 2.0
"""Seconds between two looks into the ledger, while work on hosts is followed."""
PATIENCE = timedelta(seconds=45)
"""For whoever follows a step on another machine to find an order to stop, and to write how it ended."""
ELSEWHERE = "it was begun, and its records are not on this machine: it may still be at work; ask the hosts"


def begun_earlier(tools: Tools, step: StepRecord) -> StepRecord | None:
    """The same step as the ledger has it, begun and not ended."""
    same = (step.step, step.generation)
    steps = tools.ledger.steps(step.run, environment=step.environment)
    found = [one for one in steps if (one.step, one.generation) == same and one.status is StepStatus.RUNNING]
    return found[-1] if found else None


def place_in_run(tools: Tools, step: StepRecord) -> int:
    """Steps of a run are begun one after another: what has a higher number is the later one, by no machine's clock."""
    same = (step.environment, step.step, step.generation)
    steps = tools.ledger.steps(step.run)
    return [(one.environment, one.step, one.generation) for one in steps].index(same) + 1


def elsewhere(step: StepRecord, hosts: Sequence[Host]) -> ExecutionResult:
    """Another worker's machine has its directory, or a volume was lost: to begin it here could be to do it twice."""
    results = tuple(HostResult(host.name, HostState.NOT_ATTEMPTED, message=ELSEWHERE) for host in hosts)
    token = execution_token(step.run, step.environment, step.step, step.generation)
    return ExecutionResult(StepStatus.UNKNOWN, results, (ELSEWHERE,), token, step.started_at, None, step.directory)


def record_end(upgrade: Upgrade, tools: Tools, step: StepRecord, result: ExecutionResult) -> None:
    """Where nobody can say what is true on the hosts, nothing else begins there before a person has looked."""
    tools.ledger.end_step(
        replace(
            step,
            ended_at=tools.clock(),
            status=result.status,
            token=result.token,
            hosts={host.host: str(host.state) for host in result.hosts},
            reasons=result.reasons,
        )
    )
    if result.status is StepStatus.UNKNOWN and step.changes:
        block(upgrade, tools, step, "; ".join(result.reasons))


def block(upgrade: Upgrade, tools: Tools, step: StepRecord, reason: str) -> None:
    key = f"unknown-{step.environment}-{step.step}-{step.generation}"
    mark(upgrade, tools, MarkKind.BLOCKED, step.environment, key=key, reason=reason)


def record_what_ended(upgrade: Upgrade, tools: Tools, environment: str) -> tuple[StepRecord, ...]:
    """Steps whose execution ended, and whose task was killed before it could tell.

    One that changes hosts and lies on another machine is in doubt: nothing may be decided as if it had ended.
    """
    found = []
    for step in tools.ledger.steps(upgrade.run.key, environment=environment):
        if step.status is not StepStatus.RUNNING or not step.directory:
            continue
        result = tools.executor.left(Path(step.directory))
        if result is not None:
            record_end(upgrade, tools, step, result)
            found.append(step)
        elif (
            step.changes and not tools.executor.here(Path(step.directory)) and is_open(tools, wait_for_end(tools, step))
        ):
            block(upgrade, tools, step, f"{step.step}: {ELSEWHERE}")
    return tuple(found)


def wait_for_end(tools: Tools, step: StepRecord) -> StepRecord:
    """As whoever follows it on another machine writes it down; after a while, as it stands."""
    until = tools.clock() + PATIENCE
    while is_open(tools, step) and tools.clock() < until:
        tools.wait(timedelta(seconds=1))
    return as_recorded(tools, step)


def is_open(tools: Tools, step: StepRecord) -> bool:
    return as_recorded(tools, step).status is StepStatus.RUNNING


def as_recorded(tools: Tools, step: StepRecord) -> StepRecord:
    steps = tools.ledger.steps(step.run, environment=step.environment)
    return next(one for one in steps if (one.step, one.generation) == (step.step, step.generation))


@dataclass
class StopOrders:
    """What people order from elsewhere, as whoever follows the step finds it in the ledger."""

    upgrade: Upgrade
    tools: Tools
    step: StepRecord
    _next: float = field(default=0.0, repr=False)

    def why(self) -> str:
        if time.monotonic() < self._next:
            return ""
        self._next = time.monotonic() + LOOKS_EVERY
        try:
            marks = self.tools.ledger.marks(self.upgrade.run.key, environment=self.step.environment)
        except Exception as exc:  # noqa: BLE001 -- whatever the database does, the work is followed to its end
            self.tools.tell(f"the ledger does not answer, so no order to stop is seen: {exc}")
            return ""
        why = ordered_stop(marks, self.step.environment, since=self.step.started_at)
        return f"stopped {why}" if why else ""
