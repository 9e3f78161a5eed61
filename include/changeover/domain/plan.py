"""The upgrade plan: one client, one application, from one version to the next, through its environments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from changeover.domain.estate import Document, Name, Person
from changeover.domain.window import Window

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d{1,5})([smhd])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration such as '90s', '30m', '4h' or '2d'")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def _version(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"write the version in quotes; YAML made the {type(value).__name__} {value!r} of it")
    return value


Duration = Annotated[timedelta, BeforeValidator(_duration)]
VersionText = Annotated[
    str, BeforeValidator(_version), StringConstraints(pattern=r"^[0-9A-Za-z][0-9A-Za-z.+!~:_-]*$", max_length=60)
]
Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\n\r]*$")]


class Mode(StrEnum):
    """How far a run goes; each is a prefix of the same path, `back-out` works backwards."""

    ANALYSE = "analyse"
    REHEARSE = "rehearse"
    IMPLEMENT = "implement"
    BACK_OUT = "back-out"


class StatementOfWork(Document):
    """The signed order that covers this upgrade: which environments, which dates."""

    id: Line
    signed_on: date
    environments: tuple[Name, ...] = Field(min_length=1)
    valid_from: date
    valid_until: date


class Trigger(Document):
    """Why the upgrade is done: the client asked, or we recommended it."""

    kind: Literal["client_request", "recommendation"]
    reference: Line
    dated: date
    reason: Line


class Approval(Document):
    """Named people who decide, and how long they are waited for; no answer is a "no"."""

    by: tuple[Name, ...] = Field(min_length=1)
    wait: Duration = timedelta(hours=4)


class Hypercare(Document):
    length: Duration
    interval: Duration


class Support(Document):
    """Who takes over, and the watch kept until then."""

    hypercare: Hypercare
    accepted_by: Approval


class Expected(Document):
    """What the plan's author believes runs today; discovery that differs is a finding."""

    modules: tuple[Name, ...] = ()
    customisations: tuple[Name, ...] = ()
    integrations: tuple[Name, ...] = ()
    settings: Mapping[str, str] = Field(default_factory=dict)


class Environment(Document):
    """One environment of the plan. The baseline comes first and is rebuilt; the others are upgraded in this order."""

    name: Name
    kind: Literal["baseline", "training", "test", "development", "staging", "production"]
    window: Window
    data_from: Name | None = None
    """Baseline only: the environment whose data it is built from."""
    go_no_go: Approval | None = None
    """People asked before the change begins; without them the rule decides alone (all readiness checks passed)."""
    sign_off: Approval | None = None
    """People who accept the result; without them passed acceptance tests are the sign-off."""
    back_out: Literal["per_environment", "per_host"] = "per_environment"
    implement_within: Duration = timedelta(hours=2)
    variables: Mapping[str, str | int | bool] = Field(default_factory=dict)
    not_applicable: Mapping[str, Line] = Field(default_factory=dict)
    """Entry point of the application's role → why it does not apply here."""


class Plan(Document):
    """`include/plans/<client>/<upgrade>.yaml`."""

    schema_version: Literal[1]
    client: Name
    upgrade: Name
    title: Line
    application: Name
    from_version: VersionText
    to_version: VersionText
    release: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[0-9A-Za-z.]+$")]
    """Release record: `<product>/<release>` under include/releases."""
    trigger: Trigger
    statement_of_work: StatementOfWork
    requested_by: Name
    participants: tuple[Person, ...] = Field(min_length=1)
    approval: Approval
    environments: tuple[Environment, ...] = Field(min_length=2)
    expected: Expected = Expected()
    support: Support
    checks_off: Mapping[Name, Line] = Field(default_factory=dict)
    """Advisory checks this plan leaves out → why. Inhibitors cannot be left out."""

    @property
    def dag_id(self) -> str:
        return f"{self.client}.{self.upgrade}"

    @property
    def baseline(self) -> Environment:
        return self.environments[0]

    @property
    def lanes(self) -> tuple[Environment, ...]:
        """The environments after the baseline, in the order they are upgraded."""
        return self.environments[1:]

    def environment(self, name: str) -> Environment:
        return next(environment for environment in self.environments if environment.name == name)

    @model_validator(mode="after")
    def _holds_together(self) -> Plan:
        faults = [*_environment_faults(self), *_people_faults(self)]
        if self.from_version == self.to_version:
            faults.append("to_version: equals from_version; there is nothing to upgrade")
        sow = self.statement_of_work
        if sow.valid_until < sow.valid_from:
            faults.append("statement_of_work.valid_until: lies before valid_from")
        if faults:
            raise ValueError("\n".join(faults))
        return self


def _environment_faults(plan: Plan) -> list[str]:
    names = [environment.name for environment in plan.environments]
    faults = [f"environments: {name!r} is named twice" for name in sorted({n for n in names if names.count(n) > 1})]
    kinds = [environment.kind for environment in plan.environments]
    if kinds.count("baseline") != 1 or kinds[0] != "baseline":
        faults.append("environments: exactly one environment of kind baseline, and it comes first")
    elif plan.baseline.data_from not in names[1:]:
        faults.append(
            f"environments.0.data_from: name the environment the baseline is a copy of, one of {', '.join(names[1:])}"
        )
    faults += [
        f"environments.{i}.data_from: only the baseline takes data from another environment"
        for i, e in enumerate(plan.environments)
        if i and e.data_from
    ]
    return faults


def _people_faults(plan: Plan) -> list[str]:
    known = {person.id for person in plan.participants}
    asked: list[tuple[str, Approval | None]] = [
        ("approval", plan.approval),
        ("support.accepted_by", plan.support.accepted_by),
    ]
    for i, environment in enumerate(plan.environments):
        asked += [
            (f"environments.{i}.go_no_go", environment.go_no_go),
            (f"environments.{i}.sign_off", environment.sign_off),
        ]
    faults = [
        f"{where}.by: {who!r} is not a participant of this plan"
        for where, approval in asked
        if approval
        for who in approval.by
        if who not in known
    ]
    if plan.requested_by not in known:
        faults.append(f"requested_by: {plan.requested_by!r} is not a participant of this plan")
    if plan.requested_by in plan.approval.by:
        faults.append(f"approval.by: {plan.requested_by!r} requested the upgrade and cannot approve it")
    ids = [person.id for person in plan.participants]
    faults += [f"participants: {name!r} is named twice" for name in sorted({n for n in ids if ids.count(n) > 1})]
    return faults
