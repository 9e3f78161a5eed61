"""The plan a DAG was built from, exactly as it was approved."""

from __future__ import annotations

from dataclasses import dataclass

from changeover.domain.plan import Plan


@dataclass(frozen=True)
class PinnedPlan:
    """A plan with the digest and the text it was read from; a run never sees another."""

    plan: Plan
    digest: str
    text: str
