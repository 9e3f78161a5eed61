"""The playbooks of a rollout and of the housekeeping, by real Ansible on a real host, without an application."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.execution import ExecutionResult, HostState
from changeover.domain.record import StepStatus
from tests.support.execution import PROJECT_PLAYBOOKS, Bench
from tests.support.sshd import Sshd, sshd

pytestmark = pytest.mark.lab
NOTHING = "- name: Nothing\n  ansible.builtin.debug:\n    msg: nothing\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def bench(server: Sshd, tmp_path: Path) -> Bench:
    return Bench(tmp_path, server)


def play(bench: Bench, playbook: str, *hosts: str, role: str = "", **variables: Any) -> ExecutionResult:
    """A playbook of the product, with a role made here; each host has a lock of its own."""
    known = bench.host().variables
    own = [bench.host(name, variables={**known, "host_state_dir": str(bench.root / name)}) for name in hosts]
    number = variables.get("changeover_fence", 1)
    spec = bench.spec(NOTHING, *own, step="expire", variables=variables, generation=number)
    (bench.playbooks / f"{playbook}.yml").unlink(missing_ok=True)
    (bench.playbooks / f"{playbook}.yml").symlink_to(PROJECT_PLAYBOOKS / f"{playbook}.yml")
    tasks = bench.playbooks / "roles/tiny/tasks"
    tasks.mkdir(parents=True, exist_ok=True)
    if not (bench.playbooks / "roles/host_lock").exists():
        (bench.playbooks / "roles/host_lock").symlink_to(PROJECT_PLAYBOOKS / "roles/host_lock")
    (tasks / "implement.yml").write_text(role or NOTHING, encoding="utf-8")

    return bench.run(replace(spec, playbook=f"{playbook}.yml", directory=bench.root / f"executions/{playbook}.1"))


def test_exactly_the_points_that_are_named_are_removed_and_reported(bench: Bench) -> None:
    points = bench.root / "restore_points"
    for label in ("old", "new", "older"):
        (points / label).mkdir(parents=True)
        (points / label / "SHA256SUMS").write_text("x")
    going = [str(points / "old"), str(points / "older"), str(points / "gone-before")]
    done = play(bench, "expire", "app01", changeover_expired={"app01": going, "app02": [str(points / "new")]})
    assert (done.status, done.reasons) == (StepStatus.SUCCESSFUL, ())
    assert sorted(done.report("app01")["removed"]) == sorted(going)
    assert [path.name for path in points.iterdir()] == ["new"]


def test_a_host_of_a_batch_that_fails_stops_no_other(bench: Bench) -> None:
    """Each is judged for itself: `implement.yml`, for lanes without batches, stops them all."""
    role = (
        "- name: Fail on one\n"
        "  ansible.builtin.command: \"{{ 'false' if inventory_hostname == 'app01' else 'true' }}\"\n"
        '- name: Go on\n  ansible.builtin.command: "touch {{ marker }}.{{ inventory_hostname }}"\n'
    )
    names = ("app01", "app02")
    for name in names:
        lock(bench, name)
    batch = play(bench, "implement_batch", *names, role=role, **RUN, changeover_fence=1)
    assert {host.host: host.state for host in batch.hosts} == {"app01": HostState.FAILED, "app02": HostState.OK}
    assert batch.status is StepStatus.FAILED
    assert Path(f"{bench.marker}.app02").exists()
    Path(f"{bench.marker}.app02").unlink()
    together = play(bench, "implement", *names, role=role, **RUN, changeover_fence=2)
    assert together.status is StepStatus.FAILED
    assert not Path(f"{bench.marker}.app02").exists()


RUN = {
    "application": "tiny",
    "changeover_run": "run",
    "changeover_step": "implement_b1",
    "changeover_environment": "production",
}


def lock(bench: Bench, name: str) -> None:
    state = bench.root / name
    state.mkdir()
    (state / "lock.json").write_text(
        f'{{"run": "run", "step": "{name}", "environment": "production", "token": "t", "taken_at": "now"}}'
    )
