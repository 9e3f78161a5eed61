"""The incidents' webhook: another system tells how an incident stands, with a token that says for whom it may speak."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse

from changeover.domain.incident import FORMAT, LARGEST, SHORTEST_TOKEN, Caller, IncidentReport, Taken, read_report
from changeover.errors import ChangeoverError
from changeover.ports import Incident


class IncidentDesk(Protocol):
    """What the webhook needs. A `ChangeoverError` from any of it is answered with 503, so that it is told again."""

    def caller(self) -> Caller | None:
        """None while nobody has been given a token."""

    def now(self) -> datetime: ...
    def record(self, report: IncidentReport) -> tuple[Incident, Taken] | tuple[str, ...]: ...


def incident_routes(desk: IncidentDesk) -> APIRouter:
    """The token is asked for before anything of the body is read."""
    routes = APIRouter()

    @routes.post("/incidents")
    async def tell(request: Request) -> JSONResponse:
        """Take one report; telling it again is harmless."""
        from fastapi.concurrency import run_in_threadpool

        async def asked(question: Callable[..., Any], *args: Any) -> Any:
            try:
                return await run_in_threadpool(question, *args)
            except ChangeoverError as exc:
                raise HTTPException(503, "incidents cannot be taken now; tell it again") from exc

        caller = await _authorised(request, asked, desk)
        report = read_report(await _body(request), now=desk.now())
        if not isinstance(report, IncidentReport):
            return _faults(report)
        if not caller.speaks_for(report.client):
            raise HTTPException(403, f"this token does not speak for {report.client}")
        return _answer(await asked(desk.record, report))

    return routes


async def _authorised(request: Request, asked: Callable[..., Awaitable[Any]], desk: IncidentDesk) -> Caller:
    caller: Caller | None = await asked(desk.caller)
    if caller is None or len(caller.token) < SHORTEST_TOKEN:
        raise HTTPException(503, "no token has been set up for incidents")
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), caller.token.encode()):
        raise HTTPException(401, "a valid token is needed", {"WWW-Authenticate": "Bearer"})
    return caller


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "the body has to be application/json")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            raise HTTPException(413, f"a report has at most {LARGEST} bytes")
    return body


def _answer(taken: tuple[Incident, Taken] | tuple[str, ...]) -> JSONResponse:
    incident, what = taken[0], taken[-1]
    if not isinstance(incident, Incident):
        return _faults(taken)
    told: Mapping[str, Any] = {
        "schema_version": FORMAT,
        "number": incident.number,
        "state": "closed" if incident.closed_at else "open",
        "severity": incident.severity,
        "taken": str(what),
    }
    return JSONResponse(told, 201 if what is Taken.CREATED else 200)


def _faults(faults: tuple[Any, ...]) -> JSONResponse:
    return JSONResponse({"schema_version": FORMAT, "faults": [str(fault) for fault in faults]}, 422)
