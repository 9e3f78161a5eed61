"""What is wrong with a plan beyond its form: against release record, role, suites and calendar."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches

from changeover.domain.change_control import pre_approval_lapsed
from changeover.domain.client_day import client_day
from changeover.domain.cover import contract_scope_faults
from changeover.domain.finding import Finding
from changeover.domain.freeze import Freezes
from changeover.domain.lane import ENTRY_POINTS
from changeover.domain.named import NOTHING_NAMED
from changeover.domain.night import uncovered
from changeover.domain.path import Product, product_of
from changeover.domain.path_findings import release_findings
from changeover.domain.plan import Environment, Plan, StatementOfWork
from changeover.domain.plan_parts import environments_with, known, without_faulty_environments
from changeover.domain.release import ReleaseRecord
from changeover.domain.role import ESSENTIAL, RoleOffer
from changeover.domain.version import VersionError, parse, same
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
    """Every reason for which the plan could not be run as it stands; of a faulty plan, those of its valid parts."""
    return (
        *content_faults(plan, library),
        *_order_faults(plan, client_day(plan, now)),
        *_contract_faults(plan, client_day(plan, now)),
        *_window_faults(plan, library.freezes, now),
    )


def content_faults(plan: Plan, library: Library) -> tuple[Told, ...]:
    """Those of them that do not depend on the day: with one of these no run of the plan begins.

    A DAG is built without them: a role that is changed must not take the DAG away from a run under way.
    """
    return (
        *(_release_faults(plan, library.release, library.product) if library.release else ()),
        *(_role_faults(plan, library.role) if library.role else ()),
        *(_batch_faults(plan, library.role) if library.role else ()),
        *(_product_faults(plan, library.role, library.release) if library.role else ()),
        *_not_applicable_faults(plan),
        *_suite_faults(plan, library),
    )


def plan_notes(plan: Plan, library: Library, *, now: datetime) -> tuple[Told, ...]:
    """What is allowed and yet worth a look before the plan is approved."""
    return (
        *window_notes(plan, library.freezes, now=now),
        *_night_notes(plan),
        *_order_notes(plan, client_day(plan, now)),
        *_defect_notes(plan, library),
    )


def _order_notes(plan: Plan, today: date) -> Iterator[Told]:
    for key, part in (("statement_of_work", plan.statement_of_work), ("support_contract", plan.support_contract)):
        if part.valid_from > today:
            told = f"{part.id} begins on {part.valid_from}; today is {today}: a run before that day is refused"
            yield (key, "valid_from"), told


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
_OF_OLD = frozenset({"release-version", "release-path"})
_OF_NEW = frozenset({"release-version", "release-target", "release-recalled"})
"""What is told of one end of the way alone."""


WAIVABLE = frozenset({"release-defect"})
"""What a named person may let an upgrade go on with (include/checks/release.yaml): told as a note, since a run asks."""


def _defect_notes(plan: Plan, library: Library) -> Iterator[Told]:
    if library.release is None:
        return
    for finding in _release_findings(plan, library.release, library.product):
        if finding.inhibits and finding.key in WAIVABLE:
            cure = f"; {finding.remediation}" if finding.remediation else ""
            waiver = f"every run refuses, unless a waiver for {finding.key} names {finding.subject}"
            yield (_AT[finding.key],), f"{finding.summary}{cure}; {waiver}"


def _release_findings(plan: Plan, record: ReleaseRecord, product: Product | None) -> tuple[Finding, ...]:
    return release_findings(
        record,
        product or product_of(record),
        from_version=plan.from_version,
        to_version=plan.to_version,
        named=plan.named,
    )


def _release_faults(plan: Plan, record: ReleaseRecord, product: Product | None) -> Iterator[Told]:
    """The way as a whole; where the planner stops at one of its ends, the other end is judged on its own."""

    def asked(old: str, new: str, at: str = "", keys: frozenset[str] = frozenset()) -> tuple[Told, ...]:
        named = plan.named if known(plan, "named") else NOTHING_NAMED
        found = release_findings(record, product or product_of(record), from_version=old, to_version=new, named=named)
        return tuple(
            (
                (at or _AT.get(finding.key, "to_version"),),
                "; ".join(filter(None, (finding.summary, finding.remediation))),
            )
            for finding in found
            if finding.inhibits and finding.key not in WAIVABLE and (not keys or finding.key in keys)
        )

    old = plan.from_version if known(plan, "from_version") else ""
    new = plan.to_version if known(plan, "to_version") else ""
    whole = _readable(old, record) and _readable(new, record)
    told = list(asked(old, new)) if whole else []
    if old and not (whole and same(new, record.version, record.version_scheme)):
        told += asked(old, record.version, "from_version", _OF_OLD)
    if new and not whole:
        told += asked(record.version, new, "to_version", _OF_NEW)
    yield from dict.fromkeys(told)


def _readable(version: str, record: ReleaseRecord) -> bool:
    try:
        parse(version, record.version_scheme)
    except VersionError:
        return False
    return True


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
    for i, environment in environments_with(plan, "batches"):
        if environment.batches and why:
            yield ("environments", i, "batches"), f"hosts of {plan.application} are changed together: {why}"


def _product_faults(plan: Plan, role: RoleOffer, record: ReleaseRecord | None) -> Iterator[Told]:
    brings = role.description
    product = plan.release.partition("/")[0] if known(plan, "release") else ""
    if product and brings.products and product not in brings.products:
        yield ("release",), f"the role {plan.application!r} brings releases of {', '.join(brings.products)} alone"
    elif record is not None and record.version_scheme != brings.version_scheme:
        schemes = f"{record.version_scheme}, the role {plan.application!r} reads versions as {brings.version_scheme}"
        yield ("release",), f"{record.product}/{record.release} counts versions as {schemes}"


def _environments_with(plan: Plan, entry_point: str) -> tuple[Environment, ...]:
    known_ones = environments_with(plan, "name", "not_applicable")
    return tuple(each for at, each in known_ones if entry_point != "build" or at == 0)


def _not_applicable_faults(plan: Plan) -> Iterator[Told]:
    for i, environment in environments_with(plan, "not_applicable"):
        for name in environment.not_applicable:
            path = ("environments", i, "not_applicable", name)
            if name not in ENTRY_POINTS:
                yield path, f"is not an entry point{_did_you_mean(name, ENTRY_POINTS)}"
            elif name in ESSENTIAL:
                yield path, "always applies: without it nothing can be proven or undone"


def _suite_faults(plan: Plan, library: Library) -> Iterator[Told]:
    if not known(plan, "application"):
        return
    if not library.acceptance_tests:
        yield ("application",), f"there is no acceptance suite: include/acceptance/{plan.application}/test_*.py"
    if not library.expectation_suites:
        yield ("application",), f"there is no expectation suite: include/expectations/{plan.application}/*.yaml"


def _order_faults(plan: Plan, today: date) -> Iterator[Told]:
    """The statement of work: signed, in force, and covering every environment."""
    if known(plan, "statement_of_work"):
        yield from _coverage_faults(plan)
        yield from _validity_faults(plan.statement_of_work, today)
    if known(plan, "change") and (lapsed := pre_approval_lapsed(plan.change, today)):
        yield ("change", "pre_approval", "until"), lapsed
    if known(plan, "trigger") and known(plan.trigger, "dated") and plan.trigger.dated > today:
        yield ("trigger", "dated"), f"{plan.trigger.dated} lies in the future; today is {today}"


def _coverage_faults(plan: Plan) -> Iterator[Told]:
    order = plan.statement_of_work
    for i, environment in environments_with(plan, "name") if known(order, "environments") else ():
        if environment.name not in order.environments:
            told = order.id if known(order, "id") else "the statement of work"
            yield (
                ("environments", i, "name"),
                (
                    f"{environment.name!r} is not covered by {told}, which covers {', '.join(order.environments)}"
                    f"{_did_you_mean(environment.name, order.environments)}"
                ),
            )


def _validity_faults(order: StatementOfWork, today: date) -> Iterator[Told]:
    if known(order, "signed_on") and order.signed_on > today:
        yield ("statement_of_work", "signed_on"), f"{order.signed_on} lies in the future; today is {today}"
    if known(order, "id", "valid_until") and order.valid_until < today:
        yield ("statement_of_work", "valid_until"), f"{order.id} ended on {order.valid_until}; today is {today}"


def _window_faults(plan: Plan, freezes: Freezes, now: datetime) -> Iterator[Told]:
    """Of the environments that are whole, where order, permits and people are."""
    parts = ("environments", "statement_of_work", "support_contract", "freeze_permits", "participants", "expected")
    if not known(plan, "client", *parts):
        return
    if not known(plan.statement_of_work, *StatementOfWork.model_fields):
        return
    whole, places = without_faulty_environments(plan)
    for path, message in window_faults(whole, freezes, now=now):
        yield ("environments", places[int(path[1])], *path[2:]) if path[0] == "environments" else path, message


def _contract_faults(plan: Plan, today: date) -> Iterator[Told]:
    """The support contract: not over, and covering the application and every environment after the baseline."""
    if not known(plan, "support_contract"):
        return
    contract, application = plan.support_contract, plan.application if known(plan, "application") else ""
    names = [environment.name for place, environment in environments_with(plan, "name") if place]
    scope = contract_scope_faults(contract, application, names)
    yield from ((("support_contract", key), text) for key, text in scope)
    if contract.valid_until < today:
        yield ("support_contract", "valid_until"), f"{contract.id} ended on {contract.valid_until}; today is {today}"


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, tuple(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""
