"""Baseline: the old release on a copy of production's data, upgraded, accepted, backed out, upgraded again."""

from __future__ import annotations

from changeover.domain.plan import Mode
from changeover.domain.record import MarkKind
from changeover.usecases.accept import AcceptanceWanted, accept
from changeover.usecases.evidence import keep_business_data, rows_read
from changeover.usecases.lane_facts import tell_versions
from changeover.usecases.leaving import may_leave
from changeover.usecases.legs import Walk, go_through, hops
from changeover.usecases.restore_points import record_points
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.stage import stage_later_legs
from changeover.usecases.tools import (
    Answer,
    Reply,
    Tools,
    Upgrade,
    hosts_of,
    mark,
    no,
    not_applicable,
    yes,
)
from changeover.usecases.window_gate import baseline_window


def build(upgrade: Upgrade, tools: Tools) -> Answer:
    """Build the old release on a copy of production's data, stage the new one, prove a restore point, read the data."""
    if upgrade.mode not in (Mode.REHEARSE, Mode.IMPLEMENT):
        return not_applicable(f"mode {upgrade.mode} builds no baseline")
    opened = baseline_window(upgrade, tools)
    if opened.reply is not Reply.YES:
        return opened
    plan, name = upgrade.plan, upgrade.plan.baseline.name
    sources = hosts_of(upgrade, tools, plan.baseline.data_from or "")
    label = restore_point_label(upgrade)
    built = run_on_hosts(
        upgrade,
        tools,
        HostWork(
            "build",
            "build.yml",
            name,
            plan.from_version,
            changes=True,
            sources=sources,
            restore_point=label,
            hop=hops(upgrade, tools)[0],
        ),
    )
    own = {host.name for host in hosts_of(upgrade, tools, name)}
    if not built.successful:
        return no("the baseline could not be built", *built.reasons)
    if faults := record_points(upgrade, tools, name, label, built):
        return no("the baseline's restore point is not proven", *faults)
    data = {host.host: host.report["data"] for host in built.hosts if host.report.get("data") and host.host in own}
    if not data:
        return no("the baseline's business data could not be read: nothing to compare with afterwards")
    leave = may_leave(upgrade, tools, name)
    if leave.reply is not Reply.YES:
        return leave
    staged = stage_later_legs(upgrade, tools, name, hosts_of(upgrade, tools, name))
    failed = [result for result in staged.values() if not result.successful]
    if failed:
        reasons = (reason for result in failed for reason in result.reasons)
        return no("the release of a later leg could not be brought to the baseline", *reasons)
    keep_business_data(upgrade, tools, name, data)
    mark(
        upgrade,
        tools,
        MarkKind.RESTORE_POINT_PROVEN,
        name,
        key=f"restore-point-{name}",
        label=label,
    )
    return yes(f"baseline at {plan.from_version}: {rows_read(data)}")


def implement(upgrade: Upgrade, tools: Tools) -> Answer:
    """Upgrade the baseline through every leg of the way; done once, and once more after its back-out."""
    plan = upgrade.plan
    done = go_through(Walk(upgrade, tools, plan.baseline, restore_point_label(upgrade)))
    if done.reply is not Reply.YES:
        return no("the upgrade of the baseline failed; no other environment is touched", done.text)
    mark(upgrade, tools, MarkKind.IMPLEMENTED, plan.baseline.name)
    return yes(f"baseline upgraded: {done.text}")


def accept_new(upgrade: Upgrade, tools: Tools) -> Answer:
    return _accept(upgrade, tools, "acceptance", upgrade.plan.to_version)


def back_out(upgrade: Upgrade, tools: Tools) -> Answer:
    """Take the baseline back to the old release: the rehearsal of the way out."""
    plan, name = upgrade.plan, upgrade.plan.baseline.name
    mark(upgrade, tools, MarkKind.BACKING_OUT, name)
    done = run_on_hosts(
        upgrade,
        tools,
        HostWork(
            "back_out",
            "back_out.yml",
            name,
            plan.from_version,
            changes=True,
            restore_point=restore_point_label(upgrade),
        ),
    )
    if not done.successful:
        return no("the rehearsed back-out failed: this upgrade has no way back", *done.reasons)
    return yes("baseline backed out")


def accept_old(upgrade: Upgrade, tools: Tools) -> Answer:
    """The old release, accepted after its back-out: only then is the back-out done."""
    answer = _accept(upgrade, tools, "back_out_acceptance", upgrade.plan.from_version)
    if answer.reply == "yes":
        mark(
            upgrade,
            tools,
            MarkKind.BACKED_OUT,
            upgrade.plan.baseline.name,
            key="baseline-backed-out",
        )
    return answer


def accept_again(upgrade: Upgrade, tools: Tools) -> Answer:
    """The second acceptance, then the baseline is kept at the new release and its hosts are given free."""
    answer = _accept(upgrade, tools, "acceptance", upgrade.plan.to_version)
    if answer.reply != "yes":
        return answer
    name = upgrade.plan.baseline.name
    kept = run_on_hosts(
        upgrade,
        tools,
        HostWork("commit", "commit.yml", name, upgrade.plan.to_version, changes=True),
    )
    if not kept.successful:
        return no("the baseline could not be committed", *kept.reasons)
    mark(upgrade, tools, MarkKind.COMMITTED, name, key="baseline-committed")
    return answer


def restore_point_label(upgrade: Upgrade) -> str:
    return f"{upgrade.run.key}-baseline"


def _accept(upgrade: Upgrade, tools: Tools, gate_name: str, version: str) -> Answer:
    name = upgrade.plan.baseline.name
    gate = accept(upgrade, tools, AcceptanceWanted(gate_name, name, version))
    if not gate.passed:
        return no(*gate.reasons())
    tell_versions(upgrade, tools, name, dict.fromkeys(gate.hosts_seen, version))
    return yes(f"{version} accepted on the baseline: {gate.checks_run} checks")
