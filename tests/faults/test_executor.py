"""The executor against a real sshd: run once, attach, survive the caller, stop on the host, and tell the truth."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from changeover.adapters.ansible_runs import ask_to_stop, execution_token
from changeover.adapters.execution_directory import ExecutionDirectory, ExecutionState
from changeover.adapters.execution_ending import LOST, end_controller
from changeover.domain.execution import ExecutionResult, HostState
from changeover.domain.record import StepStatus
from changeover.errors import ExecutionError
from changeover.ports import Credentials
from tests.support.execution import Bench, processes_with, wait_until
from tests.support.sshd import Sshd, free_port, make_key, sshd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changeover.ports import ExecutionSpec

pytestmark = pytest.mark.lab
PROJECT = Path(__file__).parents[2]
APPEND = """
    - name: Append a line
      ansible.builtin.shell: echo line >> {{ marker }}
    - name: Take a while
      ansible.builtin.command: sleep 1.5
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def bench(server: Sshd, tmp_path: Path) -> Bench:
    return Bench(tmp_path, server)


def test_a_play_that_works_reports_and_is_not_run_again(bench: Bench) -> None:
    spec = bench.spec(
        """
        - name: Append a line
          ansible.builtin.shell: echo "$CHANGEOVER_TOKEN" >> {{ marker }}
        - name: Report
          ansible.builtin.set_fact:
            changeover_report:
              first: true
        - name: Report again
          ansible.builtin.set_fact:
            changeover_report:
              token: "{{ changeover_token }}"
              plain: "{{ looks_like_a_template }}"
              secret_length: "{{ lookup('changeover_secret', 'password') | length }}"
        """,
        variables={"looks_like_a_template": "{{ 1 + 1 }} – ü\t\"'\\"},
    )
    result = bench.run(spec, password="twelve-chars")
    assert (result.status, result.reasons) == (StepStatus.SUCCESSFUL, ())
    assert result.report("app01") == {
        "token": execution_token(spec),
        "plain": "{{ 1 + 1 }} – ü\t\"'\\",
        "secret_length": 12,
    }
    assert bench.marker.read_text() == execution_token(spec) + "\n"
    assert "app01 | changed | Append a line" in bench.told

    assert bench.run(spec, password="twelve-chars") == result
    assert bench.lines() == 1


def test_the_caller_and_its_supervisor_may_die(bench: Bench) -> None:
    """SIGKILL to the task process and to the process above it: the play runs once, the next caller gets its result."""
    spec = bench.spec(APPEND)
    supervisor = _supervised_caller(bench)
    wait_until(bench.lines)
    task = int((bench.root / "task.pid").read_text())
    os.kill(supervisor.pid, signal.SIGKILL)
    os.kill(task, signal.SIGKILL)
    supervisor.wait(5)
    assert bench.executor().running(spec.directory)

    result = bench.run(spec)
    assert result.status is StepStatus.SUCCESSFUL
    assert f"attached to execution {execution_token(spec)}" in bench.told
    assert "app01 | changed | Append a line" in bench.told
    assert bench.lines() == 1
    assert not bench.executor().running(spec.directory)


_CALLER = """
import os, pathlib, subprocess, sys
root, address, port, key, known, user, sshd = sys.argv[1:8]
if len(sys.argv) == 8:
    sys.exit(subprocess.call([sys.executable, *sys.orig_argv[1:], "task"]))
from tests.support.execution import Bench
from tests.support.sshd import Sshd
server = Sshd(address, int(port), user, pathlib.Path(root), pathlib.Path(key).read_text(), known, int(sshd))
bench = Bench(pathlib.Path(root), server)
(bench.root / "task.pid").write_text(str(os.getpid()))
spec = bench.spec((bench.root / "tasks.yml").read_text())
bench.run(spec)
"""


def _supervised_caller(bench: Bench) -> subprocess.Popen[bytes]:
    """Like Airflow: a supervisor, and below it the task process that calls the executor."""
    server = bench.server
    (bench.root / "tasks.yml").write_text(APPEND)
    arguments = [
        str(bench.root),
        server.address,
        str(server.port),
        str(server.directory / "client_key"),
        server.known_hosts,
        server.user,
        str(server.pid),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}/include:{PROJECT}"}
    return subprocess.Popen([sys.executable, "-c", _CALLER, *arguments], env=environment, cwd=PROJECT)


