"""For those who run it: hand-over pack, Detail Report and Task Report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from changeover.domain.blueprint import Task
from changeover.domain.blueprint_table import KPIS, ROLES, SUB_PROCESSES, SYSTEMS, WORK_PRODUCTS
from changeover.domain.hypercare import watch_told
from changeover.domain.incident import state_told
from changeover.domain.paper import Audience, Block, Facts, Paper, Points, Section, Signatures, Table, Text
from changeover.domain.record import MarkKind
from changeover.domain.retention import Retention, ended_at, proven_points
from changeover.domain.run_view import utc
from changeover.usecases.documents.parts import release_changes, watch, watch_ends, watch_reopens
from changeover.usecases.documents.planning import really
from changeover.usecases.documents.subject import Subject


def hand_over_pack(subject: Subject) -> Paper:
    plan = subject.plan
    return Paper(
        "hand-over-pack",
        "Hand-over pack",
        Audience.INTERNAL,
        f"What support takes over: {plan.application} {plan.to_version} of {plan.client}.",
        (
            Section("What runs where", (_versions(subject),)),
            Section("What changed", release_changes(subject)),
            Section("Customisations and integrations", (_own(subject),)),
            Section("Known issues", (*_known_issues(subject), *_incidents(subject))),
            Section("Restore points", (_restore_points(subject), Text(KEPT))),
            Section("Run book", (Points(_run_book(subject), numbered=True),)),
            Section("Watch and acceptance", (_acceptance(subject),)),
            Section("Accepted", (Signatures((subject.people(plan.support.accepted_by),)),)),
        ),
    )


KEPT = "None is overwritten, and none is removed while the run is open. Going back loses what was entered since."


def _versions(subject: Subject) -> Table:
    plan = subject.plan
    found = {
        (mark.environment, mark.host): str(mark.data.get("version") or "unknown")
        for place in (subject.view.environments if subject.view else ())
        for mark in place.marks
        if mark.kind is MarkKind.VERSION_DISCOVERED
    }
    rows = []
    for environment in plan.environments:
        hosts: Sequence[str] = subject.hosts.get(environment.name) or ("as the CMDB names them",)
        rows += [
            (environment.name, environment.kind, host, plan.to_version, found.get((environment.name, host), "–"))
            for host in hosts
        ]
    return Table(("Environment", "Purpose", "Host", "Wanted", "Found"), tuple(rows), (3, 3, 5, 3, 3))


def _own(subject: Subject) -> Block:
    expected = subject.plan.expected
    items = (
        *(f"Customisation: {name}" for name in expected.customisations),
        *(f"Integration: {name}" for name in expected.integrations),
        *(f"Setting: {key} = {value}" for key, value in expected.settings.items()),
    )
    return Points(items) if items else Text("The plan names none.")


def _known_issues(subject: Subject) -> tuple[Block, ...]:
    gates = [gate for _, gate in subject.view.all_gates] if subject.view else []
    rows = dict.fromkeys(
        (finding.key, finding.subject, finding.summary, finding.remediation or "–")
        for gate in gates
        for finding in gate.findings
    )
    after = tuple(step.title for step in subject.given.release.manual_steps if step.when == "after")
    return (
        Table(("Finding", "About", "What", "What to do"), tuple(rows), (4, 4, 7, 6))
        if rows
        else Text(
            "No finding is on record."
            if subject.view
            else "Findings come with the run's analysis; none is on record yet."
        ),
        *((Text("The vendor asks for these after the migration, where they apply:"), Points(after)) if after else ()),
    )


def _incidents(subject: Subject) -> tuple[Block, ...]:
    """Those since the change, as the run saw them last; and what was open before it."""
    marks = subject.view.all_marks if subject.view else ()
    newest = {str(mark.data.get("number")): mark.data for mark in marks if mark.kind is MarkKind.INCIDENT_SEEN}
    rows = tuple(
        (number, str(seen["severity"]), state_told(seen), str(seen["summary"]))
        for number, seen in sorted(newest.items())
    )
    looked = [mark.data for mark in marks if mark.kind is MarkKind.HYPERCARE_CHECKED]
    before = tuple(str(told) for told in looked[-1].get("before", ())) if looked else ()
    return (
        *((Table(("Incident", "Severity", "State", "What"), rows, (3, 2, 4, 9)),) if rows else ()),
        *((Text("Open before the change, and open still at the last look:"), Points(before)) if before else ()),
    )


def _restore_points(subject: Subject) -> Table:
    marks = subject.view.all_marks if subject.view else ()
    retention = Retention(subject.plan.restore_points_kept, ended_at(marks))
    newest = {point.environment: point for point in proven_points(marks, retention)}
    rows = []
    for environment in subject.plan.environments:
        point = newest.get(environment.name)
        label, proven = (point.label, utc(point.proven_at)) if point else ("–", "before its change begins")
        rows.append((environment.name, label, proven, retention.told()))
    return Table(("Environment", "Newest restore point", "Proven", "Kept"), tuple(rows), (3, 6, 4, 5))


def _run_book(subject: Subject) -> tuple[str, ...]:
    plan = subject.plan
    return (
        "What is true now: ./changeover status",
        "All that is known of the run, with its proofs: ./changeover report",
        f"What really runs, read only: ./changeover run include/plans/{plan.client}/{plan.upgrade}.yaml --mode analyse",
        "Back to the old release, losing what was entered since: the same with --mode back-out and a --reason",
    )


def _acceptance(subject: Subject) -> Facts:
    actual = subject.actuals.get("s10_support.support_accepts")
    told = watch_told(subject.view.whole.marks) if subject.view else ()
    return Facts(
        (
            ("Watched for", watch(subject)),
            ("Ends", watch_ends(subject)),
            ("Decision reopened", watch_reopens(subject)),
            ("How it went", "; ".join(told) or "it has not begun"),
            ("Accepted by", subject.people(subject.plan.support.accepted_by)),
            ("Answer", f"{actual.state} by {subject.persons(actual.by)}" if actual else "not yet asked"),
        )
    )


def detail_report(subject: Subject) -> Paper:
    return Paper(
        "detail-report",
        "Detail Report",
        Audience.INTERNAL,
        "Roles, systems, documents and KPIs of the eleven sub-processes, as this plan runs them.",
        (
            Section("Sub-processes", (_processes(subject),)),
            Section("Roles", (_roles(subject),)),
            Section("Systems", (_systems(subject),)),
            Section("Documents", (_documents(subject),)),
            Section("KPIs", (_kpis(subject),)),
        ),
    )


def _titles(tasks: Iterable[Task]) -> str:
    return ", ".join(dict.fromkeys(task.title for task in tasks)) or "–"


def _processes(subject: Subject) -> Table:
    rows = []
    for process in SUB_PROCESSES:
        tasks = [task for task in subject.tasks if task.process is process]
        lanes = len(subject.plan.lanes) if process.per_environment else 1
        count = f"{len(tasks)}" if lanes == 1 else f"{len(tasks)} ({lanes} environments)"
        rows.append((str(process.number), process.title, process.purpose, count))
    return Table(("", "Sub-process", "Ends with", "Tasks"), tuple(rows), (1, 6, 10, 3))


def _roles(subject: Subject) -> Table:
    roles = dict.fromkeys((*ROLES, *(person.role for person in subject.plan.participants)))
    rows = []
    for role in roles:
        people = ", ".join(person.name for person in subject.plan.participants if person.role == role)
        rows.append(
            (
                subject.brand.role(role),
                people or "not named in the plan",
                _titles(task for task in subject.tasks if role in task.responsible),
                _titles(task for task in subject.tasks if role == task.accountable and role not in task.responsible),
            )
        )
    return Table(("Role", "People", "Does", "Answers for what others do"), tuple(rows), (4, 4, 9, 7))


def _systems(subject: Subject) -> Table:
    return Table(
        ("System", "Used in"),
        tuple(
            (subject.brand.system(system), _titles(task for task in subject.tasks if system in task.form.systems))
            for system in SYSTEMS
        ),
        (4, 13),
    )


def _documents(subject: Subject) -> Table:
    rows = tuple(
        (
            name,
            _titles(task for task in subject.tasks if product in task.form.outputs),
            _titles(task for task in subject.tasks if product in task.form.inputs),
        )
        for product, name in WORK_PRODUCTS.items()
    )
    return Table(("Document or record", "Made by", "Used by"), rows, (5, 7, 7))


def _kpis(subject: Subject) -> Table:
    return Table(
        ("KPI", "How it is measured", "Measured at"),
        tuple(
            (name, measured, _titles(task for task in subject.tasks if key in task.form.kpis))
            for key, (name, measured) in KPIS.items()
        ),
        (4, 8, 7),
    )


def task_report(subject: Subject) -> Paper:
    def place(task: Task) -> str:
        where = f" · {task.environment}" if task.process.per_environment else ""
        return f"{task.process.number} {task.process.title}{where}"

    return Paper(
        "task-report",
        "Task Report",
        Audience.INTERNAL,
        f"Every task, onstage and backstage, that a run of {subject.plan.dag_id} has: {len(subject.tasks)} tasks.",
        tuple(
            Section(title, (Text(tasks[0].process.purpose), _task_table(subject, tasks)))
            for title, tasks in ((title, list(group)) for title, group in groupby(subject.tasks, key=place))
        ),
        landscape=True,
    )


def _task_table(subject: Subject, tasks: Sequence[Task]) -> Table:
    head = ("Task", "Lane", "Responsible, accountable", "Systems", "Reads", "Leaves", "What it does")
    rows = tuple(_task_row(subject, task) for task in tasks)
    widths = (7, 3, 5, 4, 5, 5, 9)
    if subject.view is None:
        return Table(head, rows, widths)
    actual = tuple((*row, really(subject, task)) for row, task in zip(rows, tasks, strict=True))
    return Table((*head, "Actual"), actual, (*widths, 5))


def _task_row(subject: Subject, task: Task) -> tuple[str, ...]:
    brand = subject.brand
    does = ", ".join(map(subject.person, task.asked.by)) if task.asked else ", ".join(map(brand.role, task.responsible))
    answers = brand.role(task.accountable)
    return (
        f"{task.title}\n{task.id}",
        task.lane.value,
        does if does == answers else f"{does}; {answers}",
        ", ".join(map(brand.system, task.form.systems)),
        ", ".join(WORK_PRODUCTS[product] for product in task.form.inputs),
        ", ".join(WORK_PRODUCTS[product] for product in task.form.outputs),
        plain(task.effect),
    )


def plain(text: str) -> str:
    """Without the marks of Markdown that operators' texts have."""
    return text.replace("**", "").replace("*", "").replace("`", "")
