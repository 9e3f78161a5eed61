"""A request to people at a gate: who may answer still, until when, and everything they need to know to decide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from changeover.domain.approval import Tally, approval_of, asked_ahead, barred, tally
from changeover.domain.finding import Finding
from changeover.domain.hypercare import GATE as HYPERCARE
from changeover.domain.hypercare import asked_rows
from changeover.domain.loss import at_stake
from changeover.domain.night_clock import NightFacts
from changeover.domain.plan import Approval, Environment, Mode
from changeover.domain.record import Mark, MarkKind
from changeover.domain.runsheet import describe_window
from changeover.domain.steering import steering
from changeover.domain.wall_clock import local_text
from changeover.errors import PlanError
from changeover.usecases.after_facts import after_rows
from changeover.usecases.approve_ahead import answers_end, approvals_ahead, opening_asked_about
from changeover.usecases.back_out_people import for_back_out
from changeover.usecases.change_gate import change_rows
from changeover.usecases.fix_choice import chosen
from changeover.usecases.lane_clock import clock_of, night_facts
from changeover.usecases.lane_facts import lane_marks
from changeover.usecases.tools import Answer, Tools, Upgrade, hosts_of, mark, no, not_applicable, tell_cmdb, yes

AFTER_THE_LANES = (HYPERCARE, "support")
MOMENT = timedelta(seconds=1)
"""A request that is put again when its time is over still waits this long: Airflow needs some time limit."""


def open_request(upgrade: Upgrade, tools: Tools, *, gate: str, environment: str = "") -> Answer:
    """Written down as asked, unless a lost task only puts the same request again.

    The answer's data: `asked`, who may answer; `seconds`, how long is waited; `facts`, what they read. Or `decided`:
    enough people said yes ahead, and nobody is asked.
    """
    approval = agreed_approval(upgrade, tools, gate, environment)
    now = tally_of(upgrade, tools, gate=gate, environment=environment)
    if not now.possible:
        left = ", ".join(now.may_answer) or "nobody"
        return no(
            f"{gate}: {now.needed} of {', '.join(approval.by)} have to say yes, and only {left} may: "
            f"{', '.join(requesters(upgrade))} asked for this upgrade; have somebody else start the run, or name more "
            "people in the plan"
        )
    if aborted := steering(tools.ledger.marks(upgrade.run.key)).abort:
        return no(f"{gate}: nobody is asked; aborted by {aborted.by}: {aborted.reason}")
    ahead = asked_ahead(upgrade.plan, upgrade.mode)
    if ahead and (answers_end(upgrade, tools) or tools.clock()) <= tools.clock():
        return not_applicable(f"{gate}: no opening comes that leaves time for an answer ahead; asked in that night")
    if not now.open:
        given = approvals_ahead(upgrade, tools) if gate == "plan" else ()
        mark(
            upgrade,
            tools,
            MarkKind.ASKED,
            environment,
            gate=gate,
            asked=list(now.may_answer),
            needed=now.needed,
            plan_digest=upgrade.run.plan_digest,
            **_read_for(upgrade, tools, gate),
        )
        _take_over(upgrade, tools, given)
        now = tally_of(upgrade, tools, gate=gate, environment=environment)
        if now.reached:
            return yes(f"{gate}: approved ahead: {now.told()}", decided=True)
    return yes(
        f"{gate}: asked {', '.join(now.may_answer)}; {now.told()}",
        asked=list(now.may_answer),
        seconds=seconds_left(upgrade, tools, now, gate, environment),
        facts=after_facts(upgrade, tools, now, approval, gate=gate)
        if gate in AFTER_THE_LANES
        else facts(upgrade, tools, now, gate, environment),
    )


def _read_for(upgrade: Upgrade, tools: Tools, gate: str) -> dict[str, Any]:
    """What a request rests on, kept with it. Of the watch: read from hosts, and Airflow does not renew its text."""
    if opening := opening_asked_about(upgrade, tools):
        return {"opening": opening.isoformat()}
    if gate != HYPERCARE:
        return {}
    return {"facts": [list(row) for row in after_rows(upgrade, tools, read_data=True)]}


def _take_over(upgrade: Upgrade, tools: Tools, given: Iterable[Mark]) -> None:
    """Answers that were given ahead are this run's from now on, each with the run in which it was given."""
    digest, at = upgrade.run.plan_digest, tools.clock().isoformat()
    for answer in given:
        who, said = str(answer.data["by"]), {key: answer.data[key] for key in ("comment",) if key in answer.data}
        key = f"ahead-{who}-{at}"
        mark(
            upgrade,
            tools,
            MarkKind.APPROVED,
            key=key,
            gate="plan",
            by=who,
            plan_digest=digest,
            ahead=answer.run,
            **said,
        )
        text = f"plan: Approve by {who} ahead, {answer.at:%Y-%m-%d %H:%MZ} in {answer.run}, plan {digest[:12]}"
        tell_cmdb(upgrade, tools, "note", f"ahead-plan-{who}", text=text)


