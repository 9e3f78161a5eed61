"""Remedies of mode `fix` on a real host over SSH: what is declared is done under the host's lock, and nothing else."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from changeover.adapters.ansible_runs import AnsibleExecutor
from changeover.domain.estate import Host
from changeover.domain.record import StepStatus
from changeover.ports import Credentials, ExecutionSpec
from changeover.settings import PROJECT
from tests.support.sshd import Sshd, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changeover.domain.execution import ExecutionResult
    from tests.support.postgres import Postgres

pytestmark = pytest.mark.lab
RUN = "acme.app-2.1-fix"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def carry_out(
    server: Sshd, place: Path, fix: dict[str, str], *, application: str = "tryton", **variables: Any
) -> ExecutionResult:
    (place / "app").mkdir(exist_ok=True)
    host = Host(
        name="app01",
        address=server.address,
        port=server.port,
        user=server.user,
        connection="ssh_client",
        host_keys=(server.known_hosts,),
        variables={"app_root": str(place / "app"), "host_state_dir": str(place / "state"), **variables},
    )
    spec = ExecutionSpec(
        run_key=RUN,
        environment="production",
        step="fix_1",
        generation=1,
        playbook="fix.yml",
        hosts=(host,),
        variables={
            "application": application,
            "changeover_run": RUN,
            "changeover_step": "fix_1",
            "changeover_fence": 1,
            "changeover_environment": "production",
            "changeover_fix": fix,
        },
        timeout=timedelta(seconds=90),
        directory=place / "executions" / "production.fix_1.1",
    )
    credentials = Credentials({"ssh_client": server.key})
    return AnsibleExecutor(PROJECT / "playbooks").run(spec, credentials, on_event=lambda line: None, stop=lambda: "")


def test_a_command_is_done_in_the_applications_directory_and_the_lock_given_back(server: Sshd, tmp_path: Path) -> None:
    """A subject that looks like a template or a shell's word is text, and nothing else."""
    subject = "prod/{{ lookup('pipe', 'touch /tmp/never') }} $(touch never)"
    fix = {"kind": "command", "run": 'printf %s "$CHANGEOVER_SUBJECT" > told; printf x >> times', "subject": subject}
    done = carry_out(server, tmp_path, fix)
    assert done.status is StepStatus.SUCCESSFUL, done.reasons
    assert (tmp_path / "app/told").read_text() == subject
    assert not (tmp_path / "app/never").exists()
    assert not (tmp_path / "state/lock.json").exists()
    marker = json.loads((tmp_path / "state/marker.json").read_text())
    assert (marker["run"], marker["phase"]) == (RUN, "fixed")
    assert carry_out(server, tmp_path, fix).status is StepStatus.SUCCESSFUL
    assert (tmp_path / "app/times").read_text() == "x", "asked again, it is told of and not done again"


def test_a_command_that_fails_leaves_lock_and_marker_for_a_person(server: Sshd, tmp_path: Path) -> None:
    done = carry_out(server, tmp_path, {"kind": "command", "run": "false; touch after", "subject": "x"})
    assert done.status is StepStatus.FAILED
    assert not (tmp_path / "app/after").exists()
    assert json.loads((tmp_path / "state/marker.json").read_text())["phase"] == "fixing"
    assert json.loads((tmp_path / "state/lock.json").read_text())["run"] == RUN


def test_a_host_that_another_run_holds_is_left_alone(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    lock = {"run": "other", "step": "implement", "environment": "production", "token": "t", "taken_at": "2026-01-01"}
    (tmp_path / "state/lock.json").write_text(json.dumps(lock))
    done = carry_out(server, tmp_path, {"kind": "command", "run": "touch done", "subject": "x"})
    assert "held by run other" in "; ".join(done.reasons)
    assert not (tmp_path / "app/done").exists()


@pytest.mark.postgres
def test_trytons_old_password_hashes_are_taken_away_and_no_other(
    server: Sshd, tmp_path: Path, postgres_server: Postgres
) -> None:
    """The remedy that the release record of 7.6 declares, as the role brings it along."""
    import psycopg

    database = postgres_server.create_database()
    rows = (
        ("old", True, "$pbkdf2-sha512$25000$c2FsdA$aGFzaA"),
        ("older", True, "$scrypt$ln=16"),
        ("new", True, "$argon2id$v=19"),
        ("gone", False, "$pbkdf2-sha512$x"),
    )
    with psycopg.connect(f"host={postgres_server.directory} user=postgres dbname={database}") as connection:
        connection.execute("CREATE TABLE res_user (login text, active boolean, password_hash text)")
        connection.cursor().executemany("INSERT INTO res_user VALUES (%s, %s, %s)", rows)
    done = carry_out(
        server,
        tmp_path,
        {"kind": "playbook", "run": "password_hashes", "subject": "production/password-hashes"},
        tryton_database=database,
        tryton_pg_bin=str(postgres_server.programs),
        tryton_pg_host=str(postgres_server.directory),
        tryton_pg_user="postgres",
    )
    assert done.status is StepStatus.SUCCESSFUL, done.reasons
    with psycopg.connect(f"host={postgres_server.directory} user=postgres dbname={database}") as connection:
        left: dict[str, str | None] = dict(connection.execute("SELECT login, password_hash FROM res_user").fetchall())
    assert left == {"old": None, "older": None, "new": "$argon2id$v=19", "gone": "$pbkdf2-sha512$x"}
