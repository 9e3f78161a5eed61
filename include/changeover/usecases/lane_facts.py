"""What the ledger says of one environment: the facts the lane's decisions rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from changeover.domain.batch import changed, done_again
from changeover.domain.gate import GateResult
from changeover.domain.lane import LaneFacts, in_doubt, is_accepted
from changeover.domain.legs import plain
from changeover.domain.loss import put_aside
from changeover.domain.outcome import EnvironmentProofs
from changeover.domain.plan import Environment, Mode
from changeover.domain.record import Mark, MarkKind, Run, StepStatus
from changeover.domain.taken import told
from changeover.ports import fresh
from changeover.usecases.tools import Tools, Upgrade, hosts_of, tell_cmdb


def lane_marks(upgrade: Upgrade, tools: Tools, environment: str) -> tuple[Mark, ...]:
    return tools.ledger.marks(upgrade.run.key, environment=environment)


def tell_versions(upgrade: Upgrade, tools: Tools, environment: str, versions: Mapping[str, str | None]) -> None:
    """Host → version found, into the CMDB; what was not found is not told."""
    plan, count = upgrade.plan, len(lane_marks(upgrade, tools, environment))
    for host, version in versions.items():
        if version is not None:
            tell_cmdb(
                upgrade,
                tools,
                "record_version",
                f"version-{environment}-{host}-{count}-{version}",
                client=plan.client,
                application=plan.application,
                environment=environment,
                host=host,
                version=version,
            )


def since_back_out(marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """Marks of the present try: those after the last completed back-out."""
    last = max(
        (i for i, mark in enumerate(marks) if mark.kind is MarkKind.BACKED_OUT),
        default=-1,
    )
    return tuple(marks[last + 1 :])


def back_out_step(marks: Sequence[Mark], step: str = "back_out") -> str:
    """The name of the back-out's step: another one for each time that a person ordered it to be done again."""
    orders = [m for m in since_back_out(marks) if m.kind is MarkKind.SETTLED and m.data.get("again")]
    return done_again(step, len(orders))


def lane_facts(upgrade: Upgrade, tools: Tools, lane: Environment, *, work_in_progress: bool) -> LaneFacts:
    marks = since_back_out(lane_marks(upgrade, tools, lane.name))
    kinds = {mark.kind for mark in marks}
    orders = tools.ledger.marks(upgrade.run.key, environment="", kind=MarkKind.ABORTED)
    aborted = MarkKind.IMPLEMENTING in kinds and any(order.data.get("back_out") for order in orders)
    return LaneFacts(
        lane_started=MarkKind.LANE_STARTED in kinds,
        change_began=MarkKind.IMPLEMENTING in kinds,
        implemented=MarkKind.IMPLEMENTED in kinds,
        accepted=is_accepted(marks),
        signed_off=MarkKind.SIGNED_OFF in kinds,
        work_in_progress=work_in_progress,
        back_out_wanted=MarkKind.LANE_STARTED in kinds and (upgrade.mode is Mode.BACK_OUT or aborted),
        doubts=in_doubt(marks),
    )


def not_upgraded(upgrade: Upgrade, tools: Tools, lanes: Sequence[Environment]) -> tuple[str, ...]:
    """The lanes of these that did not end upgraded, or have not ended."""
    outcomes = tools.ledger.outcomes(upgrade.run.key)
    return tuple(lane.name for lane in lanes if lane.name not in outcomes or not outcomes[lane.name].outcome.is_success)


def newest_gate(upgrade: Upgrade, tools: Tools, environment: str, name: str) -> GateResult | None:
    gates = [gate for _, gate in tools.ledger.gates(upgrade.run.key, environment=environment) if gate.gate == name]
    return gates[-1] if gates else None


def proofs(upgrade: Upgrade, tools: Tools, lane: Environment) -> EnvironmentProofs:
    """Everything that is proven about an environment, newest reading of each host's version first."""
    marks = lane_marks(upgrade, tools, lane.name)
    kinds = {mark.kind for mark in marks}
    hosts = tuple(host.name for host in hosts_of(upgrade, tools, lane.name))
    acceptance = newest_gate(upgrade, tools, lane.name, "acceptance")
    old = newest_gate(upgrade, tools, lane.name, "back_out_acceptance")
    readiness = newest_gate(upgrade, tools, lane.name, "readiness")
    backing_out = fresh(MarkKind.BACKING_OUT, marks)
    put_back = tuple(backing_out.data.get("hosts") or ()) if backing_out else ()
    start = newest_gate(upgrade, tools, lane.name, "start")
    issues = [reason for gate in (start, readiness) if gate and not gate.passed for reason in gate.reasons()]
    return EnvironmentProofs(
        hosts_planned=hosts,
        from_version=upgrade.plan.from_version,
        to_version=upgrade.plan.to_version,
        change_began=bool(kinds & {MarkKind.IMPLEMENTING, MarkKind.BACKING_OUT}),
        versions={host: _version(marks, host) for host in hosts},
        acceptance_passed=acceptance.passed if acceptance else None,
        data_whole=acceptance.passed if acceptance else None,
        signed_off=MarkKind.SIGNED_OFF in kinds,
        committed=MarkKind.COMMITTED in kinds,
        back_out_began=_newer(MarkKind.BACKING_OUT, MarkKind.IMPLEMENTED, marks),
        old_release_accepted=old.passed if old else None,
        old_data_whole=old.passed if old else None,
        window_missed=MarkKind.WINDOW_MISSED in kinds,
        issues=(
            *issues,
            *_why(marks),
            *told(marks),
            *put_aside(marks),
            *_tried_before(marks),
            *_failed_steps(upgrade, tools, lane.name),
            *_failed_acceptance(acceptance),
        ),
        doubts=in_doubt(marks),
        hosts_untouched=_untouched(upgrade, tools, lane.name, marks, put_back),
        hosts_backed_out=put_back,
        version_scheme=upgrade.release.version_scheme,
    )


