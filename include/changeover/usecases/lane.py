"""The lane of one environment, stage by stage; each returns an answer, and the ledger keeps what is true."""

from __future__ import annotations

import time
from datetime import timedelta

from changeover.domain.batch import changed, labels
from changeover.domain.execution import ExecutionResult
from changeover.domain.lane import Decision, decide, hosts_to_back_out
from changeover.domain.legs import Hop, plain
from changeover.domain.night import Action, Case
from changeover.domain.outcome import Verdict, environment_verdict
from changeover.domain.plan import Environment, Mode
from changeover.domain.record import MarkKind
from changeover.errors import ChangeoverError
from changeover.ports import fresh
from changeover.usecases import back_out_judgement, batches
from changeover.usecases.accept import AcceptanceWanted, accept
from changeover.usecases.ask import tally_of
from changeover.usecases.check_readiness import readiness_gate
from changeover.usecases.evidence import (
    business_data_before,
    evidence_path,
    keep_business_data,
    rows_read,
)
from changeover.usecases.lane_facts import (
    earlier_change,
    lane_facts,
    lane_marks,
    not_upgraded,
    proofs,
    since_back_out,
    tell_versions,
)
from changeover.usecases.leaving import may_leave
from changeover.usecases.legs import Clock, Walk, go_through, hops
from changeover.usecases.put_back import back_out_rollout, back_out_together
from changeover.usecases.restore_points import no_way_back, record_points
from changeover.usecases.run_on_hosts import HostWork, execution_running, run_on_hosts
from changeover.usecases.start_gate import change_still_allows, give_place_back, may_begin
from changeover.usecases.steer import (
    ask_policy,
    before_next_part,
    clock_ended_hold,
    failure,
    held_verdict,
    hold_by_policy,
    skipped,
)
from changeover.usecases.step_end import record_what_ended
from changeover.usecases.tools import (
    Answer,
    Reply,
    Tools,
    Upgrade,
    back_outs,
    hosts_of,
    mark,
    no,
    not_applicable,
    tell_cmdb,
    yes,
)
from changeover.usecases.watch_clock import change_limit, clock_watch, ended_by_clock, too_late_to_begin
from changeover.usecases.window_gate import window_for_leg, window_now, window_still

ENDING = timedelta(minutes=15)
"""What an execution that came to its limit is given to end, on hosts that answer slowly."""


