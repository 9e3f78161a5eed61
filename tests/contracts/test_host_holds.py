"""Who holds a host, read on a real one over SSH."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from changeover.adapters.host_holds import SshHolds
from changeover.domain.estate import Host
from changeover.domain.host_lock import Controller, HostHold, RunStanding, takeover
from changeover.ports import Credentials
from tests.support.sshd import Sshd, free_port, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab
LOCK = {"run": "r1", "step": "implement", "environment": "prod", "token": "0f" * 16, "taken_at": "2026-01-01T00:00:00Z"}
MARKER = {"run": "r1", "step": "implement", "token": "0f" * 16, "phase": "implementing", "at": "2026-01-01T00:00:05Z"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def a_host(server: Sshd, tmp_path: Path, name: str = "app01", port: int = 0) -> Host:
    return Host(
        name=name,
        address=server.address,
        port=port or server.port,
        user=server.user,
        connection="ssh_client",
        host_keys=(server.known_hosts,),
        variables={"host_state_dir": str(tmp_path / "a state")},
    )


def ask(server: Sshd, *hosts: Host) -> dict[str, HostHold]:
    return dict(SshHolds().holds(hosts, Credentials({"ssh_client": server.key}), timeout=timedelta(seconds=15)))


def test_a_free_host_has_neither(server: Sshd, tmp_path: Path) -> None:
    found = ask(server, a_host(server, tmp_path))["app01"]
    assert (found.reached, found.lock, found.marker) == (True, None, None)
    assert found.processes is not None


def test_lock_marker_and_living_processes_are_told_in_one_go(server: Sshd, tmp_path: Path) -> None:
    """The process says its token only in its environment; its end frees the lock for taking over."""
    state = tmp_path / "a state"
    state.mkdir()
    (state / "lock.json").write_text(json.dumps(LOCK, indent=1))
    (state / "marker.json").write_text(json.dumps(MARKER))
    process = subprocess.Popen(["sleep", "300"], env={**os.environ, "CHANGEOVER_TOKEN": LOCK["token"]})
    ended = RunStanding("r1", known=True, outcome="backed_out", controller=Controller.GONE)
    try:
        found = ask(server, a_host(server, tmp_path))["app01"]
        assert found.lock is not None
        assert (found.lock.run, found.lock.step) == ("r1", "implement")
        assert found.marker is not None
        assert found.marker.phase == "implementing"
        assert (process.pid, LOCK["token"], "sleep 300") in [(p.pid, p.token, p.command) for p in found.processes or ()]
        assert not takeover(found, ended).allowed
    finally:
        process.kill()
        process.wait(10)
    assert takeover(ask(server, a_host(server, tmp_path))["app01"], ended).allowed


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_lock_that_cannot_be_understood_is_held(server: Sshd, tmp_path: Path, text: str) -> None:
    (tmp_path / "a state").mkdir()
    (tmp_path / "a state" / "lock.json").write_text(text)
    lock = ask(server, a_host(server, tmp_path))["app01"].lock
    assert lock is not None
    assert lock.unreadable


def test_one_host_that_is_away_hides_no_other(server: Sshd, tmp_path: Path) -> None:
    away = free_port()
    found = ask(server, a_host(server, tmp_path), a_host(server, tmp_path, "app02", away))
    assert found["app01"].reached
    assert (found["app02"].reached, found["app02"].processes) == (False, None)
    assert found["app02"].error


def test_without_a_place_for_its_lock_a_host_is_not_called_free(server: Sshd, tmp_path: Path) -> None:
    host = a_host(server, tmp_path).model_copy(update={"variables": {}})
    found = ask(server, host)["app01"]
    assert not found.reached
    assert "host_state_dir" in found.error
