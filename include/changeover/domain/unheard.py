"""Nights in which nothing ran at all: a plan that starts by itself, and no run of it that could tell it was missed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile

from changeover.domain import notice_text as texts
from changeover.domain.freeze import Freezes, freezes_of
from changeover.domain.notice import Notice, NoticeKind
from changeover.domain.notice_due import TOLD_WITHIN, everybody, missed_key, reminder_key
from changeover.domain.plan import Mode, Plan
from changeover.domain.record import Run, meant_for
from changeover.domain.window import AnyTime, Occurrence
from changeover.domain.window_start import openings

GRACE = timedelta(minutes=10)
"""A run that Airflow began in the window's last moments needs so long to be on record."""


@dataclass(frozen=True)
class Seen:
    """A run of the plan, and when the last thing of it happened; None while it is open."""

    run: Run
    ended_at: datetime | None


def unheard(
    plan: Plan,
    freezes: Freezes,
    runs: Iterable[Seen],
    *,
    presented: datetime | None,
    told: Collection[str],
    now: datetime,
) -> tuple[Notice, ...]:
    """That the last night went by without a run, and which is the next.

    `presented`: since when Airflow has the plan as it stands. `told`: keys of deliveries. A night that neither Airflow
    nor people knew of was nobody's: the plan is newer.
    """
    night = _last_night(plan, freezes, now)
    if plan.unattended is None or night is None or any(_of_night(seen, night) for seen in runs):
        return ()
    reminded = any(key.startswith(f"{reminder_key(plan, plan.unattended.window_of, night)}|") for key in told)
    if not reminded and (presented is None or presented > night.opens):
        return ()
    offered = _nights(plan, freezes, now)
    words = texts.unheard(plan, night, next((each for each in offered if each.opens > now), None))
    return (
        Notice(
            missed_key(plan, night.opens),
            NoticeKind.MISSED,
            plan.dag_id,
            plan.client,
            *words,
            everybody(plan),
            night.closes,
            environment=plan.unattended.window_of,
            backstage=texts.unheard_backstage(plan),
        ),
    )


def _of_night(seen: Seen, night: Occurrence) -> bool:
    """Whether the run was meant for the night, or was under way in it."""
    run = seen.run
    if run.mode != Mode.IMPLEMENT:
        return False
    opening = meant_for(run.dag_run_id)
    if opening is not None:
        return opening == night.opens
    return run.opened_at < night.closes and (seen.ended_at is None or seen.ended_at > night.opens)


def _last_night(plan: Plan, freezes: Freezes, now: datetime) -> Occurrence | None:
    closed = takewhile(lambda night: night.closes + GRACE <= now, _nights(plan, freezes, now - TOLD_WITHIN))
    last = max(closed, key=lambda night: night.closes, default=None)
    return last if last and now < last.closes + TOLD_WITHIN else None


def _nights(plan: Plan, freezes: Freezes, closing_after: datetime) -> Iterable[Occurrence]:
    if plan.unattended is None:
        return ()
    lane = plan.environment(plan.unattended.window_of)
    if isinstance(lane.window, AnyTime):
        return ()
    concerned = freezes_of(plan, lane, freezes)
    return openings(lane.window, concerned, closing_after=closing_after, covered=plan.covered)
