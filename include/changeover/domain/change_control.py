"""The change behind a run: the plan's model, what it asks for, and whether the CMDB still lets work begin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from changeover.domain.change import ChangeModel, ChangeState, Risk
from changeover.domain.estate import Document, Line, Name
from changeover.domain.window import Day

Model = Annotated[ChangeModel, WithJsonSchema({"type": "string", "enum": [str(model) for model in ChangeModel]})]


class PreApproval(Document):
    """A standard change was approved once for all: under which number, by whom, until when."""

    reference: Line
    """Number of the standard change in the catalogue."""
    by: Name
    """Participant (by id) who answers for the catalogue; never the one who requested the upgrade."""
    until: Day
    """Last day on which it may be used."""


class Emergency(Document):
    """What cannot wait for an assessment, and who lets it go ahead."""

    reason: Line
    """Why it cannot wait."""
    by: tuple[Name, ...] = Field(min_length=1)
    """Participants (by id) of whom one approves, in place of `approval.by`; never the one who requested it."""


class ChangeControl(Document):
    """How much is decided before the change, and by whom."""

    model: Model = ChangeModel.NORMAL
    """`normal` is assessed and approved, `standard` was approved beforehand, `emergency` is approved, not assessed."""
    pre_approval: PreApproval | None = None
    """Of a standard change: what it rests on."""
    emergency: Emergency | None = None
    """Of an emergency: reason and approvers."""


_ASKS = {ChangeModel.STANDARD: "pre_approval", ChangeModel.EMERGENCY: "emergency"}


def change_faults(document: Mapping[str, Any]) -> Iterator[str]:
    """Faults of a plan's `change`, as `path: message`; takes the document right or wrong in its parts."""
    control = document.get("change")
    if not isinstance(control, Mapping):
        return
    model = control.get("model") or ChangeModel.NORMAL
    for of, key in _ASKS.items():
        given = control.get(key) is not None
        if model == of and not given:
            yield f"change.{key}: a change of model {of} needs it"
        elif model != of and given:
            yield f"change.{key}: belongs to model {of}, and this change is {model}"
    people = document.get("participants")
    people = people if isinstance(people, list | tuple) else ()
    known = {person.get("id") for person in people if isinstance(person, Mapping)}
    for where, who in _named(control):
        if who == document.get("requested_by"):
            yield f"{where}: {who!r} requested the upgrade and cannot approve it"
        elif who not in known:
            yield f"{where}: {who!r} is not a participant of this plan"


def _named(control: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    pre, emergency = control.get("pre_approval"), control.get("emergency")
    if isinstance(pre, Mapping) and isinstance(pre.get("by"), str):
        yield "change.pre_approval.by", pre["by"]
    by = emergency.get("by") if isinstance(emergency, Mapping) else ()
    for n, who in enumerate(by if isinstance(by, list | tuple) else ()):
        if isinstance(who, str):
            yield f"change.emergency.by.{n}", who


def pre_approval_lapsed(control: ChangeControl, today: date) -> str:
    """Why a standard change cannot be used any more; "" when it can, or is another model."""
    pre = control.pre_approval
    if pre is None or today <= pre.until:
        return ""
    return f"the pre-approval {pre.reference} was valid until {pre.until}, today is {today}"


def not_pre_approved(control: ChangeControl, risk: Risk, today: date) -> str:
    """Why a standard change has to be approved by people all the same; "" when it has not."""
    if lapsed := pre_approval_lapsed(control, today):
        return f"{lapsed}: have it renewed, or make the change a normal one"
    if control.pre_approval is None:
        return "the plan names no pre-approval"
    if risk is Risk.HIGH:
        return "its risk is high, and a standard change is one whose risk is known and low: make it a normal change"
    return ""


@dataclass(frozen=True)
class ChangeAsRecorded:
    """What the CMDB says of a run's change now."""

    number: str
    state: ChangeState
    planned_start: datetime | None = None
    planned_end: datetime | None = None


def not_allowed(change: ChangeAsRecorded, *, at: datetime, dates_count: bool = True) -> str:
    """Why the CMDB does not let host work begin, and what to do; "" when it does.

    A person may cancel or move the change there at any minute of the night: the record counts, not our memory of it.
    """
    number = f"change {change.number}"
    if change.state is ChangeState.CANCELED:
        return (
            f"{number} was canceled in the CMDB: this run goes no further; "
            "if the upgrade is wanted after all, start a new run, which opens a new change"
        )
    if change.state in (ChangeState.REVIEW, ChangeState.CLOSED):
        return f"{number} is in {change.state}: work under it is over; start a new run, which opens a new change"
    if change.state is not ChangeState.IMPLEMENT:
        return f"{number} is in {change.state}, not in implement: it has to be approved again; start a new run for that"
    if not dates_count:
        return ""
    if change.planned_start is not None and at < change.planned_start:
        return (
            f"{number} is planned from {_at(change.planned_start)}, now it is {_at(at)}: it was moved in the CMDB; "
            "clear this lane's window task then, or move the change back there"
        )
    if change.planned_end is not None and at >= change.planned_end:
        return (
            f"{number} was planned until {_at(change.planned_end)}, now it is {_at(at)}; "
            "plan another night and start a new run, or move the change in the CMDB"
        )
    return ""


def _at(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%MZ}"
