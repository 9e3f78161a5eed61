"""Before a lane touches a host: does the CMDB's change allow it, is nobody else at work there, is a place free?"""

from __future__ import annotations

from collections.abc import Iterator

from changeover.domain.cap import LONGEST_WAIT, WAIT, Claim, hindrances
from changeover.domain.conflict import ConflictKind, environment_ci, needed, placement
from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Environment, Mode
from changeover.domain.record import MarkKind
from changeover.domain.steering import steering
from changeover.domain.window import AnyTime
from changeover.ports import Fleet
from changeover.usecases.change_gate import change_refusal
from changeover.usecases.fleet import clashes, host_ci
from changeover.usecases.lane_facts import lane_marks, newest_gate, since_back_out
from changeover.usecases.tools import Answer, Tools, Upgrade, hosts_of, mark, no, wait, yes
from changeover.usecases.window_gate import client_freezes

CHECKS = ("change-allows-it", "place-free")


def may_begin(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Asked after the window said yes, when the lane's turn comes and again before its first host work."""
    refusal = change_refusal(upgrade, tools)
    taken = () if refusal else take_place(upgrade, tools, lane)
    if taken and not _waited_too_long(upgrade, tools, lane):
        why = "; ".join(taken)
        mark(upgrade, tools, MarkKind.WAITING, lane.name, key=f"waiting-{lane.name}-{why}", reason=why)
        seen = steering(tools.ledger.marks(upgrade.run.key), lane.name).seen
        return wait(f"waits: {why}", until=tools.clock() + WAIT, seen=seen)
    gate = _gate(upgrade, tools, lane, {"change-allows-it": refusal, "place-free": "; ".join(taken)})
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    return yes("the change allows it, nobody else is at work there") if gate.passed else no(*gate.reasons())


def change_still_allows(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Immediately before the change itself; one that has begun is not asked, its task attaches to work in progress."""
    marks = since_back_out(lane_marks(upgrade, tools, lane.name))
    if any(each.kind is MarkKind.IMPLEMENTING for each in marks):
        return yes("the change has begun")
    refusal = change_refusal(upgrade, tools)
    return no(refusal) if refusal else yes("the change allows it")


def take_place(upgrade: Upgrade, tools: Tools, lane: Environment) -> tuple[str, ...]:
    """Why the lane has to wait; () when it holds its place. The way back waits for nobody."""
    fleet = tools.fleet
    if fleet is None:
        return ()
    _give_back_what_ended(fleet, upgrade, tools)
    claim = _claim(upgrade, tools, lane)
    if upgrade.mode is Mode.BACK_OUT:
        return fleet.take(claim, lambda held: ())
    caps = fleet.caps()
    return fleet.take(claim, lambda held: hindrances(claim, held, caps))


def give_place_back(upgrade: Upgrade, tools: Tools, lane: Environment) -> None:
    if tools.fleet is not None:
        tools.fleet.give_back(upgrade.run.key, lane.name, tools.clock())


def _claim(upgrade: Upgrade, tools: Tools, lane: Environment) -> Claim:
    plan = upgrade.plan
    hosts = hosts_of(upgrade, tools, lane.name)
    return Claim(
        run=upgrade.run.key,
        plan=plan.dag_id,
        client=plan.client,
        application=plan.application,
        environment=lane.name,
        kind=lane.kind,
        cis=(environment_ci(plan, lane.name), *map(host_ci, hosts)),
        people=tuple(sorted(needed(plan, lane))),
        since=tools.clock(),
    )


def _give_back_what_ended(fleet: Fleet, upgrade: Upgrade, tools: Tools) -> None:
    """Places of runs that were closed, or settled by a person, since they were taken: no task of theirs is needed."""
    for claim in fleet.held():
        if claim.run == upgrade.run.key:
            continue
        ends = (
            each.at
            for each in tools.ledger.marks(claim.run)
            if each.kind is MarkKind.CHANGE_CLOSED
            or (each.kind is MarkKind.SETTLED and each.environment in ("", claim.environment))
        )
        if any(at >= claim.since for at in ends):
            fleet.give_back(claim.run, claim.environment, tools.clock())


def _waited_too_long(upgrade: Upgrade, tools: Tools, lane: Environment) -> bool:
    """Where no window ends the waiting."""
    if not isinstance(lane.window, AnyTime):
        return False
    waits = tools.ledger.marks(upgrade.run.key, environment=lane.name, kind=MarkKind.WAITING)
    return bool(waits) and tools.clock() - waits[0].at >= LONGEST_WAIT


def _gate(upgrade: Upgrade, tools: Tools, lane: Environment, reasons: dict[str, str]) -> GateResult:
    results = tuple(
        CheckResult(key, "", CheckState.FAILED if reasons[key] else CheckState.PASSED, reasons[key]) for key in CHECKS
    )
    before = newest_gate(upgrade, tools, lane.name, "start")
    # Told when the lane's turn came; to read every plan once more would only delay the restore point.
    found = before.findings if before and before.passed else tuple(_conflicts_now(upgrade, tools, lane))
    return GateResult("start", lane.name, tuple((key, "") for key in CHECKS), results, ("plan",), ("plan",), found)


def _conflicts_now(upgrade: Upgrade, tools: Tools, lane: Environment) -> Iterator[Finding]:
    """What the calendar has against this night as it stands now: plans may have come since the approval."""
    if upgrade.mode is Mode.BACK_OUT:
        return
    yield from (finding for finding in clashes(upgrade, tools) if finding.subject == lane.name)
    record = tools.cmdb.change(upgrade.run.key)
    if record is None or record.planned_start is None or record.planned_end is None:
        return
    freezes = client_freezes(upgrade, tools)
    for each in placement(lane, upgrade.plan, record.planned_start, record.planned_end, freezes):
        if each.kind is ConflictKind.IN_FREEZE or len(upgrade.lanes) == 1:  # dates of several lanes span their nights
            key = f"change-{str(each.kind).replace('_', '-')}"
            yield Finding(key, lane.name, f"the change's planned dates: {each.told()}", Severity.ADVISORY)
