"""Check plans: each on its own, every fault at once; one bad plan never hides another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from changeover.domain.fault import Fault, Reading, dotted
from changeover.domain.freeze import FreezeCalendar
from changeover.domain.path import Product
from changeover.domain.plan import Plan
from changeover.domain.plan_check import Library, Told, plan_faults, plan_notes
from changeover.domain.plan_check import content_faults as carried
from changeover.domain.plan_parts import known
from changeover.domain.release import ReleaseRecord
from changeover.domain.role import RoleOffer


class Shelf(Protocol):
    """Where plans and what they refer to are read from. Nothing on the disk makes it raise."""

    def plans(self, paths: Sequence[Path]) -> tuple[Reading[Plan], ...]:
        """Every file named, and every plan below every directory named."""

    def release(self, name: str) -> Reading[ReleaseRecord]: ...
    def product(self, name: str) -> Product: ...
    def role(self, application: str) -> Reading[RoleOffer]: ...
    def freezes(self, client: str) -> Reading[FreezeCalendar]:
        """An empty calendar for a client that has none."""

    def acceptance_tests(self, application: str) -> tuple[str, ...]: ...
    def expectation_suites(self, application: str) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class CheckedPlan:
    """One plan and what is wrong with it. `notes` do not make it wrong."""

    file: str
    digest: str
    plan: Plan | None
    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.faults


@dataclass(frozen=True)
class CheckReport:
    plans: tuple[CheckedPlan, ...]

    @property
    def ok(self) -> bool:
        """Nothing checked is not "all right"."""
        return bool(self.plans) and all(plan.ok for plan in self.plans)

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        return {
            "schema_version": 1,
            "ok": self.ok,
            "plans": [
                {
                    "file": checked.file,
                    "ok": checked.ok,
                    "digest": checked.digest or None,
                    "client": checked.plan.client if checked.plan else None,
                    "upgrade": checked.plan.upgrade if checked.plan else None,
                    "faults": [fault.as_json() for fault in checked.faults],
                    "notes": [note.as_json() for note in checked.notes],
                }
                for checked in self.plans
            ],
        }


def check_plans(paths: Sequence[Path], shelf: Shelf, *, now: datetime) -> CheckReport:
    """Each by itself, and none that would be presented under another's name."""
    readings = shelf.plans(paths)
    named: dict[str, list[str]] = {}
    for reading in readings:
        if reading.document:
            named.setdefault(reading.document.dag_id, []).append(reading.file)
    return CheckReport(
        tuple(_alone_in_name(reading, check_plan(reading, shelf, now=now), named) for reading in readings)
    )


def _alone_in_name(reading: Reading[Plan], checked: CheckedPlan, named: Mapping[str, Sequence[str]]) -> CheckedPlan:
    """Both names may hold dots: `a` with `b.c` is called as `a.b` with `c`."""
    plan = reading.document
    others = [file for file in named[plan.dag_id] if file != reading.file] if plan else []
    if not plan or not others:
        return checked
    message = f"{' and '.join(others)} is {plan.dag_id} in Airflow too; rename one upgrade"
    return replace(checked, faults=(*checked.faults, *_in_plan(reading, ((("upgrade",), message),))))


def check_plan(reading: Reading[Plan], shelf: Shelf, *, now: datetime) -> CheckedPlan:
    """The faults of its form, and those of its valid parts against everything they refer to."""
    plan = reading.document or reading.parts
    if plan is None:
        return CheckedPlan(reading.file, reading.digest, None, reading.faults)
    library, release, role = _library(plan, shelf)
    calendar = shelf.freezes(plan.client) if known(plan, "client") else _NOT_NAMED
    library = replace(library, freezes=calendar.document.freezes if calendar.document else ())
    faults = (
        *reading.faults,
        *_in_plan(reading, plan_faults(plan, library, now=now)),
        *_in_reference(reading, "release", release),
        *_in_reference(reading, "application", role),
        *_in_reference(reading, "client", calendar),
    )
    notes = _in_plan(reading, plan_notes(plan, library, now=now)) if reading.document else ()
    return CheckedPlan(reading.file, reading.digest, reading.document, tuple(sorted(set(faults))), notes)


def content_faults(plan: Plan, shelf: Shelf) -> tuple[str, ...]:
    """Why the product's content does not carry the plan, whatever the day: `path: message` each."""
    library, release, role = _library(plan, shelf)
    missing = tuple(str(fault) for fault in (*release.faults, *role.faults))
    return (*missing, *(f"{dotted(path)}: {message}" for path, message in carried(plan, library)))


_NOT_NAMED: Reading[Any] = Reading("", None)


def _library(plan: Plan, shelf: Shelf) -> tuple[Library, Reading[ReleaseRecord], Reading[RoleOffer]]:
    release: Reading[ReleaseRecord] = _NOT_NAMED
    role: Reading[RoleOffer] = _NOT_NAMED
    product: Product | None = None
    tests: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    if known(plan, "release"):
        release, product = shelf.release(plan.release), shelf.product(plan.release.partition("/")[0])
    if known(plan, "application"):
        role = shelf.role(plan.application)
        tests, suites = shelf.acceptance_tests(plan.application), shelf.expectation_suites(plan.application)
    return Library(release.document, role.document, tests, suites, product=product), release, role


def _in_plan(reading: Reading[Plan], told: Sequence[Told]) -> tuple[Fault, ...]:
    return tuple(Fault(reading.file, reading.line_of(path), dotted(path), message) for path, message in told)


def _in_reference(reading: Reading[Plan], key: str, other: Reading[Any]) -> tuple[Fault, ...]:
    """Faults of another document, told at the plan's line that names it."""
    return tuple(Fault(reading.file, reading.line_of((key,)), key, str(fault)) for fault in other.faults)
