"""An incident as another system tells it (a service desk, monitoring): format 1, checked once, every fault at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from changeover.domain.estate import Document, Name

FORMAT = 1
LARGEST = 16 * 1024
"""Bytes of a report."""
SHORTEST_TOKEN = 32
AHEAD = timedelta(minutes=5)
"""How far another system's clock may be before ours."""


@dataclass(frozen=True)
class Caller:
    """Who knows the token, and the clients it may speak for; `*` is every one."""

    token: str
    clients: tuple[str, ...]

    def speaks_for(self, client: str) -> bool:
        return client in self.clients or "*" in self.clients


class IncidentState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


def state_told(seen: Mapping[str, Any]) -> str:
    """Of an incident as a run marked it."""
    closed = str(seen.get("closed_at") or "")
    return f"closed {closed[:16].replace('T', ' ')}Z" if closed else str(seen.get("state") or IncidentState.OPEN)


def _whole(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("has to be a whole number")
    return value


def _moment(value: Any) -> Any:
    if not isinstance(value, str | datetime):
        raise ValueError("has to be a time such as 2026-11-28T22:15:00Z")
    return value


ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
Text = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, pattern=ONE_LINE)]


class IncidentReport(Document):
    """How an incident stands `at` a time. The same `key` again tells how it stands then."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="Incident")

    schema_version: Annotated[Literal[1], BeforeValidator(_whole)]
    key: Annotated[Text, StringConstraints(max_length=120)]
    """Its number in the system that tells it; what makes telling it again harmless."""
    client: Name
    application: Name
    environment: Name | None = None
    """Left out where it is not known; it then counts for every environment of the application."""
    host: Name | None = None
    """The CI; its environment has to be named too."""
    severity: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=4)]
    """1 is the gravest; 1 and 2 are critical."""
    summary: Annotated[Text, StringConstraints(max_length=300)]
    state: IncidentState = IncidentState.OPEN
    opened_at: Annotated[AwareDatetime, BeforeValidator(_moment)]
    at: Annotated[AwareDatetime, BeforeValidator(_moment)]
    """When it stood like this; a report that is older than what is known changes nothing."""


class Taken(StrEnum):
    """What a report did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    STALE = "stale"
    """What is known is newer."""


def read_report(body: bytes, *, now: datetime) -> IncidentReport | tuple[str, ...]:
    """The report, or everything that is wrong with it, each as `path: message`."""
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as exc:
        return (f"body: is not JSON in UTF-8 ({exc})",)
    if not isinstance(document, dict):
        return ("body: has to be an object",)
    try:
        report = IncidentReport.model_validate(document)
    except ValidationError as exc:
        return tuple(f"{'.'.join(map(str, fault['loc'])) or 'body'}: {_told(fault)}" for fault in exc.errors())
    return tuple(_faults(report, now)) or report


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _faults(report: IncidentReport, now: datetime) -> list[str]:
    faults = []
    if report.host and not report.environment:
        faults.append("environment: has to be named with the host")
    if report.at < report.opened_at:
        faults.append("at: lies before opened_at")
    faults += [f"{name}: lies in the future" for name in ("opened_at", "at") if getattr(report, name) > now + AHEAD]
    return faults


def _told(fault: Any) -> str:
    match fault["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not a key of this format"
    return str(fault["msg"]).removeprefix("Value error, ")
