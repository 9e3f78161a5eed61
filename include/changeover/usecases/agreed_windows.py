"""The windows that were agreed, kept in the ledger: what "on time" is measured against."""

from __future__ import annotations

from changeover.domain.record import MarkKind
from changeover.usecases.tools import Tools, Upgrade, mark
from changeover.usecases.window_gate import planned_nights


def mark_windows(upgrade: Upgrade, tools: Tools) -> None:
    """Once for each lane that has a window; an environment that may be worked on at any time has none."""
    for lane, night in planned_nights(upgrade, tools).items():
        mark(
            upgrade,
            tools,
            MarkKind.WINDOW_AGREED,
            lane,
            key=f"window-{lane}",
            opens=night.opens.isoformat(),
            closes=night.closes.isoformat(),
            closes_second=int(night.closes.timestamp()),
        )
