"""A child process in a session of its own, within a hard limit, of which nothing is left when it is over."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

GRACE = 2.0


class TimeOutError(Exception):
    """The process did not end within its limit; its whole group was ended."""


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


def finish(process: subprocess.Popen[bytes], *, line: str = "", limit: timedelta) -> int:
    """Say `line` to it, wait, and end whatever is left of the group; a negative answer is the signal that killed it."""
    finish_all([process], line=line, limit=limit)
    return process.returncode


def finish_all(
    processes: Sequence[subprocess.Popen[bytes]],
    *,
    line: str = "",
    limit: timedelta,
    in_vain: Callable[[int], bool] = lambda status: False,
) -> list[int | None]:
    """The same for several beside each other.

    Once one ended so that all was in vain, the others are ended at once, and their answer is None.
    """
    until = time.monotonic() + limit.total_seconds()
    waiting = list(processes)
    try:
        for process in processes:
            _say(process, line)
        while waiting:
            ended = [process for process in waiting if _has_ended(process)]
            for process in ended:
                end_group(process)
            waiting = [process for process in waiting if process not in ended]
            if any(in_vain(process.returncode) for process in ended):
                break
            if waiting and time.monotonic() >= until:
                raise TimeOutError
            time.sleep(0.02 if waiting else 0)
    finally:
        for process in processes:
            end_group(process)
    return [None if process in waiting else process.returncode for process in processes]


def _say(process: subprocess.Popen[bytes], line: str) -> None:
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(line.encode())
            process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Politely, then not. The leader is reaped last: until then its group's number cannot be taken by another."""
    if process.returncode is not None:
        return
    if not _ended(process, 0):
        _signal(process, signal.SIGTERM)
        _ended(process, time.monotonic() + GRACE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ended(process: subprocess.Popen[bytes], until: float) -> bool:
    while not _has_ended(process):
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
    return True


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
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
