"""`settle` on a real host, with real Ansible and no Airflow: what it prints, and with which code it ends."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from changeover import cli
from changeover.adapters import cmdb_sql, ledger_sql
from changeover.cli_session import os_user, witnessed
from changeover.domain.execution import execution_token
from changeover.domain.record import Mark, MarkKind, StepRecord, StepStatus
from tests.support.records import NOW, a_run
from tests.support.site import make_site
from tests.support.sshd import Sshd, make_key, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab
KEY = "acme.app-2.1-0a"
DISCOVER = """
- hosts: targets
  gather_facts: false
  tasks:
    - ansible.builtin.command: cat {version}
      register: read
      changed_when: false
    - ansible.builtin.set_fact:
        changeover_report: "{{{{ {{'version': read.stdout}} }}}}"
"""
EXPECTATIONS = """
schema_version: 1
datasets: {rows: {query: select 1 as id, key: [id]}}
expectations: [{dataset: rows, type: expect_table_row_count_to_equal_before}]
"""
RELEASE = """
- hosts: targets
  gather_facts: false
  tasks:
    - ansible.builtin.command: rm "{{ host_state_dir }}/lock.json"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@dataclass
class Site:
    root: Path
    ledger: ledger_sql.SqlLedger
    person: str

    @property
    def state(self) -> Path:
        return self.root / "state" / "production"

    def says(self, version: str) -> None:
        (self.root / "version").write_text(version)

    def hold(self, phase: str) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        record = {"run": KEY, "step": "implement", "environment": "production", "token": "t"}
        (self.state / "lock.json").write_text(json.dumps(record))
        (self.state / "marker.json").write_text(json.dumps({**record, "phase": phase}))


