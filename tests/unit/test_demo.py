"""The demonstration: what it shows, what it ends, and that two of them do not meet."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from changeover import demo, wiring
from changeover.adapters.check_files import load_catalogue
from changeover.adapters.waiver_files import load_waivers
from changeover.demo_view import FAULTS, DemoView, rows_in_words
from changeover.domain.finding import Finding
from changeover.domain.report import Dataset
from changeover.domain.waiver import apply_waivers
from changeover.errors import ChangeoverError
from changeover.orchestration.airflow_client import Task
from changeover.orchestration.processes import PidFile
from changeover.usecases.run_view import view_run
from tests.support.airflow import settings_at
from tests.support.story import BEGAN, Story, upgraded


def shown(story: Story, *, fault: str | None = None) -> str:
    """What a demonstration with this story prints, from the first line to the last."""
    target = io.StringIO()
    view = DemoView(Console(file=target, highlight=False, soft_wrap=True, width=160))
    view.opening("Tryton 7.0 to 8.0 for Nordwind Trading GmbH", fault)
    run_view = view_run(story.ledger, story.run)
    view.happened(run_view)
    view.happened(run_view)
    view.answered("Keep 8.0?", "Approve", "Anna Berg (anna.berg)")
    report = wiring.report(story.ledger, story.cmdb, story.run.key)
    tasks = {
        name: Task(name, "success", 1, BEGAN + timedelta(seconds=begin), BEGAN + timedelta(seconds=end), name)
        for name, begin, end in (
            ("s08_s09_production.implement", 60, 100),
            ("s05_baseline.build", 2, 10),
            ("s05_baseline.implement", 10, 42),
            ("record_outcome", 100, 101),
        )
    }
    view.conclusion(report, tasks, story.folder / "report.html", fault=fault)
    return target.getvalue()


def test_it_ends_with_what_is_true(tmp_path: Path) -> None:
    """Outcome, every host with its version, the rows compared, and where the report is."""
    text = shown(upgraded(tmp_path))
    assert "\nsuccessful\n" in text
    for host in ("prod-app1", "prod-app2"):
        assert any(host in line and line.count("8.0.12") == 2 for line in text.splitlines()), text
    assert "rows compared, 0 lost" in text
    assert str(tmp_path / "report.html") in text


def test_it_says_for_whom_it_answers(tmp_path: Path) -> None:
    """Nobody must believe that a person had pressed the button."""
    text = shown(upgraded(tmp_path))
    assert "the demonstration answers Approve as Anna Berg (anna.berg), whom the plan names for it" in text


def test_everything_that_happened_is_told_once(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    lines = [line for line in shown(story).splitlines() if "gate acceptance" in line]
    assert lines
    assert len(lines) == len(set(lines))


def test_a_fault_is_named_at_both_ends(tmp_path: Path) -> None:
    """A back-out that was provoked must not look like a broken product."""
    text = shown(upgraded(tmp_path, failed="production"), fault="integration")
    assert text.count(FAULTS["integration"]) == 2
    assert "backed out" in text


def test_it_says_where_the_time_went(tmp_path: Path) -> None:
    """By sub-process and environment, in the order in which they began."""
    lines = [line.split() for line in shown(upgraded(tmp_path)).splitlines()]
    table = [" ".join(line) for line in lines]
    first = next(i for i, line in enumerate(table) if line.startswith("baseline:"))
    assert table[first].endswith(" 40")
    assert table[first + 1] == "environment production 40"
    assert any(line == "the run as a whole 99" for line in table)


def test_a_second_demonstration_is_refused_while_one_runs(tmp_path: Path) -> None:
    """It would end the first one's Airflow."""
    settings = settings_at(tmp_path)
    PidFile(settings.airflow_home, "demo").write(os.getpid())
    with pytest.raises(ChangeoverError, match="already running"), demo._alone(settings):
        pass


