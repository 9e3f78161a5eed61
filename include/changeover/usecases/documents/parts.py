"""Parts that several documents share."""

from __future__ import annotations

from changeover.domain.hypercare import ends_told, reopens_told
from changeover.domain.paper import Block, Facts, Points, Table, Text
from changeover.domain.runsheet import describe_window
from changeover.domain.window import AnyTime
from changeover.usecases.documents.subject import Subject, day, days, spoken


def brief(subject: Subject) -> Facts:
    """The upgrade in a few lines, fit for the client."""
    plan = subject.plan
    order, contract = plan.statement_of_work, plan.support_contract
    return Facts(
        (
            ("Client", plan.client),
            ("Application", plan.application),
            ("From", plan.from_version),
            ("To", f"{plan.to_version}, released by the vendor on {subject.given.release.released}"),
            ("Why", plan.trigger.reason),
            (plan.trigger.kind.replace("_", " ").capitalize(), f"{plan.trigger.reference} of {plan.trigger.dated}"),
            (
                "Statement of work",
                f"{order.id}, signed {order.signed_on}, valid {order.valid_from} to {order.valid_until}",
            ),
            ("Support contract", f"{contract.id}, valid {contract.valid_from} to {contract.valid_until}"),
            ("Environments", ", ".join(environment.name for environment in plan.environments)),
        )
    )


def release_changes(subject: Subject) -> tuple[Block, ...]:
    release = subject.given.release
    changed = tuple(
        (thing.kind, thing.what, thing.was or "present", thing.becomes or "gone") for thing in release.changed
    )
    manual = tuple((step.when, step.title, step.applies_if or "always", step.series) for step in release.manual_steps)
    return (
        Table(("Kind", "What", "Until now", "From now on"), changed, (2, 5, 5, 5))
        if changed
        else Text("The release record names no change that touches what is around the application."),
        *(
            (
                Text("Actions the vendor asks for, before or after the migration:"),
                Table(("When", "Action", "Applies if", "Series"), manual, (2, 7, 7, 2)),
            )
            if manual
            else (Text("The vendor asks for no action by hand."),)
        ),
    )


def dates(subject: Subject) -> Table:
    rows = tuple(
        (
            str(phase.process.number),
            f"{phase.process.title}{f' · {phase.environment}' if phase.environment else ''}",
            days(phase.first, phase.last),
        )
        for phase in subject.schedule.phases
    )
    return Table(("", "Sub-process", "Planned"), rows, (1, 9, 6))


def windows(subject: Subject) -> Table:
    return Table(
        ("Environment", "Purpose", "Window"),
        tuple((lane.name, lane.kind, describe_window(lane.window)) for lane in subject.plan.lanes),
        (3, 3, 10),
    )


def way_back(subject: Subject) -> Points:
    """What the client is promised, in the client's words."""
    plan = subject.plan
    return Points(
        (
            f"The upgrade is rehearsed on {plan.baseline.name}, there, back and there again, before yours is touched.",
            "A copy that the old release can be restored from is taken and proven before each change begins.",
            f"Where the result is not accepted, {plan.from_version} is put back and accepted again, and you are told.",
            "Work that can no longer be done and undone inside its window does not begin.",
        )
    )


def watch(subject: Subject) -> str:
    care = subject.plan.support.hypercare
    return f"{spoken(care.length)}, looked at every {spoken(care.interval)}"


def watch_ends(subject: Subject) -> str:
    return ends_told(subject.plan.support.hypercare, spoken)


def watch_reopens(subject: Subject) -> str:
    """What has people asked whether the release is kept, and whom."""
    care = subject.plan.support.hypercare
    return f"{reopens_told(care)}; decided by {subject.people(subject.plan.kept_by)}"


def zone_of(subject: Subject, environment: str) -> str:
    window = subject.plan.environment(environment).window
    return "" if isinstance(window, AnyTime) else window.zone


def planned_day(subject: Subject, number: int, environment: str) -> str:
    """Of a sub-process, for a task of it."""
    for phase in subject.schedule.phases:
        if phase.process.number == number and phase.environment in (environment, ""):
            return days(phase.first, phase.last)
    return day(subject.schedule.phases[-1].last)
