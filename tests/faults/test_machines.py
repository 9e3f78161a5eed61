"""Hosts with a systemd of their own, and the faults that can be made on them."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover.lab import machines
from changeover.lab.machines import machine

pytestmark = [pytest.mark.machines]
NAMES = ("m-prod1", "m-prod2")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    root = Path(f"/var/tmp/com-{secrets.token_hex(3)}")
    yield root
    machines.down(root, remove=True)
    assert not [
        name for name in Path("/run/netns").glob("*") if name.name.endswith(NAMES) and _block(root) in name.name
    ]


@pytest.fixture
def hosts(place: Path) -> tuple[machine.Machine, ...]:
    return machines.reset(place, only=NAMES)


def _block(root: Path) -> str:
    return f"co{machines.machines(root)[0].block}-"


def ssh(place: Path, host: machine.Machine, command: str, *, within: int = 5) -> subprocess.CompletedProcess[str]:
    options = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={place / 'known_hosts'}"]
    chosen = [part for option in (*options, f"ConnectTimeout={within}") for part in ("-o", option)]
    called = ["ssh", "-i", str(place / "operator"), *chosen, f"{machines.USER}@{host.address}", command]
    return subprocess.run(called, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_a_host_runs_a_systemd_and_is_put_back_as_it_was(place: Path, hosts: tuple[machine.Machine, ...]) -> None:
    one = hosts[0]
    state = ssh(place, one, "systemctl is-system-running --wait; sudo touch /etc/mine; cat /proc/1/comm")
    assert state.stdout.split() == ["running", "systemd"]
    (again,) = machines.reset(place, only=(one.name,))
    assert ssh(place, again, "ls /etc/mine").returncode != 0


def test_a_reboot_is_another_boot_and_a_power_cut_is_an_end(place: Path, hosts: tuple[machine.Machine, ...]) -> None:
    one, other = hosts
    boot = ssh(place, one, "cat /proc/sys/kernel/random/boot_id").stdout
    ssh(place, one, "sudo touch /var/kept; sudo systemctl reboot")
    until = time.monotonic() + 60
    while (now := ssh(place, one, "cat /proc/sys/kernel/random/boot_id").stdout) in ("", boot):
        assert time.monotonic() < until
        time.sleep(0.3)
    machine.kill(one)
    assert not machine.runs(one)
    assert ssh(place, one, "true").returncode == 255
    assert ssh(place, other, "true").returncode == 0
    machines.up(place, only=(one.name,))
    back = ssh(place, one, "ls /var/kept; cat /proc/sys/kernel/random/boot_id").stdout.split()
    assert back[0] == "/var/kept"
    assert back[1] not in (now.strip(), boot.strip())


def test_a_cut_link_is_silence_and_heals(place: Path, hosts: tuple[machine.Machine, ...]) -> None:
    one, other = hosts
    machine.cut_link(one)
    silent = ssh(place, one, "true", within=3)
    assert silent.returncode == 255
    assert "timed out" in silent.stderr or "No route" in silent.stderr or "unreachable" in silent.stderr
    assert ssh(place, other, "true").returncode == 0
    machine.mend_link(one)
    assert ssh(place, one, "true", within=10).returncode == 0


def test_a_small_disk_fills(place: Path, hosts: tuple[machine.Machine, ...]) -> None:
    one = hosts[0]
    machine.stop(one)
    machine.empty(one)
    machine.small_disk(one, 64)
    machines.up(place, only=(one.name,))
    full = machine.run_inside(one, "dd", "if=/dev/zero", "of=/var/filler", "bs=1M")
    assert full.returncode != 0
    assert b"No space left on device" in full.stderr
    assert machine.run_inside(one, "rm", "/var/filler").returncode == 0


def test_a_machine_that_cannot_have_such_hosts_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "systemd-nspawn, ip, nsenter, mount" in machines.missing()
