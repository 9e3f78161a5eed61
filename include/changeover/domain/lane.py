"""The lane of one environment: its stages in order, and the one decision at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from changeover.domain.record import Mark, MarkKind


class Decision(StrEnum):
    """What becomes of an environment once its stages have ended."""

    COMMIT = "commit"
    BACK_OUT = "back_out"
    STAND_DOWN = "stand_down"
    NOT_STARTED = "not_started"
    LEAVE = "leave"
    """Touch nothing: a person asks the hosts and decides."""


def lane_group(environment: str) -> str:
    """Name of the lane's group of tasks in the DAG."""
    return f"s08_s09_{environment.replace('.', '_')}"


@dataclass(frozen=True)
class LaneFacts:
    """What the ledger says of one environment in one run."""

    lane_started: bool
    change_began: bool
    """A mark "implementing" was written for any host of the environment: the write comes before the first change."""
    implemented: bool
    accepted: bool
    signed_off: bool
    work_in_progress: bool = False
    """An execution of this environment has not ended: nothing else may be started on its hosts."""
    back_out_wanted: bool = False
    """The run's mode is back-out, or somebody ended the run and wants the change taken back."""
    doubts: tuple[str, ...] = ()
    """Work on hosts ended so that nobody knows what is true there, and no person has decided since."""


def decide(facts: LaneFacts) -> tuple[Decision, str]:
    """Commit only on full proof; back out only when the change began; otherwise stand down and touch nothing.

    Nothing is decided beside work in progress (C02): the caller waits for its end, and asking before is an error.
    """
    if facts.work_in_progress:
        raise ValueError("an execution of this environment has not ended: nothing may be decided beside it")
    if facts.back_out_wanted:
        return Decision.BACK_OUT, "the operator asked for a back-out"
    if not facts.lane_started:
        return Decision.NOT_STARTED, "the lane did not start"
    if facts.doubts:
        return Decision.LEAVE, "; ".join(facts.doubts)
    if not facts.change_began:
        return Decision.STAND_DOWN, "the change had not begun on any host"
    if facts.implemented and facts.accepted and facts.signed_off:
        return Decision.COMMIT, "implemented, accepted and signed off"
    missing = [
        name
        for name, done in (
            ("implemented", facts.implemented),
            ("accepted", facts.accepted),
            ("signed off", facts.signed_off),
        )
        if not done
    ]
    return Decision.BACK_OUT, f"the change began and is not {', not '.join(missing)}"


def is_accepted(marks: Iterable[Mark]) -> bool:
    """Whether the newest acceptance of these marks said yes; one that was asked again and did not is none."""
    asked = [mark.kind for mark in marks if mark.kind in (MarkKind.ACCEPTING, MarkKind.ACCEPTED)]
    return bool(asked) and asked[-1] is MarkKind.ACCEPTED


def in_doubt(marks: Sequence[Mark]) -> tuple[str, ...]:
    """Work that ended `unknown` since a person last decided: nothing starts by itself on its hosts (C05, C11)."""
    last = max((n for n, mark in enumerate(marks) if mark.kind is MarkKind.SETTLED), default=-1)
    return tuple(
        f"what is true is not known: {mark.data.get('reason') or 'work was lost'}"
        for mark in marks[last + 1 :]
        if mark.kind is MarkKind.BLOCKED
    )


def hosts_to_back_out(policy: str, *, touched: Iterable[str], failed: Iterable[str]) -> tuple[str, ...]:
    """`per_environment`: every touched host; `per_host`: only touched hosts that did not end well (C02)."""
    touched = tuple(dict.fromkeys(touched))
    if policy == "per_host":
        bad = set(failed)
        return tuple(host for host in touched if host in bad) or touched
    return touched


ENTRY_POINTS = (
    "discover",
    "build",
    "stage",
    "restore_point",
    "restore_drill",
    "quiesce",
    "implement",
    "verify",
    "commit",
    "back_out",
    "resume",
)
"""What every application's role must offer (`resume` undoes `quiesce`)."""


@dataclass(frozen=True)
class EntryPoint:
    """What a role says of one of its entry points (`meta/changeover.yml`)."""

    name: str
    title: str
    changes_host: bool
    back_out: str
    reversible: str


@dataclass(frozen=True)
class RoleDescription:
    application: str
    version_scheme: str
    entry_points: Mapping[str, EntryPoint]
    together: str = ""
    """Why all hosts of an environment have to be changed together; "" where they may go one after another."""
