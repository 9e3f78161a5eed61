"""Notices to people: kinds, where they go, who gets them, and when one is tried again. Sent once each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from changeover.domain.estate import Document, Person
from changeover.domain.window import Span

Connection = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]


class NoticeSettings(Document):
    """How the participants are told. Addresses of servers, passwords and signing keys stay in Airflow's connections."""

    email: Connection | None = None
    """Airflow connection (type smtp) that mail is sent through; the site's own when left out."""
    webhook: Connection | None = None
    """Airflow connection (type http) that notices are posted to, signed; the site's own when left out."""
    reminder: Span = timedelta(hours=24)
    """How long before a window opens its participants are reminded."""
    decide_by_warning: Span = timedelta(minutes=30)
    """How long before "decide by" people are warned."""


class NoticeKind(StrEnum):
    KICKOFF = "kickoff"
    REMINDER = "reminder"
    APPROVAL_WANTED = "approval_wanted"
    STARTED = "started"
    FINISHED = "finished"
    FAILED = "failed"
    DECIDE_BY_NEAR = "decide_by_near"
    DECIDE_BY_PASSED = "decide_by_passed"
    HELD = "held"
    """Nothing further begins until somebody, or the clock, ends it."""
    PAUSED = "paused"
    MISSED = "missed"
    SURVEY_DUE = "survey_due"
    HYPERCARE_EXTENDED = "hypercare_extended"


@dataclass(frozen=True)
class Notice:
    """One thing to be told. `key` names it within its plan for ever: whatever has been sent under it is not sent again.

    Subject and text are what the client may see; `backstage` is added for the provider's own people.
    """

    key: str
    kind: NoticeKind
    plan: str
    client: str
    subject: str
    text: str
    to: tuple[str, ...]
    """Participants, by id."""
    since: datetime
    """When there was something to tell."""
    until: datetime | None = None
    """From when on it is no use any more."""
    run: str = ""
    environment: str = ""
    backstage: str = ""

    def text_for(self, person: Person | None) -> str:
        """Nobody on the client's side, nor a channel that everybody reads (None), is shown what is behind the stage."""
        shown = person is not None and person.side == "provider" and self.backstage
        return f"{self.text}\n\n{self.backstage}" if shown else self.text


class DeliveryState(StrEnum):
    SENT = "sent"
    FAILED = "failed"
    """Not this time; it is tried again."""
    NOT_SENT = "not_sent"
    """Never: there was no channel, no address, or the channel refused it for good."""


EVERYBODY = "everybody"
"""Whom a webhook tells: whoever reads the channel."""


@dataclass(frozen=True)
class Delivery:
    """What became of one notice to one person over one channel."""

    notice: str
    kind: str
    plan: str
    run: str
    environment: str
    to: str
    """Participant's id, or `everybody`."""
    channel: str
    """`email`, `webhook`, or "" where there was none."""
    state: DeliveryState
    at: datetime
    digest: str
    """sha256 of subject and text as they were sent."""
    subject: str = ""
    attempt: int = 0
    why: str = ""

    @property
    def key(self) -> str:
        return delivery_key(self.notice, self.channel, self.to)

    def told(self) -> str:
        how = f"by {self.channel}" if self.channel else "by no channel"
        why = f": {self.why}" if self.why else ""
        return f"{self.state.replace('_', ' ')} {how} to {self.to}{why}"


def not_reached(deliveries: Iterable[Delivery]) -> tuple[str, ...]:
    """Keys of deliveries that were tried or given up, and never sent."""
    states: dict[str, set[DeliveryState]] = {}
    for each in deliveries:
        states.setdefault(each.key, set()).add(each.state)
    return tuple(key for key, seen in states.items() if DeliveryState.SENT not in seen)


def delivery_key(notice: str, channel: str, to: str) -> str:
    return f"{notice}|{channel}|{to}"


def digest(subject: str, text: str) -> str:
    return hashlib.sha256(f"{subject}\n\n{text}".encode()).hexdigest()


@dataclass(frozen=True)
class Tries:
    """How often something was tried, and how the last try went. A try without an end may still be under way."""

    attempts: int = 0
    begun_at: datetime | None = None
    failed_at: datetime | None = None


FIRST_WAIT = timedelta(minutes=1)
LONGEST_WAIT = timedelta(minutes=15)
LOST_AFTER = timedelta(minutes=5)
"""A try that has not ended by then is taken for lost with its process. The message keeps its id, so that a mail server
or a receiver that took it knows it again."""


def may_try(tries: Tries, now: datetime) -> bool:
    """Whether the time for another try has come: waits double up to a limit, and nobody tries beside another."""
    if tries.failed_at is not None:
        wait: timedelta = FIRST_WAIT * (1 << min(max(tries.attempts - 1, 0), 10))
        return now >= tries.failed_at + min(wait, LONGEST_WAIT)
    return tries.begun_at is None or now >= tries.begun_at + LOST_AFTER


@dataclass(frozen=True)
class Route:
    """One notice over one channel to one reader: what is to be sent, or why it cannot be."""

    channel: str
    connection: str
    person: Person | None = None
    obstacle: str = ""

    @property
    def to(self) -> str:
        return self.person.id if self.person else EVERYBODY


@dataclass(frozen=True)
class Channels:
    """The connections to be used: the plan's own, else the site's; "" where there is none."""

    email: str = ""
    webhook: str = ""


def channels_of(plan: NoticeSettings, site: Channels) -> Channels:
    return Channels(plan.email or site.email, plan.webhook or site.webhook)


def routes(notice: Notice, channels: Channels, people: Sequence[Person]) -> tuple[Route, ...]:
    """A webhook is told once, mail goes to each person; without any channel each person is on record as not told."""
    known = {person.id: person for person in people}
    named = [
        known.get(who, Person(id=who, name=who, role="participant", side="client")) for who in dict.fromkeys(notice.to)
    ]
    found = [Route("webhook", channels.webhook)] if channels.webhook else []
    if channels.email:
        found += [Route("email", channels.email, who, "" if who.email else "no address") for who in named]
    if not found:
        return tuple(Route("", "", who, "no channel") for who in named) or (Route("", "", None, "no channel"),)
    return tuple(found)


def people_of(participants: Iterable[Person], recorded: Iterable[Person]) -> tuple[Person, ...]:
    """The plan's participants, with the address that the CMDB has where the plan gives none."""
    addresses = {person.id: person.email for person in recorded}
    return tuple(
        person if person.email else person.model_copy(update={"email": addresses.get(person.id, "")})
        for person in participants
    )


@dataclass(frozen=True)
class Message:
    """What a channel is given. `id` is the same at every try, for receivers that know what they have seen."""

    id: str
    kind: NoticeKind
    subject: str
    text: str
    to: Person | None
    facts: dict[str, str] = field(default_factory=dict)
    """Plan, client, run, environment: for channels that programs read."""
