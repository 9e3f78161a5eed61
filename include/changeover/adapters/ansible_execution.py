"""The detached process of one execution: `python -m changeover.adapters.ansible_execution <directory>`.

It reads keys and secrets from stdin, owns the directory's lock for its life, runs ansible-playbook once, and writes the
result when it is known what is true on the hosts. It survives the death of whoever started it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any, Self

from changeover.adapters.ansible_events import EventLog, EventTally
from changeover.adapters.ansible_inventory import write_inventory, write_known_hosts, write_variables
from changeover.adapters.ansible_playbook_process import PARENT_VARIABLE
from changeover.adapters.execution_directory import ExecutionDirectory, Order, write_refusal, write_whole
from changeover.adapters.local_processes import EXECUTION_VARIABLE, end_marked_processes
from changeover.adapters.private_directory import private_directory, shared_directory
from changeover.adapters.redaction import Redactor
from changeover.adapters.secret_socket import ADDRESS_VARIABLE, serve_secrets
from changeover.adapters.ssh_agent import ssh_agent
from changeover.domain.execution import Ending, ExecutionFacts, ExecutionVerdict, hosts_to_quiet, judge
from changeover.errors import ChangeoverError

OWNED_BY_ANOTHER, ALREADY_STARTED, NOT_STARTED = 3, 4, 5
_CONNECTION_KEPT = "120s"
_AFTER_THE_END = timedelta(minutes=5)


@dataclass(frozen=True)
class Sealed:
    """Keys and secrets: from stdin to memory, never anywhere else."""

    ssh_keys: dict[str, str] = field(repr=False)
    secrets: dict[str, str] = field(repr=False)

    @classmethod
    def from_stdin(cls) -> Sealed:
        content = json.loads(sys.stdin.buffer.read())
        return cls(ssh_keys=content["ssh_keys"], secrets=content["secrets"])


def main() -> int:
    os.umask(0o077)
    directory = ExecutionDirectory(Path(sys.argv[1]).absolute())
    try:
        sealed = Sealed.from_stdin()
    except ValueError:
        return NOT_STARTED  # whoever started this died before the keys were handed over
    with directory.own() as owned:
        if not owned:
            return OWNED_BY_ANOTHER
        if directory.started.exists() or directory.result.exists():
            return ALREADY_STARTED
        order = Order.from_json(directory.spec.read_text())
        if directory.stop_wanted.exists():
            write_refusal(directory, [target.name for target in order.everyone], order.token)
            return NOT_STARTED
        return Execution(directory, order, sealed).run()


class Execution:
    """One run of ansible-playbook, from the files it needs to the judged result."""

    def __init__(self, directory: ExecutionDirectory, order: Order, sealed: Sealed) -> None:
        self._directory, self._order, self._sealed = directory, order, sealed
        self._redactor = Redactor((*sealed.ssh_keys.values(), *sealed.secrets.values()))
        self._watch = Watch(directory, order)
        self._log: EventLog | None = None

    def run(self) -> int:
        signal.signal(signal.SIGTERM, self._watch.on_signal)
        try:
            with ExitStack() as stack:
                private = stack.enter_context(private_directory(self._order.token))
                self._prepare(private, stack)
                self._log = EventLog(self._directory.events, self._directory.output)
                stack.callback(self._log.close)
                started_at = self._mark_started()
                facts = self._execute(private, self._log)
                self._record(started_at, facts)
        except (ChangeoverError, OSError) as exc:
            if self._directory.started.exists():
                raise  # no result: whoever asks is told that the execution was lost
            reason = {"what": self._redactor.text(str(exc))}
            write_whole(self._directory.not_started, json.dumps(reason))
            return NOT_STARTED
        return 0

    def _prepare(self, private: Path, stack: ExitStack) -> None:
        """Everything that can go wrong before a host is touched."""
        lifetime = timedelta(seconds=self._order.timeout_seconds) + _AFTER_THE_END
        agent = stack.enter_context(ssh_agent(private, self._sealed.ssh_keys, lifetime=lifetime))
        secrets = private / "secrets"
        stack.enter_context(serve_secrets(secrets, self._sealed.secrets))
        write_inventory(self._order, private, agent.identities, self._sealed.secrets)
        write_variables(self._order, private)
        known_hosts = write_known_hosts(self._order, private)
        keys = "".join(path.read_text() for path in agent.identities.values())
        reuse = sha256(f"{self._order.run_key}\n{keys}{known_hosts.read_text()}".encode()).hexdigest()[:10]
        os.environ.update(
            _ansible_environment(self._order, private, shared_directory(reuse), known_hosts),
            SSH_AUTH_SOCK=str(agent.socket),
            **{ADDRESS_VARIABLE: str(secrets)},
        )

    def _mark_started(self) -> datetime:
        now = datetime.now(UTC)
        self._directory.mark_started(
            {"token": self._order.token, "pid": os.getpid(), "controller": socket.gethostname()}
        )
        return now

    def _execute(self, private: Path, log: EventLog) -> ExecutionFacts:
        tally = EventTally(self._redactor, log)
        names = ", ".join(target.name for target in self._order.everyone)
        log.say(f"{Path(self._order.playbook).name} started on {names}")
        return_code: int | None = None
        broke = ""
        with self._watch:
            try:
                return_code = _run_playbook(self._order, private, tally)
            except Exception as exc:  # noqa: BLE001 - runner raises many kinds; whatever it was, the record broke off
                traceback.print_exc()
                broke = self._redactor.text(f"{type(exc).__name__}: {exc}")[:500]
        if broke:
            end_marked_processes(self._order.token)
        facts = ExecutionFacts(
            planned=tuple(target.name for target in self._order.everyone),
            tallies=tally.tallies,
            summary=tally.summary,
            return_code=return_code,
            ending=Ending.TOOL_BROKE if broke else self._watch.ending,
            detail=broke or self._watch.detail or tally.errors,
            damaged_events=tally.damaged,
        )
        return self._quieted(facts, log)

    def _quieted(self, facts: ExecutionFacts, log: EventLog) -> ExecutionFacts:
        """Ask the hosts on which something may still run, over fresh connections, and end it there."""
        names = hosts_to_quiet(facts)
        if not names:
            return facts
        from changeover.adapters.host_processes import end_on_hosts

        log.say(f"ending what is left of this execution on {', '.join(names)}")
        targets = [target for target in self._order.everyone if target.name in names]
        quiet = end_on_hosts(targets, self._order.token, self._sealed.ssh_keys)
        for answer in quiet.values():
            log.say(f"{answer.host}: {answer.seen}")
        return replace(facts, quiet=quiet)

    def _record(self, started_at: datetime, facts: ExecutionFacts) -> None:
        verdict = judge(facts)
        if self._log is not None:
            self._log.say(f"{Path(self._order.playbook).name} ended: {verdict.status}")
        content = result_content(verdict, self._order.token, started_at, datetime.now(UTC))
        content["facts"] = {
            "return_code": facts.return_code,
            "ending": facts.ending,
            "damaged_events": facts.damaged_events,
            "quiet": {host: asdict(answer) for host, answer in facts.quiet.items()},
        }
        write_whole(self._directory.result, json.dumps(self._redactor.value(content)))


def result_content(verdict: ExecutionVerdict, token: str, started_at: datetime, ended_at: datetime) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "status": verdict.status,
        "reasons": list(verdict.reasons),
        "hosts": [asdict(host) for host in verdict.hosts],
        "token": token,
        "started_at": started_at.isoformat(),
        "ended_at": ended_at.isoformat(),
    }


class Watch:
    """Ends Ansible at its limit, on the word of `stop`, or on SIGTERM; a thread beside the one Ansible is run from."""

    def __init__(self, directory: ExecutionDirectory, order: Order) -> None:
        self._directory, self._order = directory, order
        self._over = threading.Event()
        self._signalled = False
        self._thread = threading.Thread(target=self._watch, daemon=True, name="watch")
        self._deadline = 0.0
        self.ending, self.detail = Ending.BY_ITSELF, ""

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True

    def __enter__(self) -> Self:
        self._deadline = time.monotonic() + self._order.timeout_seconds
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            if self.ending is Ending.BY_ITSELF:
                self.ending, self.detail = self._why()
            if self.ending is not Ending.BY_ITSELF:
                end_marked_processes(self._order.token)

    def _why(self) -> tuple[Ending, str]:
        if self._directory.stop_wanted.exists():
            return Ending.STOPPED, self._directory.stop_wanted.read_text().strip()
        if self._signalled:
            return Ending.STOPPED, "the controller process was told to end"
        if time.monotonic() > self._deadline:
            return Ending.TIMED_OUT, f"limit of {self._order.timeout_seconds:g} s"
        return Ending.BY_ITSELF, ""


def _run_playbook(order: Order, private: Path, tally: EventTally) -> int | None:
    """Through ansible-runner's own parts: its `run()` would write settings and variables to files again."""
    from ansible_runner.config.runner import RunnerConfig
    from ansible_runner.runner import Runner

    config = RunnerConfig(
        str(private),
        playbook=order.playbook,
        inventory=str(private / "inventory.yml"),
        ident="run",
        verbosity=order.verbosity or None,
        cmdline=f"-e @{private}/variables.yml",
        fact_cache_type="memory",
    )
    config.prepare()
    config.command = [sys.executable, "-m", "changeover.adapters.ansible_playbook_process", *config.command[1:]]
    config.cwd = order.playbooks
    config.pexpect_timeout = 1
    config.suppress_output_file = config.suppress_ansible_output = True

    def keep_no_file(event: dict[str, Any]) -> bool:
        tally.take(event)
        return False

    runner = Runner(config, event_handler=keep_no_file, cancel_callback=lambda: False)
    runner.run()
    return_code: int | None = runner.rc
    return return_code


