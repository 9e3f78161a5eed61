"""The runner of a real Ansible on a real host is killed half-way: asked, backed out on a person's word, and proven."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from changeover.adapters.execution_directory import ExecutionDirectory
from changeover.adapters.host_holds import SshHolds
from changeover.domain.batch import standings
from changeover.domain.outcome import Outcome
from changeover.domain.record import MarkKind, Run
from changeover.domain.settlement import Truth, Way
from changeover.ports import Credentials
from changeover.usecases import lane
from changeover.usecases.settle_run import Case, Order, carry_out, look
from changeover.usecases.tools import Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.execution import PROJECT_PLAYBOOKS, Bench, processes_with, wait_until
from tests.support.sshd import Sshd, sshd
from tests.support.world import NEW, OLD, World, estate, plan

pytestmark = [pytest.mark.lab, pytest.mark.slow]
REPORT = """
- name: Read the version
  ansible.builtin.command: cat {{ app_root }}/version
  register: tiny_read
  changed_when: false
- name: Report
  ansible.builtin.set_fact:
    changeover_report:
      version: "{{ tiny_read.stdout }}"
      services: {tracker: running}
      data: {issues: [{id: 1, total: "10.00"}]}
"""
POINT = """
- name: Copy it, or find the copy
  ansible.builtin.command:
    cmd: mkdir -p {{ app_root }}/restore_points/{{ restore_point }}
- name: Copy the version
  ansible.builtin.copy:
    src: "{{ app_root }}/version"
    dest: "{{ app_root }}/restore_points/{{ restore_point }}/version"
    remote_src: true
    mode: "0600"
- name: Report
  ansible.builtin.set_fact:
    changeover_report:
      label: "{{ restore_point }}"
      digest: "{{ restore_point | hash('sha256') }}"
      path: "{{ app_root }}/restore_points/{{ restore_point }}"
      taken_at: "{{ now(utc=true, fmt='%Y-%m-%dT%H:%M:%S+00:00') }}"
      current: true
      readable: true
      identity: {host: "{{ inventory_hostname }}"}
"""
IMPLEMENT = """
- name: Begin
  ansible.builtin.shell: echo half > {{ app_root }}/version
- name: Migrate
  ansible.builtin.command: sleep 25.0625
- name: End
  ansible.builtin.shell: echo {{ to_version }} > {{ app_root }}/version
"""
BACK_OUT = """
- name: Put it back
  ansible.builtin.copy:
    src: "{{ app_root }}/restore_points/{{ restore_point }}/version"
    dest: "{{ app_root }}/version"
    remote_src: true
    mode: "0600"
