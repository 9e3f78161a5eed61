"""Planning: project plan, implementation plan with its decide-by times, back-out plan, readiness report."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo

from changeover.domain.blueprint import Task
from changeover.domain.finding import Severity
from changeover.domain.gate import CheckResult, GateResult
from changeover.domain.night import silence
from changeover.domain.paper import Audience, Bar, Block, Facts, Gantt, Paper, Points, Section, Table, Text
from changeover.domain.plan import Environment
from changeover.domain.runsheet import describe_window
from changeover.domain.schedule import Entry, LaneTimes, Phase
from changeover.usecases.documents.kickoff import SILENCE
from changeover.usecases.documents.parts import dates, windows, zone_of
from changeover.usecases.documents.subject import Subject, clock, moment, words


def project_plan(subject: Subject) -> Paper:
    return Paper(
        "project-plan",
        "Project plan",
        Audience.CLIENT,
        f"Sub-processes and milestones of: {subject.plan.title}.",
        (
            Section("Gantt chart", (Gantt(tuple(_bars(subject))),)),
            Section("Dates", (dates(subject),)),
            Section("Windows", (windows(subject),)),
            Section("What the dates rest on", (Points(_rests_on(subject)),)),
        ),
        landscape=True,
    )


def _bars(subject: Subject) -> list[Bar]:
    bars = []
    for phase in subject.schedule.phases:
        where = f" · {phase.environment}" if phase.environment else ""
        label = f"{phase.process.number} {phase.process.title}{where}"
        bars.append(Bar(label, phase.first, phase.last, actual=_spent(subject, phase)))
        bars += [
            Bar(f"{task.called}{where}", phase.last, phase.last, milestone=True)
            for task in milestones(subject)
            if _in(task, phase)
        ]
    return bars


def milestones(subject: Subject) -> tuple[Task, ...]:
    """What people decide, and where an environment ends."""
    return tuple(task for task in subject.seen if task.asked or task.name == "settle")


def entries(subject: Subject) -> tuple[Entry, ...]:
    """The project plan for other tools."""
    found = []
    for phase in subject.schedule.phases:
        key = f"{phase.process.number:02d}{f'-{phase.environment}' if phase.environment else ''}"
        title = f"{phase.process.number} {phase.process.title}"
        found.append(Entry(key, "sub-process", title, phase.environment, phase.first, phase.last))
        if phase.process.number == 9:
            lane = subject.schedule.lane(phase.environment)
            if lane.opens and lane.closes:
                found.append(Entry(f"{key}-window", "window", f"Window: {phase.environment}", phase.environment,
                                   phase.first, phase.last, lane.opens, lane.closes))  # fmt: skip
        found += [
            Entry(task.id, "milestone", task.called, phase.environment, phase.last, phase.last,
                  decided_by=subject.people(task.asked) if task.asked else "")
            for task in milestones(subject)
            if _in(task, phase)
        ]  # fmt: skip
    return tuple(found)


def _in(task: Task, phase: Phase) -> bool:
    where = task.environment if task.process.per_environment else ""
    return task.process.number == phase.process.number and where == phase.environment


def _spent(subject: Subject, phase: Phase) -> tuple[date, date] | None:
    """The days on which the run was really at it."""
    found = [subject.actuals[task.id] for task in subject.tasks if _in(task, phase) and task.id in subject.actuals]
    times = [at for actual in found for at in (actual.at, actual.until) if at]
    return (min(times).date(), max(times).date()) if times else None


def _rests_on(subject: Subject) -> tuple[str, ...]:
    dated = any(lane.opens for lane in subject.schedule.lanes)
    return (
        "Days are working days, Monday to Friday; public holidays are not taken out.",
        "The dates are counted back from the first agreed window."
        if dated and not subject.view
        else f"The dates are counted forward from {subject.schedule.phases[0].first}.",
        *(
            f"{lane.environment.name} has no dated window; it is planned for the working day after what comes before."
            for lane in subject.schedule.lanes
            if not lane.opens
        ),
        "Each environment begins only when the one before it ended upgraded.",
        *(f"Attention: {note}." for note in subject.schedule.notes),
    )


def implementation_plan(subject: Subject) -> Paper:
    plan = subject.plan
    return Paper(
        "implementation-plan",
        "Implementation plan",
        Audience.INTERNAL,
        f"The run sheet of every environment: {plan.application} {plan.from_version} to {plan.to_version}.",
        (
            Section("Approval", (_approval(subject),)),
            *(
                Section(f"Run sheet: {lane.environment.name}", _run_sheet(subject, lane))
                for lane in subject.schedule.lanes
            ),
            Section("Rules of the night", (Points(RULES),)),
        ),
    )


RULES = (
    "A step that can no longer be done and undone before its window closes does not begin.",
    "Nothing that changes a host is started twice: a task that is lost attaches to the work it had begun.",
    "Work that is stopped is ended on the hosts too and proven ended there; where it is not, the locks stay.",
    "A worker that is lost stops nothing: what it began goes on, and is attached to.",
    "Only the verdict starts a back-out, and never beside work in progress.",
    "The next environment begins only when this one is settled and upgraded.",
)


def _approval(subject: Subject) -> Facts:
    actual = subject.actuals.get("s06_planning.approve_plan")
    approval = subject.plan.approved_by
    given = f"{actual.state} by {subject.persons(actual.by)}, {moment(actual.at)}" if actual else "not yet given"
    return Facts(
        (
            ("Approved by", subject.people(approval)),
            ("Waited for", f"{clock(approval.wait)}; silence is {SILENCE[silence(subject.plan.night, 'plan')]}"),
            ("Approval", given),
            ("Holds for", f"the plan text with sha256 {subject.given.digest[:16]}… only"),
        )
    )


def _run_sheet(subject: Subject, lane: LaneTimes) -> tuple[Block, ...]:
    name = lane.environment.name
    zone = zone_of(subject, name)
    hosts = subject.hosts.get(name)
    return (
        Facts(
            (
                ("Window", describe_window(lane.environment.window)),
                ("Hosts", ", ".join(hosts) if hosts else "those that the CMDB names when the run opens; frozen then"),
                ("Latest start of the change", moment(lane.latest_start, zone) if lane.opens else _relative(lane)),
                (
                    "Point of no return",
                    moment(lane.no_return, zone) if lane.opens else "agreed at any time: no clock ends it",
                ),
                ("Change and acceptance", clock(lane.durations.lane)),
                ("Way back", f"{clock(lane.durations.way_back)}: back-out, and the old release accepted"),
                ("Times are", _source(subject)),
            )
        ),
        Table(
            ("Step", "Begins", "At most", "Decide by", "Who", "Actual"),
            tuple(_step_rows(subject, lane, zone)),
            (9, 6, 5, 9, 8, 8),
        ),
    )


def _relative(lane: LaneTimes) -> str:
    return f"whenever {lane.environment.name}'s turn comes; T is the beginning of its lane"


def _source(subject: Subject) -> str:
    if len(subject.timed) == 4:
        return "measured in the rehearsal of this plan"
    if subject.timed:
        return f"measured in the rehearsal: {', '.join(map(words, sorted(subject.timed)))}; the others are limits"
    return "limits, until the rehearsal has measured them"


def _step_rows(subject: Subject, lane: LaneTimes, zone: str) -> list[tuple[str, ...]]:
    tasks = {task.name: task for task in subject.tasks if task.environment == lane.environment.name}
    opens = lane.opens
    rows: list[tuple[str, ...]] = []
    for step in lane.steps:
        task = tasks[step.task]
        begins = f"T+{clock(step.begins)}" if opens is None else _hour(opens + step.begins, zone)
        rows.append(
            (
                task.title,
                begins,
                clock(step.lasts) if step.lasts else "at once",
                _decide_by(lane, step.task, zone),
                ", ".join(map(subject.person, task.asked.by)) if task.asked else _doers(subject, task),
                really(subject, task),
            )
        )
    return rows


def _hour(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%H:%M} ({at:%H:%MZ})"


def _doers(subject: Subject, task: Task) -> str:
    if task.lane.value == "system":
        return ", ".join(subject.brand.system(key) for key in task.form.systems[:2])
    return ", ".join(map(subject.brand.role, task.responsible))


def _decide_by(lane: LaneTimes, step: str, zone: str) -> str:
    """Without a window only people have a time by which they decide."""
    environment = lane.environment
    asked = {"go_no_go": environment.go_no_go, "sign_off": environment.sign_off}.get(step)
    by = {
        "window": lane.latest_start, "readiness": lane.latest_start, "go_no_go": lane.latest_start,
        "restore_point": lane.latest_start, "sign_off": lane.no_return, "verdict": lane.no_return,
    }.get(step)  # fmt: skip
    if by is not None:
        return moment(by, zone)
    return f"{clock(asked.wait)} after asked" if asked else "–"


def really(subject: Subject, task: Task) -> str:
    """What is on record of a task, in a few words."""
    actual = subject.actuals.get(task.id)
    if actual is None:
        return "–"
    by = f" by {subject.persons(actual.by)}" if actual.by and task.asked else ""
    took = f", {clock(actual.until - actual.at)}" if actual.at and actual.until and actual.until > actual.at else ""
    at = f", {actual.at:%Y-%m-%d %H:%MZ}" if actual.at else ""
    return f"{actual.state}{by}{at}{took}"


def back_out_plan(subject: Subject) -> Paper:
    plan = subject.plan
    return Paper(
        "back-out-plan",
        "Back-out plan",
        Audience.INTERNAL,
        f"How {plan.application} comes back to {plan.from_version}, from every step, and until when.",
        (
            Section("When, and who decides", (Points(_when(subject)),)),
            Section("Until when", (_points_of_no_return(subject),)),
            Section("Each step and its way back", (_ways_back(subject),)),
            Section("What proves it", (Points(PROOF),)),
            Section("When it does not go well", (Points(IF_IT_FAILS),)),
        ),
    )


def _when(subject: Subject) -> tuple[str, ...]:
    signers = [
        f"{lane.name}: {subject.people(lane.sign_off)} can refuse the sign-off, which backs it out."
        for lane in subject.plan.lanes
        if lane.sign_off
    ]
    return (
        "The lane's verdict decides, from the ledger: begun, and not implemented, accepted and signed off.",
        "Where the change had not begun on any host there is nothing to back out: the lane stands down.",
        *signers,
        "After the commit a run in mode back-out is needed, with a reason; it may lose what was entered since.",
    )


def _points_of_no_return(subject: Subject) -> Table:
    rows = tuple(
        (
            lane.environment.name,
            _scope(lane.environment),
            clock(lane.durations.way_back),
            moment(lane.no_return, zone_of(subject, lane.environment.name)) if lane.opens else "no clock ends it",
            _label(subject, lane.environment.name),
        )
        for lane in subject.schedule.lanes
    )
    return Table(
        ("Environment", "Takes back", "Way back", "Point of no return", "Restore point"), rows, (3, 4, 3, 5, 6)
    )


def _scope(environment: Environment) -> str:
    return "only hosts that failed" if environment.back_out == "per_host" else "every touched host"


def _label(subject: Subject, environment: str) -> str:
    for label in restore_points(subject, environment):
        return label
    return "taken and proven before the change"


def restore_points(subject: Subject, environment: str) -> tuple[str, ...]:
    """Labels of the proven ones, newest first."""
    places = subject.view.environments if subject.view else ()
    marks = [mark for place in places if place.name == environment for mark in place.marks]
    labels = [
        str(mark.data["label"]) for mark in marks if mark.kind == "restore_point_proven" and mark.data.get("label")
    ]
    return tuple(reversed(labels))


_UNTIL = {"yes": "any time", "until_commit": "until the commit", "no": "not any more"}


def _ways_back(subject: Subject) -> Table:
    rows = tuple(
        (entry.title, entry.back_out or "–", _UNTIL[entry.reversible])
        for entry in subject.given.role.entry_points.values()
        if entry.changes_host
    )
    return Table(("Step", "Way back", "Possible"), rows, (5, 9, 3))


PROOF = (
    "The old release's version is found on every host that was touched.",
    "The old release's acceptance suite passes on every one of them.",
    "The business data equals what was read before the change.",
    "Only then the outcome is backed out, and the hosts' locks are given back.",
)
IF_IT_FAILS = (
    "The outcome is back out failed: a person must look. The hosts' locks are kept, so that nothing else touches them.",
    "The restore point is never overwritten; it is still there for a restore by hand.",
    "The environments that come after do not begin.",
)


def readiness_report(subject: Subject) -> Paper:
    return Paper(
        "readiness-report",
        "Readiness report",
        Audience.INTERNAL,
        "What has to be true before a change begins, and what was found.",
        (
            Section("Result", (_readiness_results(subject),)),
            *(
                Section(f"{lane.name}: checks", _checks(subject, lane.name))
                for lane in subject.plan.lanes
                if _gate(subject, lane.name)
            ),
            Section("Every check, and what to do at a no", (_catalogue(subject),)),
            Section("Left out by the plan", (_left_out(subject),)),
        ),
    )


def _gate(subject: Subject, environment: str) -> GateResult | None:
    places = subject.view.environments if subject.view else ()
    gates = [
        gate for place in places if place.name == environment for _, gate in place.gates if gate.gate == "readiness"
    ]
    return gates[-1] if gates else None


def _readiness_results(subject: Subject) -> Table:
    rows = []
    for lane in subject.plan.lanes:
        gate = _gate(subject, lane.name)
        if gate is None:
            rows.append((lane.name, "not yet asked", f"{len(subject.checks)} checks on every host", "–"))
        else:
            hosts = f"{len(gate.hosts_seen)} of {len(gate.hosts_planned)} hosts"
            ran = f"{gate.checks_run} of {len(gate.declared)} checks, {hosts}"
            rows.append((lane.name, "ready" if gate.passed else "not ready", ran, "; ".join(gate.reasons()) or "–"))
    return Table(("Environment", "Result", "Asked", "Reasons"), tuple(rows), (3, 3, 5, 9))


def _checks(subject: Subject, environment: str) -> tuple[Block, ...]:
    gate = _gate(subject, environment)
    titles = {check.key: check.title for check in subject.given.catalogue.checks}

    def row(result: CheckResult) -> tuple[str, ...]:
        return titles.get(result.key, result.key), result.host or "all", str(result.state), result.message or "–"

    rows = tuple(map(row, gate.results)) if gate else ()
    return (Table(("Check", "Host", "Answer", "Found"), rows, (7, 3, 2, 7)),) if rows else (Text("No check ran."),)


def _catalogue(subject: Subject) -> Table:
    return Table(
        ("Check", "A no", "Measured by", "What to do"),
        tuple(
            (
                check.title,
                "stops" if check.severity is Severity.INHIBITOR else "is told",
                words(check.measured_by),
                check.remediation,
            )
            for check in subject.checks
        ),
        (7, 2, 3, 9),
    )


def _left_out(subject: Subject) -> Block:
    off = tuple(subject.plan.checks_off.items())
    return Table(("Check", "Why"), off, (3, 8)) if off else Text("None: every check of the catalogue is asked.")
