"""What came of the steps: counts, left-out tests with their reasons, and the verdict."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Result:
    """One step: what it counted, why it is not well (empty: it is), how long it took."""

    title: str
    took: timedelta
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    trouble: str = ""
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        return not self.trouble

    @property
    def counted(self) -> str:
        if not self.passed + self.skipped:  # a check, or tests of which none came to an end: the trouble says it all
            return ""
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def of_check(title: str, code: int | None, took: timedelta, *, expected: int = 0) -> Result:
    """A check is well when it ended with the expected code; None means that it was ended at its limit."""
    trouble = "" if code == expected else _told(code)
    if expected and code == 0:
        trouble = f"ended with code 0, where {expected} was expected"
    return Result(title, took, failed=int(bool(trouble)), trouble=trouble)


def of_demo(title: str, took: timedelta, untrue: tuple[str, ...]) -> Result:
    """A demonstration that ended with its code is well when the ledger has nothing against it."""
    return Result(title, took, failed=int(bool(untrue)), trouble="; ".join(untrue))


def of_tests(title: str, code: int | None, took: timedelta, report: Path) -> Result:
    """Counts come from pytest's own report; a run without one, or one that tested nothing, is a failure."""
    if code == NOTHING_COLLECTED:
        return Result(title, took, failed=1, trouble="pytest found no test")
    counts = _read(report) if code in {0, 1} else None
    if counts is None:
        return Result(title, took, failed=1, trouble=_told(code))
    tests, failed, left_out = counts
    skipped = left_out.total()
    trouble = f"{failed} failed" if failed else ""
    if code and not failed:
        failed, trouble = 1, _told(code)
    return Result(title, took, max(0, tests - failed - skipped), failed, skipped, trouble, left_out)


def closing_line(results: list[Result]) -> str:
    """The last line of a run."""
    passed, failed, skipped = (
        sum(getattr(result, name) for result in results) for name in ("passed", "failed", "skipped")
    )
    return f"{passed} passed, {failed} failed, {skipped} skipped"


def verdict(results: list[Result], *, tests_wanted: bool) -> int:
    """Exit code: 0 only when every step is well and, where tests were wanted, at least one was run and passed."""
    if not all(result.ok for result in results):
        return 1
    return 1 if tests_wanted and not sum(result.passed for result in results) else 0


def _told(code: int | None) -> str:
    if code is None:
        return "ended at its time limit"
    return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"


def _read(report: Path) -> tuple[int, int, Counter[str]] | None:
    try:
        root = ElementTree.parse(report).getroot()  # noqa: S314 # pytest wrote it a moment ago
    except (OSError, ElementTree.ParseError):
        return None
    suites = list(root.iter("testsuite"))
    tests = sum(int(suite.get("tests", 0)) for suite in suites)
    failed = sum(int(suite.get("failures", 0)) + int(suite.get("errors", 0)) for suite in suites)
    return tests, failed, Counter(skip.get("message") or "no reason given" for skip in root.iter("skipped"))
