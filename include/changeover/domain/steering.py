"""Hold, resume and abort of one run: what its marks say now, and whether an order is possible."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from changeover.domain.record import Mark, MarkKind

RULE = "rule: night policy"
DECIDED = frozenset({MarkKind.COMMITTING, MarkKind.BACKING_OUT, MarkKind.STOOD_DOWN, MarkKind.WINDOW_MISSED})
"""With one of these marks an environment's way is decided: "decide by" is of no weight any more."""


@dataclass(frozen=True)
class Hold:
    """A hold that stands. `environment` "" is the whole run; `case` is what the night policy held for."""

    by: str
    reason: str
    at: datetime
    environment: str = ""
    case: str = ""


@dataclass(frozen=True)
class Abort:
    """Somebody ended the run. `back_out`: environments whose change had begun go back."""

    by: str
    reason: str
    at: datetime
    back_out: bool = False


@dataclass(frozen=True)
class Steering:
    """What people and the policy want of a run, as far as one environment is concerned."""

    hold: Hold | None = None
    abort: Abort | None = None

    @property
    def seen(self) -> str:
        """One text for one state: whoever waits compares it with what it was."""
        held = f"held {self.hold.environment} {self.hold.at.isoformat()}" if self.hold else "free"
        return f"{held}; {'aborted' if self.abort else 'goes on'}"


def steering(marks: Iterable[Mark], environment: str = "") -> Steering:
    """`marks` of the whole run, oldest first. A hold of another environment does not concern this one."""
    hold: Hold | None = None
    abort: Abort | None = None
    for mark in marks:
        by, reason = str(mark.data.get("by") or ""), str(mark.data.get("reason") or "")
        if mark.kind is MarkKind.HELD and mark.environment in ("", environment):
            hold = Hold(by, reason, mark.at, mark.environment, str(mark.data.get("case") or ""))
        elif mark.kind is MarkKind.RESUMED and mark.environment in ("", environment):
            hold = None
        elif mark.kind is MarkKind.ABORTED:
            abort = Abort(by, reason, mark.at, bool(mark.data.get("back_out")))
    return Steering(hold, abort)


def holds(marks: Sequence[Mark]) -> tuple[Hold, ...]:
    """Every hold that stands, of the run and of its environments."""
    places = dict.fromkeys(mark.environment for mark in marks if mark.kind is MarkKind.HELD)
    found = (steering(marks, place).hold for place in places)
    return tuple(dict.fromkeys(hold for hold in found if hold))


def paused_since(marks: Iterable[Mark]) -> datetime | None:
    """Since when the run is seen paused in Airflow; None while it is not."""
    since: datetime | None = None
    for mark in marks:
        if mark.kind is MarkKind.AIRFLOW_PAUSED:
            since = since or mark.at
        elif mark.kind is MarkKind.AIRFLOW_UNPAUSED:
            since = None
    return since


class LaneState(StrEnum):
    """How far an environment of the run is."""

    NOT_BEGUN = "not_begun"
    BEGUN = "begun"
    GOING_BACK = "going_back"
    KEPT = "kept"
    ENDED = "ended"


def lane_state(marks: Iterable[Mark], *, settled: bool) -> LaneState:
    """`marks` of one environment, oldest first."""
    state = LaneState.NOT_BEGUN
    for mark in marks:
        if mark.kind is MarkKind.IMPLEMENTING:
            state = LaneState.BEGUN
        elif mark.kind is MarkKind.BACKING_OUT:
            state = LaneState.GOING_BACK
        elif mark.kind is MarkKind.COMMITTING:
            state = LaneState.KEPT
    return LaneState.ENDED if settled else state


@dataclass(frozen=True)
class RunFacts:
    """What an order to hold, resume or abort is judged by."""

    ended: str = ""
    """The run's outcome; "" while it goes on."""
    lanes: Mapping[str, LaneState] = field(default_factory=dict)
    at_work: tuple[str, ...] = ()
    """Steps whose execution goes on, each as `step of environment`."""
    held: bool = False
    aborted: bool = False


def why_not_hold(facts: RunFacts) -> tuple[str, ...]:
    """Reasons against it; none when it is possible. What runs is finished all the same."""
    ended = bool(facts.lanes) and all(state is LaneState.ENDED for state in facts.lanes.values())
    nothing = "every environment has ended, and no stage that is left waits for a hold: to stop its closing, answer no "
    return (
        *_over(facts),
        *(("it is held already; `resume` ends that",) if facts.held else ()),
        *((f"{nothing}where support or hypercare asks",) if ended and not facts.ended else ()),
    )


def why_not_resume(facts: RunFacts) -> tuple[str, ...]:
    """A hold that outlasted its run can be ended still: until then it is an open item of its closeout."""
    return () if facts.held else (*_over(facts), "it is not held")


def why_not_abort(facts: RunFacts, *, back_out: bool) -> tuple[str, ...]:
    """Safe between steps, before the change of an environment begins; after that only together with its back-out."""
    reasons = [*_over(facts)]
    if facts.at_work:
        reasons.append(
            f"at work is {', '.join(facts.at_work)}: wait for its end, `hold` what follows, or `stop` it, and ask again"
        )
    for name, state in facts.lanes.items():
        if state is LaneState.GOING_BACK:
            reasons.append(f"{name} is being backed out: wait for its end")
        if state is LaneState.KEPT:
            reasons.append(f"{name} is being kept: wait for its end; a run of mode back-out takes it back")
        if state is LaneState.BEGUN and not back_out:
            reasons.append(f"the change of {name} has begun: wait for its end, or `--back-out` takes it back")
    return tuple(reasons)


def _over(facts: RunFacts) -> tuple[str, ...]:
    if facts.ended:
        return (f"the run has ended: {facts.ended.replace('_', ' ')}",)
    return ("the run was aborted already",) if facts.aborted else ()
