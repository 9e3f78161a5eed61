"""Runs of other clients to the release that this one goes to, from our own ledger."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.domain.lesson import Elsewhere, Lesson, lessons
from changeover.usecases.tools import Tools, Upgrade

LOOKED_AT = 200
"""So many of the newest runs."""


def learnt(upgrade: Upgrade, tools: Tools) -> tuple[Lesson, ...]:
    """What went wrong there; nothing of the client's own earlier runs, which its analysis shows by itself."""
    return lessons(_runs(upgrade, tools))


def _runs(upgrade: Upgrade, tools: Tools) -> Iterator[Elsewhere]:
    plan = upgrade.plan
    for run in tools.ledger.runs(limit=LOOKED_AT):
        if run.application != plan.application or run.client == plan.client or tools.content is None:
            continue
        other = tools.content.plan(run.plan_text)
        if other is None or other.to_version != plan.to_version:
            continue
        verdict = tools.ledger.outcomes(run.key).get("")
        newest = {(gate.environment, gate.gate): gate for _, gate in tools.ledger.gates(run.key)}
        yield Elsewhere(run.client, run.opened_at, verdict.outcome if verdict else None, tuple(newest.values()))
