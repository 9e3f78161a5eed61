"""The night policy: what happens at every gate and failure when nobody answers, and what a plan may choose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from changeover.domain.estate import Document, Name
from changeover.domain.window import Span


class Action(StrEnum):
    """What happens when nobody answers."""

    HOLD = "hold"
    """Nothing further begins; people are waited for, as long as the clock lets them."""
    BACK_OUT = "back_out"
    SKIP_ENVIRONMENT = "skip_environment"
    """The environment stays as it is; nothing of it is touched."""
    PROCEED = "proceed"


class Case(StrEnum):
    """A gate that nobody answered at, a failure, or a moment that came."""

    PLAN_APPROVAL = "plan_approval"
    GO_NO_GO = "go_no_go"
    SIGN_OFF = "sign_off"
    SUPPORT = "support"
    READINESS_REFUSED = "readiness_refused"
    IMPLEMENT_FAILED = "implement_failed"
    ACCEPTANCE_FAILED = "acceptance_failed"
    EXECUTION_UNKNOWN = "execution_unknown"
    DECIDE_BY_PASSED = "decide_by_passed"
    WINDOW_END_PASSED = "window_end_passed"
    HYPERCARE_FAILED = "hypercare_failed"


CASE_OF_GATE = {
    "plan": Case.PLAN_APPROVAL,
    "go_no_go": Case.GO_NO_GO,
    "sign_off": Case.SIGN_OFF,
    "support": Case.SUPPORT,
    "hypercare": Case.HYPERCARE_FAILED,
}
"""Gate, as plan and ledger call it → the case in which nobody answers there."""
WHOLE_RUN = (Case.PLAN_APPROVAL, Case.SUPPORT, Case.HYPERCARE_FAILED)
"""Cases that are of no single environment."""

_UNTOUCHED = "nothing has begun that could be backed out"
_BEGUN = "the change has begun, so the environment ends kept or backed out"
_KEPT = "the new release is kept by then; a back-out is a run of its own, which somebody starts"
_NEVER_KEPT = "is never kept by silence"
_HOLD, _BACK, _SKIP, _ON = Action
ILLEGAL: Mapping[Case, Mapping[Action, str]] = {
    Case.PLAN_APPROVAL: {_BACK: _UNTOUCHED, _ON: "silence never approves a plan"},
    Case.GO_NO_GO: {_BACK: _UNTOUCHED},
    Case.SIGN_OFF: {_SKIP: _BEGUN},
    Case.SUPPORT: {_BACK: _KEPT, _SKIP: _KEPT, _ON: "nobody takes over by silence"},
    Case.READINESS_REFUSED: {
        _BACK: _UNTOUCHED,
        _ON: "a readiness check that refuses is waived by name, never by silence",
    },
    Case.IMPLEMENT_FAILED: {_SKIP: _BEGUN, _ON: f"what failed {_NEVER_KEPT}"},
    Case.ACCEPTANCE_FAILED: {_SKIP: _BEGUN, _ON: f"what was not accepted {_NEVER_KEPT}"},
    Case.EXECUTION_UNKNOWN: {_SKIP: _BEGUN, _ON: f"what nobody can vouch for {_NEVER_KEPT}"},
    Case.DECIDE_BY_PASSED: {_SKIP: _BEGUN},
    Case.WINDOW_END_PASSED: {_SKIP: _BEGUN},
    Case.HYPERCARE_FAILED: {_BACK: _KEPT, _SKIP: _KEPT, _ON: "a watch that failed never ends well by silence"},
}
"""Case → what must not be chosen for it → why."""

SILENCE: Mapping[Case, Action] = {
    case: _BACK if _BACK not in illegal and _SKIP in illegal else _SKIP for case, illegal in ILLEGAL.items()
}
"""What silence means where a plan does not say: a "no". Before the change nothing is touched, after it is undone."""

Choice = Literal["hold", "back_out", "skip_environment", "proceed"]


class LaneNight(Document):
    """What happens in an environment's lane when nobody answers; what is left out is as the plan's `night` says."""

    go_no_go: Choice | None = None
    """Nobody answers whether the change begins: `hold` (asked again until it is too late to start),
    `skip_environment`, `proceed`."""
    sign_off: Choice | None = None
    """Nobody accepts the result, which passed its tests: `hold` (asked again until "decide by"), `back_out`,
    `proceed`."""
    readiness_refused: Choice | None = None
    """A readiness check says no: `hold` (measured again when somebody resumes the run, until it is too late to start),
    `skip_environment`."""
    implement_failed: Choice | None = None
    """The change failed or was ended: `hold` (hosts stay as they are until "decide by"), `back_out`."""
    acceptance_failed: Choice | None = None
    """The result did not pass its tests: `hold` (hosts stay as they are until "decide by"), `back_out`."""
    execution_unknown: Choice | None = None
    """Nobody can say what the change did, since its execution was lost: `hold`, `back_out`."""
    decide_by_passed: Choice | None = None
    """The last moment for "go back" came and the result is not accepted yet: `back_out` (a running change is ended in
    time), `proceed` (it is finished), `hold` (what runs is finished, nothing further begins)."""
    window_end_passed: Choice | None = None
    """The window closed and the result is not accepted yet: `back_out`, `proceed`, `hold`."""


class Night(LaneNight):
    """What happens when nobody answers. A plan that starts by itself has to say it for every case that it can meet."""

    plan_approval: Choice | None = None
    """Nobody approves the plan: `hold` (asked again until the first window cannot be used any more),
    `skip_environment` (no environment is touched)."""
    support: Choice | None = None
    """Support does not take over: `hold` (asked again). Nothing else is possible by silence."""
    hypercare_failed: Choice | None = None
    """The watch finds that the application is not well, and nobody decides what becomes of it: `hold` (it stays as it
    is, and whoever is asked is asked again). Nothing else is possible by silence."""
    tell_before: Span = timedelta(minutes=15)
    """How long before "decide by" people are told that it comes."""
    environments: Mapping[Name, LaneNight] = Field(default_factory=dict)
    """Environment → where it differs."""


def chosen(night: Night | None, case: Case, environment: str = "") -> Action | None:
    """What the plan says for a case; None where it says nothing."""
    if night is None:
        return None
    own = night.environments.get(environment)
    choice = getattr(own, case, None) or getattr(night, case, None)
    return Action(choice) if choice else None


def silence(night: Night | None, gate: str, environment: str = "") -> Action:
    """What no answer at a gate means."""
    case = CASE_OF_GATE[gate]
    return chosen(night, case, environment) or SILENCE[case]


def night_faults(document: Mapping[str, Any], environments: Sequence[str]) -> Iterator[str]:
    """What a plan's night must not say, each as `path: message`; takes it as it was read."""
    night = document.get("night")
    if not isinstance(night, Mapping):
        return
    yield from _illegal("night", night)
    own = night.get("environments")
    for name, part in own.items() if isinstance(own, Mapping) else ():
        if name not in environments:
            known = ", ".join(environments) or "(there is none)"
            yield f"night.environments: {name!r} is not an environment after the baseline, one of {known}"
        if isinstance(part, Mapping):
            yield from _illegal(f"night.environments.{name}", part)


def _illegal(where: str, part: Mapping[str, Any]) -> Iterator[str]:
    for case, illegal in ILLEGAL.items():
        for action, why in illegal.items():
            if part.get(case) == action:
                possible = ", ".join(each for each in Action if each not in illegal)
                yield f"{where}.{case}: {action} is not possible: {why}; possible: {possible}"


def uncovered(night: Night | None, lanes: Mapping[str, tuple[bool, bool]]) -> tuple[str, ...]:
    """Cases that the plan can meet and says nothing for, each as `case` or `case (environment)`.

    `lanes`: environment → whether people are asked for go/no-go, and for the sign-off.
    """
    missing = [str(case) for case in WHOLE_RUN if chosen(night, case) is None]
    for case in Case:
        if case in WHOLE_RUN:
            continue
        meets = [name for name, (go, sign) in lanes.items() if _meets(case, go=go, sign=sign)]
        without = [name for name in meets if chosen(night, case, name) is None]
        if without:
            missing.append(str(case) if without == meets else f"{case} ({', '.join(without)})")
    return tuple(missing)


def _meets(case: Case, *, go: bool, sign: bool) -> bool:
    return go if case is Case.GO_NO_GO else sign if case is Case.SIGN_OFF else True
