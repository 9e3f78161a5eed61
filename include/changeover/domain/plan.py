"""The upgrade plan: one client, one application, from one version to the next, through its environments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from changeover.domain.batch import Batches
from changeover.domain.change_control import ChangeControl, change_faults
from changeover.domain.estate import Document, Line, Name, Person
from changeover.domain.named import Named
from changeover.domain.night import Night, night_faults
from changeover.domain.notice import NoticeSettings
from changeover.domain.volume import Volume
from changeover.domain.window import Day, Duration, Span, Window

__all__ = [
    "Approval", "Duration", "Environment", "Expected", "FreezePermit", "Hypercare", "Line", "Mode", "Plan", "Reopening",
    "StatementOfWork", "Support", "Trigger", "Unattended", "VersionText", "cross_faults",
]  # fmt: skip


def _number(value: Any) -> Any:
    """Python takes `True` for 1."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


VersionText = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+!~^:_-]*$", max_length=60)]
"""An exact version as the vendor writes it; it begins with a digit, so neither `latest` nor `v4.3.1` is one."""


class Mode(StrEnum):
    """How far a run goes; each is a prefix of the same path, `back-out` works backwards, `fix` cures findings."""

    ANALYSE = "analyse"
    REHEARSE = "rehearse"
    IMPLEMENT = "implement"
    BACK_OUT = "back-out"
    FIX = "fix"


class StatementOfWork(Document):
    """The signed order that covers this upgrade: which environments, which dates."""

    id: Line
    """Number of the statement of work, as sales files it."""
    signed_on: Day
    """Day on which the client signed."""
    environments: tuple[Name, ...] = Field(min_length=1)
    """Environments that the order covers; every environment of the plan has to be among them."""
    valid_from: Day
    """First day of work under this order."""
    valid_until: Day
    """Last day of work under this order."""


class Trigger(Document):
    """Why the upgrade is done: the client asked, or we recommended it."""

    kind: Literal["client_request", "recommendation"]
    """Who wanted it: the client asked, or we recommended it."""
    reference: Line
    """Number of the request or of the recommendation."""
    dated: Day
    """Day of the request or recommendation."""
    reason: Line
    """What the client gains, or what happens without it."""


class Approval(Document):
    """Named people who decide, and how long they are waited for; without an answer the plan's `night` decides."""

    by: tuple[Name, ...] = Field(min_length=1)
    """Participants (by id) who may answer; nobody else can."""
    quorum: Annotated[int, BeforeValidator(_number), Field(ge=1)] = 1
    """How many of them have to say yes. One rejection is a "no", whatever the others said."""
    wait: Span = timedelta(hours=4)
    """How long the answers are waited for, counted from the request, and never past the moment at which an answer comes
    too late."""


Times = Annotated[int, BeforeValidator(_number), Field(ge=1)]


class Reopening(Document):
    """What reopens the decision during the watch: people are then asked whether to keep the release or back it out."""

    failed_looks: Times = 2
    """So many looks in a row that find a host unwell."""
    errors_per_hour: Times | None = None
    """A host whose services log more errors than this in an hour is unwell; left out, errors are not judged."""
    critical_incidents: Times = 1
    """So many new incidents of severity 1 or 2."""
    incidents: Times | None = None
    """So many new incidents of any severity; left out, only critical ones count."""


class Hypercare(Document):
    """The watch after the last environment: how long, how often it looks, when it ends and when people are asked."""

    length: Span
    """How long the watch lasts at least."""
    interval: Span
    """Time between two looks; not longer than the watch."""
    clean_looks: Times = 1
    """It ends once so many looks in a row found every host well and no critical incident open."""
    at_most: Span | None = None
    """How long it may extend itself to before a person has to decide; left out, twice its length."""
    reopens: Reopening = Reopening()
    """What reopens the decision."""
    decided_by: Approval | None = None
    """Who then decides; left out, those who approve the plan."""

    @property
    def longest(self) -> timedelta:
        return self.at_most or self.length * 2

    @model_validator(mode="after")
    def _holds_together(self) -> Hypercare:
        if self.interval > self.length:
            raise ValueError("interval: is longer than the watch itself")
        if self.at_most is not None and self.at_most < self.length:
            raise ValueError("at_most: is shorter than the watch itself")
        if self.interval * self.clean_looks > self.longest:
            raise ValueError("clean_looks: so many looks do not fit into the longest watch")
        return self


