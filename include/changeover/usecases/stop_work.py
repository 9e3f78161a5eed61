"""End what a run has at work on hosts: by a person's order, and where Airflow has given its task up."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from changeover.domain.estate import Host
from changeover.domain.execution import execution_token
from changeover.domain.record import MarkKind, Run, StepRecord, StepStatus
from changeover.domain.stopping import why_over
from changeover.errors import ChangeoverError
from changeover.ports import Credentials, Ledger, StopSpec, TaskWorkflow
from changeover.usecases.step_end import block, is_open, record_end, wait_for_end
from changeover.usecases.tools import Tools, Upgrade, mark

RULE = "rule: Airflow ended the task"


@dataclass(frozen=True)
class Stopped:
    """One step; `confirmed` over fresh connections to its hosts, or told by whoever followed it."""

    environment: str
    step: str
    confirmed: bool
    seen: str

    def __str__(self) -> str:
        how = "stopped" if self.confirmed else "NOT confirmed to be stopped"
        return f"{self.step} of {self.environment}: {how}: {self.seen}"


def at_work(ledger: Ledger, run: str, environments: Iterable[str] = ()) -> tuple[StepRecord, ...]:
    """Steps that have not ended; of all environments when none is named."""
    return _steps(ledger, run, environments, (StepStatus.RUNNING,))


def maybe_at_work(ledger: Ledger, run: str, environments: Iterable[str] = ()) -> tuple[StepRecord, ...]:
    """Those, and what ended so that nobody knows whether something of it is left on its hosts."""
    return _steps(ledger, run, environments, (StepStatus.RUNNING, StepStatus.UNKNOWN))


def _steps(
    ledger: Ledger, run: str, environments: Iterable[str], states: tuple[StepStatus, ...]
) -> tuple[StepRecord, ...]:
    wanted = set(environments)
    return tuple(
        step
        for step in ledger.steps(run)
        if step.status in states and step.directory and (not wanted or step.environment in wanted)
    )


def stop_work(
    upgrade: Upgrade, tools: Tools, steps: Iterable[StepRecord], *, by: str, reason: str
) -> tuple[Stopped, ...]:
    """The order is in the ledger first: who follows a step elsewhere finds it there, and no next part begins."""
    steps = tuple(steps)
    for environment in dict.fromkeys(step.environment for step in steps):
        mine = [step.step for step in steps if step.environment == environment]
        mark(upgrade, tools, MarkKind.STOPPING, environment, by=by, reason=reason, steps=mine)
    done = []
    for step in steps:
        one = _stop(upgrade, tools, step, f"stopped by {by}: {reason}")
        told = (upgrade, tools, MarkKind.STOPPED, one.environment)
        mark(*told, by=by, step=one.step, confirmed=one.confirmed, seen=one.seen)
        done.append(one)
    return tuple(done)


def _stop(upgrade: Upgrade, tools: Tools, step: StepRecord, why: str) -> Stopped:
    directory = Path(step.directory)
    frozen = tools.ledger.frozen_hosts(step.run)
    token = execution_token(step.run, step.environment, step.step, step.generation)
    everyone = tuple({host.name: host for hosts in frozen.values() for host in hosts}.values())
    execution = StopSpec(directory, frozen.get(step.environment) or everyone, token)
    try:
        confirmed, seen = tools.executor.stop(execution, _credentials(tools, everyone), why=why)
        if not confirmed and not tools.executor.here(directory):
            confirmed, seen = _told_elsewhere(tools, step, seen)
    except ChangeoverError as exc:
        confirmed, seen = False, f"it could not be stopped: {exc}"
    result = tools.executor.left(directory)
    if result is not None and is_open(tools, step):
        record_end(upgrade, tools, step, result)
    if not confirmed:
        block(upgrade, tools, step, f"a stop was not confirmed: {seen}")
    return Stopped(step.environment, step.step, confirmed, seen)


def _credentials(tools: Tools, hosts: Iterable[Host]) -> Credentials:
    return tools.vault.credentials(sorted({host.connection for host in hosts}))


def _told_elsewhere(tools: Tools, step: StepRecord, seen: str) -> tuple[bool, str]:
    """Its controller is on another machine: the task that follows it there ends it, and writes how that ended."""
    same = wait_for_end(tools, step)
    if same.status in (StepStatus.RUNNING, StepStatus.UNKNOWN):
        return False, seen
    return True, "; ".join((f"it ended on another machine: {same.status}", *same.reasons))


def stop_what_is_over(
    ledger: Ledger,
    workflow: TaskWorkflow,
    opened: Callable[[Run], tuple[Upgrade, Tools]],
    *,
    runs: Iterable[Run],
    broken: list[str],
) -> tuple[Stopped, ...]:
    """Of runs whose task or run Airflow has ended while their work goes on here; what only ended is written down."""
    done: list[Stopped] = []
    for run in runs:
        for step in at_work(ledger, run.key):
            if not step.task:
                continue  # a person does it, and follows it
            try:
                why = why_over(workflow.task_state(run, step.task), workflow.state(run))
                done += _over(opened, run, step, why) if why else ()
            except Exception as exc:  # noqa: BLE001 -- whatever one run's keys do, the others are ended; it is told
                broken.append(f"{run.key}: {step.step} of {step.environment}: {exc}")
    return tuple(done)


def _over(opened: Callable[[Run], tuple[Upgrade, Tools]], run: Run, step: StepRecord, why: str) -> tuple[Stopped, ...]:
    upgrade, tools = opened(run)
    if not is_open(tools, step):
        return ()  # its task wrote its end meanwhile
    if not tools.executor.here(Path(step.directory)):
        return ()  # the sweep of the machine that has it ends it; living processes are told from the hosts
    result = tools.executor.left(Path(step.directory))
    if result is not None:
        record_end(upgrade, tools, step, result)
        return ()
    return stop_work(upgrade, tools, (step,), by=RULE, reason=why)
