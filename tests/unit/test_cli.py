"""The command line: exit codes, what is told where, and how quickly it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from changeover import cli, lab
from changeover.demo_view import FAULTS
from changeover.domain.plan import Mode
from changeover.errors import ChangeoverError, PlanError
from changeover.settings import PROJECT
from changeover.testing.rings import RINGS
from tests.support.content import PLAN, make, plan_with, put

HEAVY = ("airflow", "ansible", "ansible_runner", "paramiko", "great_expectations", "pandas", "sqlalchemy")
SLOW = ("pydantic", "rich", "yaml", "httpx", "jinja2")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in order, of which the command line is told by its environment."""
    make(tmp_path)
    for name in ("plans", "releases", "acceptance", "expectations", "playbooks", "home"):
        monkeypatch.setenv(f"CHANGEOVER_{name.upper()}", str(tmp_path / name))
    for name in ("LEDGER_URL", "CMDB_URL", "DEBUG"):
        monkeypatch.delenv(f"CHANGEOVER_{name}", raising=False)
    put(
        tmp_path / "plans/acme/app-2.yaml",
        plan_with(("      on: 2026-12-05\n", "      on: 2098-12-05\n"), ("2027-03-31", "2099-03-31")),
    )
    return tmp_path


def invoke(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def in_a_process(*words: str, modules: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """As somebody types it; with `modules`, a last line on stderr names what was imported."""
    probe = (
        "import sys, atexit; atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr)); "
        if modules
        else ""
    )
    program = f"{probe}import sys; sys.argv = ['changeover', *sys.argv[1:]]; from changeover.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "include"), **environment},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def imported(run: subprocess.CompletedProcess[str]) -> set[str]:
    names = run.stderr.rsplit("MODULES ", 1)[1].split()
    return {name.split(".")[0] for name in names} & {*HEAVY, *SLOW}


# ---- start


def test_help_imports_next_to_nothing() -> None:
    run = in_a_process("--help", modules=True)
    assert run.returncode == 0
    assert imported(run) == set()


@pytest.mark.parametrize("words", [("plan", "--help"), ("run", "--help"), ("lab", "--help"), ("window", "--help")])
def test_help_of_a_command_imports_next_to_nothing(words: tuple[str, ...]) -> None:
    """Beyond pydantic, with which typer itself checks the words of a sub-command."""
    assert imported(in_a_process(*words, modules=True)) <= {"pydantic"}


def test_checking_a_plan_imports_no_heavy_library(root: Path) -> None:
    run = in_a_process("plan", "check", str(root / "plans"), modules=True)
    assert run.returncode == 0
    assert imported(run) & set(HEAVY) == set()


# ---- exit codes


def test_a_plan_in_order_is_0(root: Path) -> None:
    code, out, _ = invoke("plan", "check", root / "plans")
    assert code == 0
    assert out.splitlines()[-1] == "1 plan checked, all in order"


def test_a_plan_with_faults_is_1_and_every_fault_is_told(root: Path) -> None:
    bad = put(
        root / "plans/acme/app-3.yaml", PLAN.replace('"1.9"', "1.9").replace("by: [ann], wait", "by: [bob], wait")
    )
    code, out, _ = invoke("plan", "check", root / "plans")
    assert code == 1
    assert f"   {bad}:3: upgrade: is 'app-2', and the file is acme/app-3.yaml" in out
    assert f"   {bad}:6: from_version: 1.9 without quotes is a number to YAML" in out
    assert f"   {bad}:20: approval.by.0: 'bob' is not a participant of this plan" in out
    assert out.splitlines()[-1] == "2 plans checked, 1 with faults"


def test_json_for_programs_holds_only_json(root: Path) -> None:
    code, out, err = invoke("plan", "check", "--json", root / "plans", root / "nowhere")
    assert (code, err) == (1, "")
    document = json.loads(out)
    assert [plan["ok"] for plan in document["plans"]] == [True, False]
    assert document["plans"][1]["faults"][0]["message"] == "does not exist"


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("plan",),
        ("no-such-command",),
        ("plan", "check"),
        ("plan", "check", "--no-such-option", "x"),
        ("run",),
        ("run", "x.yaml", "--mode", "sideways"),
        ("report", "--format", "pdf"),
        ("lab", "up", "--site", "moon"),
        ("window",),
        ("window", "resolve"),
        ("window", "show", "x.yaml", "--count", "0"),
        ("demo", "--fault", "moon"),
        ("test", "some"),
        ("serve", "--port", "70000"),
    ],
)
def test_wrong_usage_is_2(words: tuple[str, ...]) -> None:
    assert invoke(*words)[0] == 2


