"""What every CMDB of ours holds to: the shape of a write, the ways of a change, and what an estate may say."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated

from pydantic import AwareDatetime, StringConstraints, ValidationError

from changeover.domain.change import MODELS, ChangeModel, ChangeState, CloseCode, route
from changeover.domain.estate import Document, Estate, Host
from changeover.domain.estate_check import twice
from changeover.domain.incident import IncidentReport, IncidentState
from changeover.errors import CmdbAmbiguous, CmdbError
from changeover.ports import CmdbWrite, Incident

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
BEFORE_IMPLEMENT = (ChangeState.NEW, ChangeState.ASSESS, ChangeState.AUTHORIZE, ChangeState.SCHEDULED)


class OpenChange(Document):
    title: Said
    description: str = ""
    client: Said
    application: Said
    requested_by: str = ""
    reference: str = ""
    environments: tuple[str, ...] = ()
    model: ChangeModel = ChangeModel.NORMAL


class PlanChange(Document):
    """What planning has found out; None leaves an end open."""

    planned_start: AwareDatetime | None = None
    planned_end: AwareDatetime | None = None
    risk: str = ""
    affected: tuple[str, ...] = ()


class MoveChange(Document):
    state: ChangeState


class Note(Document):
    text: Said


class RecordVersion(Document):
    client: Said
    application: Said
    environment: Said
    host: Said
    version: Said


class RecordRun(Document):
    run: Said
    outcome: Said
    mode: str
    from_version: str
    to_version: str
    plan_digest: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    environments: Mapping[str, str] = {}


class LinkIncident(Document):
    number: Said


class CloseChange(Document):
    code: CloseCode
    notes: Said


Payload = OpenChange | PlanChange | MoveChange | Note | RecordVersion | RecordRun | LinkIncident | CloseChange
KINDS: dict[str, type[Payload]] = {
    "open_change": OpenChange,
    "plan_change": PlanChange,
    "move_change": MoveChange,
    "note": Note,
    "record_version": RecordVersion,
    "record_run": RecordRun,
    "link_incident": LinkIncident,
    "close_change": CloseChange,
}


def payload(write: CmdbWrite) -> Payload:
    """The write's content, checked; raise `CmdbError` with every fault in it."""
    kind = KINDS.get(write.kind)
    if kind is None:
        raise CmdbError(f"{write.kind!r} is not a write the CMDB knows", where=write.op_key)
    try:
        return kind(**write.payload)
    except ValidationError as exc:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in exc.errors())
        raise CmdbError(f"{write.kind} cannot be written: {faults}", where=write.op_key) from exc


def states_to(
    number: str, current: ChangeState, wanted: ChangeState, model: ChangeModel = ChangeModel.NORMAL
) -> tuple[ChangeState, ...]:
    """The states to pass on the way; none when it is there already (C20)."""
    if current is wanted:
        return ()
    if wanted is ChangeState.CLOSED:
        raise CmdbError(
            f"change {number} cannot go from {current} to closed without a code and notes", then="close_change"
        )
    states = route(current, wanted, model)
    if not states:
        allowed = ", ".join(MODELS[model].get(current, ())) or "nothing"
        raise CmdbError(
            f"{model} change {number} cannot go from {current} to {wanted}",
            then=f"from {current} it may become {allowed}",
        )
    return states


def states_to_close(
    number: str, current: ChangeState, had: CloseCode | None, code: CloseCode
) -> tuple[ChangeState, ...]:
    """A change that was never implemented is not passed through implement for the record's sake: it is canceled."""
    if current in BEFORE_IMPLEMENT:
        return (ChangeState.CANCELED,)
    if current in (ChangeState.CLOSED, ChangeState.CANCELED):
        if had is not code:
            raise CmdbError(f"change {number} is {current} with code {had} and cannot be closed with {code}")
        return ()
    return route(current, ChangeState.CLOSED)