@pytest.fixture
def site(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A run that implemented in production and has no outcome; nobody drives it."""
    from changeover.adapters.plan_files import load_plan

    settings = make_site(server, tmp_path, monkeypatch)
    path = tmp_path / "plans/acme/app-2.yaml"
    plan = load_plan(path)
    (tmp_path / "expectations/app/data.yaml").write_text(EXPECTATIONS)
    (tmp_path / "playbooks/discover.yml").write_text(DISCOVER.format(version=tmp_path / "version"))
    (tmp_path / "playbooks/release.yml").write_text(RELEASE)
    ledger = ledger_sql.SqlLedger(settings.ledger_url)
    asked = {"client": "acme", "upgrade": plan.upgrade, "application": plan.application}
    ledger.open_run(a_run(KEY, dag_id=plan.dag_id, plan_text=path.read_text(), environments=("production",), **asked))
    found = cmdb_sql.SqlCmdb(settings.cmdb_url).environment("acme", plan.application, "production")
    assert found is not None
    ledger.freeze_hosts(KEY, {"production": found.hosts})
    ledger.mark(Mark(KEY, MarkKind.LANE_STARTED, NOW, "production"))
    ledger.mark(Mark(KEY, MarkKind.RESTORE_POINT_PROVEN, NOW, "production", "", {"label": "point-1"}))
    ledger.begin_step(StepRecord(KEY, "production", "implement", 1, NOW, directory=str(tmp_path)))
    ledger.mark(Mark(KEY, MarkKind.IMPLEMENTING, NOW, "production", "production-1"))
    made = Site(tmp_path, ledger, plan.participants[0].id)
    made.says(plan.from_version)
    made.hold("implementing")
    return made


def invoke(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["settle", *words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def told(*words: str) -> tuple[int, dict[str, Any]]:
    code, out, _ = invoke(*words, "--json")
    return code, json.loads(out)


def kept(reason: str) -> str:
    """As it is on record: with the session it came from."""
    return witnessed(reason, os_user())


def test_half_way_is_told_with_what_is_possible_and_the_next_command(site: Site) -> None:
    code, out, _ = invoke(KEY[:8])
    assert code == 1
    assert "production: in between" in out
    assert "its marker says implementing and not that this ended" in out
    assert "back-out: possible: restore point point-1 is proven" in out
    assert "resume: not possible: implement ended without a result" in out
    assert f"next: changeover settle {KEY} --do back-out --by LOGIN --reason TEXT" in out


def test_a_back_out_without_airflow_names_the_command_for_later(site: Site) -> None:
    code, out, _ = invoke(KEY, "--do", "back-out", "--by", site.person, "--reason", "half-way")
    assert code == 1
    assert "changeover serve" in out


def test_closed_by_a_person_it_is_settled_and_the_lock_is_gone(site: Site) -> None:
    code, answer = told(KEY, "--do", "close", "--by", site.person, "--reason", "repaired by hand")
    assert (code, answer["refused"]) == (0, [])
    assert not (site.state / "lock.json").exists()
    assert site.ledger.outcomes(KEY)["production"].reasons[0] == f"closed by {site.person}: {kept('repaired by hand')}"
    code, answer = told(KEY)
    assert (code, answer["nothing_to_settle"]) == (0, True)


def test_a_living_process_keeps_it_from_being_closed(site: Site) -> None:
    token = execution_token(KEY, "production", "implement", 1)
    process = subprocess.Popen(["sleep", "300"], env={**os.environ, "CHANGEOVER_TOKEN": token})
    try:
        code, answer = told(KEY, "--do", "close", "--by", site.person, "--reason", "impatience")
    finally:
        process.kill()
        process.wait(10)
    assert (code, answer["done"]) == (1, [])
    assert "sleep 300 still lives" in answer["refused"][0]
    assert (site.state / "lock.json").exists()


def test_a_broken_tool_is_told_beside_what_the_markers_say(site: Site) -> None:
    (site.root / "playbooks/discover.yml").unlink()
    code, answer = told(KEY)
    assert code == 3
    assert "no such playbook" in answer["broken"][0]
    assert answer["environments"][0]["truth"] == "in between"


def test_a_faulty_request_is_wrong_usage(site: Site) -> None:
    assert invoke("moon")[0] == 2
    code, _, err = invoke(KEY, "--do", "close", "--by", "stranger")
    assert (code, "--by" in err, "--reason" in err) == (2, True, True)


def stop(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["stop", *words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_what_lives_on_a_host_is_stopped_there_by_a_named_person(site: Site) -> None:
    """The controller was lost: what it left on the host ends, proven over a fresh connection; a person settles it."""
    (site.root / "started.json").write_text(json.dumps({"token": "t", "controller": "elsewhere", "pid": 1}))
    token = execution_token(KEY, "production", "implement", 1)
    process = subprocess.Popen(["sleep", "300"], env={**os.environ, "CHANGEOVER_TOKEN": token})
    try:
        code, out, _ = stop(KEY, "--by", site.person, "--reason", "the wrong night")
        assert process.wait(10) != 0
    finally:
        process.kill()
        process.wait(10)
    assert "implement of production: stopped: production-1: no process left (1 ended)" in out
    assert (code, f"changeover settle {KEY}" in out) == (0, True)
    (mark,) = site.ledger.marks(KEY, kind=MarkKind.STOPPING)
    assert (mark.data["by"], mark.data["reason"]) == (site.person, kept("the wrong night"))
    assert (site.root / "stop").read_text() == f"stopped by {site.person}: {kept('the wrong night')}"
    assert site.ledger.steps(KEY)[0].status is StepStatus.UNKNOWN
    code, out, _ = stop(KEY, "--by", site.person, "--reason", "to be sure")
    assert (code, "production-1: no process left" in out) == (0, True)
    code, _, err = stop(KEY, "--environment", "baseline", "--by", site.person, "--reason", "there too")
    assert (code, "nothing of run" in err, "changeover abort" in err) == (1, True, True)


def test_a_stop_that_the_host_cannot_confirm_ends_with_one_and_keeps_everything(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.root / "started.json").write_text(json.dumps({"token": "t"}))
    make_key(site.root / "another")
    extra = {"private_key": (site.root / "another").read_text()}
    monkeypatch.setenv("AIRFLOW_CONN_SSH_ACME", json.dumps({"conn_type": "ssh", "extra": extra}))
    code, out, _ = stop(KEY, "--environment", "production", "--by", site.person, "--reason", "the wrong night")
    assert (code, "NOT confirmed to be stopped" in out, "the locks stay" in out) == (1, True, True)
    assert site.ledger.marks(KEY, kind=MarkKind.BLOCKED)
    assert (site.state / "lock.json").exists()


def test_a_faulty_stop_is_wrong_usage_with_all_its_faults(site: Site) -> None:
    assert stop("moon")[0] == 2
    code, _, err = stop(KEY, "--environment", "moon", "--by", "stranger")
    assert (code, "--by" in err, "--reason" in err, "no moon" in err) == (2, True, True, True)
