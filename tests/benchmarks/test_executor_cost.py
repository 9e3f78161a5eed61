"""What the executor costs on top of ansible-playbook itself: CPU of all processes, the two in turn."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import pytest

from changeover.adapters.ansible_inventory import write_inventory, write_known_hosts, write_variables
from changeover.adapters.execution_directory import Order, Target
from tests.support.execution import Bench
from tests.support.sshd import Sshd, sshd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from changeover.ports import ExecutionSpec

pytestmark = [pytest.mark.benchmark, pytest.mark.lab]
ROUNDS = 3
MOST = 1.2
PLAY = "- hosts: targets\n  gather_facts: false\n  tasks:\n" + "".join(
    f"    - {{name: Task {number}, ansible.builtin.command: 'true'}}\n" for number in range(30)
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def test_thirty_tasks_cost_hardly_more_than_the_plain_tool(
    server: Sshd, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bench = Bench(tmp_path, server)
    spec = bench.spec(PLAY)
    plain = _plain_command(bench, spec)
    ratios = []
    for number in range(ROUNDS):
        again = replace(spec, generation=number, directory=tmp_path / f"x{number}")
        ours = _cpu_seconds(lambda again=again: bench.run(again))  # type: ignore[misc]
        theirs = _cpu_seconds(plain)
        ratios.append(ours / theirs)
    record_property("cpu_ratio", [round(ratio, 3) for ratio in ratios])
    sys.stderr.write(f"executor / ansible-playbook, CPU, 30 tasks: {[round(ratio, 3) for ratio in ratios]}\n")
    assert median(ratios) <= MOST


def _plain_command(bench: Bench, spec: ExecutionSpec) -> Callable[[], object]:
    """The same inventory, variables, configuration and connection settings, with the key in a file."""
    host = spec.hosts[0]
    target = Target(
        host.name, host.address, host.port, host.user, host.connection, host.host_keys, dict(host.variables)
    )
    order = Order("r", "e", "s", 0, "t", "", "", (target,), (), {}, 60)
    files = bench.root / "plain"
    files.mkdir()
    key = bench.server.directory / "client_key"
    inventory = write_inventory(order, files, {host.connection: key}, ())
    known_hosts = write_known_hosts(order, files)
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory),
        "-e", f"@{write_variables(order, files)}", str(bench.playbooks / spec.playbook),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(bench.playbooks / "ansible.cfg"),
        "ANSIBLE_HOME": str(files / "ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/cx{os.getpid()}",
        "ANSIBLE_SSH_ARGS": "-F none -o ControlMaster=auto -o ControlPersist=30s "
        f"-o UserKnownHostsFile={known_hosts} -o IdentitiesOnly=yes",
    }
    return lambda: subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)


def _cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process and of all children it has waited for; connections kept open by ssh are in neither."""

    def spent() -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    before = spent()
    work()
    return spent() - before
