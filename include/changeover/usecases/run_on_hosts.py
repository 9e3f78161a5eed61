"""Run one playbook on the frozen hosts of an environment, write-ahead and attached to, never repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult
from changeover.domain.generation import changing_generation, reading_generation
from changeover.domain.legs import Hop
from changeover.domain.record import MarkKind, StepRecord, StepStatus
from changeover.domain.settlement import closed_by
from changeover.errors import ExecutionError
from changeover.ports import ExecutionSpec
from changeover.usecases import taken
from changeover.usecases.step_end import StopOrders, begun_earlier, elsewhere, place_in_run, record_end
from changeover.usecases.tools import Tools, Upgrade, back_outs, hosts_of

PLAYBOOK_LIMIT = timedelta(minutes=30)
"""Hard limit of a playbook that neither changes the release nor copies the data."""
COPIES_DATA = frozenset({"build.yml", "restore_point.yml", "back_out.yml"})


@dataclass(frozen=True)
class HostWork:
    """One playbook for one environment. `changes` tells a step that alters hosts from one that only reads."""

    step: str
    playbook: str
    environment: str
    target_version: str
    changes: bool
    hosts: tuple[Host, ...] = ()
    sources: tuple[Host, ...] = ()
    restore_point: str = ""
    limit: timedelta | None = None
    """The one of its playbook when None."""
    variables: Mapping[str, Any] = field(default_factory=dict)
    hop: Hop | None = None
    """The leg that it is a step of; the plan's whole way when None."""
    closing: bool = False
    """It gives back what a run holds that a person closed."""
    watch: Callable[[], None] | None = None
    """Called again and again while it runs, in this task; the limit is kept by the execution itself."""


def run_on_hosts(upgrade: Upgrade, tools: Tools, work: HostWork) -> ExecutionResult:
    """Returns what happened host by host; raises only when Ansible itself could not be used."""
    hosts = work.hosts or hosts_of(upgrade, tools, work.environment)
    if work.changes and not work.closing:
        _refuse_if_closed(upgrade, tools, work)
    generation = _generation(upgrade, tools, work)
    result = _once(upgrade, tools, work, hosts, generation)
    if result.status is StepStatus.UNKNOWN and not work.changes and not tools.stop():
        tools.tell(f"{work.step}: the earlier reading was lost; reading again")
        result = _once(upgrade, tools, work, hosts, generation + 1)
    return result


def _refuse_if_closed(upgrade: Upgrade, tools: Tools, work: HostWork) -> None:
    """A person said what is true and gave the locks back; an Airflow that comes back later must not go on beside."""
    by = closed_by(tools.ledger.marks(upgrade.run.key, environment=work.environment, kind=MarkKind.SETTLED))
    if by:
        raise ExecutionError(
            f"this run was closed in {work.environment} by {by}: it changes nothing there any more",
            where=f"{work.environment} {work.step}",
            then="start a new run",
        )


def playbook_limit(upgrade: Upgrade, work: HostWork) -> timedelta:
    """What copies the data takes as long as there is data; only the plan can know how much."""
    return upgrade.plan.environment(work.environment).restore_within if work.playbook in COPIES_DATA else PLAYBOOK_LIMIT


def execution_running(upgrade: Upgrade, tools: Tools, environment: str) -> tuple[str, ...]:
    """Steps of an environment whose execution is alive."""
    alive = []
    for step in tools.ledger.steps(upgrade.run.key, environment=environment):
        directory = _directory(upgrade, tools, environment, step.step, step.generation)
        if tools.executor.running(directory):
            alive.append(step.step)
    return tuple(alive)


def _generation(upgrade: Upgrade, tools: Tools, work: HostWork) -> int:
    if work.changes:
        return changing_generation(back_outs=back_outs(upgrade, tools, work.environment))
    return reading_generation(tools.ledger.steps(upgrade.run.key, environment=work.environment), work.step)


def _directory(upgrade: Upgrade, tools: Tools, environment: str, step: str, generation: int) -> Path:
    return tools.settings.executions_directory(upgrade.run.key) / f"{environment}.{step}.{generation}"


def _once(
    upgrade: Upgrade,
    tools: Tools,
    work: HostWork,
    hosts: tuple[Host, ...],
    generation: int,
) -> ExecutionResult:
    ledger, key = tools.ledger, upgrade.run.key
    directory = _directory(upgrade, tools, work.environment, work.step, generation)
    begun = StepRecord(
        key,
        work.environment,
        work.step,
        generation,
        tools.clock(),
        directory=str(directory),
        task=tools.task,
        changes=work.changes,
    )
    earlier = begun_earlier(tools, begun)
    if earlier is not None and not tools.executor.here(directory):
        return _ended(upgrade, tools, work, begun, elsewhere(begun, hosts), hosts)
    tools.executor.prepare(directory)
    ledger.begin_step(begun)
    spec = ExecutionSpec(
        run_key=key,
        environment=work.environment,
        step=work.step,
        generation=generation,
        playbook=work.playbook,
        hosts=hosts,
        sources=work.sources,
        variables={**_variables(upgrade, tools, work), "changeover_fence": place_in_run(tools, begun)},
        timeout=work.limit or playbook_limit(upgrade, work),
        directory=directory,
    )
    credentials = tools.vault.credentials(sorted({host.connection for host in (*hosts, *work.sources)}))
    names = [host.name for host in hosts]
    taken.before_execution(upgrade, tools, work.environment, work.playbook, names)
    ordered = StopOrders(upgrade, tools, earlier or begun)

    def stop() -> str:
        if work.watch is not None:
            work.watch()
        return tools.stop() or ordered.why()

    return _ended(
        upgrade, tools, work, begun, tools.executor.run(spec, credentials, on_event=tools.tell, stop=stop), hosts
    )


def _ended(
    upgrade: Upgrade,
    tools: Tools,
    work: HostWork,
    begun: StepRecord,
    result: ExecutionResult,
    hosts: Sequence[Host],
) -> ExecutionResult:
    record_end(upgrade, tools, begun, result)
    names = [host.name for host in hosts]
    taken.after_execution(upgrade, tools, work.environment, work.playbook, result, names)
    return result


def _variables(upgrade: Upgrade, tools: Tools, work: HostWork) -> dict[str, Any]:
    plan = upgrade.plan
    environment = next((e for e in plan.environments if e.name == work.environment), None)
    to_version = work.hop.to_version if work.hop else plan.to_version
    return {
        "changeover_run": upgrade.run.key,
        "changeover_step": work.step,
        "changeover_environment": work.environment,
        "changeover_environment_kind": environment.kind if environment else "estate",
        "application": plan.application,
        "from_version": work.hop.from_version if work.hop else plan.from_version,
        "to_version": to_version,
        "target_version": work.target_version,
        "artefact_dir": str(tools.settings.artefacts / plan.application / to_version),
        "restore_point": work.restore_point,
        "datasets": dict(tools.expectations.queries(plan.application, work.target_version)),
        **(environment.variables if environment else {}),
        **work.variables,
    }
