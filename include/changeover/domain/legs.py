"""The legs of an upgrade as a lane carries them out, and how the steps, marks and gates of each are named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from changeover.domain.acceptance import Retest
from changeover.domain.batch import base_step
from changeover.domain.path import UpgradePath

Pairs = tuple[tuple[str, str], ...]
_LEG = re.compile(r"(.+)_leg([0-9]+)")


@dataclass(frozen=True)
class Hop:
    """One leg. The only one of a plan is the first and the last at once, and its steps have their plain names."""

    number: int
    count: int
    from_version: str
    to_version: str
    conditions: Pairs = ()
    """What has to be true before the next leg → the acceptance test that proves it."""
    before: Pairs = ()
    """The same before this leg, where no gate before it asks: of the release that is installed."""

    @property
    def first(self) -> bool:
        return self.number == 1

    @property
    def last(self) -> bool:
        return self.number == self.count

    @property
    def told(self) -> str:
        return f"leg {self.number} of {self.count}, {self.from_version} to {self.to_version}"

    def step(self, name: str) -> str:
        """The plain name is the first leg's: its restore point is the way back, with it the change begins."""
        return name if self.first else f"{name}_leg{self.number}"

    @property
    def gate(self) -> str:
        """The plain name is the last leg's: what it accepts is what the plan wants."""
        return "acceptance" if self.last else f"acceptance_leg{self.number}"

    def label(self, first: str) -> str:
        """Of this leg's restore point, given the first leg's."""
        return first if self.first else f"{first}-leg{self.number}"

    def retests(self) -> tuple[Retest, ...]:
        """The vendor's conditions before the next leg, as what the gate has to see tested."""
        return () if self.last else _proofs(self.conditions)

    def beforehand(self) -> tuple[Retest, ...]:
        """The vendor's conditions before this leg, as what has to be seen tested before the restore point is taken."""
        return _proofs(self.before)

    def as_json(self) -> dict[str, Any]:
        conditions, before = ([list(each) for each in told] for told in (self.conditions, self.before))
        return {"from": self.from_version, "to": self.to_version, "conditions": conditions, "before": before}


def _proofs(conditions: Pairs) -> tuple[Retest, ...]:
    return tuple(
        Retest(f"before-leaving-{number}", (what,), "provider", (test,) if test else ())
        for number, (what, test) in enumerate(conditions, start=1)
    )


def hops_of(path: UpgradePath) -> tuple[Hop, ...]:
    """One hop where the planner has no path: the gates before say no to it, and a back-out needs none."""
    if not path.legs:
        return (Hop(1, 1, path.from_version, path.to_version),)
    return tuple(
        Hop(
            leg.number,
            len(path.legs),
            leg.from_version,
            leg.to_version if leg.number < len(path.legs) else path.to_version,
            *(
                tuple((condition.what, condition.acceptance_test) for condition in each)
                for each in (leg.record.before_leaving, leg.before)
            ),
        )
        for leg in path.legs
    )


def hops_from(told: Iterable[Mapping[str, Any]]) -> tuple[Hop, ...]:
    """As they were written down."""
    legs = list(told)
    return tuple(
        Hop(
            number,
            len(legs),
            str(leg["from"]),
            str(leg["to"]),
            *(tuple((str(what), str(test)) for what, test in leg[part]) for part in ("conditions", "before")),
        )
        for number, leg in enumerate(legs, start=1)
    )


def plain(step: str) -> str:
    """The step's name without its leg or batch; no environment has both."""
    match = _LEG.fullmatch(step)
    return match[1] if match else base_step(step)


def leg_number(step: str) -> int | None:
    """The leg that the step's name tells; None where it tells none."""
    match = _LEG.fullmatch(step)
    return int(match[2]) if match else None


def stage_of(step: str) -> str:
    """The lane's stage that does a step: all between the first leg's change and the last one's gate is `implement`."""
    return "implement" if leg_number(step) is not None else base_step(step)