def agreed_approval(upgrade: Upgrade, tools: Tools, gate: str, environment: str) -> Approval:
    approval = approval_of(upgrade.plan, gate, environment)
    if approval is None:
        raise PlanError(f"the plan names nobody for {gate} of {environment}", then="report it: nobody is to be asked")
    return for_back_out(upgrade, tools, approval) if gate == "plan" else approval


def requesters(upgrade: Upgrade) -> tuple[str, ...]:
    return tuple(dict.fromkeys((upgrade.plan.requested_by, upgrade.run.requested_by)))


def tally_of(upgrade: Upgrade, tools: Tools, *, gate: str, environment: str = "") -> Tally:
    """What the ledger holds of a gate's answers for this very plan text."""
    return tally(
        agreed_approval(upgrade, tools, gate, environment),
        tools.ledger.marks(upgrade.run.key, environment=environment),
        gate=gate,
        environment=environment,
        digest=upgrade.run.plan_digest,
        barred=barred(gate, *requesters(upgrade)),
    )


def time_left(now: Tally, approval: Approval, at: datetime, too_late: datetime | None = None) -> timedelta:
    """Counted from the request, however often it has to be put again, and over when an answer comes too late."""
    ends = (now.asked_at or at) + approval.wait
    if too_late is not None and at < too_late:
        ends = min(ends, too_late)
    return max(MOMENT, ends - at)


def after_facts(upgrade: Upgrade, tools: Tools, now: Tally, approval: Approval, *, gate: str) -> str:
    """Nothing of windows any more, but what the watch saw and, for who decides, what going back would cost.

    That is read once for each request and kept with it, however often the request has to be put again.
    """
    plan = upgrade.plan
    kept = asked_rows(tools.ledger.marks(upgrade.run.key, environment="")) if gate == HYPERCARE else ()
    rows = [
        ("client", plan.client),
        ("release", f"{plan.application} {plan.from_version} to {plan.to_version} ({plan.release})"),
        *(kept or after_rows(upgrade, tools, read_data=False)),
        ("answers", now.told()),
        ("answer until", f"{(now.asked_at or tools.clock()) + approval.wait:%Y-%m-%d %H:%MZ}"),
        ("plan digest", f"`{upgrade.run.plan_digest[:16]}`"),
    ]
    return table(rows)


def seconds_left(upgrade: Upgrade, tools: Tools, now: Tally, gate: str, environment: str) -> float:
    approval, at = agreed_approval(upgrade, tools, gate, environment), tools.clock()
    return time_left(now, approval, at, answer_by(upgrade, tools, gate, environment)).total_seconds()


def answer_by(upgrade: Upgrade, tools: Tools, gate: str, environment: str) -> datetime | None:
    """After which an answer changes nothing any more: too late to begin, or to go back inside the window."""
    at = tools.clock()
    facts = gate_facts(upgrade, tools, gate, environment, since=at)
    moments = (facts.decide_by, facts.closes) if facts.change_began else (facts.latest_start,)
    return next((moment for moment in moments if moment is not None and moment > at), None)