def test_two_callers_at_once_make_one_execution(bench: Bench) -> None:
    spec = bench.spec(APPEND)
    results: list[ExecutionResult] = []
    callers = [threading.Thread(target=lambda: results.append(bench.run(spec))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert [result.status for result in results] == [StepStatus.SUCCESSFUL] * 3
    assert bench.lines() == 1


def test_a_controller_that_is_killed_leaves_a_question(bench: Bench) -> None:
    """Started, gone, no result: `unknown`, never begun again; what it ran here ends with it, and memory is cleared."""
    spec = bench.spec(
        """
        - name: Append a line
          ansible.builtin.shell: echo line >> {{ marker }}; exec sleep 611
        """
    )
    directory, results = ExecutionDirectory(spec.directory), list[ExecutionResult]()
    caller = threading.Thread(target=lambda: results.append(bench.run(spec)))
    caller.start()
    wait_until(bench.lines)
    os.kill(directory.started_facts()["pid"], signal.SIGKILL)
    caller.join(20)
    assert (results[0].status, results[0].reasons) == (StepStatus.UNKNOWN, (LOST,))
    assert results[0].started_at is not None
    wait_until(lambda: not processes_with(f"{bench.playbooks}/implement.yml"))
    wait_until(lambda: not processes_with(f"-{execution_token(spec)[:12]}"))

    assert bench.run(spec).reasons == (LOST,)
    assert bench.lines() == 1
    confirmed, seen = bench.stop(spec)
    assert confirmed, seen
    assert not processes_with("sleep\x00611")
    bench.run(bench.spec("- ansible.builtin.ping:", step="verify"))
    assert _private_directories(spec) == []


def _private_directories(spec: ExecutionSpec) -> list[Path]:
    return [*Path("/dev/shm").glob(f"changeover-{os.geteuid()}/{execution_token(spec)[:12]}-*")]


def test_over_its_limit_it_is_stopped_on_the_host_too(bench: Bench) -> None:
    spec = bench.spec("- name: Install\n  ansible.builtin.command: sleep 622", limit=10)
    begun = time.monotonic()
    result = bench.run(spec)
    assert time.monotonic() - begun < 60
    assert result.status is StepStatus.FAILED
    assert result.reasons[0] == "timed out: limit of 10 s"
    assert result.reasons[1].startswith("stop confirmed on app01: no process left")
    assert not processes_with("sleep\x00622")


def test_a_stop_that_cannot_be_confirmed_is_unknown(bench: Bench) -> None:
    """The host goes away while its task runs: nobody can say whether the task still does."""
    with sshd(bench.root / "leaving") as leaving:
        away = replace(bench, server=leaving)
        spec = away.spec(
            "- name: Install\n  ansible.builtin.shell: echo line >> {{ marker }}; exec sleep 63.3", limit=12
        )

        def stop_listening() -> str:
            if away.lines():
                with contextlib.suppress(FileNotFoundError):
                    os.kill(leaving.pid, signal.SIGTERM)
            return ""

        result = away.run(spec, stop=stop_listening)
    assert result.status is StepStatus.UNKNOWN
    assert result.reasons[0].startswith("stop not confirmed on app01: app01 (127.0.0.1 port ")
    assert "timed out: limit of 12 s" in result.reasons


def test_the_caller_can_stop_it(bench: Bench) -> None:
    spec = bench.spec("- name: Install\n  ansible.builtin.shell: echo line >> {{ marker }}; exec sleep 644")
    result = bench.run(spec, stop=lambda: "a test had enough" if bench.lines() else "")
    assert result.status is StepStatus.FAILED
    assert result.reasons[0] == "stopped: a test had enough"
    assert not processes_with("sleep\x00644")


def test_an_operator_can_stop_it_from_elsewhere(bench: Bench) -> None:
    spec = bench.spec("- name: Install\n  ansible.builtin.shell: echo line >> {{ marker }}; exec sleep 655")
    results = list[ExecutionResult]()
    caller = threading.Thread(target=lambda: results.append(bench.run(spec)))
    caller.start()
    wait_until(bench.lines)
    confirmed, seen = bench.stop(spec, why="by anna: the wrong night")
    caller.join(20)
    assert (confirmed, results[0].status) == (True, StepStatus.FAILED)
    assert results[0].reasons[0] == "stopped: by anna: the wrong night"
    assert "stop confirmed on app01" in seen
    assert not processes_with("sleep\x00655")


def test_what_was_stopped_before_it_began_never_begins(bench: Bench) -> None:
    """Ordered and about to begin: the stop comes first, and whoever comes later finds it; no host is touched."""
    spec = bench.spec(APPEND)
    bench.executor().prepare(spec.directory)
    assert bench.stop(spec) == (True, "it ended: failed; stopped before it began: told to by a test")
    result = bench.run(spec)
    assert (result.status, result.reasons) == (StepStatus.FAILED, ("stopped before it began: told to by a test",))
    assert [host.state for host in result.hosts] == [HostState.NOT_ATTEMPTED]
    assert bench.lines() == 0


def test_a_process_that_is_only_about_to_begin_finds_the_stop(bench: Bench) -> None:
    """Whoever stopped it was lost after the stop file: the detached process refuses by itself."""
    spec = bench.spec(APPEND)
    bench.executor().prepare(spec.directory)
    ask_to_stop(ExecutionDirectory(spec.directory), "told to by a test")
    result = bench.run(spec)
    assert (result.status, result.reasons) == (StepStatus.FAILED, ("stopped before it began: told to by a test",))
    assert bench.lines() == 0


def test_of_a_controller_on_another_machine_no_stop_is_confirmed(bench: Bench) -> None:
    """Its hosts are asked and quiet, but who runs Ansible there may go on with the next task; nothing is made here."""
    spec = bench.spec(APPEND)
    confirmed, seen = bench.stop(spec)
    assert (confirmed, seen) == (False, "its controller process is not on this machine; app01: no process left")
    assert not spec.directory.exists()


def test_the_number_of_a_process_on_another_machine_is_nobodys_here(bench: Bench) -> None:
    """The lock is seen over a shared volume, the process number is not: what has it here is left alone."""
    spec = bench.spec(APPEND)
    bench.executor().prepare(spec.directory)
    directory, bystander = ExecutionDirectory(spec.directory), subprocess.Popen(["sleep", "66.6"])
    with directory.own():
        directory.mark_started({"token": execution_token(spec), "pid": bystander.pid, "controller": "elsewhere"})
        end_controller(directory)
        assert bystander.poll() is None
        directory.started.write_text(json.dumps({"pid": bystander.pid, "controller": socket.gethostname()}))
        end_controller(directory)
    assert bystander.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        pytest.param(
            """
            - name: All of it
              block:
                - name: Upgrade
                  ansible.builtin.command: sh -c 'echo it broke >&2; exit 3'
              rescue:
                - name: Say so
                  ansible.builtin.debug: {msg: sorry}
            """,
            "rescued: Upgrade on app01: non-zero return code (rc 3): it broke",
            id="rescued",
        ),
        pytest.param(
            """
            - name: Upgrade
              ansible.builtin.command: "false"
              when: false
            """,
            "0 of 1 planned hosts were processed: app01",
            id="every task skipped",
        ),
        pytest.param(
            "- hosts: nobody\n  gather_facts: false\n  tasks: [{ansible.builtin.ping: }]\n",
            "0 of 1 planned hosts were processed: app01",
            id="no such group",
        ),
        pytest.param(
            "- hosts: targets\n  gather_facts: false\n  tasks: [{no.such.module: }]\n",
            "couldn't resolve module/action 'no.such.module'",
            id="a playbook that is no playbook",
        ),
        pytest.param(
            """
            - name: Fill in
              ansible.builtin.command: sh -c 'test {{ item }} != two'
              loop: [one, two, three]
            """,
            "failed: Fill in on app01: non-zero return code (rc 1)",
            id="an item of a loop",
        ),
    ],
)
def test_what_the_tool_calls_a_success_or_not_the_truth_is_told(bench: Bench, play: str, reason: str) -> None:
    result = bench.run(bench.spec(play))
    assert result.status is StepStatus.FAILED
    assert any(reason in text for text in result.reasons), result.reasons


