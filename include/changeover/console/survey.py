"""The survey's page: whoever has the signed link may answer once, and sees nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from changeover.domain.survey import QUESTIONS, SCORES, Survey, SurveyAnswer, read_answer

if TYPE_CHECKING:
    from jinja2 import Template

LARGEST_ANSWER = 32 * 1024
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
}


class SurveyDesk(Protocol):
    """What the page needs. A token that is not good opens nothing."""

    def open(self, token: str) -> Survey | None: ...
    def answer(self, token: str, answer: SurveyAnswer) -> bool:
        """Whether this answer counts; False when there was one before."""


@dataclass(frozen=True)
class _Shown:
    survey: Survey
    thanks: bool = False
    faults: tuple[str, ...] = ()
    given: Mapping[str, str] | None = None


def survey_routes(desk: SurveyDesk) -> APIRouter:
    """No login is asked here: the signature is the permission, for this run's survey and for nothing more."""
    routes = APIRouter()

    def opened(token: str) -> Survey:
        survey = desk.open(token)
        if survey is None:
            raise HTTPException(404, "This link is not valid, or no longer. Please ask for a new one.", _HEADERS)
        return survey

    @routes.get("/survey/{token}", response_class=HTMLResponse)
    def show(token: str) -> HTMLResponse:
        """The questions, or thanks when they were answered."""
        return _page(_Shown(opened(token)))

    @routes.post("/survey/{token}", response_class=HTMLResponse)
    async def answer(token: str, request: Request) -> HTMLResponse:
        """Take the answer; the first one counts."""
        from fastapi.concurrency import run_in_threadpool

        survey = await run_in_threadpool(opened, token)
        fields = _fields(await _body(request))
        read = read_answer(fields)
        if not isinstance(read, SurveyAnswer):
            return _page(_Shown(survey, faults=read, given=fields), status=422)
        counted = await run_in_threadpool(desk.answer, token, read)
        return _page(_Shown(Survey(survey.title, survey.client, answered=True), thanks=counted))

    return routes


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_ANSWER:
            raise HTTPException(413, "The answer is too long.", _HEADERS)
    return body


def _fields(body: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), max_num_fields=20))
    except ValueError as exc:
        raise HTTPException(400, "This is not an answer to the survey.", _HEADERS) from exc


def _page(shown: _Shown, *, status: int = 200) -> HTMLResponse:
    text = _template().render(shown=shown, questions=QUESTIONS, scores=SCORES, given=shown.given or {})
    return HTMLResponse(text, status, _HEADERS)


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent / "templates")
    return Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).get_template("survey.html.j2")