class Support(Document):
    """Who takes over, and the watch kept until then."""

    hypercare: Hypercare
    """The watch after the last environment."""
    accepted_by: Approval
    """Who takes the application over into support."""


class Unattended(Document):
    """The upgrade starts by itself when a window opens; never catching up: a start that comes too late is `missed`."""

    window_of: Name
    """Environment of the plan at whose window's opening the run starts."""


class FreezePermit(Document):
    """Somebody permits this upgrade in a freeze of the client's, and says why."""

    freeze: Name
    """Name of the freeze in include/freezes/<client>.yaml."""
    by: Name
    """Participant (by id) with a role that the freeze lets permit; never the one who requested the upgrade."""
    reason: Line
    """Why this upgrade may happen in it."""
    environments: tuple[Name, ...] = ()
    """Environments it is permitted for; all of the plan's when empty."""


class Expected(Document):
    """What the plan's author believes runs today; discovery that differs is a finding."""

    modules: tuple[Name, ...] = ()
    """Modules of the vendor's that are active."""
    customisations: tuple[Line, ...] = ()
    """The client's own modules or changes, as the role's `discover` names them."""
    integrations: tuple[Line, ...] = ()
    """Systems of the client's that speak with the application."""
    settings: Mapping[str, str] = Field(default_factory=dict)
    """Setting (`section.key`) → value that differs from the vendor's default."""


class Environment(Document):
    """One environment of the plan. The baseline comes first and is rebuilt; the others are upgraded in this order."""

    name: Name
    """Name of the environment in the CMDB."""
    kind: Literal["baseline", "training", "test", "development", "staging", "production"]
    """What it is for; exactly one is the baseline, and it comes first."""
    window: Window
    """When work on it may begin and must have ended."""
    data_from: Name | None = None
    """Baseline only: the environment whose data it is built from."""
    go_no_go: Approval | None = None
    """People asked before the change begins; without them the rule decides alone (all readiness checks passed)."""
    sign_off: Approval | None = None
    """People who accept the result; without them passed acceptance tests are the sign-off."""
    back_out: Literal["per_environment", "per_host"] = "per_environment"
    """What is backed out after a failure: every touched host, or only the hosts that failed. The others then stay
    locked and closed at the new release until a person decides (`settle`)."""
    data_volume: Volume | None = None
    """How much data it holds. Times that were measured on less grow in proportion, for the steps that move data; left
    out, what the analysis measures counts."""
    implement_within: Span = timedelta(hours=2)
    """Limit of the implementation step, of all its legs together; past it the step is stopped and counts as failed."""
    restore_within: Span = timedelta(hours=2)
    """Limit of each step that copies the data: the restore point, the back-out, the building of the baseline; past it
    the step is stopped and counts as failed. The approval waits for one that measured times do not fit into."""
    batches: Batches | None = None
    """Changes the hosts in batches; without it all hosts are closed, changed and accepted together."""
    variables: Mapping[str, str | int | bool] = Field(default_factory=dict)
    """Variables given to the application's role; a secret never belongs here."""
    not_applicable: Mapping[str, Line] = Field(default_factory=dict)
    """Entry point of the application's role → why it does not apply here."""


