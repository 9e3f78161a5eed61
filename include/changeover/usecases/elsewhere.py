"""Runs of other clients to the releases that this one goes to, from our own ledger; and what of it holds this run."""

from __future__ import annotations

from collections.abc import Iterator

from changeover.domain.analysis import told
from changeover.domain.facts import Learnt
from changeover.domain.finding import Finding
from changeover.domain.lesson import (
    HOLD,
    Elsewhere,
    Lesson,
    candidates_told,
    incidents_of,
    is_same,
    lesson_findings,
    lessons,
)
from changeover.domain.plan import Plan
from changeover.domain.record import Mark, MarkKind, Run
from changeover.domain.waiver import apply_waivers
from changeover.ports import fresh
from changeover.usecases.today import today
from changeover.usecases.tools import Tools, Upgrade

LOOKED_AT = 500
"""So many of the application's newest runs."""


def learnt(upgrade: Upgrade, tools: Tools) -> tuple[Lesson, ...]:
    """What went wrong there; nothing of the client's own earlier runs, which its analysis shows by itself."""
    return lessons(
        _runs(upgrade, tools),
        wanted=_wanted(upgrade),
        scheme=upgrade.release.version_scheme,
        catalogue=tools.catalogue,
    )


def learnt_since(upgrade: Upgrade, tools: Tools) -> Learnt | None:
    """Asked again before a lane begins: what others met meanwhile counts. None where it cannot be known."""
    check = tools.catalogue.find(HOLD)
    if tools.content is None or check is None:
        return None
    found = learnt(upgrade, tools)
    said = lesson_findings(upgrade.plan.application, found)
    holds = tuple(told(one, check) for one in said if one.key == HOLD)
    waivers = tools.content.waivers(upgrade.plan.client) if holds else ()
    judged = apply_waivers(holds, waivers, tools.catalogue, upgrade.plan, today=today(upgrade, tools))
    newest = {(gate.environment, gate.gate): gate for _, gate in tools.ledger.gates(upgrade.run.key)}
    return Learnt(
        tuple(_standing(finding) for finding in judged.findings if finding.inhibits),
        tuple(finding.waived.waiver for finding in judged.findings if finding.waived),
        candidates_told(found, newest.values()),
    )


def _standing(finding: Finding) -> str:
    return f"{finding.subject}: {finding.summary}"


def _wanted(upgrade: Upgrade) -> tuple[str, ...]:
    """The release that is gone to, and every stop on the way."""
    return (upgrade.plan.to_version, *(leg.to_version for leg in upgrade.path.legs[:-1]))


def _runs(upgrade: Upgrade, tools: Tools) -> Iterator[Elsewhere]:
    plans: dict[str, Plan | None] = {}
    wanted, scheme = _wanted(upgrade), upgrade.release.version_scheme
    for run in tools.ledger.runs(limit=LOOKED_AT, application=upgrade.plan.application):
        if run.client == upgrade.plan.client or tools.content is None:
            continue
        if run.plan_digest not in plans:
            plans[run.plan_digest] = tools.content.plan(run.plan_text)
        other = plans[run.plan_digest]
        if other is not None:
            stops = _stops(tools.ledger.marks(run.key, kind=MarkKind.PATH_PLANNED))
            if any(is_same(there, here, scheme) for there in (other.to_version, *stops.values()) for here in wanted):
                yield _elsewhere(run, other, stops, tools)


def _elsewhere(run: Run, plan: Plan, stops: dict[int, str], tools: Tools) -> Elsewhere:
    outcomes = tools.ledger.outcomes(run.key)
    verdict = outcomes.get("")
    newest = {(gate.environment, gate.gate): gate for _, gate in tools.ledger.gates(run.key)}
    return Elsewhere(
        run.client,
        run.opened_at,
        verdict.outcome if verdict else None,
        plan.to_version,
        tuple(newest.values()),
        stops,
        incidents_of(tools.ledger.marks(run.key)),
        run.environments,
        tuple(name for name, found in outcomes.items() if name and found.outcome.is_success),
    )


def _stops(marks: tuple[Mark, ...]) -> dict[int, str]:
    """The legs that the run was pinned to, all but the last one."""
    pinned = fresh(MarkKind.PATH_PLANNED, marks)
    legs = list(pinned.data["legs"])[:-1] if pinned else []
    return {number: str(leg["to"]) for number, leg in enumerate(legs, start=1)}
