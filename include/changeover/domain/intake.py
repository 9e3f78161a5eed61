"""The intake of an upgrade: what sales and the client hand over, made a plan's document, or told what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from changeover.domain.estate import IMPORT, Document, Name, Person
from changeover.domain.plan import Line, VersionText
from changeover.domain.window import Day

KINDS = ("baseline", "training", "test", "development", "staging", "production")
"""In the order in which they are upgraded."""


class TriggerIntake(Document):
    """Why the upgrade is done."""

    kind: Literal["client_request", "recommendation"] | None = None
    reference: Line | None = None
    dated: Day | None = None
    reason: Line | None = None


class OrderIntake(Document):
    """The signed order."""

    id: Line | None = None
    signed_on: Day | None = None
    environments: tuple[Name, ...] = ()
    """All of the plan's when empty."""
    valid_from: Day | None = None
    valid_until: Day | None = None


class ContractIntake(Document):
    """The client's support contract."""

    id: Line | None = None
    applications: tuple[Name, ...] = ()
    """The plan's when empty."""
    environments: tuple[Name, ...] = ()
    """All of the plan's after the baseline when empty."""
    valid_from: Day | None = None
    valid_until: Day | None = None


class Intake(Document):
    """Everything may be left out; what cannot be found elsewhere is then told as missing."""

    client: Name | None = None
    application: Name | None = None
    upgrade: Name | None = None
    """Application and wanted version when left out."""
    title: Line | None = None
    from_version: VersionText | None = None
    """The version that the CMDB records when left out."""
    to_version: VersionText | None = None
    release: str | None = None
    """The application's release record of the wanted version when left out."""
    trigger: TriggerIntake = TriggerIntake()
    statement_of_work: OrderIntake = OrderIntake()
    support_contract: ContractIntake = ContractIntake()
    requested_by: Name | None = None
    approvers: tuple[Name, ...] = ()
    quorum: int = Field(default=1, ge=1)
    support: tuple[Name, ...] = ()
    """Who takes the application over."""
    participants: tuple[Person, ...] = ()
    """Beside the people of the client that the CMDB knows."""
    environments: tuple[Name, ...] = ()
    """In their order; those that the CMDB has of the usual names when empty."""
    windows: Mapping[Name, Mapping[str, Any]] = Field(default_factory=dict)
    """Environment → its window, as a plan writes it."""
    any_time: Line | None = None
    """Why environments without a window may be worked on at any time."""
    hypercare_length: str = "3d"
    hypercare_interval: str = "30m"


@dataclass(frozen=True)
class Known:
    """What CMDB and release records say. `environments` has the kind of each that the CMDB knows."""

    people: tuple[Person, ...] = ()
    environments: Mapping[str, str] = field(default_factory=dict)
    version: str | None = None
    releases: Mapping[str, str] = field(default_factory=dict)
    """Version → name of its release record."""
    no_cmdb: str = ""
    """Why there is no CMDB to ask; then the intake alone is believed."""


def plan_document(intake: Intake, known: Known) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A plan's document, and everything that is missing for one, as `path: what` each."""
    names = intake.environments or tuple(sorted(known.environments, key=_order(known.environments)))
    document: dict[str, Any] = {
        "schema_version": 1,
        "client": intake.client,
        "upgrade": intake.upgrade or _upgrade(intake),
        "title": intake.title or _title(intake, known),
        "application": intake.application,
        "from_version": intake.from_version or known.version,
        "to_version": intake.to_version,
        "release": intake.release or known.releases.get(intake.to_version or ""),
        "trigger": intake.trigger.model_dump(),
        "statement_of_work": _order_of(intake.statement_of_work, names),
        "support_contract": _contract_of(intake.support_contract, intake.application, names),
        "requested_by": intake.requested_by,
        "participants": [_person(person) for person in people(intake, known).values()],
        "approval": {"by": list(intake.approvers), **({"quorum": intake.quorum} if intake.quorum > 1 else {})},
        "environments": [_environment(name, names, intake, known) for name in names],
        "support": {
            "hypercare": {"length": intake.hypercare_length, "interval": intake.hypercare_interval},
            "accepted_by": {"by": list(intake.support)},
        },
    }
    return document, (*_missing(document), *_unknown(intake, known, names))


def people(intake: Intake, known: Known) -> dict[str, Person]:
    """By login; the intake's word goes before the CMDB's."""
    return {person.id: person for person in (*known.people, *intake.participants)}


