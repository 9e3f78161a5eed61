"""The clock before host work: the window, the client's freezes, the measured times. Asked again before every start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta

from changeover.domain.finding import Finding
from changeover.domain.freeze import Freezes, freezes_of
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.legs import Hop
from changeover.domain.limits import limit_findings
from changeover.domain.no_return import Reversible, time_needed
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.plan import Environment, Mode
from changeover.domain.plan_check import not_covered
from changeover.domain.record import MarkKind, meant_for
from changeover.domain.steering import steering
from changeover.domain.window import Occurrence
from changeover.domain.window_check import window_findings
from changeover.domain.window_start import Agreed, StartDecision, may_go_on, may_start, meant_night
from changeover.errors import PlanError
from changeover.usecases.fleet import clashes
from changeover.usecases.lane_facts import lane_marks, since_back_out
from changeover.usecases.planning_facts import durations
from changeover.usecases.tools import Answer, Tools, Upgrade, mark, no, wait, yes

LONGEST_WAIT = timedelta(days=7)
"""A window that opens later than this is no reason to keep a run open."""


def client_freezes(upgrade: Upgrade, tools: Tools) -> Freezes:
    """As they are now, not as they were when the run began; raise when they cannot be read."""
    if tools.shelf is None:
        return ()
    calendar = tools.shelf.freezes(upgrade.plan.client)
    if calendar.document is None:
        raise PlanError(
            f"the freezes of {upgrade.plan.client} cannot be read, so nothing may start",
            where=calendar.file,
            then="correct the file, then clear this task",
            faults=tuple(map(str, calendar.faults)),
        )
    return calendar.document.freezes


def reversible(upgrade: Upgrade, tools: Tools) -> Mapping[str, Reversible]:
    """What the application's role declares of its entry points."""
    role = tools.shelf.role(upgrade.plan.application).document if tools.shelf else None
    points = role.description.entry_points if role else {}
    return {name: Reversible(point.reversible) for name, point in points.items()}


