"""What the client is given of the whole upgrade: the passport on the way, the closing report at the end."""

from __future__ import annotations

from changeover.domain.blueprint import Task
from changeover.domain.outcome import Outcome
from changeover.domain.paper import Audience, Block, Paper, Points, Section, Signatures, Table, Text
from changeover.domain.progress import Actual
from changeover.usecases.documents.parts import brief, planned_day, watch, way_back, windows
from changeover.usecases.documents.subject import Subject, clock

HEADLINES = {
    Outcome.SUCCESSFUL: "Upgraded, accepted, and proven.",
    Outcome.SUCCESSFUL_WITH_ISSUES: "Upgraded and accepted, with points that are still looked after.",
    Outcome.BACKED_OUT: "Not upgraded: the release from before runs again, and was accepted.",
    Outcome.BACK_OUT_FAILED: "Not finished: our people are at work on it.",
    Outcome.REFUSED: "Not upgraded: a condition was not met, and nothing was changed.",
    Outcome.MISSED: "Not upgraded: the window could not be used, and nothing was changed.",
    Outcome.UNKNOWN: "Not finished: our people are at work on it.",
}
"""Outcome → how the client is told."""


def upgrade_passport(subject: Subject) -> Paper:
    plan = subject.plan
    return Paper(
        "upgrade-passport",
        "Upgrade passport",
        Audience.CLIENT,
        f"What you see of the upgrade, step by step: {plan.title}.",
        (
            Section("The upgrade", (brief(subject),)),
            Section("Where it stands", (Text(standing(subject)), _environments(subject))),
            Section("What you see, in order", (_steps(subject),)),
            Section("Windows", (windows(subject),)),
            Section("What we promise", (way_back(subject),)),
            Section("Afterwards", (Points(_afterwards(subject)),)),
        ),
    )


def standing(subject: Subject) -> str:
    if subject.view is None:
        return "Planned. Nothing has begun."
    verdict = subject.view.outcome
    return HEADLINES[verdict.outcome] if verdict else "In progress."


def _environments(subject: Subject) -> Table:
    places = {place.name: place for place in subject.view.environments} if subject.view else {}
    rows = []
    for lane in subject.plan.lanes:
        place = places.get(lane.name)
        outcome = place.outcome if place else None
        rows.append((lane.name, lane.kind, HEADLINES[outcome.outcome] if outcome else "Planned."))
    return Table(("Environment", "Purpose", "State"), tuple(rows), (3, 3, 9))


def _steps(subject: Subject) -> Table:
    rows = []
    for task in subject.seen:
        environment = task.environment if task.process.per_environment else ""
        row = (
            f"{task.called}{f' · {environment}' if environment else ''}",
            _told(subject, task),
            planned_day(subject, task.process.number, environment),
        )
        rows.append((*row, _really(subject.actuals.get(task.id))) if subject.view else row)
    if subject.view:
        return Table(("Step", "What happens", "Planned", "Actual"), tuple(rows), (5, 9, 4, 4))
    return Table(("Step", "What happens", "Planned"), tuple(rows), (5, 11, 4))


def _told(subject: Subject, task: Task) -> str:
    if task.asked is None:
        return task.form.told
    return f"{task.form.told} Asked: {subject.people(task.asked)}."


def _really(actual: Actual | None) -> str:
    """A day and a word; reasons and hosts stay behind the line."""
    if actual is None:
        return "–"
    return f"{actual.state}, {actual.at:%Y-%m-%d}" if actual.at else actual.state


def _afterwards(subject: Subject) -> tuple[str, ...]:
    taker = subject.people(subject.plan.support.accepted_by)
    return (
        f"The application is watched: {watch(subject)}.",
        f"Then {taker} takes it over into support.",
        "You receive the closing report. Whatever you find until then, tell the people named in the kickoff pack.",
    )


def closing_report(subject: Subject) -> Paper:
    plan = subject.plan
    return Paper(
        "closing-report",
        "Closing report",
        Audience.CLIENT,
        f"How it ended: {plan.title}.",
        (
            Section("Result", (Text(standing(subject)), _environments(subject))),
            Section("What was ordered", (brief(subject),)),
            Section("What was decided, and by whom", (_decided(subject),)),
            Section("Planned and real times", (_times(subject),)),
            Section("Conditions for closing", (Points(EXIT),)),
            Section("Agreed", (Signatures(_signers(subject)),)),
        ),
    )


EXIT = (
    "Either: not upgraded, and the old release runs again and was accepted.",
    "Or: all is upgraded and accepted, the watch has ended, no critical incident is open, and support has accepted.",
    "In either case the records say what really runs, and what was taken for the work is given back.",
)


def _decided(subject: Subject) -> Block:
    rows = []
    ended = subject.view is not None and subject.view.outcome is not None
    for task in subject.seen:
        if task.asked is None:
            continue
        actual = subject.actuals.get(task.id)
        where = task.environment if task.process.per_environment else "whole upgrade"
        answer = _really(actual) if actual else "not asked" if ended else "not yet asked"
        by = subject.persons(actual.by) if actual and actual.by else subject.people(task.asked)
        rows.append((task.called, where, by, answer))
    return Table(("Decision", "Where", "By", "Answer"), tuple(rows), (5, 4, 6, 5))


def _times(subject: Subject) -> Table:
    """Per environment: what was planned for the change, and what it took."""
    rows = []
    for lane in subject.schedule.lanes:
        name = lane.environment.name
        change = subject.actuals.get(f"s08_s09_{name.replace('.', '_')}.implement")
        took = clock(change.until - change.at) if change and change.at and change.until else "–"
        planned = planned_day(subject, 9, name)
        began = f"{change.at:%Y-%m-%d}" if change and change.at else "–"
        rows.append((name, planned, began, clock(lane.durations.implement), took))
    return Table(
        ("Environment", "Planned day", "Real day", "Change: planned at most", "Change: took"),
        tuple(rows),
        (3, 4, 4, 4, 3),
    )


def _signers(subject: Subject) -> tuple[str, ...]:
    people = {person.id: person for person in subject.plan.participants}
    named = dict.fromkeys((*subject.plan.approved_by.by, subject.plan.requested_by))
    return tuple(f"{people[who].name}, {subject.brand.role(people[who].role)}" for who in named)
