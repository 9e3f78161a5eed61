"""Initial support and transition: the hypercare watch, and support's acceptance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.hypercare import (
    CRITICAL,
    GATE,
    Course,
    Look,
    Step,
    errors_per_hour,
    for_client,
    next_step,
    not_ended,
    watched_of,
)
from changeover.domain.plan import Mode
from changeover.domain.record import Mark, MarkKind
from changeover.domain.version import VersionError, same
from changeover.ports import fresh
from changeover.usecases.incidents import open_before, see_incidents, still_open
from changeover.usecases.lane_facts import not_upgraded
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.tools import (
    Answer,
    Tools,
    Upgrade,
    hosts_of,
    mark,
    no,
    not_applicable,
    yes,
)


def hypercare_due(upgrade: Upgrade, tools: Tools) -> Answer:
    """Whether there is anything to watch: every lane of the run ended upgraded."""
    if upgrade.mode is not Mode.IMPLEMENT:
        return not_applicable(f"mode {upgrade.mode} has no hypercare")
    if waiting := not_upgraded(upgrade, tools, upgrade.lanes):
        return not_applicable(f"not upgraded: {', '.join(waiting)}")
    return yes(f"watching {', '.join(lane.name for lane in upgrade.lanes)} for {upgrade.plan.support.hypercare.length}")


def hypercare_look(upgrade: Upgrade, tools: Tools) -> GateResult:
    """One look: version, services and error rate of every host, and the incidents since the change."""
    plan = upgrade.plan
    hosts = tuple(host for lane in upgrade.lanes for host in hosts_of(upgrade, tools, lane.name))
    seen = run_on_hosts(
        upgrade,
        tools,
        HostWork(
            GATE,
            "discover.yml",
            "estate",
            plan.to_version,
            changes=False,
            hosts=hosts,
            variables={"changeover_hypercare": True, "changeover_errors_since": _began(upgrade, tools)},
        ),
    )
    reports = {host.host: dict(host.report) for host in seen.hosts if host.report}
    errors = {host: count for host, report in reports.items() if (count := _errors(report)) is not None}
    incidents = see_incidents(upgrade, tools)
    look = Look(tools.clock(), errors=errors)
    looks = (*watched_of(_marks(upgrade, tools)).looks, look)
    results = [
        *(_healthy(host, report, upgrade) for host, report in reports.items()),
        *(_error_rate(host, looks, plan.support.hypercare.reopens.errors_per_hour) for host in reports),
    ]
    critical = [incident for incident in still_open(incidents) if incident.severity <= CRITICAL]
    told = "; ".join(f"{incident.number}: {incident.summary}" for incident in critical)
    open_ones = CheckResult("no-critical-incident", "", CheckState.FAILED if critical else CheckState.PASSED, told)
    names = tuple(host.name for host in hosts)
    declared = (*((key, name) for key in ("still-healthy", "error-rate") for name in names), (open_ones.key, ""))
    gate = GateResult(GATE, "", declared, (*results, open_ones), names, tuple(reports))
    tools.ledger.record_gate(upgrade.run.key, gate, tools.clock())
    silent = [f"{name}: it gave no report" for name in names if name not in reports]
    mark(
        upgrade,
        tools,
        MarkKind.HYPERCARE_CHECKED,
        passed=gate.passed,
        reasons=list(gate.reasons()),
        unwell=[*silent, *(f"{r.host}: {r.message}" for r in results if r.state is not CheckState.PASSED)],
        critical=[incident.number for incident in critical],
        incidents=[incident.number for incident in incidents],
        before=[incident.told for incident in open_before(upgrade, tools)],
        errors=errors,
    )
    return gate


def watch_on(upgrade: Upgrade, tools: Tools) -> Step:
    """What follows from the looks so far, written down: an extension and a reopened decision with their reasons."""
    at = tools.clock()
    watched = watched_of(_marks(upgrade, tools))
    step = next_step(upgrade.plan.support.hypercare, watched, at)
    reason = "; ".join(step.reasons)
    if step.course is Course.EXTEND and step.until:
        until = step.until.isoformat()
        key, why = f"watch-until-{until}", for_client(watched)
        mark(upgrade, tools, MarkKind.HYPERCARE_EXTENDED, key=key, until=until, reason=reason, why=why)
    elif step.course is Course.ASK:
        last = fresh(MarkKind.HYPERCARE_CHECKED, _marks(upgrade, tools))
        key = f"reopened-{last.at.isoformat() if last else ''}"
        mark(upgrade, tools, MarkKind.HYPERCARE_REOPENED, key=key, reason=reason)
    elif step.course is Course.END:
        ended = f"watch-ended-{watched.looks[-1].at.isoformat()}"  # a watch that is cleared may end again
        mark(upgrade, tools, MarkKind.HYPERCARE_ENDED, key=ended, reason=reason)
    return step


def next_back_out(upgrade: Upgrade) -> str:
    """What a decision against the release needs: a run of its own, approved like every change."""
    plan, lanes = upgrade.plan, " ".join(f"--environment {lane.name}" for lane in upgrade.lanes)
    return (
        f"start it: changeover run include/plans/{plan.client}/{plan.upgrade}.yaml --mode back-out {lanes} "
        '--reason "decided in hypercare"'
    )


def _began(upgrade: Upgrade, tools: Tools) -> int:
    """The first look's time, in seconds since 1970: errors from then on count."""
    marks = tools.ledger.marks(upgrade.run.key, kind=MarkKind.HYPERCARE_CHECKED)
    return int((marks[0].at if marks else tools.clock()).timestamp())


