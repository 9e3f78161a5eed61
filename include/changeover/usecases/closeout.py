"""Closeout: exit conditions checked, the change closed, CMDB and discovery equal, the outcome on record."""

from __future__ import annotations

from hashlib import sha256

from changeover.domain.change import close_code
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.given_back import not_given_back
from changeover.domain.hypercare import CRITICAL, decided_against, not_ended
from changeover.domain.outcome import Outcome, Verdict, run_verdict
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.domain.settlement import closed_by
from changeover.domain.steering import holds
from changeover.domain.version import VersionError, same
from changeover.errors import PlanError
from changeover.ports import fresh
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.fix import fix_verdict
from changeover.usecases.incidents import open_before, ours, see_incidents, still_open
from changeover.usecases.lane import settled
from changeover.usecases.lane_facts import not_upgraded, proofs
from changeover.usecases.run_view import view_run
from changeover.usecases.tools import (
    Answer,
    Tools,
    Upgrade,
    mark,
    no,
    not_applicable,
    tell_cmdb,
    yes,
)

CHANGING = (Mode.IMPLEMENT, Mode.BACK_OUT)
IN_EITHER_CASE = ("cmdb-equals-discovery", "given-back", "outbox-empty")
"""Conditions of both exits; the others are of an upgrade that is kept."""


def check_exit(upgrade: Upgrade, tools: Tools) -> Answer:
    """The blueprint's two exits: unsuccessful and backed out, or successful with every exit condition met."""
    settled_lanes = tools.ledger.outcomes(upgrade.run.key)
    if upgrade.mode is not Mode.IMPLEMENT or not settled_lanes:
        return not_applicable("no lane was settled: there is no exit to check")
    see_incidents(upgrade, tools)  # those since the last look
    deliver(tools.ledger, tools.cmdb, tools.clock())
    outcomes = [settled_lanes[lane.name].outcome for lane in upgrade.lanes if lane.name in settled_lanes]
    backed_out = Outcome.BACKED_OUT in outcomes and all(o.is_success or o is Outcome.BACKED_OUT for o in outcomes)
    results = tuple(
        CheckResult(key, "", CheckState.FAILED if reason else CheckState.PASSED, reason)
        for key, reason in exit_conditions(upgrade, tools).items()
        if key in IN_EITHER_CASE or not backed_out
    )
    gate = GateResult("exit", "", tuple((r.key, "") for r in results), results, ("run",), ("run",))
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    if not gate.passed:
        return no(*gate.reasons())
    met = "exit: unsuccessful and backed out" if backed_out else "exit conditions met"
    return yes("; ".join((met, *_left_behind(upgrade, tools))))


def exit_conditions(upgrade: Upgrade, tools: Tools) -> dict[str, str]:
    """Condition → why it is not met ("" when it is)."""
    plan, key = upgrade.plan, upgrade.run.key
    open_lanes = not_upgraded(upgrade, tools, upgrade.lanes)
    incidents = [one.number for one in still_open(ours(upgrade, tools)) if one.severity <= CRITICAL]
    unequal = []
    reached = tools.ledger.outcomes(key)
    for lane in (lane for lane in upgrade.lanes if lane.name in reached):
        recorded = tools.cmdb.versions(plan.client, plan.application, lane.name)
        for host, found in proofs(upgrade, tools, lane).versions.items():
            if not _equal(recorded.get(host), found, upgrade.release.version_scheme):
                unequal.append(f"{host}: CMDB {recorded.get(host)}, discovered {found}")
    accepted = tools.ledger.marks(key, kind=MarkKind.SUPPORT_ACCEPTED)
    return {
        "acceptance-complete": f"not upgraded: {', '.join(open_lanes)}" if open_lanes else "",
        "watch-ended": not_ended(tools.ledger.marks(key, environment="")),
        "no-critical-incident": f"open: {', '.join(incidents)}" if incidents else "",
        "support-accepted": "" if accepted else "support has not accepted",
        "cmdb-equals-discovery": "; ".join(unequal),
        "given-back": "; ".join(
            filter(None, (not_given_back(view_run(tools.ledger, upgrade.run).environments), _held(upgrade, tools)))
        ),
        "outbox-empty": _outbox(upgrade, tools),
    }


def _held(upgrade: Upgrade, tools: Tools) -> str:
    """A hold of the whole run; one of an environment ended with its lane."""
    standing = holds(tools.ledger.marks(upgrade.run.key))
    told = [f"held by {hold.by} ({hold.reason}): resume it" for hold in standing if not hold.environment]
    return "; ".join(told)


def _left_behind(upgrade: Upgrade, tools: Tools) -> tuple[str, ...]:
    """What keeps nothing open, and somebody still has to look at."""
    before = [incident.number for incident in open_before(upgrade, tools)]
    try:
        known = tools.content.waivers(upgrade.plan.client) if tools.content else ()
        waivers = [f"{one.id} by {one.by}" for one in known if one.upgrade == upgrade.plan.upgrade]
    except PlanError as exc:
        waivers = [f"they cannot be read: {exc}"]
    return (
        *((f"open since before the change: {', '.join(before)}",) if before else ()),
        *((f"waivers of this upgrade alone, to be withdrawn: {', '.join(waivers)}",) if waivers else ()),
    )


