"""What an analysis' own look at 20 hosts costs, 41 checks decided, against `ansible -m command` on the same hosts."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from changeover.settings import PROJECT
from tests.support.sshd import Sshd, sshd

pytestmark = [pytest.mark.benchmark, pytest.mark.lab]
HOSTS, ROUNDS, MOST = 20, 5, 0.25
ADDRESSES = [f"127.0.88.{number}" for number in range(1, HOSTS + 1)]
COLD = "-F none -o ControlMaster=no -o ControlPath=none -o UserKnownHostsFile={known}"
"""No connection is kept from round to round, on either side."""


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd"), address="0.0.0.0") as running:  # noqa: S104 - 20 loopback addresses
        yield running


def test_looking_at_twenty_hosts_costs_a_quarter_of_ansibles_command(
    server: Sshd, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In turn, several rounds: the machine's load falls on both; the median round is what a user sees."""
    inside, whole, cpu = [], [], []
    theirs = Cost(0, 0)
    last: dict[str, Any] = {}
    for _ in range(ROUNDS):
        ours, last = _probe(server, tmp_path)
        theirs = _ansible(server, tmp_path)
        inside.append(last["seconds"] / theirs.wall)
        whole.append(ours.wall / theirs.wall)
        cpu.append(ours.cpu / theirs.cpu)
    assert (last["hosts"], last["findings"]) == (HOSTS, [])
    assert last["checks"] >= 40
    with capsys.disabled():
        sys.stdout.write(
            f"\n{HOSTS} hosts, {last['checks']} checks, probe / ansible -m command, {ROUNDS} rounds in turn:"
            f"\n  in a task that runs     wall {_told(inside)}"
            f"\n  with a process' start   wall {_told(whole)}; CPU {_told(cpu)}"
            f"\n  last round: import {last['import']:.2f} s, two looks {last['looks']:.2f} s,"
            f" decided in {last['decide']:.3f} s; ansible {theirs.wall:.2f} s (load {os.getloadavg()[0]:.1f})\n"
        )
    assert statistics.median(inside) <= MOST, _told(inside)


def _told(ratios: list[float]) -> str:
    return f"{min(ratios):.2f} best, {statistics.median(ratios):.2f} median"


def _probe(server: Sshd, place: Path) -> tuple[Cost, dict[str, Any]]:
    key = server.known_hosts.split(" ", 1)[1]
    (place / "app").mkdir(exist_ok=True)
    (place / "state").mkdir(exist_ok=True)
    (place / "app/settings.ini").write_text("[app]\n", encoding="utf-8")
    hosts = [
        {
            "name": f"host{number:02}",
            "address": address,
            "port": server.port,
            "user": server.user,
            "connection": "ssh_acme",
            "host_keys": [f"[{address}]:{server.port} {key}"],
            "variables": {
                "app_root": str(place / "app"),
                "host_state_dir": str(place / "state"),
                "ansible_python_interpreter": "/usr/bin/python3",
            },
        }
        for number, address in enumerate(ADDRESSES, start=1)
    ]
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT / 'include'}:{PROJECT}"}
    cost, out = _cost(
        [sys.executable, "-m", "tests.support.probing"], environment, json.dumps({"hosts": hosts, "key": server.key})
    )
    return cost, json.loads(out)


def _ansible(server: Sshd, place: Path) -> Cost:
    """As the product runs it: its configuration, its forks, keys in a file."""
    key = server.known_hosts.split(" ", 1)[1]
    known, inventory = place / "known_hosts", place / "hosts.ini"
    known.write_text("".join(f"[{address}]:{server.port} {key}\n" for address in ADDRESSES), encoding="utf-8")
    about = (
        f"ansible_port={server.port} ansible_user={server.user} ansible_python_interpreter=/usr/bin/python3"
        f" ansible_ssh_private_key_file={server.directory / 'client_key'}"
    )
    lines = [f"host{n:02} ansible_host={address} {about}" for n, address in enumerate(ADDRESSES, start=1)]
    inventory.write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(PROJECT / "playbooks/ansible.cfg"),
        "ANSIBLE_HOME": str(place / "ansible"),
        "ANSIBLE_SSH_ARGS": COLD.format(known=known),
    }
    ansible = str(Path(sys.executable).with_name("ansible"))
    cost, out = _cost(
        [ansible, "--inventory", str(inventory), "all", "--module-name", "command", "--args", "true"], environment, ""
    )
    assert out.count("| CHANGED") == HOSTS, out
    return cost


def _cost(command: list[str], environment: dict[str, str], given: str) -> tuple[Cost, str]:
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, input=given, env=environment, check=True, capture_output=True, text=True, timeout=300
    )
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), done.stdout
