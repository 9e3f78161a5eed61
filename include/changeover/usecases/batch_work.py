"""One batch: close its hosts, prove their restore points, change them, accept them, open them again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from changeover.domain.batch import Batch, Standing, standing_after
from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult, HostState
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Environment
from changeover.domain.record import MarkKind, StepStatus
from changeover.usecases.accept import AcceptanceWanted, accept
from changeover.usecases.evidence import business_data_before, evidence_path, keep_business_data
from changeover.usecases.lane_facts import lane_marks, newest_gate
from changeover.usecases.restore_points import no_way_back, record_points
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import Tools, Upgrade, hosts_of, mark
from changeover.usecases.watch_clock import change_limit, clock_watch, ended_by_clock

Found = dict[str, tuple[Standing, str]]
"""Host → where it stands now, and why."""


def carry_out(upgrade: Upgrade, tools: Tools, lane: Environment, batch: Batch) -> None:
    """Every execution is attached to when it was begun before; the batch ends with the standing of each host."""
    hosts = tuple(host for host in hosts_of(upgrade, tools, lane.name) if host.name in batch.hosts)
    found = _not_closed(upgrade, tools, lane, batch, hosts) or _changed(upgrade, tools, lane, batch, hosts)
    for name, (standing, why) in found.items():
        set_standing(upgrade, tools, lane.name, name, standing, why, key=f"-b{batch.number}")
    mark(
        upgrade,
        tools,
        MarkKind.BATCH_ENDED,
        lane.name,
        key=f"batch-ended-{lane.name}-{batch.number}",
        number=batch.number,
        standings={name: str(standing) for name, (standing, _) in found.items()},
    )


def set_standing(
    upgrade: Upgrade, tools: Tools, environment: str, host: str, standing: Standing, why: str, *, key: str = ""
) -> None:
    named = f"standing-{environment}-{host}-{standing}{key}" if key else ""
    mark(upgrade, tools, MarkKind.HOST_STANDING, environment, host=host, key=named, standing=str(standing), why=why)


def _not_closed(
    upgrade: Upgrade, tools: Tools, lane: Environment, batch: Batch, hosts: tuple[Host, ...]
) -> Found | None:
    """Traffic closed and restore points proven: then None. Otherwise nothing is changed and they are opened again."""
    taken = run_on_hosts(upgrade, tools, _work(upgrade, lane, batch, "restore_point", "restore_point.yml", hosts))
    faults = record_points(upgrade, tools, lane.name, batch.label, taken) if taken.successful else taken.reasons
    data = {host.host: host.report["data"] for host in taken.hosts if host.report.get("data")}
    if not faults:
        faults = tuple(f"{h.name}: its business data could not be read" for h in hosts if h.name not in data)
    if not faults:
        kept = evidence_path(upgrade, tools, lane.name, "business-data-before.json")
        before = business_data_before(kept) if kept.exists() else {}
        if any(before.get(name) != read for name, read in data.items()):
            keep_business_data(upgrade, tools, lane.name, {**before, **data})
        for host in hosts:
            mark(
                upgrade,
                tools,
                MarkKind.RESTORE_POINT_PROVEN,
                lane.name,
                host=host.name,
                key=f"batch-point-{lane.name}-{host.name}-{batch.number}",
                label=batch.label,
            )
        return None
    if taken.status is not StepStatus.UNKNOWN:
        reached = tuple(h for h in hosts if _state(taken, h.name) is not HostState.UNREACHABLE)
        if reached:
            opened = run_on_hosts(upgrade, tools, _work(upgrade, lane, batch, "reopen", "reopen.yml", reached))
            shut = () if opened.successful else opened.reasons
            faults = (*faults, *(f"what was closed could not be opened again: {reason}" for reason in shut))
    why = "; ".join(faults)
    away = {h.name for h in hosts if _state(taken, h.name) is HostState.UNREACHABLE}
    return {
        h.name: (
            Standing.UNREACHABLE if h.name in away else Standing.FAILED,
            f"its restore point is not proven: {why}; it was not changed",
        )
        for h in hosts
    }


def _changed(upgrade: Upgrade, tools: Tools, lane: Environment, batch: Batch, hosts: tuple[Host, ...]) -> Found:
    if missing := no_way_back(upgrade, tools, lane.name, batch.label, batch.hosts):
        return dict.fromkeys(batch.hosts, (Standing.FAILED, missing))
    for host in hosts:
        key = f"implementing-{lane.name}-{host.name}-b{batch.number}"
        mark(upgrade, tools, MarkKind.IMPLEMENTING, lane.name, host=host.name, key=key)
    work = _work(upgrade, lane, batch, "implement", "implement_batch.yml", hosts)
    clocked = replace(work, limit=change_limit(upgrade, tools, lane), watch=clock_watch(upgrade, tools, lane))
    tools.expectations.warm()  # the batch's acceptance follows
    done = run_on_hosts(upgrade, tools, clocked)
    ended_by_clock(upgrade, tools, lane, done)
    went_well = () if done.status is StepStatus.UNKNOWN else _ok(done)
    accepted, why = _accepted_before(upgrade, tools, lane, batch), "; ".join(done.reasons)
    if not accepted and went_well:
        wanted = AcceptanceWanted(_gate(batch), lane.name, upgrade.plan.to_version, went_well)
        gate = accept(upgrade, tools, wanted)
        accepted, why = hosts_passed(gate), "; ".join((*done.reasons, *gate.reasons()))
    shut = _open(upgrade, tools, lane, batch, accepted, hosts) if accepted else ""
    found: Found = {}
    for host in hosts:
        good = host.name in accepted and not shut
        standing = standing_after(_state(done, host.name), accepted=good)
        found[host.name] = (standing, "accepted, and it serves" if good else shut or why)
    return found


def _open(
    upgrade: Upgrade,
    tools: Tools,
    lane: Environment,
    batch: Batch,
    accepted: tuple[str, ...],
    hosts: Iterable[Host],
) -> str:
    """Written first: from here on what users enter there would be lost by a back-out."""
    opening = tuple(host for host in hosts if host.name in accepted)
    for host in opening:
        key = f"opened-{lane.name}-{host.name}-{batch.number}"
        mark(upgrade, tools, MarkKind.TRAFFIC_OPENED, lane.name, host=host.name, key=key, number=batch.number)
    done = run_on_hosts(upgrade, tools, _work(upgrade, lane, batch, "reopen", "reopen.yml", opening))
    return "" if done.successful else f"it could not be opened again: {'; '.join(done.reasons)}"


def _accepted_before(upgrade: Upgrade, tools: Tools, lane: Environment, batch: Batch) -> tuple[str, ...]:
    """Hosts that this batch began to open: their data moves on, so what was accepted is not compared once more."""
    opened = [
        mark
        for mark in lane_marks(upgrade, tools, lane.name)
        if mark.kind is MarkKind.TRAFFIC_OPENED and mark.data.get("number") == batch.number
    ]
    gate = newest_gate(upgrade, tools, lane.name, _gate(batch)) if opened else None
    return hosts_passed(gate) if gate else tuple(mark.host for mark in opened)


def _gate(batch: Batch) -> str:
    return f"acceptance_b{batch.number}"


def _work(
    upgrade: Upgrade, lane: Environment, batch: Batch, stage: str, playbook: str, hosts: tuple[Host, ...]
) -> HostWork:
    plan, changes = upgrade.plan, stage in ("implement", "reopen")
    return HostWork(
        f"{stage}_b{batch.number}",
        playbook,
        lane.name,
        plan.to_version if changes else plan.from_version,
        changes=True,
        hosts=hosts,
        restore_point=batch.label,
        limit=lane.implement_within if stage == "implement" else None,
    )


def hosts_passed(gate: GateResult) -> tuple[str, ...]:
    """Hosts of which every declared check passed; a "no" that names no host is one for all."""
    if gate.passed:
        return gate.hosts_planned
    good = (CheckState.PASSED, CheckState.ADVISED)
    ran = {(r.key, r.host) for r in gate.results}
    bad = {r.host for r in gate.results if r.state not in good} | {h for k, h in gate.declared if (k, h) not in ran}
    bad |= {finding.subject for finding in gate.findings if finding.inhibits}
    if not bad or not bad <= set(gate.hosts_planned):
        return ()
    return tuple(host for host in gate.hosts_planned if host not in bad and host in gate.hosts_seen)


def _state(result: ExecutionResult, host: str) -> HostState:
    return next((one.state for one in result.hosts if one.host == host), HostState.NOT_ATTEMPTED)


def _ok(result: ExecutionResult) -> tuple[str, ...]:
    return tuple(one.host for one in result.hosts if one.state is HostState.OK)


def accept_rollout(upgrade: Upgrade, tools: Tools, lane: Environment, look_again: Iterable[CheckResult]) -> GateResult:
    """Acceptance of the whole: every host accepted in its batch, while closed, and each still well now."""
    names = tuple(host.name for host in hosts_of(upgrade, tools, lane.name))
    results: list[CheckResult] = []
    for name in names:
        gate = _gate_of(upgrade, tools, lane, name)
        mine = [r for r in gate.results if r.host == name] if gate else []
        state = CheckState.PASSED if gate and mine and name in hosts_passed(gate) else CheckState.FAILED
        told = f"{gate.gate}: {len(mine)} checks" if gate else "it was accepted in no batch"
        results.append(CheckResult("accepted-in-its-batch", name, state, told))
    again = tuple(look_again)
    declared = tuple((key, name) for key in ("accepted-in-its-batch", "serves-the-new-release") for name in names)
    seen = tuple(result.host for result in again if result.state is not CheckState.ERROR)
    return GateResult("acceptance", lane.name, declared, (*results, *again), names, seen)


def _gate_of(upgrade: Upgrade, tools: Tools, lane: Environment, host: str) -> GateResult | None:
    for m in reversed(lane_marks(upgrade, tools, lane.name)):
        if m.kind is MarkKind.TRAFFIC_OPENED and m.host == host:
            return newest_gate(upgrade, tools, lane.name, f"acceptance_b{m.data['number']}")
    return None
