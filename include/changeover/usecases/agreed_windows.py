"""The windows that were agreed, kept in the ledger: what "on time" is measured against."""

from __future__ import annotations

from changeover.domain.record import MarkKind
from changeover.domain.window import AnyTime
from changeover.usecases.tools import Tools, Upgrade, mark


def mark_windows(upgrade: Upgrade, tools: Tools) -> None:
    """Once for each lane that has a window; an environment that may be worked on at any time has none."""
    for lane in upgrade.lanes:
        if isinstance(lane.window, AnyTime):
            continue
        opens, closes = lane.window.instants()
        mark(
            upgrade,
            tools,
            MarkKind.WINDOW_AGREED,
            lane.name,
            key=f"window-{lane.name}",
            opens=opens.isoformat(),
            closes=closes.isoformat(),
            closes_second=int(closes.timestamp()),
        )
