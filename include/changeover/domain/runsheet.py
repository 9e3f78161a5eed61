"""The run sheet: measured durations laid over the lanes, for the people who approve and the night that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from changeover.domain.plan import Environment, Plan
from changeover.domain.record import StepRecord
from changeover.domain.window import AnyTime, DatedWindow


@dataclass(frozen=True)
class Durations:
    """What the rehearsal took; zero where it was not measured."""

    build: timedelta = timedelta(0)
    restore_point: timedelta = timedelta(0)
    implement: timedelta = timedelta(0)
    acceptance: timedelta = timedelta(0)
    back_out: timedelta = timedelta(0)

    @property
    def lane(self) -> timedelta:
        """One environment without a back-out."""
        return self.restore_point + self.implement + self.acceptance

    @property
    def way_back(self) -> timedelta:
        """From the decision to the old release accepted."""
        return self.back_out + self.acceptance


def measured(steps: Sequence[StepRecord]) -> Durations:
    """The longest measured time of each step, as the careful estimate."""

    def longest(*names: str) -> timedelta:
        return max(
            (step.duration for step in steps if step.step in names and step.duration),
            default=timedelta(0),
        )

    return Durations(
        longest("build"),
        longest("restore_point"),
        longest("implement"),
        longest("acceptance", "back_out_acceptance"),
        longest("back_out"),
    )


@dataclass(frozen=True)
class RunSheetLine:
    environment: str
    window: str
    hosts: tuple[str, ...]
    work: timedelta
    way_back: timedelta


@dataclass(frozen=True)
class RunSheet:
    title: str
    client: str
    release: str
    digest: str
    lines: tuple[RunSheetLine, ...]

    @property
    def total(self) -> timedelta:
        return sum((line.work for line in self.lines), timedelta(0))

    def markdown(self) -> str:
        rows = "\n".join(
            f"| {line.environment} | {', '.join(line.hosts)} | {line.window} "
            f"| {_clock(line.work)} | {_clock(line.way_back)} |"
            for line in self.lines
        )
        return (
            f"**{self.title}** for **{self.client}**: {self.release}\n\n"
            "| environment | hosts | window | measured work | measured way back |\n|---|---|---|---|---|\n"
            f"{rows}\n\nThe times come from this run's rehearsal on the baseline. Plan digest `{self.digest[:16]}`: "
            "the approval holds for this text only."
        )


def run_sheet(
    plan: Plan,
    lanes: Sequence[Environment],
    durations: Durations,
    *,
    digest: str,
    hosts: Mapping[str, tuple[str, ...]],
) -> RunSheet:
    lines = tuple(
        RunSheetLine(
            lane.name,
            describe_window(lane.window),
            hosts.get(lane.name, ()),
            durations.lane,
            durations.way_back,
        )
        for lane in lanes
    )
    return RunSheet(
        plan.title,
        plan.client,
        f"{plan.application} {plan.from_version} to {plan.to_version}",
        digest,
        lines,
    )


def describe_window(window: AnyTime | DatedWindow) -> str:
    """In local time and UTC."""
    if isinstance(window, AnyTime):
        return f"any time ({window.reason})"
    opens, closes = window.instants()
    local = f"{window.on} {window.start:%H:%M} to {window.end:%H:%M} {window.zone}"
    return f"{local} ({opens:%Y-%m-%d %H:%MZ} to {closes:%Y-%m-%d %H:%MZ})"


def _clock(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