def same_operation(write: CmdbWrite, change: str, kind: str) -> None:
    """A replay is no fault; the key of one write used for another is."""
    if (change, kind) != (write.change, write.kind):
        raise CmdbError(
            f"{write.op_key} was a {kind} of {change} and cannot be a {write.kind} of {write.change}",
            where=write.op_key,
        )


def no_change(write: CmdbWrite) -> CmdbError:
    return CmdbError(f"the CMDB has no change for {write.change}", where=write.op_key, then="open the change first")


def no_incident(write: CmdbWrite, number: str) -> CmdbError:
    return CmdbError(f"the CMDB has no incident {number}", where=write.op_key)


def follows(known: Incident, report: IncidentReport) -> tuple[Incident, bool]:
    """The incident as the report has it, and whether anything of it differs."""
    closed = known.closed_at or report.at
    now = replace(
        known,
        severity=report.severity,
        summary=report.summary,
        opened_at=report.opened_at,
        closed_at=closed if report.state is IncidentState.CLOSED else None,
        environment=report.environment or known.environment,
        host=report.host or known.host,
    )
    return now, now != known


def not_run(report: IncidentReport) -> str:
    """No run upgrades what a client does not have, and none would ever see the incident."""
    return f"application: the CMDB has no environment of {report.application} at {report.client}"


def other_application(known: Incident, report: IncidentReport) -> str:
    return (
        f"application: {report.key} is {known.number}, and not one of {report.application}; tell it under its own key"
    )


def not_stuck(write: CmdbWrite, field: str, wanted: object, found: object) -> CmdbError:
    """Read back after the write, it was not there (C20: "record incomplete")."""
    return CmdbError(f"record incomplete: {field} is {found!r} after writing {wanted!r}", where=write.op_key)


def ambiguous(what: str, candidates: Iterable[str]) -> CmdbError:
    return CmdbAmbiguous(
        f"{what} is ambiguous: {' and '.join(candidates)}",
        where="CMDB",
        then="rename or retire one of them in the CMDB",
    )


def common_version(versions: Iterable[str | None]) -> str | None:
    """The version of an environment: the one all its hosts have."""
    found = set(versions)
    return found.pop() if len(found) == 1 else None


def source(estate: Estate) -> str:
    return "+".join(sorted(estate.scope()))


def prepared(estate: Estate) -> Estate:
    """With the host keys from its known hosts; raise `CmdbError` where one name would mean two things."""
    for one in twice(estate):
        raise ambiguous(one.what, one.candidates)
    lines = [line.strip() for line in estate.known_hosts.splitlines()]
    environments = tuple(
        environment.model_copy(update={"hosts": tuple(_with_keys(host, lines) for host in environment.hosts)})
        for environment in estate.environments
    )
    return estate.model_copy(update={"environments": environments})


def same_host(host: Host, other_where: str, address: str, port: int, where: str) -> None:
    """One host name is one machine; another address under it is another machine of the same name."""
    if (host.address, host.port) != (address, port):
        raise ambiguous(
            f"host {host.name}",
            (f"{address}:{port} ({other_where})", f"{host.address}:{host.port} ({where})"),
        )


def _with_keys(host: Host, lines: Iterable[str]) -> Host:
    if host.host_keys:
        return host
    names = {f"[{host.address}]:{host.port}"} | ({host.address} if host.port == 22 else set())
    return host.model_copy(update={"host_keys": tuple(line for line in lines if _names_host(line, names))})


def _names_host(line: str, names: set[str]) -> bool:
    """Whether a known_hosts line is for a host; its name list may be plain or hashed (`|1|salt|digest`)."""
    fields = line.split()
    if not fields or line.startswith("#"):
        return False
    listed = fields[1] if fields[0].startswith("@") and len(fields) > 1 else fields[0]
    if listed.startswith("|1|"):
        _, _, salt, digest = listed.split("|", 3)
        key = base64.b64decode(salt)
        return any(hmac.new(key, n.encode(), hashlib.sha1).digest() == base64.b64decode(digest) for n in names)
    return bool(names & set(listed.split(",")))