def test_a_demonstration_that_was_killed_is_no_hindrance(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    PidFile(settings.airflow_home, "demo").write(ended.pid)
    ended.wait()
    with demo._alone(settings):
        assert PidFile(settings.airflow_home, "demo").process() is not None
    assert PidFile(settings.airflow_home, "demo").process() is None


@pytest.mark.parametrize(("state", "dag_id", "forgotten"), [
    ("running", "nordwind.tryton-8.0", True),
    ("success", "nordwind.tryton-8.0", False),
    ("running", "changeover.housekeeping", False),
])  # fmt: skip
def test_a_run_that_was_cut_short_does_not_go_on(tmp_path: Path, state: str, dag_id: str, forgotten: bool) -> None:
    """Its hosts are reset meanwhile; a history of runs that ended is kept."""
    settings = settings_at(tmp_path)
    settings.airflow_home.mkdir(parents=True)
    database = settings.airflow_home / "airflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE dag_run (dag_id TEXT, state TEXT)")
        connection.execute("INSERT INTO dag_run VALUES (?, ?)", (dag_id, state))
    connection.close()
    assert demo.forget_unfinished(settings) is forgotten
    assert database.exists() is not forgotten


def test_an_unreadable_history_is_not_kept(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    settings.airflow_home.mkdir(parents=True)
    (settings.airflow_home / "airflow.db").write_text("half a database")
    assert demo.forget_unfinished(settings)
    assert not demo.forget_unfinished(settings)


def test_executions_left_running_are_stopped_and_ended_ones_are_left_alone(tmp_path: Path) -> None:
    """A detached Ansible outlives its task; after Ctrl-C nothing may go on working on hosts."""
    settings = settings_at(tmp_path)
    running = settings.executions_directory("run1") / "production.implement.1"
    ended = settings.executions_directory("run1") / "training.implement.1"
    order = {
        "run_key": "run1", "environment": "production", "step": "implement", "generation": 1, "token": "no-such-token",
        "playbook": "implement.yml", "playbooks": "", "hosts": [], "sources": [], "variables": {}, "timeout_seconds": 1,
        "ssh_options": [],
    }  # fmt: skip
    for directory in (running, ended):
        directory.mkdir(parents=True)
        (directory / "spec.json").write_text(json.dumps(order))
    (ended / "result.json").write_text("{}")
    owner = (
        "import fcntl, sys, time\nfrom pathlib import Path\nplace = Path(sys.argv[1])\n"
        "lock = open(place / 'owner.lock', 'a+b')\nfcntl.flock(lock, fcntl.LOCK_EX)\nprint('mine', flush=True)\n"
        "while not (place / 'stop').exists(): time.sleep(0.05)\n"
    )
    with subprocess.Popen([sys.executable, "-c", owner, str(running)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert demo.stop_executions(settings) == 1
        assert process.wait(timeout=10) == 0
    assert not (ended / "stop").exists()
    assert demo.stop_executions(settings) == 0


def test_rows_that_were_never_read_again_are_not_called_lost() -> None:
    """A baseline whose upgrade failed has nothing to compare with; that is no loss of data."""
    never = Dataset("baseline", "baseline", "sales", 30, None)
    assert rows_in_words([never]) == "0 rows compared, 0 lost; 30 rows read before were not read again"
    assert rows_in_words([Dataset("training", "training", "sales", 30, 28)]) == "30 rows compared, 2 lost"


@pytest.mark.parametrize("fault", ["integration", "module", "kill", None])
def test_what_the_analysis_would_stop_goes_on_under_a_waiver_of_that_run_and_says_so(
    tmp_path: Path, fault: str | None
) -> None:
    """The product's own waivers stay as they are; the one given counts for the plan that is played."""
    target = io.StringIO()
    view = DemoView(Console(file=target, highlight=False, soft_wrap=True, width=160))
    play = demo.Demonstration(settings_at(tmp_path), view, demo.TRYTON, fault)
    plan, _ = play._plan()
    before = play.settings.waivers
    play._waive(plan)
    if fault not in demo.WAIVED:
        assert (play.settings.waivers, target.getvalue()) == (before, "")
        return
    assert play.settings.waivers == tmp_path / "demo/waivers"
    catalogue = load_catalogue(play.settings.checks)
    (waiver,) = load_waivers(plan.client, waivers=play.settings.waivers, catalogue=catalogue)
    given = demo.WAIVED[fault]
    finding = Finding(given.key, given.subject, "found", environment=given.environment or "")
    after = apply_waivers([finding], [waiver], catalogue, plan, today=wiring.now().date())
    assert not after.findings[0].inhibits
    assert after.notes == (f"waiver {waiver.id} ({given.key}, {given.subject}) holds 1 finding",)
    told = target.getvalue()
    assert "the analysis finds this fault and would stop the run" in told
    assert "petra.lang" in told
    assert demo.WAIVED_BECAUSE in told
