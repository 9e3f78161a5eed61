"""The point of no return: until when each step may begin, and until when people can still decide to go back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from changeover.domain.window import Occurrence


class Reversible(StrEnum):
    """Whether a step can be undone, as the application's role declares it."""

    YES = "yes"
    UNTIL_COMMIT = "until_commit"
    NO = "no"


@dataclass(frozen=True)
class Sample:
    """How long a step took once; `volume` is what it worked on then (bytes), where its time depends on that."""

    took: timedelta
    volume: int | None = None
    run: str = ""
    rehearsal: bool = False
    """Taken on the environment that is rebuilt for it."""


@dataclass(frozen=True)
class Estimate:
    """`typical` is the time that half of the runs kept (P50), `careful` the one that nine of ten kept (P90)."""

    typical: timedelta
    careful: timedelta
    samples: int = 0
    runs: int = field(default=1, compare=False)
    growth: float = field(default=1.0, compare=False)
    """What the careful time was multiplied by, for more data."""
    rehearsed: bool = field(default=False, compare=False)
    """Every sample is of a rehearsal."""

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        if not self.samples:
            return "not measured"
        one = "rehearsal" if self.rehearsed else "this upgrade"
        of = one if self.runs <= 1 else f"P90 of {self.runs} runs"
        return of if self.growth <= 1.05 else f"{of}, ×{self.growth:.1f} for volume"


NOT_MEASURED = Estimate(timedelta(0), timedelta(0))


def estimate(samples: Sequence[Sample], *, volume: int | None = None) -> Estimate:
    """From measured runs. A bigger volume takes longer in proportion; a smaller one is not trusted to be quicker."""
    if not samples:
        return NOT_MEASURED
    took = sorted((sample.took * _growth(sample, volume), _growth(sample, volume)) for sample in samples)
    (typical, _), (careful, growth) = _rank(took, 0.5), _rank(took, 0.9)
    runs, rehearsed = len({sample.run for sample in samples}), all(sample.rehearsal for sample in samples)
    return Estimate(typical, careful, len(took), runs, growth, rehearsed)


def _growth(sample: Sample, volume: int | None) -> float:
    if not volume or not sample.volume or volume <= sample.volume:
        return 1.0
    return volume / sample.volume


def _rank(took: Sequence[tuple[timedelta, float]], share: float) -> tuple[timedelta, float]:
    """By nearest rank: a time that really was measured. With fewer than ten runs, P90 is the longest."""
    return took[math.ceil(share * len(took)) - 1]


@dataclass(frozen=True)
class Step:
    """One step of an environment's lane, in its order."""

    name: str
    work: Estimate
    reversible: Reversible = Reversible.UNTIL_COMMIT


@dataclass(frozen=True)
class StepClock:
    """When a step is expected to begin, and after which it does not begin any more."""

    name: str
    reversible: Reversible
    expected: datetime
    latest_safe_start: datetime


@dataclass(frozen=True)
class NoReturn:
    """The clock of one environment in one night."""

    night: Occurrence
    steps: tuple[StepClock, ...]
    decide_by: datetime
    """The last moment for "go back": later the back-out no longer ends inside the window, or cannot be done at all."""

    @property
    def latest_safe_start(self) -> datetime:
        return self.steps[0].latest_safe_start if self.steps else self.decide_by

    @property
    def fits(self) -> bool:
        """Whether work that begins with the window can be undone inside it."""
        return self.latest_safe_start >= self.night.opens


def time_needed(steps: Sequence[Step], way_back: timedelta, *, done: int = 0) -> timedelta:
    """The longest way to an end, forwards or back again, when the first `done` steps are behind.

    Whether to go back shows only after the last step that can be undone, so the way back is counted from there; once a
    step that cannot be undone has begun, there is only forwards.
    """
    undoable = _undoable(steps)
    forwards = _careful(steps[done:])
    return max(forwards, _careful(steps[done:undoable]) + way_back) if done < undoable else forwards


def no_return(steps: Sequence[Step], way_back: timedelta, *, night: Occurrence) -> NoReturn:
    """Every step's latest safe start in a night, and the one number for people."""
    clocks, expected = [], night.opens
    for n, step in enumerate(steps):
        latest = night.closes - time_needed(steps, way_back, done=n)
        clocks.append(StepClock(step.name, step.reversible, expected, latest))
        expected += step.work.typical
    undoable = _undoable(steps)
    after = (clock.latest_safe_start for clock in clocks[undoable:])
    return NoReturn(night, tuple(clocks), min((night.closes - way_back, *after)))


def _undoable(steps: Sequence[Step]) -> int:
    """How many of the first steps can still be undone when they have ended."""
    return next((n for n, step in enumerate(steps) if step.reversible is Reversible.NO), len(steps))


def _careful(steps: Sequence[Step]) -> timedelta:
    return sum((step.work.careful for step in steps), timedelta(0))
