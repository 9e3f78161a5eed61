"""Kickoff: agenda, pack, participants and RACI."""

from __future__ import annotations

from collections.abc import Sequence

from changeover.domain.blueprint import Task
from changeover.domain.blueprint_table import ROLES
from changeover.domain.night import Action, silence
from changeover.domain.paper import Audience, Facts, Paper, Points, Section, Table, Text
from changeover.domain.plan import Approval
from changeover.usecases.documents.parts import brief, dates, release_changes, way_back
from changeover.usecases.documents.subject import Subject, spoken


def kickoff_agenda(subject: Subject) -> Paper:
    plan = subject.plan
    manager = subject.person(plan.requested_by)
    topics = (
        ("Why this upgrade, and what is ordered", manager, "5"),
        ("Who takes part, and who decides what", manager, "10"),
        ("What the new release changes for you", manager, "15"),
        ("Your customisations and integrations, and who can test them", "all", "10"),
        ("Dates and windows", manager, "10"),
        ("How the upgrade is rehearsed, accepted and, where it must be, put back", manager, "5"),
        ("What is agreed, and who does what next", "all", "5"),
    )
    rows = tuple((str(number), *topic) for number, topic in enumerate(topics, start=1))
    people = ", ".join(person.name for person in plan.participants)
    return Paper(
        "kickoff-agenda",
        "Kickoff agenda",
        Audience.CLIENT,
        f"One hour at the beginning of: {plan.title}.",
        (
            Section("Meeting", (Facts((("Chaired by", manager), ("Invited", people), ("Length", "60 minutes"))),)),
            Section("Agenda", (Table(("", "Topic", "Led by", "Minutes"), rows, (1, 11, 4, 2)),)),
            Section("Decisions that are needed", (_decisions(subject, client=True),)),
            Section("Please bring", (Points(_bring(subject)),)),
        ),
    )


def _bring(subject: Subject) -> tuple[str, ...]:
    expected = subject.plan.expected
    known = [f"who looks after {name}, and can test it" for name in (*expected.customisations, *expected.integrations)]
    return (
        *known,
        "every other system that speaks with the application",
        "days on which no change may be made",
        "how you can be reached while a window is open",
    )


def kickoff_pack(subject: Subject) -> Paper:
    plan = subject.plan
    expected = plan.expected
    own = tuple(
        (kind, name)
        for kind, names in (("Customisation", expected.customisations), ("Integration", expected.integrations))
        for name in names
    )
    return Paper(
        "kickoff-pack",
        "Kickoff pack",
        Audience.CLIENT,
        f"All that takes part in the upgrade should know: {plan.title}.",
        (
            Section("The upgrade in brief", (brief(subject),)),
            Section("Participants", (_participants(subject, internal=False),)),
            Section("What the release changes", release_changes(subject)),
            Section(
                "Your customisations and integrations",
                (
                    Table(("Kind", "Name"), own, (1, 3))
                    if own
                    else Text("The plan expects none. What the analysis finds is told before the plan is approved."),
                ),
            ),
            Section("Dates", (dates(subject),)),
            Section("Who decides", (_decisions(subject, client=True),)),
            Section("Who does what", (Text(LETTERS), _raci(subject, subject.seen, client=True))),
            Section("The way back", (way_back(subject),)),
        ),
    )


LETTERS = "R does it, A answers for it, C is asked before, I is told after."


def participants_raci(subject: Subject) -> Paper:
    plan = subject.plan
    unknown = sorted({person.role for person in plan.participants} - set(ROLES))
    missing = [subject.brand.role(role) for role in ROLES if role not in {p.role for p in plan.participants}]
    notes = (
        *(f"No participant of the plan is {role}." for role in missing),
        *(f"{subject.brand.role(role)} is a role of this plan without a part in the blueprint." for role in unknown),
    )
    return Paper(
        "participants-raci",
        "Participants and RACI",
        Audience.INTERNAL,
        "Who takes part, who decides, and which part each role has in every task.",
        (
            Section("Participants", (_participants(subject, internal=True), *([Points(notes)] if notes else []))),
            Section("Decisions", (_decisions(subject, client=False),)),
            Section("RACI", (Text(LETTERS), _raci(subject, subject.tasks, client=False))),
        ),
    )


def _participants(subject: Subject, *, internal: bool) -> Table:
    people = subject.plan.participants
    if internal:
        return Table(
            ("Name", "Login", "Role", "Side", "Address"),
            tuple((p.name, p.id, subject.brand.role(p.role), p.side, p.email or "–") for p in people),
            (4, 4, 4, 2, 5),
        )
    return Table(
        ("Name", "Role", "Of"),
        tuple(
            (p.name, subject.brand.role(p.role), subject.plan.client if p.side == "client" else subject.brand.name)
            for p in people
        ),
        (4, 4, 3),
    )


SILENCE = {
    Action.HOLD: "asked again",
    Action.BACK_OUT: "a no",
    Action.SKIP_ENVIRONMENT: "a no",
    Action.PROCEED: "no hindrance",
}


def decisions(subject: Subject) -> tuple[tuple[str, Approval, Action, bool], ...]:
    """Question, who is asked, what their silence means, and whether the client is among them."""
    plan = subject.plan
    asked: list[tuple[str, Approval, Action]] = [
        ("The plan, before any of the client's environments is changed", plan.approved_by, silence(plan.night, "plan"))
    ]
    for lane in plan.lanes:
        gates = (
            ("whether the change begins", lane.go_no_go, "go_no_go"),
            ("whether the result is accepted", lane.sign_off, "sign_off"),
        )
        asked += [
            (f"{lane.name}: {what}", who, silence(plan.night, gate, lane.name)) for what, who, gate in gates if who
        ]
    kept = "Whether the new release is kept, if the watch reopens the decision"
    asked.append((kept, plan.kept_by, silence(plan.night, "hypercare")))
    asked.append(
        ("Whether support takes the application over", plan.support.accepted_by, silence(plan.night, "support"))
    )
    sides = {person.id: person.side for person in plan.participants}
    return tuple((*one, any(sides.get(who) == "client" for who in one[1].by)) for one in asked)


def _decisions(subject: Subject, *, client: bool) -> Table:
    """For the client the decisions the client has a part in, and support's."""
    rows = tuple(
        (question, subject.people(approval), spoken(approval.wait), SILENCE[quiet])
        for question, approval, quiet, theirs in decisions(subject)
        if theirs or not client or approval is subject.plan.support.accepted_by
    )
    return Table(("Decision", "Decided by", "Waited for", "Silence is"), rows, (7, 5, 2, 2))


def _raci(subject: Subject, tasks: Sequence[Task], *, client: bool) -> Table:
    roles = tuple(dict.fromkeys((*ROLES, *(role for task in tasks for role in task.responsible))))

    def place(task: Task) -> str:
        where = f" · {task.environment}" if task.process.per_environment else ""
        return f"{task.called if client else task.title}{where}"

    rows = tuple((str(task.process.number), place(task), *map(task.part_of, roles)) for task in tasks)
    head = ("", "Task", *map(subject.brand.role, roles))
    return Table(head, rows, (1, 7, *(3 for _ in roles)))
