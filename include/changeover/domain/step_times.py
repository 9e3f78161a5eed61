"""How long the steps of a lane take: from the rehearsal and earlier runs, scaled by how much data there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from changeover.domain.legs import leg_number, plain
from changeover.domain.no_return import Sample, estimate
from changeover.domain.record import StepRecord, StepStatus
from changeover.domain.runsheet import Durations

NAMES = {
    "build": "build",
    "restore_point": "restore_point",
    "implement": "implement",
    "acceptance": "acceptance",
    "back_out_acceptance": "acceptance",
    "back_out": "back_out",
    "commit": "commit",
}
"""Step as the ledger names it → step of the lane."""
LEG_STEPS = ("restore_point", "implement", "acceptance")
SCALES = ("restore_point", "implement", "back_out")
"""Steps that move data; tests and opening traffic take as long with little as with much."""
NEWEST = 20
"""So many of the newest measurements of a step count: machines and data of long ago say little."""


@dataclass(frozen=True)
class MeasuredRun:
    """What one run took. `rehearsal`: the environment that was rebuilt; `volumes`: environment → bytes, as known.

    `same_way`: whether it went between the same versions; if not, its change and the way back say nothing about ours.
    """

    run: str
    steps: tuple[StepRecord, ...]
    rehearsal: str
    volumes: Mapping[str, int]
    same_way: bool = True


OF_THE_WAY = ("build", "implement", "back_out")
"""Steps whose time depends on the versions between which a run goes."""


def step_times(runs: Iterable[MeasuredRun], *, volume: int | None = None) -> Durations:
    """Newest run first. The careful time of each step (P90) for planning, with where it comes from."""
    samples: dict[str, list[Sample]] = {}
    for run in runs:
        for step in run.steps:
            name = _name(step.step)
            of_the_way = name in OF_THE_WAY or leg_number(name) is not None
            if not name or not _counts(step) or (of_the_way and not run.same_way):
                continue
            took = step.duration or timedelta(0)
            of = Sample(took, run.volumes.get(step.environment), run.run, step.environment == run.rehearsal)
            samples.setdefault(name, []).append(of)
    found = {
        name: estimate(each[:NEWEST], volume=volume if plain(name) in SCALES else None)
        for name, each in samples.items()
    }

    def careful(name: str) -> timedelta:
        return found[name].careful if name in found else timedelta(0)

    return Durations(
        careful("build"),
        careful("restore_point"),
        careful("implement"),
        careful("acceptance"),
        careful("back_out"),
        careful("commit"),
        {name: each for name, each in found.items() if leg_number(name) is None},
        tuple((name, found[name]) for name in sorted(filter(leg_number, found), key=_place)),
    )


def _name(step: str) -> str:
    """The lane's name for a step; a later leg's keep their own; "" for what is no part of the way."""
    if leg_number(step) is not None:
        return step if plain(step) in LEG_STEPS else ""
    return NAMES.get(step, "")


def _place(step: str) -> tuple[int, int]:
    """In the order of the way: a leg's restore point, its change, then the gate that ends it."""
    return leg_number(step) or 0, LEG_STEPS.index(plain(step))


def _counts(step: StepRecord) -> bool:
    """A step that failed stopped early; a test that said no took its time all the same."""
    if step.duration is None:
        return False
    return step.status is StepStatus.SUCCESSFUL or (
        step.status is StepStatus.FAILED and plain(_name(step.step)) == "acceptance"
    )
