"""What stands before a stage: a hold is waited out, an abort is a "no", and a moment that came has the policy act."""

from __future__ import annotations

from datetime import datetime

from changeover.domain.lane import is_accepted
from changeover.domain.legs import plain
from changeover.domain.night import Action, Case
from changeover.domain.night_clock import NightFacts, Ruling, hold_until, past, rule
from changeover.domain.plan import Environment, Mode
from changeover.domain.record import MarkKind, StepStatus
from changeover.domain.steering import RULE, Hold, Steering, steering
from changeover.domain.stopping import stopped_since
from changeover.usecases.lane_clock import change_began, choices, night_facts
from changeover.usecases.lane_facts import lane_marks, since_back_out
from changeover.usecases.tools import Answer, Tools, Upgrade, back_outs, mark, no, not_applicable, wait

WAITS_IN_LANE = frozenset({"window", "readiness", "go_no_go", "restore_point", "implement", "acceptance", "sign_off"})
WAITS_IN_PLAN = frozenset(
    {"build", "implement", "accept_new", "back_out", "accept_old", "implement_again", "accept_again", "prepare"}
)
"""Stages before which a hold is waited out. Going back, standing down and settling are never held up by one."""


def before_stage(upgrade: Upgrade, tools: Tools, stage: str, lane: Environment | None) -> Answer | None:
    """Why the stage does not begin now; None when it may. One that has begun is not asked: it attaches to its work."""
    if stage not in (WAITS_IN_PLAN if lane is None else WAITS_IN_LANE) or _at_work(upgrade, tools, stage, lane):
        return None
    now = steering_of(upgrade, tools, lane.name if lane else "")
    if now.abort:
        text = f"aborted by {now.abort.by}: {now.abort.reason}"
        return not_applicable(text) if stage == "window" else no(text)
    if now.hold and (waits := _wait_out(upgrade, tools, lane, now.hold)):
        return waits
    return _moment(upgrade, tools, lane) if lane is not None and stage == "acceptance" else None


