"""Gather what the documents of an upgrade are written from: the plan first, and the ledger where a run is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from changeover.domain.blueprint import Task, Words, tasks_of
from changeover.domain.blueprint_table import SUB_PROCESSES
from changeover.domain.brand import Brand
from changeover.domain.check import Catalogue, Check, CheckStage
from changeover.domain.lane import RoleDescription
from changeover.domain.plan import Approval, Environment, Plan
from changeover.domain.progress import Actual, progress
from changeover.domain.record import Run
from changeover.domain.release import ReleaseRecord
from changeover.domain.run_view import RunView
from changeover.domain.runsheet import Durations
from changeover.domain.schedule import Schedule, lane_times, schedule, working
from changeover.domain.window import duration_text
from changeover.ports import Ledger
from changeover.usecases.accept import SUITE_LIMIT
from changeover.usecases.planning_facts import times_of
from changeover.usecases.run_view import view_run

LOOKED_AT = 200


@dataclass(frozen=True)
class Given:
    """What lies on disk for a plan."""

    plan: Plan
    digest: str
    release: ReleaseRecord
    role: RoleDescription
    catalogue: Catalogue
    brand: Brand
    words: Words


@dataclass(frozen=True)
class Subject:
    """All there is to write from. Without a run every value is a planned one."""

    given: Given
    tasks: tuple[Task, ...]
    schedule: Schedule
    view: RunView | None
    actuals: Mapping[str, Actual]
    hosts: Mapping[str, tuple[str, ...]]
    timed: frozenset[str]
    """Durations that a rehearsal measured; the others are limits."""

    @property
    def plan(self) -> Plan:
        return self.given.plan

    @property
    def brand(self) -> Brand:
        return self.given.brand

    @property
    def seen(self) -> tuple[Task, ...]:
        """The tasks before the line of visibility."""
        return tuple(task for task in self.tasks if task.lane.is_seen)

    @property
    def checks(self) -> tuple[Check, ...]:
        return self.given.catalogue.at(CheckStage.READINESS, off=self.plan.checks_off)

    def person(self, login: str) -> str:
        people = {person.id: person.name for person in self.plan.participants}
        return people.get(login, login)

    def persons(self, logins: Sequence[str]) -> str:
        return " and ".join(map(self.person, logins))

    def people(self, approval: Approval) -> str:
        people = " or ".join(map(self.person, approval.by))
        return f"{approval.quorum} of {people}" if approval.quorum > 1 else people


def gather(given: Given, ledger: Ledger | None, *, run: Run | None = None, start: date | None = None) -> Subject:
    """`run` gives the actual values; times measured by any rehearsal of this plan are used in either case."""
    plan = given.plan
    tasks = tasks_of(plan, SUB_PROCESSES, given.words)
    order = [environment.name for environment in plan.environments]
    view = view_run(ledger, run, order=order) if ledger and run else None
    found = times_of(ledger, plan, None, run=run) if ledger else Durations()
    of_lanes = [(lane, times_of(ledger, plan, lane, run=run) if ledger else found) for lane in plan.lanes]
    lanes = [lane_times(lane, _complete(times, lane)) for lane, times in of_lanes]
    begins = start or (run.opened_at.date() if run else None)
    timed = frozenset(name for name in ("restore_point", "implement", "acceptance", "back_out") if getattr(found, name))
    return Subject(
        given,
        tasks,
        schedule(plan, SUB_PROCESSES, lanes, earliest=earliest_start(given), start=begins),
        view,
        progress(tasks, view),
        {environment.name: environment.hosts for environment in view.environments} if view else {},
        timed,
    )


def run_of(ledger: Ledger, plan: Plan, digest: str) -> Run | None:
    """The newest run of this very plan text."""
    runs = ledger.runs(limit=LOOKED_AT)
    return next((run for run in runs if run.dag_id == plan.dag_id and run.plan_digest == digest), None)


def earliest_start(given: Given) -> date:
    """Nothing begins before it was asked for, ordered, covered by a contract, and published by the vendor."""
    order, contract = given.plan.statement_of_work, given.plan.support_contract
    days = (given.plan.trigger.dated, order.signed_on, order.valid_from, contract.valid_from, given.release.released)
    return working(max(days))


def _complete(found: Durations, lane: Environment) -> Durations:
    """Where nothing was measured, the longest that the step is given."""
    return replace(
        found,
        restore_point=found.restore_point or lane.restore_within,
        implement=found.implement or lane.implement_within,
        acceptance=found.acceptance or 2 * SUITE_LIMIT,
        back_out=found.back_out or lane.restore_within,
    )


def day(value: date) -> str:
    return f"{value:%a %Y-%m-%d}"


def days(first: date, last: date) -> str:
    return day(first) if first == last else f"{day(first)} to {day(last)}"


def moment(value: datetime | None, zone: str = "") -> str:
    """In UTC, and on the client's clock where its zone is known."""
    if value is None:
        return "–"
    local = f"{value.astimezone(ZoneInfo(zone)):%a %H:%M} {zone}, " if zone else ""
    return f"{local}{value:%Y-%m-%d %H:%MZ}"


def clock(length: timedelta) -> str:
    """Hours and minutes; seconds where it is less than an hour and they are there."""
    hours, rest = divmod(round(length.total_seconds()), 3600)
    minutes, seconds = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes:02d}"
    return " ".join(
        part for part, there in ((f"{minutes} min", minutes or not seconds), (f"{seconds} s", seconds)) if there
    )


_UNITS = {"d": "day", "h": "hour", "m": "minute", "s": "second"}


def spoken(length: timedelta) -> str:
    """As a plan has it, in whole words."""
    text = duration_text(length)
    count, unit = text[:-1], _UNITS[text[-1]]
    return f"{count} {unit}" if count == "1" else f"{count} {unit}s"


def words(name: str) -> str:
    return name.replace("_", " ")
