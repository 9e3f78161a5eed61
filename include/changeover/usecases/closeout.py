"""Closeout: exit conditions checked, the change closed, CMDB and discovery equal, the outcome on record."""

from __future__ import annotations

from changeover.domain.change import close_code
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.given_back import not_given_back
from changeover.domain.hypercare import CRITICAL, not_ended
from changeover.domain.outcome import Outcome, Verdict, run_verdict
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.domain.version import VersionError, same
from changeover.usecases.deliver_outbox import deliver
from changeover.usecases.fix import fix_verdict
from changeover.usecases.incidents import open_incidents, ours
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

IN_EITHER_CASE = ("cmdb-equals-discovery", "given-back", "outbox-empty")
"""Conditions of both exits; the others are of an upgrade that is kept."""


def check_exit(upgrade: Upgrade, tools: Tools) -> Answer:
    """The blueprint's two exits: unsuccessful and backed out, or successful with every exit condition met."""
    settled_lanes = tools.ledger.outcomes(upgrade.run.key)
    if upgrade.mode is not Mode.IMPLEMENT or not settled_lanes:
        return not_applicable("no lane was settled: there is no exit to check")
    open_incidents(upgrade, tools)  # marks and links those since the last look
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
    return yes("exit: unsuccessful and backed out" if backed_out else "exit conditions met")


def exit_conditions(upgrade: Upgrade, tools: Tools) -> dict[str, str]:
    """Condition → why it is not met ("" when it is)."""
    plan, key = upgrade.plan, upgrade.run.key
    open_lanes = not_upgraded(upgrade, tools, upgrade.lanes)
    incidents = [incident.number for incident in ours(upgrade, tools) if incident.severity <= CRITICAL]
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
        "given-back": not_given_back(view_run(tools.ledger, upgrade.run).environments),
        "outbox-empty": _outbox(upgrade, tools),
    }


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
    environments = dict(tools.ledger.outcomes(key))
    environments.pop("", None)
    for lane in upgrade.lanes:
        if lane.name not in environments and tools.ledger.marks(key, environment=lane.name, kind=MarkKind.LANE_STARTED):
            environments[lane.name] = settled(upgrade, tools, lane)
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


def close(upgrade: Upgrade, tools: Tools) -> Verdict:
    """Record the outcome, close the change with its code, write the run record, deliver what waits. Idempotent."""
    verdict, run, plan = outcome_of(upgrade, tools), upgrade.run, upgrade.plan
    tools.ledger.record_outcome(run.key, "", verdict, tools.clock())
    environments = {name: str(v.outcome) for name, v in tools.ledger.outcomes(run.key).items() if name}
    if upgrade.mode in (Mode.IMPLEMENT, Mode.BACK_OUT):
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
            environments=environments,
        )
    if upgrade.mode not in (Mode.ANALYSE, Mode.REHEARSE):
        if tools.ledger.marks(run.key, kind=MarkKind.CHANGE_OPENED):
            tell_cmdb(
                upgrade,
                tools,
                "close_change",
                "close_change",
                code=str(_code(upgrade, verdict)),
                notes=f"{verdict.outcome}: {'; '.join(verdict.reasons)}",
            )
        deliver(tools.ledger, tools.cmdb, tools.clock())
    if upgrade.mode is Mode.IMPLEMENT and tools.ledger.outcomes(run.key).keys() - {""}:
        mark(upgrade, tools, MarkKind.SURVEY_ASKED, key="survey-asked", title=plan.title)
        tools.tell(f"the client's survey is open: `./changeover survey {run.key}` prints its link")
    mark(
        upgrade,
        tools,
        MarkKind.CHANGE_CLOSED,
        key=f"closed-{verdict.outcome}",
        outcome=str(verdict.outcome),
    )
    return verdict


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
    """A run whose lanes all ended upgraded is a success only once support has accepted."""
    if (
        upgrade.mode is not Mode.IMPLEMENT
        or not environments
        or not all(v.outcome.is_success for v in environments.values())
    ):
        return ()
    if set(environments) != {lane.name for lane in upgrade.lanes}:
        return ()
    return tuple(f"exit: {key}: {reason}" for key, reason in exit_conditions(upgrade, tools).items() if reason)