def window(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Whether this lane's turn has come: asked for, approved, the lane before upgraded, time enough in the window."""
    if upgrade.mode not in (Mode.IMPLEMENT, Mode.BACK_OUT):
        return not_applicable(f"mode {upgrade.mode} touches no lane")
    if lane not in upgrade.lanes:
        return not_applicable(f"{lane.name} is not part of this run")
    if reason := _not_our_turn(upgrade, tools, lane):
        return not_applicable(reason)
    tries = back_outs(upgrade, tools, lane.name)
    mark(upgrade, tools, MarkKind.LANE_STARTED, lane.name, key=f"lane-{lane.name}-{tries}")
    return _may_begin(upgrade, tools, lane)


def readiness(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    if upgrade.mode is Mode.BACK_OUT:
        return not_applicable("a back-out does not wait for readiness")
    gate = readiness_gate(upgrade, tools, lane)
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    if gate.passed:
        return yes(f"ready: {gate.checks_run} checks on {len(gate.hosts_seen)} hosts")
    ruling = ask_policy(upgrade, tools, Case.READINESS_REFUSED, lane)
    if ruling.action is Action.HOLD and not clock_ended_hold(upgrade, tools, lane.name):
        return hold_by_policy(upgrade, tools, ruling, lane, f"not ready: {'; '.join(gate.reasons())}")
    return no(*gate.reasons())


def go_no_go(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """The rule's own go: used where the plan names nobody to ask."""
    mark(
        upgrade,
        tools,
        MarkKind.APPROVED,
        lane.name,
        key=f"go-{lane.name}",
        gate="go_no_go",
        by="rule: all readiness checks passed",
        plan_digest=upgrade.run.plan_digest,
    )
    return yes("go: every readiness check passed and the plan is approved")


def restore_point(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Ask everything again, close traffic, take and prove the restore point, read the business data as it stands."""
    again = _may_begin(upgrade, tools, lane)
    if again.reply is not Reply.YES:
        return again
    leave = may_leave(upgrade, tools, lane.name)
    if leave.reply is not Reply.YES:
        return leave
    if lane.batches:
        return batches.lock(upgrade, tools, lane)
    taken = run_on_hosts(
        upgrade,
        tools,
        HostWork(
            "restore_point",
            "restore_point.yml",
            lane.name,
            upgrade.plan.from_version,
            changes=True,
            restore_point=window_label(upgrade, tools, lane),
            watch=clock_watch(upgrade, tools, lane),
            hop=hops(upgrade, tools)[0],
        ),
    )
    if not taken.successful:
        return no("the restore point is not proven", *taken.reasons)
    if faults := record_points(upgrade, tools, lane.name, window_label(upgrade, tools, lane), taken):
        return no("the restore point is not proven", *faults)
    data = {host.host: host.report["data"] for host in taken.hosts if host.report.get("data")}
    if not data:
        return no("the business data could not be read before the change: nothing to compare with afterwards")
    keep_business_data(upgrade, tools, lane.name, data)
    mark(
        upgrade,
        tools,
        MarkKind.RESTORE_POINT_PROVEN,
        lane.name,
        key=f"window-point-{lane.name}-{back_outs(upgrade, tools, lane.name)}",
        label=window_label(upgrade, tools, lane),
    )
    return yes(f"restore point {window_label(upgrade, tools, lane)} proven; {rows_read(data)}")


def implement(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Ask window and change once more, then the change itself, leg by leg; the last leg's acceptance is a stage."""
    if lane.batches:
        return batches.implement(upgrade, tools, lane, lane.batches)
    for ask in (window_still, change_still_allows):
        still = ask(upgrade, tools, lane)
        if still.reply is not Reply.YES:
            return still
    if late := too_late_to_begin(upgrade, tools, lane):
        return no(late)
    label = window_label(upgrade, tools, lane)
    names = tuple(host.name for host in hosts_of(upgrade, tools, lane.name))
    if missing := no_way_back(upgrade, tools, lane.name, label, names):
        return no(missing)
    clock = Clock(
        lambda: change_limit(upgrade, tools, lane),
        clock_watch(upgrade, tools, lane),
        lambda done: ended_by_clock(upgrade, tools, lane, done),
    )

    def may_begin(hop: Hop) -> Answer:
        return before_next_part(upgrade, tools, lane) or window_for_leg(upgrade, tools, lane, hop)

    done = go_through(Walk(upgrade, tools, lane, label, may_begin, clock))
    if done.reply is Reply.YES:
        tries = back_outs(upgrade, tools, lane.name)
        mark(upgrade, tools, MarkKind.IMPLEMENTED, lane.name, key=f"implemented-{lane.name}-{tries}")
    return done


def acceptance(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    mark(upgrade, tools, MarkKind.ACCEPTING, lane.name)
    if lane.batches:
        gate = batches.accept_all(upgrade, tools, lane)
    else:
        gate = accept(upgrade, tools, AcceptanceWanted("acceptance", lane.name, upgrade.plan.to_version))
    if not gate.passed:
        return no(*gate.reasons())
    mark(upgrade, tools, MarkKind.ACCEPTED, lane.name)
    return yes(f"accepted: {gate.checks_run} checks on {len(gate.hosts_seen)} hosts")


def sign_off(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """The rule's own sign-off: used where the plan names nobody to ask."""
    mark(
        upgrade,
        tools,
        MarkKind.SIGNED_OFF,
        lane.name,
        by="rule: acceptance passed",
        plan_digest=upgrade.run.plan_digest,
    )
    return yes("signed off: acceptance passed and the plan names nobody to ask")


def verdict(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """The one decision of a lane; waits for work in progress first, since nothing may run beside it."""
    _wait_for_work(upgrade, tools, lane)
    if waits := held_verdict(upgrade, tools, lane, failure(upgrade, tools, lane)):
        return waits
    decision, why = decide(lane_facts(upgrade, tools, lane, work_in_progress=False))
    if decision is Decision.NOT_STARTED:
        return not_applicable(why)
    judged = back_out_judgement.judge(upgrade, tools, lane) if decision is Decision.BACK_OUT else yes(why)
    if judged.reply is not Reply.YES:
        mark(upgrade, tools, MarkKind.DECIDED, lane.name, decision=Decision.LEAVE, why=judged.text)
        return judged
    mark(upgrade, tools, MarkKind.DECIDED, lane.name, decision=decision, why=why)
    if decision is Decision.LEAVE:
        return no(f"nothing more is touched: {why}; `changeover settle {upgrade.run.key}` asks the hosts")
    return yes(f"{decision}: {why}", decision=str(decision))


def commit(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    if not _decided(upgrade, tools, lane, Decision.COMMIT):
        return not_applicable("the verdict is not to commit")
    mark(upgrade, tools, MarkKind.COMMITTING, lane.name)
    done = run_on_hosts(
        upgrade,
        tools,
        HostWork("commit", "commit.yml", lane.name, upgrade.plan.to_version, changes=True),
    )
    if not done.successful:
        return no(
            "the new release runs and was accepted, but could not be committed: a person must look",
            *done.reasons,
        )
    _versions_read(upgrade, tools, lane, done, "commit")
    mark(
        upgrade,
        tools,
        MarkKind.COMMITTED,
        lane.name,
        key=f"committed-{lane.name}-{back_outs(upgrade, tools, lane.name)}",
    )
    return yes(f"{upgrade.plan.to_version} is kept; traffic is open")


def back_out(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Its own run on the hosts that were touched, proven by the old release's acceptance and the data comparison."""
    if not _decided(upgrade, tools, lane, Decision.BACK_OUT):
        return not_applicable("the verdict is not to back out")
    if lane.batches and upgrade.mode is not Mode.BACK_OUT:
        return back_out_rollout(upgrade, tools, lane)
    points = _points_to_put_back(upgrade, tools, lane)
    if not points:
        return no(f"no proven restore point of {lane.name} is on record: a person must decide what is still possible")
    return back_out_together(upgrade, tools, lane, points)


def stand_down(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Nothing was changed: give back what was taken, and touch no host when nothing was."""
    if not _decided(upgrade, tools, lane, Decision.STAND_DOWN):
        return not_applicable("the verdict is not to stand down")
    began = any(step.step == "restore_point" for step in tools.ledger.steps(upgrade.run.key, environment=lane.name))
    if began:
        done = run_on_hosts(
            upgrade,
            tools,
            HostWork(
                "stand_down",
                "stand_down.yml",
                lane.name,
                upgrade.plan.from_version,
                changes=True,
            ),
        )
        if not done.successful:
            return no(
                "nothing was changed, but what was closed could not be reopened: a person must look",
                *done.reasons,
            )
        _versions_read(upgrade, tools, lane, done, "stand-down")
    mark(
        upgrade,
        tools,
        MarkKind.STOOD_DOWN,
        lane.name,
        key=f"stood-down-{lane.name}-{back_outs(upgrade, tools, lane.name)}",
        hosts_touched=began,
    )
    return yes("traffic reopened, locks released" if began else "no host was touched")


def settle(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """Compute the outcome from proofs and record it, in ledger and CMDB; "no" unless it ended upgraded."""
    marks = lane_marks(upgrade, tools, lane.name)
    if fresh(MarkKind.LANE_STARTED, marks) is None:
        return not_applicable(f"{lane.name}: the lane did not start")
    result = settled(upgrade, tools, lane)
    give_place_back(upgrade, tools, lane)
    tools.ledger.record_outcome(upgrade.run.key, lane.name, result, tools.clock())
    tell_versions(upgrade, tools, lane.name, proofs(upgrade, tools, lane).versions)
    tell_cmdb(
        upgrade,
        tools,
        "note",
        f"settled-{lane.name}-{result.outcome}",
        text=f"{lane.name}: {result.outcome}. {'; '.join(result.reasons)}",
    )
    wanted_back = upgrade.mode is Mode.BACK_OUT and result.outcome == "backed_out"
    return (
        yes(f"{lane.name}: {result.outcome}")
        if result.outcome.is_success or wanted_back
        else no(f"{lane.name}: {result.outcome}", *result.reasons)
    )


def settled(upgrade: Upgrade, tools: Tools, lane: Environment) -> Verdict:
    """The outcome of an environment as far as it is proven now."""
    return environment_verdict(proofs(upgrade, tools, lane))


def window_label(upgrade: Upgrade, tools: Tools, lane: Environment) -> str:
    """A second try after a back-out takes a restore point of its own, or what was written since would be lost."""
    label = f"{upgrade.run.key}-{lane.name}"
    behind = back_outs(upgrade, tools, lane.name)
    return f"{label}-{behind + 1}" if behind else label


def _may_begin(upgrade: Upgrade, tools: Tools, lane: Environment) -> Answer:
    """The window, then the change in the CMDB, then the others at work. What is late is missed before it can wait."""
    clock = window_now(upgrade, tools, lane)
    if clock.reply is not Reply.YES:
        return clock
    begin = may_begin(upgrade, tools, lane)
    return begin if begin.reply is not Reply.YES else yes(f"{clock.text}; {begin.text}")


def _not_our_turn(upgrade: Upgrade, tools: Tools, lane: Environment) -> str:
    if not tally_of(upgrade, tools, gate="plan").reached:
        return "the plan is not approved"
    if upgrade.mode is Mode.BACK_OUT:
        return ""
    if not any(m.kind is MarkKind.RESTORE_POINT_PROVEN for m in lane_marks(upgrade, tools, lane.name)):
        return "the preparations are not proven"
    before = [
        name
        for name in not_upgraded(upgrade, tools, upgrade.lanes[: upgrade.lanes.index(lane)])
        if not skipped(upgrade, tools, name, kind=lane.kind)
    ]
    return f"{before[0]} did not end upgraded" if before else ""


def _wait_for_work(upgrade: Upgrade, tools: Tools, lane: Environment) -> None:
    until = tools.clock() + max(lane.implement_within, lane.restore_within) + ENDING
    while running := execution_running(upgrade, tools, lane.name):
        if tools.stop() or tools.clock() > until:
            raise ChangeoverError(
                f"{', '.join(running)} of {lane.name} still runs, so nothing else may start on its hosts",
                where=lane.name,
                then="wait for it or end it, then clear the verdict task",
            )
        tools.tell(f"waiting: {', '.join(running)} still runs")
        time.sleep(1)
    record_what_ended(upgrade, tools, lane.name)


def _decided(upgrade: Upgrade, tools: Tools, lane: Environment, decision: Decision) -> bool:
    last = fresh(MarkKind.DECIDED, since_back_out(lane_marks(upgrade, tools, lane.name)))
    return last is not None and last.data.get("decision") == decision


def _points_to_put_back(upgrade: Upgrade, tools: Tools, lane: Environment) -> dict[str, str]:
    """Host that is put back → label of the restore point it is put back from; nothing when there is none."""
    hosts = _hosts_to_back_out(upgrade, tools, lane)
    if upgrade.mode is not Mode.BACK_OUT:
        point = fresh(MarkKind.RESTORE_POINT_PROVEN, lane_marks(upgrade, tools, lane.name))
        return dict.fromkeys(hosts, str(point.data["label"])) if point else {}
    earlier = earlier_change(upgrade, tools, lane.name)
    if earlier is None:
        return {}
    run, label = earlier
    kept = tools.settings.evidence_directory(run.key) / lane.name / "business-data-before.json"
    if kept.exists() and not evidence_path(upgrade, tools, lane.name, kept.name).exists():
        keep_business_data(upgrade, tools, lane.name, business_data_before(kept))
    marks = tools.ledger.marks(run.key, environment=lane.name)
    own, now = labels(marks), changed(marks)
    return {h: own[h] for h in hosts if h in own and h in now} if own else dict.fromkeys(hosts, label)


def _hosts_to_back_out(upgrade: Upgrade, tools: Tools, lane: Environment) -> tuple[str, ...]:
    everyone = tuple(host.name for host in hosts_of(upgrade, tools, lane.name))
    if upgrade.mode is Mode.BACK_OUT:
        return everyone
    steps = [s for s in tools.ledger.steps(upgrade.run.key, environment=lane.name) if plain(s.step) == "implement"]
    reached = bool(steps) and steps[-1].step == hops(upgrade, tools)[-1].step("implement")
    states = steps[-1].hosts if reached else {}  # a host that stands at a stop on the way did not end well
    failed = [host for host in everyone if states.get(host) != "ok"]
    return hosts_to_back_out(lane.back_out, touched=everyone, failed=failed)


def _versions_read(
    upgrade: Upgrade,
    tools: Tools,
    lane: Environment,
    done: ExecutionResult,
    stage: str,
) -> None:
    for host in done.hosts:
        if "version" in host.report:
            mark(
                upgrade,
                tools,
                MarkKind.VERSION_DISCOVERED,
                lane.name,
                host=host.host,
                version=host.report["version"],
                stage=stage,
            )
