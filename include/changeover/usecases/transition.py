"""Transition from Sales: may this upgrade begin at all, and the change that says it did."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from changeover.domain.approval import asked_ahead, barred
from changeover.domain.batch import canary_faults
from changeover.domain.change import MODELS, ChangeModel, ChangeState
from changeover.domain.change_control import pre_approval_lapsed
from changeover.domain.cover import contract_lapses
from changeover.domain.estate import IMPORT, Host
from changeover.domain.finding import Finding
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind, meant_for
from changeover.ports import Cmdb
from changeover.usecases.release_judgement import judge_release
from changeover.usecases.today import day_meant
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
from changeover.usecases.window_gate import missed_start


def check_entry(upgrade: Upgrade, tools: Tools, request_faults: tuple[str, ...] = ()) -> Answer:
    """The request, the entry conditions, and the hosts of every environment: read from the CMDB and frozen."""
    told = () if upgrade.mode is Mode.BACK_OUT else judge_release(upgrade, tools).findings
    conditions = entry_conditions(upgrade, day_meant(upgrade, tools), told)
    results = [_check(key, reason) for key, reason in conditions.items()]
    results.append(_check("request-valid", "; ".join(request_faults)))
    hosts, faults = resolve_hosts(upgrade, tools.cmdb)
    results.append(_check("hosts-on-record", "; ".join(faults)))
    results.append(_check("starts-in-time", missed_start(upgrade, tools)))
    gate = GateResult(
        "entry",
        "",
        tuple((r.key, "") for r in results),
        tuple(results),
        ("plan",),
        ("plan",),
    )
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    if not gate.passed:
        return no(*gate.reasons())
    tools.ledger.freeze_hosts(upgrade.run.key, hosts)
    named = {name: [host.name for host in each] for name, each in hosts.items()}
    mark(upgrade, tools, MarkKind.HOSTS_FROZEN, key="hosts-frozen", hosts=named)
    return yes(f"entry conditions met: {len(results)} checks; hosts {named}")


def entry_conditions(upgrade: Upgrade, today: date, release: Iterable[Finding]) -> dict[str, str]:
    """Condition → why it is not met ("" when it is). `release`: what the records say, and what of it is waived."""
    plan, run = upgrade.plan, upgrade.run
    sow = plan.statement_of_work
    named = [
        environment.name
        for environment in plan.environments
        if environment.name in (*run.environments, plan.baseline.name)
    ]
    outside = [name for name in named if name not in sow.environments]
    going = run.mode != Mode.BACK_OUT  # the way back has to stay open, whatever was recalled since
    inhibitors = [finding.summary for finding in release if going and finding.inhibits]
    return {
        "statement-of-work-signed": ""
        if sow.signed_on <= today
        else f"{sow.id} is signed on {sow.signed_on}, after today",
        "statement-of-work-covers-date": ""
        if sow.valid_from <= today <= sow.valid_until
        else f"{sow.id} is valid from {sow.valid_from} to {sow.valid_until}, today is {today}",
        "statement-of-work-covers-environments": f"{sow.id} does not cover {', '.join(outside)}" if outside else "",
        "support-contract-valid": "; ".join(_contract(upgrade, today)),
        "request-or-recommendation": ""
        if plan.trigger.dated <= today
        else f"{plan.trigger.kind} {plan.trigger.reference} is dated {plan.trigger.dated}, after today",
        "release-applicable": "; ".join(inhibitors),
        "approvers-independent": _approvers(upgrade),
        "change-pre-approved": pre_approval_lapsed(plan.change, today),
        "reason-given": "" if run.reason or run.mode not in (Mode.BACK_OUT, Mode.FIX) else f"{run.mode}: say why",
    }


def _contract(upgrade: Upgrade, today: date) -> tuple[str, ...]:
    """Today and on each night that the run is meant for; only the way back stays open whatever ran out since."""
    run = upgrade.run
    if upgrade.mode is Mode.BACK_OUT:
        return ()
    lanes = upgrade.lanes if upgrade.mode is Mode.IMPLEMENT else ()
    return contract_lapses(upgrade.plan, lanes, today=today, since=meant_for(run.dag_run_id) or run.opened_at)


def _approvers(upgrade: Upgrade) -> str:
    """Told at the start, not after the rehearsal: whoever starts a run cannot be the one whose approval it needs."""
    ahead = asked_ahead(upgrade.plan, upgrade.mode)
    if upgrade.mode in (Mode.ANALYSE, Mode.REHEARSE) and not ahead:
        return ""
    plan, starter = upgrade.plan, upgrade.run.requested_by
    standard = plan.change.model is ChangeModel.STANDARD
    asked = [] if standard else [("the plan's approval", "plan", plan.approved_by)]
    lanes = () if ahead or upgrade.mode is Mode.FIX else upgrade.lanes
    asked += [(f"go/no-go of {lane.name}", "go_no_go", lane.go_no_go) for lane in lanes if lane.go_no_go]
    short = [
        what
        for what, gate, approval in asked
        if len(set(approval.by) - set(barred(gate, plan.requested_by, starter))) < approval.quorum
    ]
    return f"{starter} started the run and is needed for {', '.join(short)}; somebody else starts it" if short else ""


def resolve_hosts(upgrade: Upgrade, cmdb: Cmdb) -> tuple[dict[str, tuple[Host, ...]], list[str]]:
    """The hosts the CMDB has for every environment of the plan, and every fault in that."""
    hosts: dict[str, tuple[Host, ...]] = {}
    faults = []
    for environment in upgrade.plan.environments:
        recorded = cmdb.environment(upgrade.plan.client, upgrade.plan.application, environment.name)
        if recorded is None or not recorded.hosts:
            place = f"{upgrade.plan.client}/{upgrade.plan.application}/{environment.name}"
            faults.append(f"the CMDB has no host for {place}; {IMPORT}")
            continue
        hosts[environment.name] = recorded.hosts
        if environment.batches:
            names = [host.name for host in recorded.hosts]
            faults += [f"{environment.name}: {fault}" for fault in canary_faults(environment.batches, names)]
            if len(upgrade.path.legs) > 1:
                faults.append(
                    f"{environment.name}: batches: the way has {len(upgrade.path.legs)} legs, and hosts that serve "
                    "meanwhile would run releases that were never tried together; leave batches out, or write a plan "
                    "for each leg"
                )
    addresses = [(host.address, host.port) for each in hosts.values() for host in each]
    faults += [
        f"two hosts share the address {a}:{p}" for a, p in sorted({x for x in addresses if addresses.count(x) > 1})
    ]
    return hosts, faults


def open_change(upgrade: Upgrade, tools: Tools) -> Answer:
    """A change of the plan's model in the CMDB; analyses and rehearsals change nothing of what the client uses."""
    if upgrade.mode in (Mode.ANALYSE, Mode.REHEARSE):
        return not_applicable(f"mode {upgrade.mode} opens no change")
    plan, run = upgrade.plan, upgrade.run
    tell_cmdb(
        upgrade,
        tools,
        "open_change",
        "open_change",
        title=f"{'Remedies before ' if upgrade.mode is Mode.FIX else ''}{plan.title} ({plan.client})",
        description=_description(upgrade),
        client=plan.client,
        application=plan.application,
        requested_by=run.requested_by or plan.requested_by,
        reference=run.change_reference,
        environments=[lane.name for lane in upgrade.lanes],
        model=str(plan.change.model),
    )
    if ChangeState.ASSESS in MODELS[plan.change.model]:
        tell_cmdb(upgrade, tools, "move_change", "assess", state="assess")
    mark(upgrade, tools, MarkKind.CHANGE_OPENED, key="change-opened")
    return yes(f"change opened for {plan.title}")


def _description(upgrade: Upgrade) -> str:
    plan, control = upgrade.plan, upgrade.plan.change
    why = f"{plan.trigger.reason} ({plan.trigger.reference}, {plan.statement_of_work.id})"
    if control.emergency:
        return f"{why}. Emergency: {control.emergency.reason}"
    if control.pre_approval:
        return f"{why}. Pre-approved by {control.pre_approval.by} as {control.pre_approval.reference}"
    return why


def _check(key: str, reason: str) -> CheckResult:
    return CheckResult(key, "", CheckState.FAILED if reason else CheckState.PASSED, reason)