def gate_facts(upgrade: Upgrade, tools: Tools, gate: str, environment: str, *, since: datetime) -> NightFacts:
    """What the clock says at a gate. Of the whole plan's approval it is the first environment's that is too late."""
    if environment:
        return night_facts(upgrade, tools, upgrade.plan.environment(environment), since=since)
    if gate != "plan" or upgrade.mode is Mode.FIX:
        return NightFacts(since)
    if asked_ahead(upgrade.plan, upgrade.mode):
        return NightFacts(since, latest_start=answers_end(upgrade, tools))
    starts = (night_facts(upgrade, tools, lane, since=since).latest_start for lane in upgrade.lanes)
    return NightFacts(since, latest_start=min(filter(None, starts), default=None))


def facts(upgrade: Upgrade, tools: Tools, now: Tally, gate: str, environment: str) -> str:
    """Client, release, and per environment hosts, window and decide-by, in local time and UTC; then the findings."""
    plan = upgrade.plan
    asked_of = (plan.environment(environment),) if environment else upgrade.lanes
    lanes = () if upgrade.mode is Mode.FIX else asked_of
    until = tools.clock() + timedelta(seconds=seconds_left(upgrade, tools, now, gate, environment))
    rows = [
        ("client", plan.client),
        ("release", f"{plan.application} {plan.from_version} to {plan.to_version} ({plan.release})"),
        *(row for lane in lanes for row in _lane(upgrade, tools, lane)),
        *(() if upgrade.mode is Mode.FIX else change_rows(upgrade, tools)),
        *(("remedy", cure.told) for cure in chosen(upgrade, tools)),
        *_counts_for(upgrade, tools),
        ("answers", now.told()),
        ("answer until", f"{until:%Y-%m-%d %H:%MZ}"),
        ("plan digest", f"`{upgrade.run.plan_digest[:16]}`"),
    ]
    found = [
        f"- {finding.severity}: {finding.subject}: {finding.summary}"
        for finding in findings(upgrade, tools, environment)
    ]
    return f"{table(rows)}\n\n**Findings**\n\n{chr(10).join(found) or 'None.'}"


def _counts_for(upgrade: Upgrade, tools: Tools) -> Iterator[tuple[str, str]]:
    if opening := opening_asked_about(upgrade, tools):
        yield "counts for", f"the start by itself at {opening:%Y-%m-%d %H:%MZ}, of exactly this plan text"


def table(rows: Iterable[tuple[str, str]]) -> str:
    lines = "\n".join(f"| {name} | {_cell(text)} |" for name, text in rows)
    return f"| | |\n|---|---|\n{lines}"


def findings(upgrade: Upgrade, tools: Tools, environment: str) -> tuple[Finding, ...]:
    """Of the newest run of every gate of the whole upgrade and of this environment."""
    newest = {
        (gate.environment, gate.gate): gate
        for _, gate in tools.ledger.gates(upgrade.run.key)
        if gate.environment in ("", environment)
    }
    return tuple(finding for gate in newest.values() for finding in gate.findings)


def _lane(upgrade: Upgrade, tools: Tools, lane: Environment) -> Iterator[tuple[str, str]]:
    hosts = ", ".join(host.name for host in hosts_of(upgrade, tools, lane.name)) or "none on record"
    clock = clock_of(upgrade, tools, lane)
    yield f"environment {lane.name}", f"hosts {hosts}"
    if lost := at_stake(lane_marks(upgrade, tools, lane.name)):
        yield f"would be lost, {lane.name}", "; ".join(lost)
    yield f"window of {lane.name}", describe_window(lane.window, clock.night if clock else None)
    if clock is None:
        yield f"decide by, {lane.name}", "no window closes: no clock ends the way back"
        return
    by, night = clock.decide_by, clock.night
    yield (
        f"decide by, {lane.name}",
        f"{local_text(by, night.zone)} {night.zone} ({by:%Y-%m-%d %H:%MZ}): later the back-out ends too late",
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
