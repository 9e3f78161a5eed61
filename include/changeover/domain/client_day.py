"""Which day it is for a client: the date on the wall where the windows are, by which agreements are judged too."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, date, datetime

from changeover.domain.plan import Plan
from changeover.domain.plan_parts import environments_with, known
from changeover.domain.window import AnyTime
from changeover.domain.zones import zone


def client_day(plan: Plan, at: datetime, *, lanes: Collection[str] = ()) -> date:
    """The local date of an instant. `lanes`: those that a run goes through; all of the plan when empty."""
    name = _zone_name(plan, lanes)
    return at.astimezone(zone(name) if name else UTC).date()


def _zone_name(plan: Plan, lanes: Collection[str]) -> str:
    """Of the window that starts the upgrade by itself, else of the first lane with one; "" where no window has any.

    Of a faulty plan by its valid parts.
    """
    unattended = plan.unattended if known(plan, "unattended") else None
    first = unattended.window_of if unattended and known(unattended, "window_of") else ""
    readable = [*environments_with(plan, "name", "window")]
    wanted = [each for place, each in readable if place and (not lanes or each.name in lanes)]
    ordered = [*sorted(wanted, key=lambda lane: lane.name != first), *(each for _, each in readable)]
    return next((each.window.zone for each in ordered if not isinstance(each.window, AnyTime)), "")
