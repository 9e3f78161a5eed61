"""What each ring of `changeover test` consists of."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from changeover.settings import PROJECT

BIN = Path(sys.executable).parent
CHANGEOVER = str(PROJECT / "changeover")
RINGS = ("lint", "quick", "default", "all")
SHORT = "not slow and not benchmark"


@dataclass(frozen=True)
class Check:
    """A program that says yes with exit code 0."""

    title: str
    command: tuple[str, ...]
    limit: timedelta = timedelta(minutes=5)


@dataclass(frozen=True)
class Demo:
    """The demonstration, without a fault or with one: judged by what the ledger has of its run afterwards."""

    fault: str | None = None
    limit: timedelta = timedelta(minutes=20)

    @property
    def title(self) -> str:
        return f"demo of the fault {self.fault}" if self.fault else "demo"

    @property
    def command(self) -> tuple[str, ...]:
        return (CHANGEOVER, "demo", "--no-keep", *(("--fault", self.fault) if self.fault else ()))

    @property
    def report(self) -> tuple[str, ...]:
        """Prints what the ledger has of the newest run."""
        return (CHANGEOVER, "report", "--format", "json", "--out", "-")

    @property
    def expected(self) -> int:
        return 1 if self.fault else 0


@dataclass(frozen=True)
class Tests:
    """One run of pytest over directories; `workers` is 0 where the tests share something of the machine."""

    title: str
    directories: tuple[str, ...]
    limit: timedelta
    selection: str = SHORT
    workers: int = 0

    def command(self, results: Path) -> tuple[str, ...]:
        spread = ("-n", str(self.workers), "--dist", "loadfile") if self.workers else ("-p", "no:xdist")
        return (
            *(sys.executable, "-m", "pytest", *self.directories, *spread, "-m", self.selection, "--durations=5"),
            *("--quiet", "--junit-xml", str(results), "-p", "no:cacheprovider"),
        )


Step = Check | Demo | Tests


def steps(ring: str) -> tuple[Step, ...]:
    """The steps of a ring, quickest answer first."""
    chosen: tuple[Step, ...] = _checks()
    if ring in {"quick", "default", "all"}:
        chosen += _quick()
    if ring in {"default", "all"}:
        chosen += _lab()
    if ring == "all":
        chosen += _long()
    return chosen


def _checks() -> tuple[Step, ...]:
    return (
        Check("ruff", (str(BIN / "ruff"), "check", "--quiet", "--output-format", "concise", ".")),
        Check("format", (str(BIN / "ruff"), "format", "--check", "--quiet", "--output-format", "concise", ".")),
        Check("layers", (str(BIN / "lint-imports"), "--no-logo")),
        Check("types", (str(BIN / "mypy"),)),
        Check(
            "playbooks",
            (str(BIN / "ansible-lint"), "--offline", "--profile", "production", "-q", "--nocolor", "playbooks"),
        ),
    )


def _quick() -> tuple[Step, ...]:
    return (
        Tests("units and contracts", ("tests/unit", "tests/contracts"), timedelta(minutes=10), workers=2),
        Tests("DAGs and console", ("tests/dags", "tests/console"), timedelta(minutes=10)),
    )


def _lab() -> tuple[Step, ...]:
    return (
        Tests("playbooks on hosts", ("tests/playbooks",), timedelta(minutes=15)),
        Tests("whole upgrades", ("tests/e2e",), timedelta(minutes=20)),
        Tests("faults", ("tests/faults",), timedelta(minutes=30)),
        Check("game day, its short cut", (CHANGEOVER, "gameday", "--short"), timedelta(minutes=10)),
    )


def _long() -> tuple[Step, ...]:
    everything = (
        *("tests/unit", "tests/contracts", "tests/dags", "tests/console", "tests/playbooks", "tests/e2e"),
        "tests/faults",
    )
    return (
        Tests("slow tests", everything, timedelta(minutes=60), selection="slow and not benchmark"),
        Tests("benchmarks", ("tests/benchmarks",), timedelta(minutes=60), selection=""),
        Check("game day", (CHANGEOVER, "gameday", "--allow-missing"), timedelta(minutes=120)),
        *(Demo(fault) for fault in (None, "integration", "module", "kill")),
    )
