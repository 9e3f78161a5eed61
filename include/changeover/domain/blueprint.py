"""The blueprint: the eleven sub-processes of an upgrade with their tasks, and who takes which part in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from changeover.domain.plan import Approval, Environment, Plan


class Lane(StrEnum):
    """Swimlanes. The line of visibility runs between onstage and backstage."""

    CLIENT = "client"
    """The client's own people act."""
    ONSTAGE = "onstage"
    """We act, and the client sees it or is told."""
    BACKSTAGE = "backstage"
    """We act unseen: a check or a decision of ours."""
    SYSTEM = "system"
    """The machine acts by itself."""

    @property
    def is_seen(self) -> bool:
        return self in (Lane.CLIENT, Lane.ONSTAGE)


@dataclass(frozen=True)
class TaskForm:
    """A task as the blueprint has it, before a plan says who and where. `told` is what the client reads of it."""

    name: str
    lane: Lane
    responsible: str
    accountable: str
    systems: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    consulted: tuple[str, ...] = ()
    informed: tuple[str, ...] = ()
    kpis: tuple[str, ...] = ()
    called: str = ""
    """Its name for the client."""
    told: str = ""
    asks: str = ""
    """The approval of the plan that makes people decide here: `plan`, `go_no_go`, `sign_off` or `support`."""


@dataclass(frozen=True)
class SubProcess:
    number: int
    group: str
    """Task group of the DAG; of a lane the beginning, the environment follows."""
    title: str
    purpose: str
    days: int
    """Working days that are planned for it; 0 where a window or a watch says it."""
    tasks: tuple[TaskForm, ...]

    @property
    def per_environment(self) -> bool:
        return self.group.endswith("_")


@dataclass(frozen=True)
class Words:
    """What operators read of the tasks: task name → title, and → what it does."""

    titles: Mapping[str, str]
    effects: Mapping[str, str]


@dataclass(frozen=True)
class Task:
    """One task of a plan's DAG in the blueprint. `id` is the DAG's own."""

    id: str
    form: TaskForm
    process: SubProcess
    title: str
    effect: str
    environment: str
    lane: Lane
    responsible: tuple[str, ...]
    """Roles."""
    asked: Approval | None
    after: tuple[str, ...]
    """Ids of the tasks it follows."""

    @property
    def name(self) -> str:
        return self.form.name

    @property
    def called(self) -> str:
        """For the client; what the client does not see keeps the operators' title."""
        return self.form.called or self.title

    @property
    def accountable(self) -> str:
        return self.form.accountable

    def part_of(self, role: str) -> str:
        """RACI: the letters of a role, "" when it has no part."""
        letters = [letter for letter, has in (("R", role in self.responsible), ("A", role == self.accountable)) if has]
        if not letters and role in self.form.consulted:
            return "C"
        if not letters and role in self.form.informed:
            return "I"
        return "/".join(letters)


ALTERNATIVES = {"commit": "accepted", "back_out": "not accepted", "stand_down": "not begun"}
"""The three ends of a lane, of which the verdict picks one, and what it has found then."""


def tasks_of(plan: Plan, processes: tuple[SubProcess, ...], words: Words) -> tuple[Task, ...]:
    """Every task of the plan's DAG, in the order in which they come."""
    tasks: list[Task] = []
    for process in (p for p in processes if not p.per_environment and p.number < 8):
        tasks += [_task(plan, process, form, words) for form in process.tasks]
    for environment in plan.lanes:
        for process in (p for p in processes if p.per_environment):
            tasks += [_task(plan, process, form, words, environment) for form in process.tasks]
    for process in (p for p in processes if not p.per_environment and p.number > 9):
        tasks += [_task(plan, process, form, words) for form in process.tasks]
    return _in_order(tasks)


def _task(
    plan: Plan, process: SubProcess, form: TaskForm, words: Words, environment: Environment | None = None
) -> Task:
    name = environment.name if environment else plan.baseline.name if process.group == "s05_baseline" else ""
    group = f"{process.group}{environment.name.replace('.', '_')}" if environment else process.group
    asked = _asked(plan, form, environment)
    people = {person.id: person for person in plan.participants}
    lane = form.lane
    responsible: tuple[str, ...] = (form.responsible,)
    if asked:
        responsible = tuple(dict.fromkeys(people[who].role for who in asked.by))
        lane = Lane.CLIENT if any(people[who].side == "client" for who in asked.by) else Lane.ONSTAGE
    return Task(
        id=form.name if form.name == LAST else f"{group}.{form.name}",
        form=form,
        process=process,
        title=words.titles.get(form.name, form.name.replace("_", " ")),
        effect=words.effects.get(form.name, "") if asked or form.name not in BY_RULE else BY_RULE[form.name],
        environment=name,
        lane=lane,
        responsible=responsible,
        asked=asked,
        after=(),
    )


BY_RULE = {
    "go_no_go": "Nobody is asked: every readiness check passed, and that is the go.",
    "sign_off": "Nobody is asked: passed acceptance is the sign-off.",
}
"""What a decision is where the plan names nobody to ask."""
LAST = "record_outcome"
"""The run's last task; it lies in no group, and belongs to the closeout."""


def _asked(plan: Plan, form: TaskForm, environment: Environment | None) -> Approval | None:
    if form.asks == "plan":
        return plan.approved_by
    if form.asks == "support":
        return plan.support.accepted_by
    if environment is None:
        return None
    return {"go_no_go": environment.go_no_go, "sign_off": environment.sign_off}.get(form.asks)


def _in_order(tasks: list[Task]) -> tuple[Task, ...]:
    """One after the other; the three ends of a lane lie side by side."""
    ordered: list[Task] = []
    last: tuple[str, ...] = ()
    fork: tuple[str, ...] = ()
    ends: list[str] = []
    for task in tasks:
        if task.name in ALTERNATIVES and task.process.per_environment:
            fork = fork or last
            ordered.append(replace(task, after=fork))
            ends.append(task.id)
            continue
        ordered.append(replace(task, after=tuple(ends) or last))
        fork, ends, last = (), [], (task.id,)
    return tuple(ordered)