def _tried_before(marks: Sequence[Mark]) -> tuple[str, ...]:
    """Upgraded at a later try of the same run: users were without the application more than once."""
    tries = sum(mark.kind is MarkKind.BACKED_OUT for mark in marks)
    again = any(mark.kind is MarkKind.IMPLEMENTED for mark in since_back_out(marks))
    return (f"it was backed out {tries} time{'s' if tries > 1 else ''} before",) if tries and again else ()


def _newer(kind: MarkKind, other: MarkKind, marks: Sequence[Mark]) -> bool:
    """Whether a kind happened, and the other not again after it: a rollout may go on after it was partly backed out."""
    last = {mark.kind: place for place, mark in enumerate(marks)}
    return kind in last and last[kind] > last.get(other, -1)


def _untouched(
    upgrade: Upgrade, tools: Tools, environment: str, marks: Sequence[Mark], put_back: Sequence[str]
) -> tuple[str, ...]:
    """Where hosts are changed one batch after another: those that are not changed now, whoever's turn it was."""
    if upgrade.mode is Mode.BACK_OUT:
        earlier = earlier_change(upgrade, tools, environment)
        if earlier is None:
            return ()
        marks = tools.ledger.marks(earlier[0].key, environment=environment)
    hosts = (host.name for host in hosts_of(upgrade, tools, environment))
    return tuple(host for host in hosts if host not in changed(marks) and host not in put_back)


def _version(marks: Sequence[Mark], host: str) -> str | None:
    read = [mark for mark in marks if mark.kind is MarkKind.VERSION_DISCOVERED and mark.host == host]
    return read[-1].data.get("version") if read else None


def _why(marks: Sequence[Mark]) -> tuple[str, ...]:
    missed = fresh(MarkKind.WINDOW_MISSED, marks)
    rejected = fresh(MarkKind.REJECTED, marks)
    waited = fresh(MarkKind.WAITING, marks)
    return (
        *((str(missed.data.get("reason")),) if missed else ()),
        *((f"it waited from {waited.at:%H:%MZ} on: {waited.data.get('reason')}",) if missed and waited else ()),
        *((f"{rejected.data.get('gate')} rejected by {rejected.data.get('by')}",) if rejected else ()),
    )


def _failed_steps(upgrade: Upgrade, tools: Tools, environment: str) -> tuple[str, ...]:
    steps = tools.ledger.steps(upgrade.run.key, environment=environment)
    names = ("restore_point", "implement", "commit")
    return tuple(
        f"{step.step}: {'; '.join(step.reasons) or step.status}"
        for step in steps
        if plain(step.step) in names and step.status not in (StepStatus.SUCCESSFUL, StepStatus.RUNNING)
    )


def _failed_acceptance(gate: GateResult | None) -> tuple[str, ...]:
    return tuple(f"acceptance: {reason}" for reason in gate.reasons()) if gate and not gate.passed else ()


def earlier_change(upgrade: Upgrade, tools: Tools, environment: str) -> tuple[Run, str] | None:
    """The newest earlier run of this plan that changed the environment, and its proven restore point's label."""
    for run in tools.ledger.runs(limit=500):
        if run.dag_id != upgrade.run.dag_id or run.key == upgrade.run.key:
            continue
        marks = tools.ledger.marks(run.key, environment=environment)
        point = fresh(MarkKind.RESTORE_POINT_PROVEN, marks)
        if point and fresh(MarkKind.IMPLEMENTING, marks):
            return run, str(point.data["label"])
    return None


def backed_out_by(upgrade: Upgrade, tools: Tools, environment: str) -> str:
    """The newest earlier run that touched the environment, where it ended there with the old release put back."""
    for run in tools.ledger.runs(limit=500):
        if run.dag_id != upgrade.run.dag_id or run.key == upgrade.run.key:
            continue
        kinds = (MarkKind.IMPLEMENTING, MarkKind.BACKING_OUT, MarkKind.BACKED_OUT)
        touched = [m for m in tools.ledger.marks(run.key, environment=environment) if m.kind in kinds]
        if touched:
            return run.key if touched[-1].kind is MarkKind.BACKED_OUT else ""
    return ""