_WANTED = {
    "client": "the client's name in the CMDB (--client)",
    "application": "the name of the application's role (--application)",
    "upgrade": "the upgrade's name (--upgrade)",
    "title": "one line for people (--title)",
    "from_version": "the exact version that runs; the CMDB does not say it (--from-version)",
    "to_version": "the exact version that is to run (--to-version)",
    "release": "no release record has that version; write one under include/releases, or name it (--release)",
    "trigger.kind": "client_request or recommendation (--trigger)",
    "trigger.reference": "number of the request or recommendation (--reference)",
    "trigger.dated": "its day (--dated)",
    "trigger.reason": "what the client gains (--reason)",
    "statement_of_work.id": "number of the signed order (--sow)",
    "statement_of_work.signed_on": "the day the client signed (--signed-on)",
    "statement_of_work.valid_from": "first day of work under the order (--valid-from)",
    "statement_of_work.valid_until": "last day of work under the order (--valid-until)",
    "support_contract.id": "number of the client's support contract (--contract)",
    "support_contract.valid_from": "first day of the contract (--contract-from)",
    "support_contract.valid_until": "last day of the contract (--contract-until)",
    "requested_by": "who asks for the change, by login (--requester)",
    "approval.by": "who approves, by login; never the requester (--approver)",
    "support.accepted_by.by": "who takes the application over, by login (--support)",
    "participants": f"people; the CMDB knows none of this client: {IMPORT}",
    "environments": "a baseline and at least one environment (--environment)",
}
"""Path in the plan → what is wanted there."""


def _missing(document: Mapping[str, Any]) -> Iterator[str]:
    for path, wanted in _WANTED.items():
        here: Any = document
        for key in path.split("."):
            here = here[key]
        if not here:
            yield f"{path}: {wanted}"
    for entry in document["environments"]:
        where = f"environments.{entry['name']}"
        if entry["kind"] is None:
            yield f"{where}.kind: unknown to the CMDB and not one of {', '.join(KINDS)}; {IMPORT}"
        if entry["window"] is None:
            yield f"{where}.window: when it may be worked on (`windows` of the intake, or --any-time REASON)"


def _unknown(intake: Intake, known: Known, names: tuple[str, ...]) -> Iterator[str]:
    """What was given and is not on record."""
    everybody = people(intake, known)
    named = dict.fromkeys(
        (*((intake.requested_by,) if intake.requested_by else ()), *intake.approvers, *intake.support)
    )
    for who in named:
        if who not in everybody:
            yield f"participants: {who!r} is named, and neither the intake nor the CMDB says who that is"
    for name in intake.windows:
        if name not in names:
            yield f"windows.{name}: is not an environment of this upgrade, which are {', '.join(names) or 'none'}"
    if not known.no_cmdb and intake.client and intake.application:
        for name in names:
            if name not in known.environments:
                yield (
                    f"environments.{name}: the CMDB has no environment {name!r} of {intake.client}/{intake.application}"
                    f"; {IMPORT}"
                )


def _upgrade(intake: Intake) -> str | None:
    if not intake.application or not intake.to_version:
        return None
    return f"{intake.application}-{intake.to_version}".lower().translate(str.maketrans("+~:^!", "-----"))


def _title(intake: Intake, known: Known) -> str | None:
    start = intake.from_version or known.version
    if not (intake.application and start and intake.to_version and intake.client):
        return None
    return f"{intake.application.capitalize()} {start} to {intake.to_version} for {intake.client}"


def _order_of(order: OrderIntake, names: tuple[str, ...]) -> dict[str, Any]:
    return order.model_dump() | {"environments": list(order.environments or names)}


def _contract_of(contract: ContractIntake, application: str | None, names: tuple[str, ...]) -> dict[str, Any]:
    own = (application,) if application else ()
    covers = {"applications": contract.applications or own, "environments": contract.environments or names[1:]}
    return contract.model_dump() | {key: list(value) for key, value in covers.items()}


def _environment(name: str, names: tuple[str, ...], intake: Intake, known: Known) -> dict[str, Any]:
    kind = known.environments.get(name, name)
    window: Any = intake.windows.get(name)
    if window is None and intake.any_time:
        window = {"kind": "any_time", "reason": intake.any_time}
    entry = {"name": name, "kind": kind if kind in KINDS else None}
    if kind == "baseline" and len(names) > 1:
        entry["data_from"] = names[-1]
    return entry | {"window": dict(window) if window is not None else None}


def _person(person: Person) -> dict[str, Any]:
    return person.model_dump(exclude_defaults=True)


def _order(kinds: Mapping[str, str]) -> Any:
    return lambda name: (KINDS.index(kinds[name]) if kinds[name] in KINDS else len(KINDS), name)