def test_a_host_that_is_down_is_no_success_even_when_the_play_ignores_it(bench: Bench) -> None:
    port = free_port()
    known = bench.server.known_hosts.replace(str(bench.server.port), str(port))
    down = bench.host("app02", port=port, host_keys=(known,))
    play = """
        - hosts: targets
          gather_facts: false
          ignore_unreachable: true
          tasks: [{ansible.builtin.ping: }]
    """
    result = bench.run(bench.spec(play, bench.host(), down))
    assert result.status is StepStatus.FAILED
    assert {host.host: host.state for host in result.hosts} == {
        "app01": HostState.OK,
        "app02": HostState.UNREACHABLE,
    }
    assert any(reason.startswith("unreachable: app02: ") for reason in result.reasons)


def test_a_host_with_another_key_than_recorded_is_not_spoken_to(bench: Bench) -> None:
    make_key(bench.root / "other")
    other = " ".join((bench.root / "other.pub").read_text().split()[:2])
    host = bench.host(host_keys=(f"[{bench.server.address}]:{bench.server.port} {other}",))
    result = bench.run(bench.spec(APPEND, host))
    assert (result.status, result.hosts[0].state) == (StepStatus.FAILED, HostState.UNREACHABLE)
    assert "Host key verification failed" in result.hosts[0].message
    assert bench.lines() == 0


