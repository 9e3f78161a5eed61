"""Every case, check and pain that the project cites is told on docs/cases.md, and what that page names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover.adapters.check_files import load_catalogue
from changeover.settings import PROJECT, load

PAGE = PROJECT / "docs/cases.md"
CITING = ("dags", "docs", "include", "playbooks", "plugins", "tests")
TEXTS = {".j2", ".md", ".py", ".typ", ".yaml", ".yml"}
CASE = re.compile(r"\b[CTV][0-9]{2}\b|\bAC[0-9]{1,2}\b")
LISTED = re.compile(r"\b(CHECKS|PAINS) ((?:AC)?[0-9]+(?:(?:, | and )(?:AC)?[0-9]+)*)")
ROW = re.compile(r"^\| ([A-Z]+ ?[0-9]+) \| (.+) \|$", re.MULTILINE)


def cited(text: str) -> Iterator[str]:
    yield from CASE.findall(text)
    for kind, numbers in LISTED.findall(text):
        yield from (n if n.startswith("AC") else f"{kind} {n}" for n in re.findall(r"(?:AC)?[0-9]+", numbers))


def citing() -> Iterator[Path]:
    for root in CITING:
        for path in sorted((PROJECT / root).rglob("*")):
            if path.suffix in TEXTS and path.is_file() and path not in (PAGE, Path(__file__)):
                yield path


def rows() -> dict[str, str]:
    return dict(ROW.findall(PAGE.read_text(encoding="utf-8")))


def test_every_citation_is_on_the_page() -> None:
    told, lost = rows(), {}
    for path in citing():
        if missing := sorted(set(cited(path.read_text(encoding="utf-8"))) - set(told)):
            lost[str(path.relative_to(PROJECT))] = missing
    assert not lost, f"tell them in docs/cases.md: {lost}"


def test_every_source_of_a_check_can_be_resolved() -> None:
    """A source is ours, or names lines of the page."""
    for check in load_catalogue(load({}).checks).checks:
        assert check.source == "Changeover" or list(cited(check.source)), check.key


def test_what_the_page_names_is_there() -> None:
    keys = {check.key for check in load_catalogue(load({}).checks).checks}
    for case, text in rows().items():
        for named in re.findall(r"`([^`]+)`", text.rsplit(" | ", 1)[-1]):
            there = (PROJECT / named).is_file() if "/" in named else named in keys
            assert there, f"{case}: {named}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CASES C13; CHECKS 8, 10, 11", {"C13", "CHECKS 8", "CHECKS 10", "CHECKS 11"}),
        ("CHECKS 15; AC12", {"CHECKS 15", "AC12"}),
        ("CHECKS AC13, 5 and PAINS 19, 30", {"AC13", "CHECKS 5", "PAINS 19", "PAINS 30"}),
        ("SC13 C131 2026-08-14T13:00Z P90", set()),
    ],
)
def test_a_citation_is_known_however_it_is_written(text: str, found: set[str]) -> None:
    assert set(cited(text)) == found
