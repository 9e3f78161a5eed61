"""A child process in a session of its own, within a hard limit, of which nothing is left when it is over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Protocol

GRACE = 2.0
_OPEN_FILES = 4096
"""File numbers that a fork closes; ours are far below."""


class TimeOutError(Exception):
    """The process did not end within its limit; its whole group was ended."""


class Process(Protocol):
    """What `subprocess.Popen` and a fork of our own have in common."""

    pid: int
    returncode: int | None
    stdin: IO[bytes] | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...


@dataclass
class Fork:
    """A copy of this process that does one thing in a session of its own, as if it had been started anew."""

    pid: int
    stdin: IO[bytes] | None
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if found else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Without a limit: `finish` has one. `timeout` is what the other kind of process takes."""
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode


def start(
    argv: Sequence[str], *, environment: Mapping[str, str], directory: Path, output: Path
) -> subprocess.Popen[bytes]:
    """Standard input is a pipe: a child that waits on it ends with us, whatever kills us."""
    with output.open("wb") as file:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=directory,
            start_new_session=True,
        )


def fork(action: Callable[[], None], *, environment: Mapping[str, str], directory: Path, output: Path) -> Fork:
    """Like `start`, for work whose imports this process has done already. What it raises is told in `output`."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        os.close(reading)
        return Fork(pid, os.fdopen(writing, "wb"))
    code = 1
    try:
        os.setsid()
        target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for source, number in ((reading, 0), (target, 1), (target, 2)):
            os.dup2(source, number)
        os.closerange(3, _OPEN_FILES)  # connections, locks and logs of whoever forked
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        tempfile.tempdir = None  # found again below TMPDIR, which is the child's own
        sys.stdin, sys.stdout = os.fdopen(0, "r", closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        action()
        code = 0
    except BaseException:  # noqa: BLE001 - unwinding into the forked program's stack would make a second one of it
        traceback.print_exc()
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def finish(process: Process, *, line: str = "", limit: timedelta) -> int:
    """Say `line` to it, wait, and end whatever is left of the group; a negative answer is the signal that killed it."""
    until = time.monotonic() + limit.total_seconds()
    try:
        if process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(line.encode())
                process.stdin.flush()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        if not _ended(process, until):
            raise TimeOutError
    finally:
        end_group(process)
    return process.wait()


def end_group(process: Process) -> None:
    """Politely, then not. The leader is reaped last: until then its group's number cannot be taken by another."""
    if process.returncode is not None:
        return
    if not _ended(process, 0):
        _signal(process, signal.SIGTERM)
        _ended(process, time.monotonic() + GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _ended(process: Process, until: float) -> bool:
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
    return True


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def plain_environment(home: Path, **more: str) -> dict[str, str]:
    """What a child needs and nothing of ours: no Airflow settings, no credentials, no options of other tools."""
    include = Path(__file__).resolve().parents[2]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONPATH": str(include),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        **more,
    }