def _ansible_environment(order: Order, private: Path, connections: Path, known_hosts: Path) -> dict[str, str]:
    playbooks = Path(order.playbooks)
    options = (
        "ControlMaster=auto", f"ControlPersist={_CONNECTION_KEPT}", "BatchMode=yes", "IdentitiesOnly=yes",
        "StrictHostKeyChecking=yes", f"UserKnownHostsFile={known_hosts}", "GlobalKnownHostsFile=/dev/null",
        "ServerAliveInterval=15", "ServerAliveCountMax=4", *order.ssh_options,
    )  # fmt: skip
    return {
        "ANSIBLE_CONFIG": str(playbooks / "ansible.cfg"),
        "ANSIBLE_ROLES_PATH": str(playbooks / "roles"),
        "ANSIBLE_LOOKUP_PLUGINS": str(playbooks / "plugins" / "lookup"),
        "ANSIBLE_FORKS": str(min(50, max(5, len(order.everyone)))),
        "ANSIBLE_HOST_KEY_CHECKING": "True",  # runner turns it off where it is not set
        "ANSIBLE_SSH_ARGS": "-F none " + " ".join(f"-o {option}" for option in options),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(connections),
        "ANSIBLE_HOME": str(private / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(private / "ansible" / "tmp"),
        "ANSIBLE_RETRY_FILES_ENABLED": "False",
        "ANSIBLE_NOCOLOR": "1",
        "MAX_EVENT_RES": str(64 << 20),  # awx_display empties a larger result, and with it a large report
        EXECUTION_VARIABLE: order.token,
        PARENT_VARIABLE: str(os.getpid()),
    }


if __name__ == "__main__":
    sys.exit(main())
