"""Ends what an execution left running on the controller itself, found by a mark in its environment."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

EXECUTION_VARIABLE = "CHANGEOVER_EXECUTION"
"""Not the variable that marks processes on hosts: in a lab, controller and host are one machine."""


def marked_processes(token: str) -> tuple[int, ...]:
    """Processes whose environment carries the token: Ansible's workers leave its process group, but keep this."""
    wanted = f"{EXECUTION_VARIABLE}={token}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return tuple(found)


def end_marked_processes(token: str, *, gently: float = 5.0, firmly: float = 3.0) -> tuple[int, ...]:
    """SIGTERM to ansible-playbook, which ends its workers; SIGKILL to the rest; those still there are returned."""
    roots = [pid for pid in marked_processes(token) if _is_playbook(pid)]
    for pid in roots:
        _signal(pid, signal.SIGTERM)
    _wait_until_gone(token, gently if roots else 0)
    until = time.monotonic() + firmly
    while (left := marked_processes(token)) and time.monotonic() < until:
        for pid in left:
            _signal(pid, signal.SIGKILL)
        _wait_until_gone(token, 0.5)
    return left


def _wait_until_gone(token: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and marked_processes(token):
        time.sleep(0.05)


def _is_playbook(pid: int) -> bool:
    """The one process that leads the others: its parent is not marked (the detached controller, or init)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        own = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        mark = next(part for part in own if part.startswith(f"{EXECUTION_VARIABLE}=".encode()))
        try:
            return mark not in Path(f"/proc/{parent}/environ").read_bytes().split(b"\0")
        except FileNotFoundError:
            return True
    return False


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
