"""A bench for the executor: throw-away hosts, playbooks written in the test, and a look at what was left behind."""

from __future__ import annotations

import contextlib
import textwrap
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from changeover.adapters.ansible_runs import AnsibleExecutor, execution_token
from changeover.domain.estate import Host
from changeover.ports import Credentials, ExecutionSpec, StopSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from changeover.domain.execution import ExecutionResult
    from tests.support.sshd import Sshd

PROJECT_PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


@dataclass(frozen=True)
class Bench:
    """Everything of one test lies below `root`."""

    root: Path
    server: Sshd
    verbosity: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def playbooks(self) -> Path:
        return self.root / "playbooks"

    @property
    def marker(self) -> Path:
        """A file on the "host" that tells how often something was done."""
        return self.root / "marker"

    def host(self, name: str = "app01", **changes: Any) -> Host:
        known = {
            "name": name,
            "address": self.server.address,
            "port": self.server.port,
            "user": self.server.user,
            "connection": "ssh_client",
            "host_keys": (self.server.known_hosts,),
            "variables": {"ansible_remote_tmp": str(self.root / f"{name}.tmp"), "marker": str(self.marker)},
        }
        return Host(**{**known, **changes})

    def spec(
        self, tasks: str, *hosts: Host, limit: float = 60, step: str = "implement", **changes: Any
    ) -> ExecutionSpec:
        """A play on group `targets` with these tasks; `tasks` that is a whole play begins with `- hosts:`."""
        self.playbooks.mkdir(exist_ok=True)
        for name in ("ansible.cfg", "plugins"):
            if not (self.playbooks / name).exists():
                (self.playbooks / name).symlink_to(PROJECT_PLAYBOOKS / name)
        (self.playbooks / f"{step}.yml").write_text(_play(textwrap.dedent(tasks)))
        known = ExecutionSpec(
            # Processes are found by a token that follows from these names: tests beside each other must not share them.
            run_key=f"run-{sha256(str(self.root).encode()).hexdigest()[:12]}",
            environment="production",
            step=step,
            generation=1,
            playbook=f"{step}.yml",
            hosts=hosts or (self.host(),),
            variables={},
            timeout=timedelta(seconds=limit),
            directory=self.root / "executions" / f"production.{step}.1",
        )
        return replace(known, **changes)

    def credentials(self, **secrets: str) -> Credentials:
        return Credentials({"ssh_client": self.server.key}, secrets)

    def executor(self) -> AnsibleExecutor:
        return AnsibleExecutor(self.playbooks, verbosity=self.verbosity)

    def run(self, spec: ExecutionSpec, *, stop: Callable[[], str] = lambda: "", **secrets: str) -> ExecutionResult:
        return self.executor().run(spec, self.credentials(**secrets), on_event=self.told.append, stop=stop)

    def stop(self, spec: ExecutionSpec, *, why: str = "told to by a test") -> tuple[bool, str]:
        execution = StopSpec(spec.directory, spec.hosts, execution_token(spec))
        return self.executor().stop(execution, self.credentials(), why=why)

    def lines(self) -> int:
        return len(self.marker.read_text().splitlines()) if self.marker.exists() else 0


def _play(tasks: str) -> str:
    if tasks.lstrip().startswith("- hosts:"):
        return tasks
    head = "- hosts: targets\n  gather_facts: false\n  any_errors_fatal: true\n"
    return f'{head}  environment: "{{{{ host_environment }}}}"\n  tasks:\n{textwrap.indent(tasks, "    ")}'


def wait_until(true: Callable[[], object], *, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.05)


def our_children() -> list[tuple[psutil.Process, str]]:
    """Every living process below this one, with its command line; any may end while it is looked at."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append((child, " ".join(child.cmdline())))
    return found


def processes_with(text: str) -> list[int]:
    """Processes whose command line holds the text."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if text.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
