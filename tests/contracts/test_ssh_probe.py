"""What readiness learns of a host over SSH; what cannot be read is missing, never assumed."""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from changeover.adapters.ssh_probe import SshProbe
from changeover.domain.estate import Host
from changeover.ports import Credentials
from tests.support.sshd import Sshd, free_port, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from changeover.domain.facts import HostFacts

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def facts(server: Sshd, tmp_path: Path, **variables: Any) -> HostFacts:
    host = Host(
        name="app01",
        address=server.address,
        port=server.port,
        user=server.user,
        connection="ssh_client",
        host_keys=(server.known_hosts,),
        variables={"app_root": str(tmp_path / "an app"), "host_state_dir": str(tmp_path / "state"), **variables},
    )
    credentials = Credentials({"ssh_client": server.key})
    return SshProbe().host_facts([host], credentials, timeout=timedelta(seconds=10))["app01"]


def test_a_healthy_host_tells_all_there_is_to_know(server: Sshd, tmp_path: Path) -> None:
    seen = facts(server, tmp_path, ansible_python_interpreter=sys.executable)
    assert (seen.reachable, seen.error, seen.lock) == (True, "", None)
    assert seen.python == ".".join(map(str, sys.version_info[:3]))
    assert seen.clock_offset is not None
    assert abs(seen.clock_offset) < timedelta(seconds=1)
    assert seen.memory_bytes is not None
    assert seen.memory_available_bytes is not None
    assert 0 < seen.memory_available_bytes < seen.memory_bytes
    assert seen.load is not None
    assert seen.processors


def test_space_is_that_of_the_file_system_the_path_will_lie_on(server: Sshd, tmp_path: Path) -> None:
    """The application's directory need not exist yet."""
    seen, path, disk = facts(server, tmp_path), str(tmp_path / "an app"), shutil.disk_usage(tmp_path)
    assert seen.total_bytes[path] == pytest.approx(disk.total, rel=0.001)
    assert seen.free_bytes[path] == pytest.approx(disk.free, rel=0.05)
    assert set(seen.free_inodes) == set(seen.total_inodes) == set(seen.free_bytes)
    assert {path, str(tmp_path / "state"), "/tmp"} == set(seen.free_bytes)
    assert seen.writable == {path: True, str(tmp_path / "state"): True}


def test_left_overs_of_our_own_are_told_while_nothing_is_being_copied(server: Sshd, tmp_path: Path) -> None:
    """C13: what the next copy clears counts as free; a copy that is being made is no left-over."""
    app = tmp_path / "an app"
    whole = ("restore_points/run-1-production", "releases/2.0", "tracker", "mine.part")
    left = ("restore_points/run-0-production.part", "imported.part", ".drill")
    for name in (*whole, *left):
        (app / name).mkdir(parents=True)
        (app / name / "content").write_bytes(b"x" * 300_000)
    seen = facts(server, tmp_path)
    assert set(seen.leftovers) == {str(app / name) for name in left}
    assert all(300_000 <= size < 400_000 for size in seen.leftovers.values())
    assert {seen.devices[path] for path in (*seen.leftovers, str(app), str(tmp_path / "state"))} == {app.stat().st_dev}
    with (app / ".copying").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert facts(server, tmp_path).leftovers == {}
    assert set(facts(server, tmp_path).leftovers) == set(seen.leftovers)


def test_a_place_nobody_can_write_to_is_told(server: Sshd, tmp_path: Path) -> None:
    assert facts(server, tmp_path, app_root="/etc/passwd/app").writable["/etc/passwd/app"] is False


def test_a_held_lock_is_told_with_its_holder(server: Sshd, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    held = {"run": "another-run", "taken_at": "2026-01-01T00:00:00+00:00"}
    (tmp_path / "state" / "lock.json").write_text(json.dumps(held, indent=1))
    assert facts(server, tmp_path).lock == held


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_a_lock_that_cannot_be_understood_is_held_all_the_same(server: Sshd, tmp_path: Path, text: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock.json").write_text(text)
    assert facts(server, tmp_path).lock


def test_without_its_python_a_host_has_none(server: Sshd, tmp_path: Path) -> None:
    assert facts(server, tmp_path, ansible_python_interpreter="/no/such/python").python is None


def test_a_host_that_cannot_be_reached_says_why_and_nothing_else(server: Sshd, tmp_path: Path) -> None:
    away = Sshd(**{**vars(server), "port": free_port(), "known_hosts": server.known_hosts})
    seen = facts(away, tmp_path)
    assert not seen.reachable
    assert str(away.port) in seen.error
    assert (seen.python, seen.free_bytes, seen.clock_offset) == (None, {}, None)


def test_without_the_wanted_privilege_nothing_is_read(server: Sshd, tmp_path: Path) -> None:
    """`sudo` is not there, or it asks for a password: either way the host answers, and says no."""
    (server.directory / "home" / ".ssh").mkdir(exist_ok=True)
    seen = facts(server, tmp_path, host_become=True)
    if shutil.which("sudo"):
        pytest.skip("sudo on this machine may let us in")
    assert seen.reachable
    assert "exit 127" in seen.error
    assert seen.writable == {}