def _equal(recorded: str | None, found: str | None, scheme: str) -> bool:
    """By the product's scheme: 7.4.052-1 is no other version than 7.4.52-1 where the scheme says so (V14)."""
    if recorded is None or found is None:
        return False
    try:
        return same(recorded, found, scheme)
    except VersionError:
        return recorded == found


def _outbox(upgrade: Upgrade, tools: Tools) -> str:
    waiting = [item.write.op_key for item in tools.ledger.outbox(change=upgrade.run.key) if item.state != "delivered"]
    return f"not yet in the CMDB: {', '.join(waiting)}" if waiting else ""


def outcome_of(upgrade: Upgrade, tools: Tools) -> Verdict:
    """The run's outcome from the ledger alone; callable at any time, by anybody."""
    key = upgrade.run.key
    gates = {gate.gate: gate for _, gate in tools.ledger.gates(key, environment="")}
    refused = tuple(
        f"{gate.gate}: {reason}"
        for gate in gates.values()
        if gate.gate not in ("hypercare", "exit")
        for reason in gate.reasons()
    )
    if upgrade.mode in (Mode.ANALYSE, Mode.REHEARSE):
        return _before_lanes(upgrade, tools, refused)
    if upgrade.mode is Mode.FIX:
        return fix_verdict(upgrade, tools, refused)
    environments = _environments(upgrade, tools)
    blockers = (
        *refused,
        *_baseline_failure(upgrade, tools),
        *_unmet(upgrade, tools, environments),
    )
    return run_verdict(
        environments,
        planned=tuple(lane.name for lane in upgrade.lanes),
        blockers=blockers,
    )


def _environments(upgrade: Upgrade, tools: Tools) -> dict[str, Verdict]:
    """Of each environment the outcome on record; of one whose lane began and has none, what is proven by now."""
    key = upgrade.run.key
    environments = dict(tools.ledger.outcomes(key))
    environments.pop("", None)
    for lane in upgrade.lanes:
        if lane.name not in environments and tools.ledger.marks(key, environment=lane.name, kind=MarkKind.LANE_STARTED):
            environments[lane.name] = settled(upgrade, tools, lane)
    return environments


def close(upgrade: Upgrade, tools: Tools, *, by: str = "") -> Verdict:
    """Record the outcome, close the change with its code, write the run record, deliver what waits. Idempotent.

    A change of which something is still to be put right stays open, unless somebody (`by`) closes it all the same.
    """
    if upgrade.mode in CHANGING:
        deliver(tools.ledger, tools.cmdb, tools.clock())  # what has waited since the exit was checked is no reason
    verdict, run = outcome_of(upgrade, tools), upgrade.run
    tools.ledger.record_outcome(run.key, "", verdict, tools.clock())
    if upgrade.mode in CHANGING:
        _record_run(upgrade, tools, verdict)
    if not by and (why := _to_put_right(upgrade, tools, verdict)):
        _leave_open(upgrade, tools, why)
    else:
        _close_change(upgrade, tools, verdict, by)
    if upgrade.mode not in (Mode.ANALYSE, Mode.REHEARSE):
        deliver(tools.ledger, tools.cmdb, tools.clock())
    return verdict


def is_open(upgrade: Upgrade, tools: Tools) -> bool:
    """Whether the change was left open when its outcome was recorded."""
    return not tools.ledger.marks(upgrade.run.key, kind=MarkKind.CHANGE_CLOSED)


def _record_run(upgrade: Upgrade, tools: Tools, verdict: Verdict) -> None:
    run, plan = upgrade.run, upgrade.plan
    tell_cmdb(
        upgrade,
        tools,
        "record_run",
        f"record_run-{verdict.outcome}",
        run=run.key,
        outcome=str(verdict.outcome),
        mode=run.mode,
        from_version=plan.from_version,
        to_version=plan.to_version,
        plan_digest=run.plan_digest,
        started_at=run.opened_at.isoformat(),
        ended_at=tools.clock().isoformat(),
        environments={name: str(v.outcome) for name, v in tools.ledger.outcomes(run.key).items() if name},
    )


def _to_put_right(upgrade: Upgrade, tools: Tools, verdict: Verdict) -> tuple[str, ...]:
    """What keeps the change open: a code that is written once would be wrong when it has been put right."""
    if upgrade.mode not in CHANGING or verdict.outcome is not Outcome.UNKNOWN or not is_open(upgrade, tools):
        return ()
    environments, marks = _environments(upgrade, tools), tools.ledger.marks(upgrade.run.key)
    doubtful = tuple(
        f"{name} ended unknown"
        for name, found in environments.items()
        if found.outcome is Outcome.UNKNOWN and not closed_by(mark for mark in marks if mark.environment == name)
    )
    return doubtful or (() if decided_against(marks) else _unmet(upgrade, tools, environments))