class Plan(Document):
    """`include/plans/<client>/<upgrade>.yaml`."""

    schema_version: Annotated[Literal[1], BeforeValidator(_number)]
    """Version of this format."""
    client: Name
    """Client, as the directory is named and as the CMDB knows it."""
    upgrade: Name
    """This upgrade, as the file is named."""
    title: Line
    """One line for people: what is upgraded for whom."""
    application: Name
    """Application: the name of its role, its acceptance tests and its CMDB record."""
    team: Name | None = None
    """Team that does the upgrade; KPIs are told by team."""
    from_version: VersionText
    """Exact version that runs today, in quotes."""
    to_version: VersionText
    """Exact version that is to run, in quotes."""
    release: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[0-9A-Za-z.]+$")]
    """Release record: `<product>/<release>` under include/releases."""
    downgrade: Line | None = None
    """Why an older version is wanted on purpose. A plan to an older version is refused without it; with it the vendor
    has to support going back all the same."""
    change_of_line: Line | None = None
    """Why the vendor's other line of releases is wanted (Jenkins: weekly instead of LTS). A plan that leaves the line
    of the installed version is refused without it."""
    trigger: Trigger
    """Why the upgrade is done."""
    statement_of_work: StatementOfWork
    """The signed order that covers it."""
    requested_by: Name
    """Participant (by id) who asked for the change; never the one who approves it."""
    participants: tuple[Person, ...] = Field(min_length=1)
    """Everybody who takes part."""
    approval: Approval
    """Who approves the run sheet before any client environment is changed."""
    change: ChangeControl = ChangeControl()
    """The change's model in the CMDB: normal when left out."""
    environments: tuple[Environment, ...] = Field(min_length=2)
    """The baseline, then the environments in the order they are upgraded."""
    unattended: Unattended | None = None
    """Left out, people start the upgrade; otherwise it starts by itself when this window opens."""
    night: Night | None = None
    """What happens when nobody answers, or something fails. Left out, silence is a "no"; a plan that starts by itself
    is approved only with all of it."""
    freeze_permits: tuple[FreezePermit, ...] = ()
    """Freezes of the client's in which this upgrade is permitted after all."""
    expected: Expected = Expected()
    """What is believed to run today."""
    support: Support
    """The watch after the upgrade and who takes over."""
    restore_points_kept: Span = timedelta(days=30)
    """How long restore points stay on the hosts after the run has ended; then housekeeping removes them. A run that
    is open, or ended unproven and was not settled, keeps its own for as long as that."""
    notices: NoticeSettings = NoticeSettings()
    """How the participants are told of what happens; without a channel they are not, which is on record."""
    checks_off: Mapping[Name, Line] = Field(default_factory=dict)
    """Advisory checks this plan leaves out → why. Inhibitors cannot be left out."""

    @property
    def approved_by(self) -> Approval:
        """Who lets the run sheet pass, as the change's model has it: an emergency has approvers of its own."""
        emergency = self.change.emergency
        return self.approval.model_copy(update={"by": emergency.by, "quorum": 1}) if emergency else self.approval

    @property
    def dag_id(self) -> str:
        return f"{self.client}.{self.upgrade}"

    @property
    def named(self) -> Named:
        """What the planner may do because the plan says why."""
        return Named(downgrade=self.downgrade is not None, change_of_line=self.change_of_line is not None)

    @property
    def baseline(self) -> Environment:
        return self.environments[0]

    @property
    def lanes(self) -> tuple[Environment, ...]:
        """The environments after the baseline, in the order they are upgraded."""
        return self.environments[1:]

    @property
    def kept_by(self) -> Approval:
        """Who decides whether the new release is kept, when the watch reopens that decision."""
        return self.support.hypercare.decided_by or self.approval

    @property
    def covered(self) -> tuple[date, date]:
        """First and last day of work under the statement of work."""
        return self.statement_of_work.valid_from, self.statement_of_work.valid_until

    def environment(self, name: str) -> Environment:
        return next(environment for environment in self.environments if environment.name == name)

    @model_validator(mode="after")
    def _holds_together(self) -> Plan:
        if faults := cross_faults(self.model_dump()):
            raise ValueError("\n".join(faults))
        return self


WATCH_DECISION = "support.hypercare.decided_by"