def before_next_part(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer | None:
    """Between two batches or legs: the change has begun, and a hold or an abort keeps the next part from beginning."""
    now = steering_of(upgrade, tools, lane.name)
    if now.abort:
        return no(f"aborted by {now.abort.by}: {now.abort.reason}")
    if stopped := stopped_since(lane_marks(upgrade, tools, lane.name)):
        return no(f"stopped {stopped}")
    return _wait_out(upgrade, tools, lane, now.hold) if now.hold else None


def steering_of(upgrade: Upgrade, tools: Tools, environment: str = "") -> Steering:
    return steering(tools.ledger.marks(upgrade.run.key), environment)


def ask_policy(upgrade: Upgrade, tools: Tools, case: Case, lane: Environment) -> Ruling:
    """What the night policy says of a case now; written down where the plan has a policy."""
    now = tools.clock()
    held = steering_of(upgrade, tools, lane.name).hold
    since = held.at if held and held.case == case else now
    ruling = rule(choices(upgrade, lane.name), case, night_facts(upgrade, tools, lane, since=since), at=now)
    write_ruling(upgrade, tools, ruling, case, lane.name)
    return ruling


def write_ruling(upgrade: Upgrade, tools: Tools, ruling: Ruling, case: Case, environment: str = "") -> None:
    """Once for each case and action."""
    if upgrade.plan.night is None:
        return
    mark(
        upgrade,
        tools,
        MarkKind.NIGHT_ACTED,
        environment,
        key=f"night-{environment}-{case}-{ruling.action}-{back_outs(upgrade, tools, environment)}",
        case=str(case),
        action=str(ruling.action),
        why=ruling.why,
        **_until(ruling),
    )


def hold_by_policy(upgrade: Upgrade, tools: Tools, ruling: Ruling, lane: Environment, reason: str) -> Answer:
    """The policy holds as a person would: `resume` ends it, and so does the clock."""
    held = steering_of(upgrade, tools, lane.name).hold
    if held is None:
        case = str(ruling.case)
        mark(upgrade, tools, MarkKind.HELD, lane.name, by=RULE, reason=reason, case=case, **_until(ruling))
    return _waiting(upgrade, tools, lane, ruling.until or tools.clock(), reason)


def _until(ruling: Ruling) -> dict[str, str]:
    return {"until": ruling.until.isoformat()} if ruling.until else {}


def held_verdict(upgrade: Upgrade, tools: Tools, lane: Environment, case: Case | None) -> Answer | None:
    """Whether the lane's decision waits: the change has begun, and a person or the policy (for `case`) holds."""
    now = steering_of(upgrade, tools, lane.name)
    if now.abort or not change_began(upgrade, tools, lane):
        return None
    if now.hold is not None:
        return _wait_out(upgrade, tools, lane, now.hold)
    if case is None or _was_held(upgrade, tools, lane, case):
        return None
    ruling = ask_policy(upgrade, tools, case, lane)
    if ruling.action is not Action.HOLD:
        return None
    return hold_by_policy(upgrade, tools, ruling, lane, f"{case.replace('_', ' ')} in {lane.name}")


def failure(upgrade: Upgrade, tools: Tools, lane: Environment) -> Case | None:
    """What went wrong in a lane whose change began; None when nothing did, or people or the policy have decided it."""
    marks = since_back_out(lane_marks(upgrade, tools, lane.name))
    kinds = {each.kind for each in marks}
    decided = [each for each in marks if each.kind is MarkKind.NIGHT_ACTED and each.data.get("action") == "back_out"]
    if decided or MarkKind.REJECTED in kinds or is_accepted(marks):
        return None
    if MarkKind.IMPLEMENTED in kinds:
        return Case.ACCEPTANCE_FAILED
    steps = [s for s in tools.ledger.steps(upgrade.run.key, environment=lane.name) if plain(s.step) == "implement"]
    lost = bool(steps) and steps[-1].status is StepStatus.UNKNOWN
    return Case.EXECUTION_UNKNOWN if lost else Case.IMPLEMENT_FAILED


def clock_ended_hold(upgrade: Upgrade, tools: Tools, environment: str) -> bool:
    """The newest hold of this environment went on until it was too late."""
    ended = [each for each in tools.ledger.marks(upgrade.run.key) if each.kind is MarkKind.RESUMED]
    here = [each for each in ended if each.environment in ("", environment)]
    return bool(here) and here[-1].data.get("by") == RULE


def skipped(upgrade: Upgrade, tools: Tools, environment: str, *, kind: str) -> bool:
    """Left out by the policy and untouched, so that another environment of the same kind need not wait for it."""
    if upgrade.plan.environment(environment).kind != kind or environment not in tools.ledger.outcomes(upgrade.run.key):
        return False
    marks = lane_marks(upgrade, tools, environment)
    if any(each.kind is MarkKind.IMPLEMENTING for each in marks):
        return False
    acted = [each.data.get("action") for each in marks if each.kind is MarkKind.NIGHT_ACTED]
    return bool(acted) and acted[-1] == Action.SKIP_ENVIRONMENT


def _was_held(upgrade: Upgrade, tools: Tools, lane: Environment, case: Case) -> bool:
    """The policy held for it in this try, and somebody or the clock ended that: now it goes on."""
    marks = since_back_out(lane_marks(upgrade, tools, lane.name))
    return any(each.kind is MarkKind.HELD and each.data.get("case") == case for each in marks)


def _at_work(upgrade: Upgrade, tools: Tools, stage: str, lane: Environment | None) -> bool:
    environment = (lane or upgrade.plan.baseline).name
    if lane is not None and stage == "implement" and change_began(upgrade, tools, lane):
        return True
    name = "implement" if stage == "implement_again" else stage
    steps = tools.ledger.steps(upgrade.run.key, environment=environment)
    return any(plain(step.step) == name and step.directory and step.status is StepStatus.RUNNING for step in steps)


def _wait_out(upgrade: Upgrade, tools: Tools, lane: Environment | None, hold: Hold) -> Answer | None:
    """Wait, or end the hold where it is over by the clock: what follows then asks the window and the policy itself."""
    now = tools.clock()
    if lane is None or upgrade.mode is Mode.BACK_OUT:
        facts, choose = NightFacts(hold.at), choices(upgrade)
    else:
        facts, choose = night_facts(upgrade, tools, lane, since=hold.at), choices(upgrade, lane.name)
    reason = f"held by {hold.by}: {hold.reason}"
    if until := hold_until(choose, facts, at=now):
        return _waiting(upgrade, tools, lane, until, reason)
    name = lane.name if lane else ""
    mark(upgrade, tools, MarkKind.RESUMED, name, by=RULE, reason=f"the hold went on until it was too late ({reason})")
    return None


def _waiting(upgrade: Upgrade, tools: Tools, lane: Environment | None, until: datetime, reason: str) -> Answer:
    seen = steering_of(upgrade, tools, lane.name if lane else "").seen
    return wait(f"{reason}; waits until {until:%Y-%m-%d %H:%M:%SZ} at most", until=until, seen=seen)


def _moment(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer | None:
    """Before the result is tested: where "decide by" or the window's end has come, the policy says what happens."""
    now = tools.clock()
    case = past(night_facts(upgrade, tools, lane, since=now), at=now)
    if case is None or upgrade.mode is Mode.BACK_OUT or _was_held(upgrade, tools, lane, case):
        return None
    ruling = ask_policy(upgrade, tools, case, lane)
    if ruling.action is Action.HOLD:
        return hold_by_policy(upgrade, tools, ruling, lane, f"{case.replace('_', ' ')} in {lane.name}")
    return None if ruling.action is Action.PROCEED else no(ruling.why)
