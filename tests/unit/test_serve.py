"""Starting and ending Airflow: processes remembered truly, files private, leftovers ended, no others touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from changeover.orchestration import keeper, serve
from changeover.orchestration.airflow_settings import airflow_environment
from changeover.orchestration.introduce_site import logins
from changeover.orchestration.processes import PidFile, end_session, session_members
from changeover.settings import PROJECT
from tests.support.airflow import settings_at
from tests.support.world import plan


@pytest.fixture
def stubborn() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own that ignores SIGTERM, as does its child in a group of its own."""
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0: os.setpgid(0, 0)\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.readline()
    yield process
    for member in session_members(process.pid):
        member.kill()
    process.wait()
    process.stdout.close()


def test_a_pid_that_belongs_to_another_process_now_is_not_ours(tmp_path: Path) -> None:
    """The start time decides; a bare number would end somebody else's process."""
    file = PidFile(tmp_path, "scheduler")
    file.write(os.getpid())
    found = file.process()
    assert found is not None
    assert found.pid == os.getpid()
    record = json.loads(file.path.read_text())
    file.path.write_text(json.dumps({**record, "started": record["started"] - 60}))
    assert file.process() is None


@pytest.mark.parametrize("text", ["", "not json", "{}", '{"pid": 999999999, "started": 1}'])
def test_a_damaged_pid_file_names_nobody(tmp_path: Path, text: str) -> None:
    file = PidFile(tmp_path, "scheduler")
    file.path.parent.mkdir()
    file.path.write_text(text)
    assert file.process() is None


def test_a_session_is_ended_whole(stubborn: subprocess.Popen[bytes]) -> None:
    """Who ignores SIGTERM is killed, children with a group of their own included."""
    assert len(session_members(stubborn.pid)) == 2
    end_session(stubborn.pid, patience=0.3)
    assert session_members(stubborn.pid) == []


def test_a_leftover_of_an_earlier_start_is_ended(tmp_path: Path, stubborn: subprocess.Popen[bytes]) -> None:
    """By its pid file; a process of another home stays."""
    ours, other = settings_at(tmp_path / "ours"), settings_at(tmp_path / "other")
    PidFile(other.airflow_home, "scheduler").write(os.getpid())
    PidFile(ours.airflow_home, "scheduler").write(stubborn.pid)
    assert serve.stop(ours) == ("scheduler",)
    assert session_members(stubborn.pid) == []
    assert serve.stop(ours) == ()
    assert PidFile(other.airflow_home, "scheduler").process() is not None


def test_no_secret_is_in_the_environment_of_the_components(tmp_path: Path) -> None:
    """Everything that a task starts inherits it; keys and passwords are in files that only the owner reads."""
    settings = settings_at(tmp_path)
    home = settings.airflow_home
    home.mkdir(parents=True)
    serve._write_keys(home / "airflow.cfg")
    serve._write_passwords(home / "passwords.json", {"admin": "admin", "anna.berg": "user"})
    environment = airflow_environment(
        settings, port=1, execution_port=2, people={"admin": "admin", "anna.berg": "user"}
    )
    keys = [line.partition(" = ")[2] for line in (home / "airflow.cfg").read_text().splitlines() if " = " in line]
    passwords = json.loads((home / "passwords.json").read_text()).values()
    assert len(keys) == 3
    for secret in (*keys, *passwords):
        assert all(secret not in value for value in environment.values())
    for path in (home / "airflow.cfg", home / "passwords.json"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_passwords_stay_when_airflow_starts_again(tmp_path: Path) -> None:
    """A new person gets one, the others keep theirs, who is gone loses theirs."""
    path = tmp_path / "passwords.json"
    serve._write_passwords(path, {"admin": "admin", "anna.berg": "user"})
    before = json.loads(path.read_text())
    serve._write_passwords(path, {"admin": "admin", "petra.lang": "op"})
    after = json.loads(path.read_text())
    assert after["admin"] == before["admin"]
    assert set(after) == {"admin", "petra.lang"}


def test_the_keys_of_another_start_are_kept(tmp_path: Path) -> None:
    """Connections in the database can be read only with the key they were written with."""
    path = tmp_path / "airflow.cfg"
    serve._write_keys(path)
    before = path.read_text()
    serve._write_keys(path)
    assert path.read_text() == before


def test_loopback_never_goes_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks speak to the API server over loopback, whatever proxy the machine has."""
    monkeypatch.setenv("no_proxy", "internal.example")
    environment = airflow_environment(settings_at(tmp_path), port=1, execution_port=2, people={})
    assert environment["no_proxy"].split(",") == ["internal.example", "127.0.0.1", "localhost"]


def test_no_airflow_runs_where_none_was_started(tmp_path: Path) -> None:
    assert serve.running(settings_at(tmp_path)) is None


KEEPER = """
import sys, time
from pathlib import Path
from changeover.orchestration.keeper import Keeper

def run(arguments):
    time.sleep(60) if arguments == ("stay",) else sys.exit(3)

components = {name: (name,) for name in sys.argv[2:]}
nothing = lambda: None
Keeper(Path(sys.argv[1]), components, nothing, modules=(), own_modules=("no.such.module",), run_component=run).run()
"""


def keep(home: Path, *components: str) -> subprocess.Popen[str]:
    """A keeper of components that are no Airflow: `stay` sleeps, others end with code 3 at once."""
    return subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(home), *components],
        env={**os.environ, "PYTHONPATH": str(PROJECT / "include")},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_the_keeper_starts_what_dies_and_gives_up_what_dies_at_once(tmp_path: Path) -> None:
    """One that cannot stay up ends everything, with its name in the log; a broken module of ours ends nothing."""
    said, _ = keep(tmp_path, "stay", "die").communicate(timeout=60)
    assert "module cannot be imported: name=no.such.module" in said
    assert said.count("component ended: name=die code=3") == keeper.MOST_QUICK_DEATHS
    assert "does not stay up: name=die" in said
    assert PidFile(tmp_path, "stay").process() is None


def test_components_end_when_their_keeper_is_killed(tmp_path: Path) -> None:
    """Also without anybody to tell them."""
    with keep(tmp_path, "stay") as process:
        deadline = time.monotonic() + 20
        while (component := PidFile(tmp_path, "stay").process()) is None and time.monotonic() < deadline:
            time.sleep(0.1)
        assert component is not None
        time.sleep(0.5)
        process.kill()
        psutil.wait_procs([component], timeout=10)
        assert not component.is_running() or component.status() == psutil.STATUS_ZOMBIE


def test_only_the_providers_people_may_run_and_repair() -> None:
    """The client's people may answer, and nothing else."""
    sides = {"ops": "provider", "owner": "client", "support": "provider"}
    people = [{"id": who, "name": who, "role": who, "side": side} for who, side in sides.items()]
    assert logins([plan(participants=people)]) == {"ops": "op", "owner": "user", "support": "op"}