def cross_faults(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Faults between the parts of a plan, each as `path: message`.

    Takes the document as it was read, right or wrong in its parts, so that these faults are told together with others.
    """
    return (
        *_environment_faults(document),
        *_people_faults(document),
        *_other_faults(document),
        *_window_faults(document),
        *change_faults(document),
        *night_faults(document, _texts([e.get("name") for e in _entries(document, "environments")[1:]])),
    )


def _part(document: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    for key in keys:
        found = document.get(key)
        document = found if isinstance(found, Mapping) else {}
    return document


def _entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = document.get(key)
    return [entry if isinstance(entry, Mapping) else {} for entry in found] if isinstance(found, list | tuple) else []


def _texts(found: Any) -> list[str]:
    return [text for text in found if isinstance(text, str)] if isinstance(found, list | tuple) else []


def _repeated(names: list[Any]) -> list[str]:
    texts = _texts(names)
    return sorted({text for text in texts if texts.count(text) > 1})


def _environment_faults(document: Mapping[str, Any]) -> list[str]:
    environments = _entries(document, "environments")
    names = [environment.get("name") for environment in environments]
    faults = [f"environments: {name!r} is named twice" for name in _repeated(names)]
    kinds = [environment.get("kind") for environment in environments]
    faults += [
        f"environments.{i}.batches: the baseline is changed as a whole"
        for i, environment in enumerate(environments)
        if environment.get("kind") == "baseline" and environment.get("batches")
    ]
    if kinds and (kinds.count("baseline") != 1 or kinds[0] != "baseline"):
        faults.append("environments: exactly one environment of kind baseline, and it comes first")
    elif kinds and environments[0].get("data_from") not in names[1:]:
        others = ", ".join(_texts(names[1:])) or "(there is none)"
        faults.append(f"environments.0.data_from: name the environment the baseline is a copy of, one of {others}")
    faults += [
        f"environments.{i}.data_from: only the baseline takes data from another environment"
        for i, environment in enumerate(environments)
        if i and environment.get("data_from")
    ]
    return faults


def _people_faults(document: Mapping[str, Any]) -> list[str]:
    ids = [person.get("id") for person in _entries(document, "participants")]
    known = set(_texts(ids))
    approvers = _texts(_part(document, "approval").get("by"))
    asked = [
        ("approval", _part(document, "approval")),
        ("support.accepted_by", _part(document, "support", "accepted_by")),
        (WATCH_DECISION, _part(document, "support", "hypercare", "decided_by")),
    ]
    for i, environment in enumerate(_entries(document, "environments")):
        asked += [(f"environments.{i}.{key}", _part(environment, key)) for key in ("go_no_go", "sign_off")]
    faults = [
        f"{where}.by.{n}: {who!r} is not a participant of this plan"
        for where, approval in asked
        for n, who in enumerate(_texts(approval.get("by")))
        if who not in known
    ]
    faults += [fault for where, approval in asked for fault in _approval_faults(where, approval)]
    requester = document.get("requested_by")
    if isinstance(requester, str):
        faults += [
            f"{where}.by: {requester!r} requested the upgrade and cannot let it begin"
            for where, approval in asked
            if where.endswith(".go_no_go") and requester in _texts(approval.get("by"))
        ]
        if requester not in known:
            faults.append(f"requested_by: {requester!r} is not a participant of this plan")
        if requester in approvers:
            faults.append(f"approval.by: {requester!r} requested the upgrade and cannot approve it")
    return faults + [f"participants: {name!r} is named twice" for name in _repeated(ids)]


def _approval_faults(where: str, approval: Mapping[str, Any]) -> list[str]:
    by, quorum = _texts(approval.get("by")), approval.get("quorum")
    faults = [f"{where}.by: {name!r} is named twice" for name in _repeated(by)]
    if isinstance(quorum, int) and by and quorum > len(set(by)):
        faults.append(f"{where}.quorum: {quorum} have to say yes, and only {len(set(by))} may answer")
    return faults


def _other_faults(document: Mapping[str, Any]) -> list[str]:
    faults = []
    wanted = document.get("to_version")
    if isinstance(wanted, str) and wanted == document.get("from_version"):
        faults.append("to_version: equals from_version; there is nothing to upgrade")
    order = _part(document, "statement_of_work")
    first, last = order.get("valid_from"), order.get("valid_until")
    if isinstance(first, date) and isinstance(last, date) and last < first:
        faults.append("statement_of_work.valid_until: lies before valid_from")
    return faults


def _window_faults(document: Mapping[str, Any]) -> list[str]:
    after_the_baseline = _entries(document, "environments")[1:]
    environments = {e["name"]: e for e in after_the_baseline if isinstance(e.get("name"), str)}
    names = ", ".join(_texts(list(environments))) or "(there is none)"
    faults = []
    opening = _part(document, "unattended").get("window_of")
    if isinstance(opening, str) and opening not in environments:
        faults.append(f"unattended.window_of: {opening!r} is not an environment after the baseline, one of {names}")
    elif isinstance(opening, str) and _part(environments[opening], "window").get("kind") == "any_time":
        faults.append(f"unattended.window_of: {opening} may be worked on at any time: no window opens there")
    ids = set(_texts([person.get("id") for person in _entries(document, "participants")]))
    for n, permit in enumerate(_entries(document, "freeze_permits")):
        who, where = permit.get("by"), f"freeze_permits.{n}"
        if isinstance(who, str) and who not in ids:
            faults.append(f"{where}.by: {who!r} is not a participant of this plan")
        if isinstance(who, str) and who == document.get("requested_by"):
            faults.append(f"{where}.by: {who!r} requested the upgrade and cannot permit it")
        every = [e.get("name") for e in _entries(document, "environments")]
        faults += [
            f"{where}.environments.{i}: {name!r} is not an environment of this plan"
            for i, name in enumerate(_texts(permit.get("environments")))
            if name not in every
        ]
    return faults
