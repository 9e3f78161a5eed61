"""Certificates: valid past the night in which their host is upgraded, by as many days as the catalogue wants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from changeover.domain.analysis_facts import AnalysisFacts, Said
from changeover.domain.window import Occurrence

KEY = "certificate-expiry"


def certificates(facts: AnalysisFacts, *, least_days: int) -> Iterator[Said]:
    """Of every host, against the night of its environment; against today where no window closes."""
    for environment, host, report in facts.each():
        night = facts.nights.get(environment)
        found = report.get("certificates") or ()
        for path, text in too_short(found, environment, night, least_days=least_days, at=facts.at):
            yield Said(KEY, f"{host}{path}", text, environment=environment)


def too_short(
    found: Iterable[Mapping[str, Any]], environment: str, night: Occurrence | None, *, least_days: int, at: datetime
) -> Iterator[tuple[str, str]]:
    """Path, and what is wrong with it; one that cannot be read is told. `not_after` is in seconds since 1970."""
    ends = max(at, night.closes) if night else at
    what = f"the window of {environment} closes ({night})" if night else f"today ({at:%Y-%m-%d})"
    for about in found:
        path, until = str(about.get("path")), about.get("not_after")
        if until is None:
            yield path, f"{path} could not be read"
            continue
        valid = datetime.fromtimestamp(int(until), UTC)
        if valid < ends + timedelta(days=least_days):
            left = (valid - ends) // timedelta(days=1)
            when = f"{left} days after {what}" if valid >= ends else f"before {what}" if night else "and has ended"
            yield path, f"{path} is valid until {valid:%Y-%m-%d}, {when}; {least_days} days after it are wanted"
