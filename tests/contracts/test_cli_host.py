"""`host status` on real hosts: what it prints, and with which code it ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from changeover import cli
from changeover.adapters import ledger_sql
from changeover.adapters.host_release import SshLockKeeper
from changeover.adapters.plan_files import load_plan
from changeover.cli_session import os_user, witnessed
from changeover.domain.estate import Host
from changeover.domain.host_lock import Lock
from changeover.domain.record import MarkKind
from changeover.ports import Credentials
from changeover.settings import PROJECT, load
from tests.support.records import a_run
from tests.support.site import make_site
from tests.support.sshd import Sshd, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def root(server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose client has one host an environment, all of them this server."""
    settings = make_site(server, tmp_path, monkeypatch)
    ledger_sql.SqlLedger(settings.ledger_url).open_run(a_run("acme-run"))
    role = "roles/host_lock/files"
    shutil.copytree(PROJECT / "playbooks" / role, settings.playbooks / role)
    return tmp_path


def invoke(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["host", "status", *words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def put_lock(root: Path, run: str) -> None:
    state = root / "state" / "production"
    state.mkdir(parents=True)
    record = {"run": run, "step": "implement", "environment": "production", "token": "t"}
    (state / "lock.json").write_text(json.dumps({**record, "taken_at": datetime.now(UTC).isoformat()}))
    (state / "marker.json").write_text(json.dumps({**record, "phase": "backing_out"}))


def test_free_hosts_are_told_by_client_and_by_plan(root: Path) -> None:
    code, out, _ = invoke("acme")
    assert (code, out.count(": free")) == (0, out.count("you may do: nothing"))
    assert "production-1 (acme production): free" in out
    assert invoke(str(root / "plans/acme/app-2.yaml"))[:2] == (code, out)


def test_a_lock_is_told_in_peoples_words(root: Path) -> None:
    put_lock(root, "acme-run")
    code, out, _ = invoke("acme", "--environment", "production")
    assert code == 0
    assert "held by run acme-run since" in out
    assert "last sign: backing out in step implement" in out
    assert "its controller process: gone" in out
    assert "changeover settle acme-run" in out


def test_a_lock_of_an_unknown_run_ends_with_one(root: Path) -> None:
    put_lock(root, "nobody-knows")
    code, out, _ = invoke("acme", "--json")
    hosts = {host["host"]: host for host in json.loads(out)["hosts"]}
    assert code == 1
    assert hosts["production-1"]["lock"]["run"] == "nobody-knows"
    assert hosts["production-1"]["takeover"] == {
        "allowed": False,
        "reasons": ["run nobody-knows is not in the ledger"],
    }


def test_what_is_not_known_is_wrong_usage(root: Path) -> None:
    assert invoke("nobody")[0] == 2
    code, _, err = invoke("acme", "--environment", "moon")
    assert (code, "moon" in err) == (2, True)


def release(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["host", "release", *words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def person(root: Path) -> str:
    return load_plan(root / "plans/acme/app-2.yaml").participants[0].id


@pytest.mark.parametrize("run", ["nobody-knows", "acme-run", ""])
def test_a_named_person_takes_the_lock_of_a_dead_run(root: Path, person: str, run: str) -> None:
    """Of a run that the ledger does not know, of one that never ended, and one that nobody can read."""
    put_lock(root, run)
    state = root / "state/production"
    before = json.loads((state / "lock.json").read_text())
    code, out, err = release("production-1", "--by", person, "--reason", "the machine burnt")
    until = time.monotonic() + 120
    while not run and "lives on the host" in err + out and time.monotonic() < until:
        time.sleep(0.5)  # nobody knows whose it is: what other tests have at work on this machine may hold it
        code, out, err = release("production-1", "--by", person, "--reason", "the machine burnt")
    assert code == 0, err
    assert f"production-1 is free; its lock was taken from {f'run {run}' if run else 'nobody knows whom'}" in out
    kept_reason = witnessed("the machine burnt", os_user())
    assert f"forced by {person}: {kept_reason}" in out
    assert not (state / "lock.json").exists()
    kept = json.loads((state / "released.jsonl").read_text())
    assert (kept["by"], kept["reason"]) == (person, kept_reason)
    assert kept["lock"] == before if run else "unreadable" in kept["lock"]
    marks = ledger_sql.SqlLedger(load().ledger_url).marks("acme-run", kind=MarkKind.LOCK_TAKEN_OVER)
    assert [(m.host, m.environment, m.data["by"]) for m in marks] == (
        [("production-1", "production", person)] if run == "acme-run" else []
    )
    assert release("production-1", "--by", person, "--reason", "twice")[0] == 1


def test_beside_a_living_process_nobody_takes_a_lock(root: Path, person: str) -> None:
    put_lock(root, "nobody-knows")
    process = subprocess.Popen(["sleep", "300"], env={**os.environ, "CHANGEOVER_TOKEN": "t"})
    try:
        code, _, err = release("production-1", "--by", person, "--reason", "impatience")
    finally:
        process.kill()
        process.wait(10)
    assert (code, "sleep 300" in err) == (1, True)
    assert (root / "state/production/lock.json").exists()


def test_a_lock_that_changed_since_it_was_seen_is_left_alone(server: Sshd, root: Path) -> None:
    put_lock(root, "another-by-now")
    host = Host(
        name="production-1",
        address=server.address,
        port=server.port,
        user=server.user,
        connection="ssh_acme",
        host_keys=(server.known_hosts,),
        variables={"host_state_dir": str(root / "state/production")},
    )
    keeper, keys = SshLockKeeper(PROJECT / "playbooks"), Credentials({"ssh_acme": server.key})
    why = keeper.free(host, keys, Lock("r1", token="t"), by="anna", reason="dead")
    assert "The lock is another one by now: held by run another-by-now" in why
    assert (root / "state/production/lock.json").exists()


def test_a_faulty_release_is_wrong_usage_with_all_its_faults(root: Path) -> None:
    code, _, err = release("moon", "--by", "stranger")
    assert (code, "no plan has a host moon" in err, "--reason" in err) == (2, True, True)
    assert "--by: stranger" in release("production-1", "--by", "stranger", "--reason", "x")[2]
