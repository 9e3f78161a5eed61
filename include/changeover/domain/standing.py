"""What stands in the way of a run that is open, for people who ask: holds, an abort, a pause, a window, a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from changeover.domain.record import Mark, MarkKind
from changeover.domain.steering import DECIDED, holds, paused_since, steering


def standing(marks: Sequence[Mark]) -> tuple[str, ...]:
    """One sentence each, the gravest first; `marks` of the whole run, oldest first."""
    return tuple(_told(marks))


def _told(marks: Sequence[Mark]) -> Iterator[str]:
    if since := paused_since(marks):
        yield f"paused in Airflow since {since:%Y-%m-%d %H:%M:%SZ}; tasks will not be scheduled"
    if abort := steering(marks).abort:
        back = ", with back-out" if abort.back_out else ""
        yield f"aborted by {abort.by} at {abort.at:%Y-%m-%d %H:%M:%SZ}{back}: {abort.reason}"
    for hold in holds(marks):
        where = f"{hold.environment}: " if hold.environment else ""
        yield f"{where}held by {hold.by} since {hold.at:%Y-%m-%d %H:%M:%SZ}: {hold.reason}"
    for name in dict.fromkeys(mark.environment for mark in marks if mark.environment):
        yield from _of_environment(name, [mark for mark in marks if mark.environment == name])


def _of_environment(name: str, marks: Sequence[Mark]) -> Iterator[str]:
    if marks[-1].kind is MarkKind.WAITING_FOR_WINDOW:
        yield f"{name}: waits; {marks[-1].data.get('reason')}"
    kinds = {mark.kind for mark in marks}
    if by := _decide_by(marks) if MarkKind.LANE_STARTED in kinds and not kinds & DECIDED else None:
        passed = " (passed)" if MarkKind.DECIDE_BY_PASSED in kinds else ""
        yield f"{name}: decide by {by:%Y-%m-%d %H:%M:%SZ}{passed}"


def _decide_by(marks: Iterable[Mark]) -> datetime | None:
    told = [mark.data.get("decide_by") for mark in marks if mark.kind is MarkKind.WINDOW_AGREED]
    return datetime.fromisoformat(str(told[-1])) if told and told[-1] else None