def _marks(upgrade: Upgrade, tools: Tools) -> Sequence[Mark]:
    return tools.ledger.marks(upgrade.run.key, environment="")


def support_accepts(upgrade: Upgrade, tools: Tools, *, by: str) -> Answer:
    """Support has said yes; after a watch that ended well."""
    if reason := not_ended(_marks(upgrade, tools)):
        return no("support cannot take over yet", reason)
    mark(upgrade, tools, MarkKind.SUPPORT_ACCEPTED, key="support-accepted", by=by)
    return yes(f"support accepted: {by}")


def _healthy(host: str, report: Mapping[str, object], upgrade: Upgrade) -> CheckResult:
    services = report.get("services")
    stopped = (
        [name for name, state in services.items() if state != "running"]
        if isinstance(services, Mapping)
        else ["services unread"]
    )
    version, wanted = report.get("version"), upgrade.plan.to_version
    faults = [
        *(
            []
            if _runs(version, wanted, upgrade.release.version_scheme)
            else [f"version {version} found, {wanted} wanted"]
        ),
        *(f"{name} is not running" for name in stopped),
    ]
    return _said("still-healthy", host, "; ".join(faults))


def _runs(found: object, wanted: str, scheme: str) -> bool:
    """By the product's scheme, in which one version may be written in two ways."""
    try:
        return isinstance(found, str) and same(found, wanted, scheme)
    except VersionError:
        return found == wanted


def _error_rate(host: str, looks: Sequence[Look], limit: int | None) -> CheckResult:
    """Without a limit it is read and kept. With one, a host that tells no errors is not well: nobody knows."""
    if limit is None:
        return _said("error-rate", host, "")
    if host not in looks[-1].errors:
        return _said("error-rate", host, "the errors in its logs could not be read")
    rate = errors_per_hour(looks, host)
    return _said("error-rate", host, f"{rate:.0f} errors in an hour" if rate is not None and rate > limit else "")


def _errors(report: Mapping[str, object]) -> int | None:
    """Error lines in the logs of all its services; None where the role does not tell."""
    told = report.get("errors")
    if not isinstance(told, Mapping) or not all(isinstance(count, int) for count in told.values()):
        return None
    return sum(told.values())


def _said(key: str, host: str, fault: str) -> CheckResult:
    return CheckResult(key, host, CheckState.FAILED if fault else CheckState.PASSED, fault)
