"""The run sheet: measured durations laid over the lanes, for the people who approve and the night that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from changeover.domain.finding import Finding
from changeover.domain.legs import plain
from changeover.domain.no_return import Estimate, NoReturn, Reversible, Step, no_return
from changeover.domain.plan import Environment, Plan
from changeover.domain.wall_clock import local_text
from changeover.domain.window import AnyTime, Occurrence, RecurringWindow, Window, duration_text
from changeover.domain.zones import zone


@dataclass(frozen=True)
class Durations:
    """What the rehearsal took; zero where it was not measured."""

    build: timedelta = timedelta(0)
    restore_point: timedelta = timedelta(0)
    implement: timedelta = timedelta(0)
    acceptance: timedelta = timedelta(0)
    back_out: timedelta = timedelta(0)
    commit: timedelta = timedelta(0)
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    """Step → P50 and P90, where there is more to say than the one figure."""
    between: tuple[tuple[str, Estimate], ...] = ()
    """Where the way has several legs: every step from the first leg's gate to the last leg's change, in its order."""

    @property
    def change(self) -> timedelta:
        """From the first leg's change to the last one's, with the restore points and gates between."""
        return sum((one.careful for _, one in self.between), self.implement)

    @property
    def lane(self) -> timedelta:
        """One environment without a back-out."""
        return self.restore_point + self.change + self.acceptance

    @property
    def way_back(self) -> timedelta:
        """From the decision to the old release accepted."""
        return self.back_out + self.acceptance

    def told(self) -> str:
        """Each step with its careful time and where that comes from."""
        names = ("restore_point", "implement", "acceptance", "commit", "back_out")
        return ", ".join(
            f"{name.replace('_', ' ')} {_clock(self.estimates[name].careful)} ({self.estimates[name].source})"
            for name in names
            if name in self.estimates
        )

    def steps(self, reversible: Mapping[str, Reversible]) -> tuple[Step, ...]:
        """The steps of a lane in their order. Only the change itself can be what cannot be undone; commit ends it."""
        change = reversible.get("implement", Reversible.UNTIL_COMMIT)
        between = (
            Step(name, one, change if plain(name) == "implement" else Reversible.YES) for name, one in self.between
        )
        return (
            Step("restore_point", self.of("restore_point"), Reversible.YES),
            Step("implement", self.of("implement"), change),
            *between,
            Step("acceptance", self.of("acceptance"), Reversible.YES),
            Step("commit", self.of("commit"), Reversible.NO),
        )

    def legs(self) -> tuple[timedelta, ...]:
        """What each leg took: its restore point, its change and its gate."""
        took = [self.restore_point + self.implement]
        for name, one in self.between:
            if plain(name) == "restore_point":
                took.append(timedelta(0))
            took[-1] += one.careful
        took[-1] += self.acceptance
        return tuple(took)

    def of(self, name: str) -> Estimate:
        """Of a step by its name, with P50 and P90 where they are known."""
        longest: timedelta = getattr(self, name)
        return self.estimates.get(name) or Estimate(longest, longest)


@dataclass(frozen=True)
class RunSheetLine:
    environment: str
    window: str
    hosts: tuple[str, ...]
    work: timedelta
    way_back: timedelta
    clock: NoReturn | None = None
    """None where there is no window to end in."""
    tolerance: timedelta = timedelta(0)
    measured: str = ""
    """The steps with their times and where those come from."""

    legs: tuple[timedelta, ...] = ()
    """Measured work of each leg, where there are several."""

    @property
    def start_by(self) -> datetime | None:
        if self.clock is None:
            return None
        return min(self.clock.latest_safe_start, self.clock.night.opens + self.tolerance)


@dataclass(frozen=True)
class RunSheet:
    title: str
    client: str
    release: str
    digest: str
    lines: tuple[RunSheetLine, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def total(self) -> timedelta:
        return sum((line.work for line in self.lines), timedelta(0))

    def markdown(self) -> str:
        told = "".join(f"- {finding.subject}: {finding.summary}\n" for finding in self.findings)
        notes = f"{_step_clocks(self.lines)}{_leg_shares(self.lines)}{told and f'{told}{chr(10)}'}"
        return (
            f"**{self.title}** for **{self.client}**: {self.release}\n\n"
            "| environment | hosts | window | measured work | measured way back | start by | decide by |\n"
            "|---|---|---|---|---|---|---|\n"
            f"{''.join(map(_row, self.lines))}\n{_step_clocks(self.lines)}{_leg_shares(self.lines)}"
            f"{notes and f'{notes}{chr(10)}'}"
            f"{_sources(self.lines)}Plan digest `{self.digest[:16]}`: "
            "the approval holds for this text only."
        )


def _row(line: RunSheetLine) -> str:
    decide = line.clock.decide_by if line.clock else None
    return (
        f"| {line.environment} | {', '.join(line.hosts)} | {line.window} | {_clock(line.work)} "
        f"| {_clock(line.way_back)} | {_at(line.start_by, line)} | {_at(decide, line)} |\n"
    )


def run_sheet(
    plan: Plan,
    lanes: Sequence[Environment],
    durations: Mapping[str, Durations],
    *,
    digest: str,
    hosts: Mapping[str, tuple[str, ...]],
    nights: Mapping[str, Occurrence] | None = None,
    reversible: Mapping[str, Reversible] | None = None,
    findings: Sequence[Finding] = (),
) -> RunSheet:
    """`durations`: environment → how long its steps take."""
    lines = []
    for lane in lanes:
        times = durations[lane.name]
        steps = times.steps(reversible or {})
        night = (nights or {}).get(lane.name)
        lines.append(
            RunSheetLine(
                lane.name,
                describe_window(lane.window, night),
                hosts.get(lane.name, ()),
                times.lane,
                times.way_back,
                no_return(steps, times.way_back, night=night) if night else None,
                timedelta(0) if isinstance(lane.window, AnyTime) else lane.window.late_start_tolerance,
                times.told(),
                times.legs() if times.between else (),
            )
        )
    return RunSheet(
        plan.title,
        plan.client,
        f"{plan.application} {plan.from_version} to {plan.to_version}",
        digest,
        tuple(lines),
        tuple(findings),
    )


def describe_window(window: Window, night: Occurrence | None = None) -> str:
    """In local time and UTC; of one that recurs, the rule, and the night if it is known."""
    if isinstance(window, AnyTime):
        return f"any time ({window.reason})"
    until = f"to {window.end:%H:%M}" if window.end else f"for {duration_text(window.duration or timedelta(0))}"
    hours = f"{window.start:%H:%M} {until} {window.zone}"
    if isinstance(window, RecurringWindow):
        of_rule = f"{window.rule} from {window.since}, {hours}"
        return f"{night.told()}; {of_rule}" if night else of_rule
    return f"{window.on} {hours} ({window.night})"


def _at(instant: datetime | None, line: RunSheetLine) -> str:
    """As people say it, and in UTC; the day as well when it is not the opening's."""
    if instant is None or line.clock is None:
        return "-"
    name = line.clock.night.zone
    same = instant.astimezone(zone(name)).date() == line.clock.night.day
    local = f"{instant.astimezone(zone(name)):%H:%M}" if same else local_text(instant, name)
    return f"{local} ({instant:%Y-%m-%d %H:%MZ})"