def test_no_run_yet_is_1_with_a_hint(root: Path) -> None:
    code, out, err = invoke("status")
    assert (code, out) == (1, "")
    assert "there is no run yet; `changeover demo` makes one" in err
    assert invoke("report")[0] == 1
    assert json.loads(invoke("status", "--json")[1])["run"] is None


def test_a_broken_tool_is_3_and_says_what_where_and_next(root: Path) -> None:
    run = in_a_process("run", str(root / "plans/acme/app-2.yaml"))
    assert run.returncode == 3
    assert run.stderr.splitlines() == [
        "changeover: no Airflow of Changeover's runs on this machine",
        f"  where: {root}/home/airflow",
        "  next: start it with `changeover serve` in another terminal",
    ]


def test_a_traceback_is_shown_only_when_asked_for(root: Path) -> None:
    plan = str(root / "plans/acme/app-2.yaml")
    for run in (in_a_process("--debug", "run", plan), in_a_process("run", plan, CHANGEOVER_DEBUG="1")):
        assert run.returncode == 3
        assert "Traceback (most recent call last)" in run.stderr


def test_an_unexpected_exception_is_3_and_asks_to_be_reported(root: Path) -> None:
    (root / "home").write_text("a file where a directory should be")
    broken = in_a_process("status", CHANGEOVER_LEDGER_URL="sqlite+nothing://")
    assert broken.returncode == 3
    assert "Traceback" not in broken.stderr


def test_what_is_told_of_an_exception() -> None:
    assert (
        cli.told(ChangeoverError("it broke", where="here", then="look"))
        == "changeover: it broke\n  where: here\n  next: look"
    )
    assert cli.told(PlanError("bad", faults=("p.yaml:1: x",))) == "changeover: bad\n  p.yaml:1: x"
    assert cli.told(KeyError("k")) == (
        "changeover: unexpected: KeyError: 'k'\n"
        "  next: run it again with --debug to see where, and report it with that traceback"
    )


def test_a_reader_that_has_seen_enough_is_no_error(root: Path) -> None:
    program = f"{sys.executable} -m changeover.cli plan schema | head -1; test ${{PIPESTATUS[0]}} = 0"
    run = subprocess.run(
        ["bash", "-c", program], env={**os.environ, "PYTHONPATH": str(PROJECT / "include")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (run.returncode, run.stdout, run.stderr) == (0, "{\n", "")


# ---- plan show, plan schema, run


def test_showing_a_plan(root: Path) -> None:
    code, out, _ = invoke("plan", "show", root / "plans/acme/app-2.yaml")
    assert code == 0
    assert "App 1 to 2 for Acme" in out
    assert "there is no CMDB yet" in out
    assert "back-out: Undo implement" in out


def test_a_bad_plan_is_not_shown_and_its_faults_are(root: Path) -> None:
    bad = put(root / "plans/acme/bad.yaml", "a: [")
    code, out, err = invoke("plan", "show", bad)
    assert (code, out) == (1, "")
    assert f"{bad}:1: cannot be read as YAML from here on" in err


def test_a_bad_plan_is_not_run(root: Path) -> None:
    code, _, err = invoke("run", put(root / "plans/acme/bad.yaml", "a: ["))
    assert code == 1
    assert "cannot be read as YAML" in err


def test_an_environment_that_the_plan_lacks_is_wrong_usage(root: Path) -> None:
    code, _, err = invoke("run", root / "plans/acme/app-2.yaml", "--environment", "moon")
    assert code == 2
    assert "environments: 'moon' is not a lane of this plan; lanes are training, production" in err


def test_the_schema_is_printed() -> None:
    code, out, _ = invoke("plan", "schema")
    assert code == 0
    assert out == (PROJECT / "include/plans/plan.schema.json").read_text(encoding="utf-8")


def test_words_that_are_kept_twice_are_the_same() -> None:
    """Their home is slow to import, so the command line has them once more."""
    assert [str(mode) for mode in cli.ModeName] == [str(mode) for mode in Mode]
    assert tuple(map(str, cli.SiteName)) == lab.SITES
    assert tuple(map(str, cli.Ring)) == RINGS
    assert set(map(str, cli.FaultName)) == set(FAULTS)
