"""Starts an unattended plan when its window opens: at the instants of the planner, each once, and never afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Annotated, Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pydantic import Field, TypeAdapter

from changeover.domain.freeze import Freeze, Freezes, freezes_of
from changeover.domain.plan import Plan
from changeover.domain.runsheet import describe_window
from changeover.domain.window import Occurrence
from changeover.domain.window_start import ByTheClock, openings

_WINDOW: TypeAdapter[ByTheClock] = TypeAdapter(Annotated[ByTheClock, Field(discriminator="kind")])
_FREEZES: TypeAdapter[Freezes] = TypeAdapter(tuple[Freeze, ...])


class WindowTimetable(Timetable):
    """One run for each night of a window, at its opening.

    It never catches up: a night that is over is gone. One that is still open is started even if late, so that the run's
    first task judges the start by the measured times, and records it as missed where it comes too late.
    """

    periodic = True

    def __init__(
        self,
        window: ByTheClock,
        freezes: Freezes = (),
        *,
        covered: tuple[date, date],
        held: str = "",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`covered`: first and last day of the statement of work. `held`: why nothing starts by itself for now."""
        self._window, self._freezes, self._covered, self._held, self._clock = window, freezes, covered, held, clock
        self.description = f"not for now: {held}" if held else f"when the window opens: {describe_window(window)}"

    @property
    def summary(self) -> str:
        return f"window {self._window.start:%H:%M} {self._window.zone}"

    def serialize(self) -> dict[str, Any]:
        return {
            "window": _WINDOW.dump_python(self._window, mode="json", exclude_none=True),
            "freezes": [freeze.model_dump(mode="json", exclude_none=True) for freeze in self._freezes],
            "covered": [day.isoformat() for day in self._covered],
            "held": self._held,
        }

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        first, last = map(date.fromisoformat, data["covered"])
        window = _WINDOW.validate_python(data["window"])
        return cls(window, _FREEZES.validate_python(data["freezes"]), covered=(first, last), held=data["held"])

    def infer_manual_data_interval(self, *, run_after: pendulum.DateTime) -> DataInterval:
        """Somebody asked for it: it is meant for whatever the window says at that time."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next night that is not over, after the last one that was started."""
        last = last_automated_data_interval.start if last_automated_data_interval else None
        now = self._clock()
        for night in self.nights(now):
            if night.closes <= now:  # a dated window's one night is told of when it is over, too
                continue
            if restriction.latest is not None and night.opens > restriction.latest:
                return None
            early = restriction.earliest is not None and night.opens < restriction.earliest
            if not early and (last is None or night.opens > last):
                return DagRunInfo.exact(pendulum.instance(night.opens))
        return None

    def nights(self, closing_after: datetime) -> Iterator[Occurrence]:
        """What the planner offers, as the planner says it."""
        if self._held:
            return iter(())
        return openings(self._window, self._freezes, closing_after=closing_after, covered=self._covered)


def timetable_of(plan: Plan) -> WindowTimetable | None:
    """None for a plan that people start. Freezes that cannot be read start nothing, and break no DAG that runs."""
    if plan.unattended is None:
        return None
    from changeover.adapters.freeze_files import read_freezes
    from changeover.settings import load

    lane = plan.environment(plan.unattended.window_of)
    if lane.window.kind == "any_time":  # refused when the plan was read
        return None
    calendar = read_freezes(plan.client, freezes=load().freezes)
    freezes = freezes_of(plan, lane, calendar.document.freezes) if calendar.document else ()
    held = "" if calendar.document else f"the freezes of {plan.client} cannot be read"
    return WindowTimetable(lane.window, freezes, covered=plan.covered, held=held)
