"""What is wrong with a plan beyond its form: against release record, role, suites and calendar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches

from changeover.domain.change_control import pre_approval_lapsed
from changeover.domain.cover import contract_scope_faults
from changeover.domain.freeze import Freezes
from changeover.domain.lane import ENTRY_POINTS
from changeover.domain.night import uncovered
from changeover.domain.path import Product, product_of
from changeover.domain.path_findings import release_findings
from changeover.domain.plan import Environment, Plan
from changeover.domain.release import ReleaseRecord
from changeover.domain.role import ESSENTIAL, RoleOffer
from changeover.domain.window_check import window_faults, window_notes

Path = tuple[str | int, ...]
Told = tuple[Path, str]
"""A fault's path in the plan, and its message."""


@dataclass(frozen=True)
class Library:
    """What the product has for a plan's application; None where it is missing or faulty (told on its own)."""

    release: ReleaseRecord | None
    role: RoleOffer | None
    acceptance_tests: tuple[str, ...]
    expectation_suites: tuple[str, ...]
    freezes: Freezes = ()
    product: Product | None = None
    """Every release record of the product; the plan's own one alone when None."""


def plan_faults(plan: Plan, library: Library, *, now: datetime) -> tuple[Told, ...]:
    """Every reason for which the plan could not be run as it stands."""
    return (
        *content_faults(plan, library),
        *_order_faults(plan, now.date()),
        *_contract_faults(plan, now.date()),
        *window_faults(plan, library.freezes, now=now),
    )


def content_faults(plan: Plan, library: Library) -> tuple[Told, ...]:
    """Those of them that do not depend on the day: with one of these a plan is not even presented."""
    return (
        *(_release_faults(plan, library.release, library.product) if library.release else ()),
        *(_role_faults(plan, library.role) if library.role else ()),
        *(_batch_faults(plan, library.role) if library.role else ()),
        *_not_applicable_faults(plan),
        *_suite_faults(plan, library),
    )


def plan_notes(plan: Plan, library: Library, *, now: datetime) -> tuple[Told, ...]:
    """What is allowed and yet worth a look before the plan is approved."""
    return (*window_notes(plan, library.freezes, now=now), *_night_notes(plan))


def not_covered(plan: Plan) -> tuple[str, ...]:
    """Cases of the night for which a plan that starts by itself says nothing; none for a plan that people start."""
    if plan.unattended is None:
        return ()
    return uncovered(
        plan.night, {lane.name: (lane.go_no_go is not None, lane.sign_off is not None) for lane in plan.lanes}
    )


def _night_notes(plan: Plan) -> Iterator[Told]:
    if missing := not_covered(plan):
        told = f"says nothing for {', '.join(missing)}: a plan that starts by itself is not approved without"
        yield ("unattended" if plan.night is None else "night",), told


_AT = {
    "release-path": "from_version",
    "release-version": "from_version",
    "release-leg-condition": "release",
    "release-record-unreadable": "release",
    "release-recalled": "release",
    "release-defect": "release",
}
"""Finding → the plan's key at whose line it is told."""


def _release_faults(plan: Plan, record: ReleaseRecord, product: Product | None) -> Iterator[Told]:
    found = release_findings(
        record,
        product or product_of(record),
        from_version=plan.from_version,
        to_version=plan.to_version,
        named=plan.named,
    )
    for finding in found:
        if finding.inhibits:
            hint = f"; {finding.remediation}" if finding.remediation else ""
            yield (_AT.get(finding.key, "to_version"),), f"{finding.summary}{hint}"


def _role_faults(plan: Plan, role: RoleOffer) -> Iterator[Told]:
    for name, lack in role.lacking():
        wanting = [e.name for e in _environments_with(plan, name) if name not in e.not_applicable]
        if wanting:
            yield (
                ("application",),
                (
                    f"the role {plan.application!r} does not offer {name!r} ({lack}), needed by {', '.join(wanting)}; "
                    "complete the role, or say under not_applicable why it does not apply"
                ),
            )


def _batch_faults(plan: Plan, role: RoleOffer) -> Iterator[Told]:
    why = role.description.together
    for i, environment in enumerate(plan.environments):
        if environment.batches and why:
            yield ("environments", i, "batches"), f"hosts of {plan.application} are changed together: {why}"


def _environments_with(plan: Plan, entry_point: str) -> tuple[Environment, ...]:
    return (plan.baseline,) if entry_point == "build" else plan.environments


def _not_applicable_faults(plan: Plan) -> Iterator[Told]:
    for i, environment in enumerate(plan.environments):
        for name in environment.not_applicable:
            path = ("environments", i, "not_applicable", name)
            if name not in ENTRY_POINTS:
                yield path, f"is not an entry point{_did_you_mean(name, ENTRY_POINTS)}"
            elif name in ESSENTIAL:
                yield path, "always applies: without it nothing can be proven or undone"


def _suite_faults(plan: Plan, library: Library) -> Iterator[Told]:
    if not library.acceptance_tests:
        yield ("application",), f"there is no acceptance suite: include/acceptance/{plan.application}/test_*.py"
    if not library.expectation_suites:
        yield ("application",), f"there is no expectation suite: include/expectations/{plan.application}/*.yaml"


def _order_faults(plan: Plan, today: date) -> Iterator[Told]:
    """The statement of work: signed, in force, and covering every environment."""
    order = plan.statement_of_work
    for i, environment in enumerate(plan.environments):
        if environment.name not in order.environments:
            yield (
                ("environments", i, "name"),
                (
                    f"{environment.name!r} is not covered by {order.id}, which covers {', '.join(order.environments)}"
                    f"{_did_you_mean(environment.name, order.environments)}"
                ),
            )
    if order.signed_on > today:
        yield ("statement_of_work", "signed_on"), f"{order.signed_on} lies in the future; today is {today}"
    if order.valid_until < today:
        yield ("statement_of_work", "valid_until"), f"{order.id} ended on {order.valid_until}; today is {today}"
    if lapsed := pre_approval_lapsed(plan.change, today):
        yield ("change", "pre_approval", "until"), lapsed
    if plan.trigger.dated > today:
        yield ("trigger", "dated"), f"{plan.trigger.dated} lies in the future; today is {today}"


def _contract_faults(plan: Plan, today: date) -> Iterator[Told]:
    """The support contract: not over, and covering the application and every environment."""
    contract = plan.support_contract
    yield from ((("support_contract", key), text) for key, text in contract_scope_faults(plan))
    if contract.valid_until < today:
        yield ("support_contract", "valid_until"), f"{contract.id} ended on {contract.valid_until}; today is {today}"


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, tuple(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