"""
NOTHING = "- name: Nothing\n  ansible.builtin.set_fact:\n    changeover_taken: [feed]\n"
ROLE = {
    "discover": REPORT, "verify": REPORT, "restore_point": POINT, "restore_drill": POINT, "implement": IMPLEMENT,
    "back_out": BACK_OUT, "quiesce": NOTHING, "resume": NOTHING, "commit": NOTHING,
}  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@dataclass
class RealWorld(World):
    """Its hosts and what is run on them are real; ledger, CMDB and the suites stay in memory."""

    key: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def credentials(self, connections: Any) -> Credentials:
        return Credentials(dict.fromkeys(connections, self.key))

    # the workflow, as far as it is asked
    def state(self, run: Run) -> str | None:
        return "failed"

    def paused(self, run: Run) -> bool:
        return False

    def again(self, run: Run, environment: str, stage: str) -> tuple[str, ...]:
        self.asked.append((environment, stage))
        return (stage,)


@dataclass
class Place:
    world: RealWorld
    upgrade: Upgrade
    tools: Tools
    app: Path

    @property
    def case(self) -> Case:
        return Case(self.upgrade, self.tools, SshHolds(), self.world)

    @property
    def version(self) -> str:
        return (self.app / "version").read_text().strip()


@pytest.fixture
def place(server: Sshd, tmp_path: Path) -> Place:
    bench, app = Bench(tmp_path, server), tmp_path / "app"
    app.mkdir()
    (app / "version").write_text(OLD)
    bench.playbooks.mkdir()
    for part in (*PROJECT_PLAYBOOKS.glob("*.yml"), *(PROJECT_PLAYBOOKS / name for name in ("ansible.cfg", "plugins"))):
        (bench.playbooks / part.name).symlink_to(part)
    (bench.playbooks / "files").symlink_to(PROJECT_PLAYBOOKS / "files")
    for name, tasks in ROLE.items():
        file = bench.playbooks / f"roles/tracker/tasks/{name}.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(tasks)
    (bench.playbooks / "roles/host_lock").symlink_to(PROJECT_PLAYBOOKS / "roles/host_lock")
    world = RealWorld(tmp_path / "home", key=server.key)
    known = estate()
    variables = {
        "app_root": str(app),
        "host_state_dir": str(tmp_path / "state"),
        "ansible_remote_tmp": str(tmp_path / "remote"),
    }
    training = known.environments[1].model_copy(update={"hosts": (bench.host("train1", variables=variables),)})
    environments = (known.environments[0], training, known.environments[2])
    world.cmdb.import_estate(known.model_copy(update={"environments": environments}), reset=True)
    world.now = datetime.now(UTC)
    upgrade = world.upgrade(environments=["training"])
    tools = replace(world.tools(), executor=bench.executor(), clock=lambda: datetime.now(UTC))
    assert check_entry(upgrade, tools).reply is Reply.YES
    world.approve(upgrade)
    return Place(world, upgrade, tools, app)


def test_a_runner_killed_in_the_migration_is_a_question_that_a_person_answers(place: Place) -> None:
    """C11, and C05: nothing starts by itself; `settle` tells; its back-out ends proven, the locks are given back."""
    upgrade, tools, training = place.upgrade, place.tools, place.upgrade.lanes[0]
    for stage in ("window", "go_no_go", "restore_point"):
        answer = getattr(lane, stage)(upgrade, tools, training)
        assert answer.reply is Reply.YES, answer
    killer = threading.Thread(target=_kill_runner, args=(place,))
    killer.start()
    assert lane.implement(upgrade, tools, training).reply is Reply.NO
    killer.join(30)
    assert lane.verdict(upgrade, tools, training).reply is Reply.NO
    for end in ("commit", "back_out", "stand_down"):
        assert getattr(lane, end)(upgrade, tools, training).reply is Reply.NOT_APPLICABLE
    lane.settle(upgrade, tools, training)
    assert tools.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.UNKNOWN
    assert place.version == "half"

    wait_until(lambda: not processes_with("25.0625"), seconds=40)
    found = look(place.case)
    told = next(one for one in found.environments if one.environment == "training")
    assert (told.truth, told.hosts[0].locked) == (Truth.BETWEEN, True)
    assert (told.option(Way.RESUME).possible, told.option(Way.BACK_OUT).possible) == (False, True)

    came = carry_out(place.case, found, Order(Way.BACK_OUT, "owner", "the runner was killed", ("training",)))
    assert (came.refused, place.world.asked) == ((), [("training", "verdict")])
    for stage in ("verdict", "commit", "back_out", "stand_down", "settle"):
        getattr(lane, stage)(upgrade, tools, training)
    assert tools.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT
    assert place.version == OLD
    marks = tools.ledger.marks(upgrade.run.key, environment="training")
    assert [m.data["names"] for m in marks if m.kind is MarkKind.TAKEN][-1] == ["feed"]
    assert [m.data["by"] for m in marks if m.kind is MarkKind.GIVEN_BACK] == ["back_out"]
    left = next(one for one in look(place.case).environments if one.environment == "training")
    assert (left.truth, left.needs) == (Truth.OLD, ())


def _kill_runner(place: Place) -> None:
    directory = ExecutionDirectory(
        place.tools.settings.executions_directory(place.upgrade.run.key) / "training.implement.1"
    )
    wait_until(lambda: processes_with("25.0625"), seconds=40)
    time.sleep(0.5)
    os.kill(directory.started_facts()["pid"], signal.SIGKILL)


def test_a_host_goes_through_a_real_rollout_with_its_own_restore_point(place: Place) -> None:
    """The playbooks of a batch, one after another, on a host: locked, closed, changed, accepted, opened, kept."""
    role = place.app.parent / "playbooks/roles/tracker/tasks/implement.yml"
    role.write_text(IMPLEMENT.replace("25.0625", "0.1"))
    wanted = plan().model_dump()
    wanted["environments"][1]["batches"] = {"sizes": [1], "keep_serving": 0}
    upgrade = place.world.upgrade(of=plan(environments=wanted["environments"]), environments=["training"])
    (training,) = upgrade.lanes
    for stage in ("window", "go_no_go", "restore_point", "implement", "acceptance", "sign_off", "verdict", "commit"):
        answer = getattr(lane, stage)(upgrade, place.tools, training)
        assert answer.reply is Reply.YES, (stage, answer)
    lane.settle(upgrade, place.tools, training)
    assert place.tools.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.SUCCESSFUL
    assert place.version == NEW
    marks = place.tools.ledger.marks(upgrade.run.key, environment="training")
    assert standings(("train1",), marks) == {"train1": "done"}
    (point,) = [m for m in marks if m.kind is MarkKind.RESTORE_POINT_TAKEN]
    assert Path(point.data["path"], "version").read_text().strip() == OLD
