"""A plan of which some parts are faulty: the others are judged all the same, so that every fault is told at once."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.domain.estate import Document
from changeover.domain.plan import Environment, Plan


def known(part: Document, *names: str) -> bool:
    """Whether these are there to be judged; of a whole document, everything is."""
    return all(hasattr(part, name) for name in names)


def environments_with(plan: Plan, *names: str) -> Iterator[tuple[int, Environment]]:
    """The environments that have these parts, each with its place in the plan."""
    for place, environment in enumerate(plan.environments if known(plan, "environments") else ()):
        if known(environment, *names):
            yield place, environment


def without_faulty_environments(plan: Plan) -> tuple[Plan, tuple[int, ...]]:
    """The plan with those environments alone that are whole, and the place that each of them has in the plan."""
    whole = tuple(environments_with(plan, *Environment.model_fields))
    return plan.model_copy(update={"environments": tuple(each for _, each in whole)}), tuple(at for at, _ in whole)
