"""Processes of ours: remembered by pid and start time, ended with everything in their group."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class PidFile:
    """`<home>/run/<name>.pid`. A number alone may long belong to somebody else, so the start time is kept with it."""

    home: Path
    name: str

    @property
    def path(self) -> Path:
        return self.home / "run" / f"{self.name}.pid"

    def write(self, pid: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            record = {"pid": pid, "started": psutil.Process(pid).create_time()}
            unfinished = self.path.with_suffix(".new")
            unfinished.write_text(json.dumps(record))
            unfinished.replace(self.path)

    def process(self) -> psutil.Process | None:
        """The process that was remembered, if it is still that one and alive."""
        try:
            record = json.loads(self.path.read_text())
            process = psutil.Process(int(record["pid"]))
            # the kernel counts in ticks, psutil adds the boot time: equal within a second
            same = abs(process.create_time() - float(record["started"])) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
            return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def session_members(session: int) -> list[psutil.Process]:
    """Living processes of a session. Each Airflow task has its own group, but stays in its component's session."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
    return members


def end_session(leader: int, *, patience: float) -> None:
    """Ask the leader to end, wait `patience` seconds for its whole session, then kill what is left of it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(leader, signal.SIGTERM)
    if _emptied(leader, within=patience):
        return
    for process in session_members(leader):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _emptied(leader, within=5.0)


def _emptied(session: int, *, within: float) -> bool:
    deadline = time.monotonic() + within
    while session_members(session):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