def _leave_open(upgrade: Upgrade, tools: Tools, why: tuple[str, ...]) -> None:
    """Once every environment is upgraded it is in review; each set of reasons is noted once."""
    if not tools.ledger.marks(upgrade.run.key, kind=MarkKind.CHANGE_OPENED):
        return
    if not not_upgraded(upgrade, tools, upgrade.lanes):
        tell_cmdb(upgrade, tools, "move_change", "review", state="review")
    told = f"not closed: {'; '.join(why)}"
    lasting = "; ".join(reason for reason in why if not reason.startswith("exit: outbox-empty"))
    tell_cmdb(upgrade, tools, "note", f"open-{sha256(lasting.encode()).hexdigest()[:12]}", text=told)
    tools.tell(f"the change stays open: {'; '.join(why)}")


def _close_change(upgrade: Upgrade, tools: Tools, verdict: Verdict, by: str) -> None:
    key = upgrade.run.key
    if upgrade.mode not in (Mode.ANALYSE, Mode.REHEARSE) and tools.ledger.marks(key, kind=MarkKind.CHANGE_OPENED):
        said = (f"closed by {by}",) if by else ()
        notes = f"{verdict.outcome}: {'; '.join((*said, *verdict.reasons))}"
        tell_cmdb(upgrade, tools, "close_change", "close_change", code=str(_code(upgrade, verdict)), notes=notes)
    if upgrade.mode is Mode.IMPLEMENT and tools.ledger.outcomes(key).keys() - {""}:
        mark(upgrade, tools, MarkKind.SURVEY_ASKED, key="survey-asked", title=upgrade.plan.title)
        tools.tell(f"the client's survey is open: `./changeover survey {key}` prints its link")
    outcome = str(verdict.outcome)
    mark(upgrade, tools, MarkKind.CHANGE_CLOSED, key=f"closed-{outcome}", outcome=outcome)


def is_wanted(upgrade: Upgrade, verdict: Verdict) -> bool:
    """Whether the run did what it was asked for: a run in mode back-out wants `backed_out`."""
    return verdict.outcome.is_success or (upgrade.mode is Mode.BACK_OUT and verdict.outcome is Outcome.BACKED_OUT)


def _code(upgrade: Upgrade, verdict: Verdict) -> str:
    return (
        "successful"
        if is_wanted(upgrade, verdict) and upgrade.mode is Mode.BACK_OUT
        else str(close_code(verdict.outcome))
    )


def _before_lanes(upgrade: Upgrade, tools: Tools, refused: tuple[str, ...]) -> Verdict:
    failure = _baseline_failure(upgrade, tools)
    if refused or failure:
        return Verdict(Outcome.REFUSED, (*refused, *failure, "no environment in use was touched"))
    needed = {"entry", "kickoff", "release_analysis", "client_analysis"}
    seen = {gate.gate for _, gate in tools.ledger.gates(upgrade.run.key)}
    if not needed <= seen:
        return Verdict(
            Outcome.UNKNOWN,
            (f"gates that never ran: {', '.join(sorted(needed - seen))}",),
        )
    if upgrade.mode is Mode.REHEARSE and not tools.ledger.marks(upgrade.run.key, kind=MarkKind.COMMITTED):
        return Verdict(Outcome.UNKNOWN, ("the rehearsal did not come to its end",))
    done = (
        "analysis complete, nothing inhibits"
        if upgrade.mode is Mode.ANALYSE
        else "rehearsed: upgraded, backed out and upgraded again"
    )
    return Verdict(Outcome.SUCCESSFUL, (done, "no environment in use was touched"))


def _baseline_failure(upgrade: Upgrade, tools: Tools) -> tuple[str, ...]:
    """The newest of each step counts: a test whose tool broke was made again, and that one is the answer."""
    name = upgrade.plan.baseline.name
    newest = {step.step: step for step in tools.ledger.steps(upgrade.run.key, environment=name)}
    bad = [step for step in newest.values() if step.status in ("failed", "unknown")]
    return tuple(f"{name}: {step.step}: {'; '.join(step.reasons) or step.status}" for step in bad)


def _unmet(upgrade: Upgrade, tools: Tools, environments: dict[str, Verdict]) -> tuple[str, ...]:
    """A run whose lanes all ended upgraded is a success only once every exit condition was met.

    The code with which its change was closed stands; what comes after it is no matter of this run.
    """
    if (
        upgrade.mode is not Mode.IMPLEMENT
        or not environments
        or not all(v.outcome.is_success for v in environments.values())
    ):
        return ()
    if set(environments) != {lane.name for lane in upgrade.lanes}:
        return ()
    if closed := fresh(MarkKind.CHANGE_CLOSED, tools.ledger.marks(upgrade.run.key)):
        before = Outcome(str(closed.data["outcome"]))
        told = f"exit: the change was closed {closed.at:%Y-%m-%d %H:%MZ} with outcome {before}, which stands"
        return () if before.is_success else (told,)
    return tuple(f"exit: {key}: {reason}" for key, reason in exit_conditions(upgrade, tools).items() if reason)