def _step_clocks(lines: Sequence[RunSheetLine]) -> str:
    """Per step: when it is expected to begin, and after which it does not begin any more."""
    told = []
    for line in lines:
        if line.clock is None:
            continue
        steps = ", ".join(f"{step.name} {_at(step.latest_safe_start, line)}" for step in line.clock.steps)
        fits = (
            "" if line.clock.fits else " **It does not fit: work that begins with the window cannot be undone in it.**"
        )
        told.append(f"Latest safe starts on {line.environment}: {steps}.{fits}\n")
    return "\n".join((*told, "")) if told else ""


def _sources(lines: Sequence[RunSheetLine]) -> str:
    """Once, where all environments have the same."""
    told = {line.measured: [other.environment for other in lines if other.measured == line.measured] for line in lines}
    return "".join(f"Times of {', '.join(names)}: {text or 'none measured'}.\n\n" for text, names in told.items())


def _leg_shares(lines: Sequence[RunSheetLine]) -> str:
    """Each leg's measured part of the work, and of the night where there is one."""
    told = []
    for line in lines:
        if len(line.legs) < 2:
            continue
        night = line.clock.night.length if line.clock else None
        shares = (
            f"leg {number} {_clock(took)} ({took / line.work if line.work else 0:.0%} of the work"
            f"{f', {took / night:.0%} of the night' if night else ''})"
            for number, took in enumerate(line.legs, start=1)
        )
        told.append(f"Legs on {line.environment}: {', '.join(shares)}.\n")
    return "\n".join((*told, "")) if told else ""


def _clock(span: timedelta) -> str:
    seconds = round(span.total_seconds())
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
