"""Takes a lock off a host over a fresh SSH connection, by the same program that takes and marks it there."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from changeover.adapters.ssh_command import Question, ask

if TYPE_CHECKING:
    from changeover.domain.estate import Host
    from changeover.domain.host_lock import Lock
    from changeover.ports import Credentials

LIMIT = timedelta(seconds=15)


class SshLockKeeper:
    """`playbooks` holds roles/host_lock."""

    def __init__(self, playbooks: Path) -> None:
        self._program = playbooks / "roles/host_lock/files/host_lock.py"

    def free(self, host: Host, credentials: Credentials, lock: Lock, *, by: str, reason: str) -> str:
        record = json.dumps({"run": lock.run, "token": lock.token, "by": by, "reason": reason})
        python = str(host.variables.get("ansible_python_interpreter") or "/usr/bin/python3")
        words = [python, "-", "free", str(host.variables["host_state_dir"]), record]
        command = shlex.join(["sudo", "-n", *words] if host.variables.get("host_become") else words)
        question = Question(host, command, self._program.read_bytes())
        answer = ask([question], keys=credentials.ssh_keys, timeout=LIMIT)[host.name]
        if answer.ok:
            return ""
        said = answer.stderr.decode("utf-8", "replace").strip().splitlines()
        return "; ".join(filter(None, (answer.reason, *said[-1:]))) or "the host's answer is not whole"