def window_now(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Whether work on an environment may begin now: it waits for the opening, and is marked as missed if too late."""
    return _answer(upgrade, tools, lane, may_start, "restore_point")


def window_still(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Whether the change itself may begin now: tasks queue, and the lane may have waited since it began.

    A change that has begun is not asked: its task attaches to work in progress.
    """
    marks = since_back_out(lane_marks(upgrade, tools, lane.name))
    if any(mark.kind is MarkKind.IMPLEMENTING for mark in marks):
        return yes("the change has begun")
    return _answer(upgrade, tools, lane, may_go_on, "implement")


def window_for_batch(upgrade: Upgrade, tools: Tools, lane: Environment) -> str:
    """Why the next batch may not begin now ("" when it may): step and way back have to fit what is left."""
    decision = _decision(upgrade, tools, lane, may_go_on, "implement")
    return "" if decision.may_start else decision.reason


def window_for_leg(upgrade: Upgrade, tools: Tools, lane: Environment, hop: Hop) -> Answer:
    """Whether a leg after the first may begin: what is left of the window holds the rest of the way, and the way back.

    A "no" here stops at a release on the way; the lane's verdict then takes it back to where it came from.
    """
    if upgrade.mode is Mode.BACK_OUT:
        return yes("a back-out does not wait for a window")
    first = hop.step("restore_point")
    if all(step.name != first for step in durations(upgrade, tools, lane).steps({})):
        return no(f"the rehearsal did not measure {hop.told}, so nothing says that it ends within the window")
    decision = _decision(upgrade, tools, lane, may_go_on, first)
    return yes(decision.reason) if decision.may_start else no(decision.reason)


def baseline_window(upgrade: Upgrade, tools: Tools) -> Answer:
    """The baseline is rebuilt and never backed out for good, so only its window and freezes count."""
    lane = upgrade.plan.baseline
    decision = _decision(upgrade, tools, lane, may_go_on, "")
    return _wait_for_opening(upgrade, tools, lane, decision) or (
        yes(decision.reason) if decision.may_start else no(decision.reason)
    )


def latest_start(upgrade: Upgrade, tools: Tools, lane: Environment, *, change: bool = False) -> datetime | None:
    """After which the lane's host work (`change`: the change itself) does not begin; None where no window closes."""
    if upgrade.mode is Mode.BACK_OUT:
        return None
    ask, first = (may_go_on, "implement") if change else (may_start, "restore_point")
    return _decision(upgrade, tools, lane, ask, first).latest_safe_start


def missed_start(upgrade: Upgrade, tools: Tools) -> str:
    """Why a run that was to start by itself comes too late ("" when it does not); its lanes are recorded as missed."""
    opening, plan = meant_for(upgrade.run.dag_run_id), upgrade.plan
    if plan.unattended is None or opening is None:
        return ""
    lane = plan.environment(plan.unattended.window_of)
    if done := _upgraded_before(upgrade, tools):
        return f"run {done} upgraded everything: nothing is left to start by itself; take `unattended` out of the plan"
    decision = _decision(upgrade, tools, lane, may_start, "restore_point")
    if decision.may_start:
        return ""
    if not decision.missed:
        return decision.reason
    for each in upgrade.lanes:
        mark(upgrade, tools, MarkKind.WINDOW_MISSED, each.name, key=f"missed-{each.name}", reason=decision.reason)
        verdict = Verdict(Outcome.MISSED, (decision.reason, "nothing was touched"))
        tools.ledger.record_outcome(upgrade.run.key, each.name, verdict, tools.clock())
    return decision.reason


def _upgraded_before(upgrade: Upgrade, tools: Tools) -> str:
    """The earlier run of this plan that ended upgraded everywhere; "" when there is none."""
    for run in tools.ledger.runs(limit=500):
        if run.dag_id != upgrade.run.dag_id or run.key == upgrade.run.key or run.mode != Mode.IMPLEMENT:
            continue
        outcomes = tools.ledger.outcomes(run.key)
        if all(lane.name in outcomes and outcomes[lane.name].outcome.is_success for lane in upgrade.lanes):
            return run.key
    return ""


def agreed(upgrade: Upgrade, tools: Tools, environment: Environment) -> Agreed:
    """Window, freezes and covered days of an environment, as they are now."""
    freezes = freezes_of(upgrade.plan, environment, client_freezes(upgrade, tools))
    return Agreed(environment.window, freezes, upgrade.plan.covered)


def planned_nights(upgrade: Upgrade, tools: Tools) -> dict[str, Occurrence]:
    """The night that each lane of this run is meant for; nothing for one that may be worked on at any time."""
    freezes, plan, since = client_freezes(upgrade, tools), upgrade.plan, _meant_since(upgrade)
    nights = {
        lane.name: meant_night(Agreed(lane.window, freezes_of(plan, lane, freezes), plan.covered), since)
        for lane in upgrade.lanes
    }
    return {name: night for name, night in nights.items() if night is not None}


def planning_gate(upgrade: Upgrade, tools: Tools) -> GateResult:
    """Before people approve: odd hours decided, a night on offer that can hold the work, zone data agreed about."""
    findings: tuple[Finding, ...] = ()
    if upgrade.mode is not Mode.BACK_OUT:
        freezes = client_freezes(upgrade, tools)
        findings = (
            *window_findings(upgrade.plan, upgrade.lanes, freezes, now=tools.clock()),
            *_too_short(upgrade, tools),
            *_over_limits(upgrade, tools),
            *clashes(upgrade, tools),
            *_night_not_covered(upgrade),
        )
    result = CheckResult("windows", "", CheckState.PASSED, f"{len(upgrade.lanes)} windows looked at")
    return GateResult("planning", "", (("windows", ""),), (result,), ("plan",), ("plan",), findings)


def _night_not_covered(upgrade: Upgrade) -> Iterator[Finding]:
    """Nobody may be there when it runs, so everything that can happen has to be decided before."""
    if missing := not_covered(upgrade.plan):
        yield Finding(
            "night-policy-incomplete",
            "plan",
            f"it starts by itself, and its night policy says nothing for {', '.join(missing)}",
            remediation="say under `night` what happens in each of these cases",
        )


def _too_short(upgrade: Upgrade, tools: Tools) -> Iterator[Finding]:
    """Lanes whose night ends before measured work and way back would, even from its very opening."""
    for name, night in planned_nights(upgrade, tools).items():
        measured = durations(upgrade, tools, upgrade.plan.environment(name))
        needs = time_needed(measured.steps(reversible(upgrade, tools)), measured.way_back)
        if night.length < needs:
            yield Finding(
                "window-too-short",
                name,
                f"measured work and back-out need {needs}, the night {night.told()} has {night.length}",
                remediation="a longer window, or less work in it",
            )


def _over_limits(upgrade: Upgrade, tools: Tools) -> Iterator[Finding]:
    for lane in upgrade.lanes:
        yield from limit_findings(lane, durations(upgrade, tools, lane))


def _answer(upgrade: Upgrade, tools: Tools, lane: Environment, ask: Callable[..., StartDecision], first: str) -> Answer:
    if upgrade.mode is Mode.BACK_OUT:
        return yes("a back-out does not wait for a window")
    decision = _decision(upgrade, tools, lane, ask, first)
    if waits := _wait_for_opening(upgrade, tools, lane, decision):
        return waits
    if decision.missed:
        mark(upgrade, tools, MarkKind.WINDOW_MISSED, lane.name, key=f"missed-{lane.name}", reason=decision.reason)
    return yes(decision.reason) if decision.may_start else no(decision.reason)


def _wait_for_opening(
    upgrade: Upgrade, tools: Tools, environment: Environment, decision: StartDecision
) -> Answer | None:
    """A run that was started before its window waits for it, for so long at most; None when nothing is waited for."""
    night, now = decision.night, tools.clock()
    if decision.may_start or decision.missed or decision.latest_safe_start is None:
        return None
    if night is None or not timedelta(0) < night.opens - now <= LONGEST_WAIT:
        return None
    key = f"waiting-{environment.name}-{night.opens.isoformat()}"
    until = night.opens.isoformat()
    mark(upgrade, tools, MarkKind.WAITING_FOR_WINDOW, environment.name, key=key, reason=decision.reason, until=until)
    seen = steering(tools.ledger.marks(upgrade.run.key), environment.name).seen
    return wait(f"{environment.name} waits: {decision.reason}", until=night.opens, seen=seen)


def _decision(
    upgrade: Upgrade, tools: Tools, environment: Environment, ask: Callable[..., StartDecision], first: str
) -> StartDecision:
    """`first`: the step that is to begin; "" when no time of its own is asked for."""
    measured = durations(upgrade, tools, environment)
    steps = measured.steps(reversible(upgrade, tools))
    done = next((n for n, step in enumerate(steps) if step.name == first), len(steps))
    return ask(
        agreed(upgrade, tools, environment),
        at=tools.clock(),
        needs=time_needed(steps, measured.way_back, done=done),
        meant_since=_meant_since(upgrade),
    )


def _meant_since(upgrade: Upgrade) -> datetime:
    return meant_for(upgrade.run.dag_run_id) or upgrade.run.opened_at