def test_every_host_is_offered_the_key_of_its_own_connection(bench: Bench) -> None:
    """Connections may also share a key."""
    with sshd(bench.root / "other") as other:
        second = bench.host(
            "app02", port=other.port, host_keys=(other.known_hosts,), connection="ssh_other", user=other.user
        )
        third = second.model_copy(update={"name": "app03", "connection": "ssh_shared"})
        spec = bench.spec("- ansible.builtin.ping:", bench.host(), second, third)
        keys = {"ssh_client": bench.server.key, "ssh_other": other.key, "ssh_shared": other.key.strip()}
        result = bench.executor().run(spec, Credentials(keys), on_event=bench.told.append, stop=lambda: "")
        assert result.successful, result.reasons

        crossed = {**keys, "ssh_client": other.key, "ssh_other": bench.server.key}
        spec = replace(spec, generation=2, directory=bench.root / "executions" / "2")
        result = bench.executor().run(spec, Credentials(crossed), on_event=bench.told.append, stop=lambda: "")
    assert [str(host.state) for host in result.hosts] == ["unreachable", "unreachable", "ok"]


def test_events_that_cannot_be_kept_make_the_outcome_unknown(bench: Bench) -> None:
    """As on a full or broken disk: the place for events goes away in the middle."""
    spec = bench.spec(
        """
        - name: Upgrade
          ansible.builtin.command: "true"
        - name: Break the record
          ansible.builtin.set_fact:
            broken: "{{ lookup('ansible.builtin.pipe', 'cd $AWX_ISOLATED_DATA_DIR; rm -r job_events; >job_events') }}"
        - name: Go on
          ansible.builtin.command: "true"
        """
    )
    result = bench.run(spec)
    assert result.status is StepStatus.UNKNOWN, result


def test_broken_tools_are_errors_and_touch_nothing(bench: Bench) -> None:
    spec = bench.spec(APPEND)
    with pytest.raises(ExecutionError, match="no such playbook"):
        bench.run(replace(spec, playbook="nowhere.yml"))
    with pytest.raises(ExecutionError, match="no host is planned"):
        bench.run(replace(spec, hosts=()))
    with pytest.raises(ExecutionError, match="no SSH key was given for other"):
        bench.run(replace(spec, hosts=(bench.host(connection="other"),)))
    with pytest.raises(ExecutionError, match="ansible_ssh_common_args may not be set"):
        bench.run(replace(spec, hosts=(bench.host(variables={"ansible_ssh_common_args": "-o x=y"}),)))
    broken = replace(bench.credentials(), ssh_keys={"ssh_client": "no key at all"})
    with pytest.raises(ExecutionError, match="the SSH key cannot be used"):
        bench.executor().run(spec, broken, on_event=bench.told.append, stop=lambda: "")
    assert ExecutionDirectory(spec.directory).state() is ExecutionState.NOTHING
    assert bench.lines() == 0


def test_what_is_on_record_is_neither_mistaken_nor_guessed(bench: Bench) -> None:
    """Another order in the same directory is refused, and a record that cannot be read is `unknown`."""
    spec = bench.spec("- ansible.builtin.ping:")
    assert bench.run(spec).successful
    with pytest.raises(ExecutionError, match="other hosts"):
        bench.run(replace(spec, hosts=(bench.host("app02"),)))
    assert bench.run(replace(spec, variables={"datasets": {}})).successful
    assert "the execution keeps the variables it was ordered with; others now: datasets" in bench.told

    directory = ExecutionDirectory(spec.directory)
    directory.result.write_text(directory.result.read_text()[:-40])
    result = bench.run(spec)
    assert (result.status, directory.state()) == (StepStatus.UNKNOWN, ExecutionState.ENDED)
    assert "cannot be read" in result.reasons[0]
