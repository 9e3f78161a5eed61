"""The windows that were agreed and how the work is to fit in: what "on time" is measured against afterwards."""

from __future__ import annotations

from datetime import timedelta

from changeover.domain.no_return import no_return
from changeover.domain.record import MarkKind
from changeover.usecases.planning_facts import durations
from changeover.usecases.tools import Tools, Upgrade, mark
from changeover.usecases.window_gate import planned_nights, reversible


def mark_windows(upgrade: Upgrade, tools: Tools) -> None:
    """Once for each lane that has a window; an environment that may be worked on at any time has none."""
    for lane, night in planned_nights(upgrade, tools).items():
        measured = durations(upgrade, tools, upgrade.plan.environment(lane))
        steps = measured.steps(reversible(upgrade, tools))
        work = sum((step.work.typical for step in steps), timedelta(0))
        clock = no_return(steps, measured.way_back, night=night)
        mark(
            upgrade,
            tools,
            MarkKind.WINDOW_AGREED,
            lane,
            key=f"window-{lane}",
            opens=night.opens.isoformat(),
            closes=night.closes.isoformat(),
            closes_second=int(night.closes.timestamp()),
            forecast_seconds=work.total_seconds(),
            latest_safe_start=clock.latest_safe_start.isoformat(),
            decide_by=clock.decide_by.isoformat(),
        )
