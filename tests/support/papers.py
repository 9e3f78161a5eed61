"""Documents made in memory, of a shipped plan or of a text."""

from __future__ import annotations

import hashlib
from datetime import date
from functools import cache
from pathlib import Path

from changeover.adapters.brand_files import BrandSet, load_brand
from changeover.adapters.check_files import load_catalogue
from changeover.adapters.plan_files import parse_plan
from changeover.adapters.release_files import load_release
from changeover.adapters.role_files import load_role
from changeover.domain.blueprint import Words
from changeover.domain.record import Run
from changeover.orchestration import texts
from changeover.ports import Ledger
from changeover.settings import load
from changeover.usecases.documents.catalogue import NAMES
from changeover.usecases.documents.subject import Given, Subject, gather
from changeover.wiring import document_files

SETTINGS = load({})
NORDWIND = SETTINGS.plans / "nordwind" / "tryton-8.0.yaml"
LINDGREN = SETTINGS.plans / "lindgren" / "roundup-2.6.yaml"
WORDS = Words(texts.TITLES, texts.TASKS)


def brand_set() -> BrandSet:
    return load_brand("default", branding=SETTINGS.branding)


def given(text: str | None = None, *, path: Path = NORDWIND) -> Given:
    """Of the plan at `path`, with another text where one is given."""
    raw = path.read_bytes() if text is None else text.encode()
    plan = parse_plan(raw, name=str(path))
    return Given(
        plan,
        hashlib.sha256(raw).hexdigest(),
        load_release(plan.release, releases=SETTINGS.releases),
        load_role(plan.application, roles=SETTINGS.playbooks / "roles"),
        load_catalogue(SETTINGS.checks),
        brand_set().brand,
        WORDS,
    )


def subject(
    text: str | None = None,
    *,
    path: Path = NORDWIND,
    ledger: Ledger | None = None,
    run: Run | None = None,
    start: date | None = None,
) -> Subject:
    return gather(given(text, path=path), ledger, run=run, start=start)


def files(of: Subject, *names: str) -> dict[str, bytes]:
    return document_files(of, names or NAMES, brand_set(), SETTINGS)


@cache
def sample() -> dict[str, bytes]:
    """Every document of the demonstration's plan, as planned."""
    return files(subject())


def with_window(plan: Path = NORDWIND, *, on: str = "2026-12-05", start: str = "22:00", end: str = "04:00") -> str:
    """The plan's text, production with a dated window instead of none."""
    before, after = plan.read_text(encoding="utf-8").split("  - name: production\n")
    _, rest = after.split("    window:\n", 1)
    rest = rest.split("\n", 2)[2]
    window = f"    window: {{kind: dated, zone: Europe/Berlin, on: {on}, start: '{start}', end: '{end}'}}\n"
    return f"{before}  - name: production\n    kind: production\n{window}{rest}"
