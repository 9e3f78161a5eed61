"""The command analyse: exit codes, forms, and one broken analysis beside others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from changeover import cli, cli_analyse
from changeover.domain.analysis_report import AnalysisReport
from changeover.errors import TransportError
from changeover.usecases.check_plans import CheckedPlan
from tests.support.content import make, plan_with, put

DATES = (("      on: 2026-12-05\n", "      on: 2098-12-05\n"), ("2027-03-31", "2099-03-31"))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in order, without a CMDB and without a lab."""
    make(tmp_path)
    for name in ("plans", "releases", "acceptance", "expectations", "playbooks", "home", "lab", "waivers"):
        monkeypatch.setenv(f"CHANGEOVER_{name.upper()}", str(tmp_path / name))
    for name in ("LEDGER_URL", "CMDB_URL", "CONNECTIONS"):
        monkeypatch.delenv(f"CHANGEOVER_{name}", raising=False)
    path = tmp_path / "plans/acme/app-2.yaml"
    put(path, plan_with(*DATES))
    return path


def invoke(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["analyse", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_a_plan_with_faults_is_not_analysed(plan: Path) -> None:
    put(plan, "schema_version: 1\n")
    code, out, err = invoke(plan, "--local")
    assert (code, out) == (1, "")
    assert "client" in err


def test_an_environment_that_the_plan_does_not_have_is_wrong_usage(plan: Path) -> None:
    code, _, err = invoke(plan, "--local", "--environment", "moon")
    assert code == 2
    assert "'moon' is not a lane of this plan" in err


def test_without_hosts_on_record_the_answer_is_no_and_says_why(plan: Path) -> None:
    code, out, _ = invoke(plan, "--local", "--format", "json")
    told = json.loads(out)
    assert code == 1
    assert told["inhibited"] is True
    assert any("the CMDB has no host for acme/" in reason for reason in told["reasons"])


def test_without_airflow_and_without_local_it_says_how_to_start_one(plan: Path) -> None:
    with pytest.raises(Exception, match="start it with `changeover serve`"):
        invoke(plan)


def test_several_plans_are_told_together(plan: Path) -> None:
    text = plan.read_text().replace("client: acme", "client: beta")
    put(plan.parent.parent / "beta/app-2.yaml", text)
    code, out, _ = invoke(plan.parent.parent, "--local", "--format", "json")
    told = json.loads(out)
    assert code == 1
    assert told["clients"] == ["acme", "beta"]
    assert [one["client"] for one in told["analyses"]] == ["acme", "beta"]
    code, out, _ = invoke(plan.parent.parent, "--local")
    assert code == 1
    assert "All of them" in out


def test_a_tool_that_broke_for_one_client_is_told_beside_the_others(
    plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the exit code says that a tool broke, not that the answer is no."""
    put(plan.parent.parent / "beta/app-2.yaml", plan.read_text().replace("client: acme", "client: beta"))
    here = cli_analyse._here

    def broken(checked: CheckedPlan, *about: object) -> AnalysisReport:
        if "beta" in checked.file:
            raise TransportError("no route", where="beta1")
        return here(checked, *about)  # type: ignore[arg-type]

    monkeypatch.setattr(cli_analyse, "_here", broken)
    code, out, _ = invoke(plan.parent.parent, "--local", "--format", "json")
    told = json.loads(out)
    assert code == 3
    assert [one["client"] for one in told["analyses"]] == ["acme"]
    assert "no route" in next(iter(told["broken"].values()))


def test_a_page_is_written_whole_where_it_is_wanted(plan: Path, tmp_path: Path) -> None:
    target = tmp_path / "analysis.html"
    code, out, err = invoke(plan, "--local", "--format", "html", "--out", target)
    assert (code, out) == (1, "")
    assert str(target) in err
    assert "<!doctype html>" in target.read_text()
