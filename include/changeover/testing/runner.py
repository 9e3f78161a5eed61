"""Runs a ring's steps one after the other, each within its limit, and says what came of them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from changeover.errors import ChangeoverError
from changeover.settings import PROJECT
from changeover.testing import capabilities, demos, results
from changeover.testing.results import Result
from changeover.testing.rings import BIN, RINGS, Check, Demo, Step, Tests, steps


def run(ring: str = "default") -> int:
    """Run `lint`, `quick`, `default` or `all`; the answer is the exit code."""
    if ring not in RINGS:
        raise ChangeoverError(f"There is no ring {ring!r}", then=f"choose one of {', '.join(RINGS)}")
    plan = steps(ring)
    _say(f"changeover test, ring {ring}: {len(plan)} steps")
    for capability in capabilities.missing():
        _say(f"!! tests marked {capability.marker} will be LEFT OUT: {capability.reason}")
    done: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="changeover-test-") as scratch:
        for number, step in enumerate(plan, 1):
            _say(f"\n=== {number}/{len(plan)} {step.title}")
            done.append(_run(step, Path(scratch), number))
            _say(f"=== {_line(done[-1])}")
    _summary(done)
    return results.verdict(done, tests_wanted=any(isinstance(step, Tests) for step in plan))


def _run(step: Step, scratch: Path, number: int) -> Result:
    begun = time.monotonic()

    def took() -> timedelta:
        return timedelta(seconds=time.monotonic() - begun)

    if isinstance(step, Check):
        code = execute(step.command, step.limit, _environment(scratch))
        return results.of_check(step.title, code, took())
    if isinstance(step, Demo):
        return demonstrate(step, scratch)
    if absent := [name for name in step.directories if not (PROJECT / name).is_dir()]:
        return Result(step.title, took(), failed=1, trouble=f"{', '.join(absent)}: no such directory")
    report = scratch / f"{number}.xml"
    code = execute(step.command(report), step.limit, _environment(scratch))
    return results.of_tests(step.title, code, took(), report)


def demonstrate(step: Demo, scratch: Path) -> Result:
    """Whether it ended with its code, and the ledger agrees with what it is to show."""
    environment, since, begun = _environment(scratch), datetime.now(UTC), time.monotonic()
    code = execute(step.command, step.limit, environment)
    took = timedelta(seconds=time.monotonic() - begun)
    if code != step.expected:
        return results.of_check(step.title, code, took, expected=step.expected)
    report = demos.newest(step.report, environment, since=since)
    if isinstance(report, str):
        return results.of_demo(step.title, took, (report,))
    _say(demos.figures(report, took, step.fault))
    return results.of_demo(step.title, took, demos.untrue(report, step.fault))


def execute(command: tuple[str, ...], limit: timedelta, environment: Mapping[str, str]) -> int | None:
    """Run a program with its children in a session of its own; None when it was ended at its limit."""
    process = subprocess.Popen(
        command, cwd=PROJECT, env=dict(environment), stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(timeout=limit.total_seconds())
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask first: fixtures have hosts and servers to take down. What is left of the session then is killed."""
    for how, patience in ((signal.SIGINT, 30.0), (signal.SIGTERM, 10.0)):
        with contextlib.suppress(subprocess.TimeoutExpired):
            os.killpg(process.pid, how)
            process.wait(timeout=patience)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(scratch: Path) -> dict[str, str]:
    """No Airflow of the user's is touched, and no setting of theirs is tested."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "CHANGEOVER_"))}
    kept |= {name: value for name, value in os.environ.items() if name == "CHANGEOVER_APT"}
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{kept.get('PATH', os.defpath)}",
        "AIRFLOW_HOME": str(scratch / "airflow"),
        "ANSIBLE_HOME": str(scratch / "ansible"),
        "PYTHONPATH": str(PROJECT / "include"),
    }


def _summary(done: list[Result]) -> None:
    _say("\n" + "=" * 79)
    for result in done:
        _say(_line(result))
    left_out = sum((result.left_out for result in done), start=Counter[str]())
    if left_out:
        _say(f"\n!! {left_out.total()} tests were LEFT OUT:")
        for reason, number in left_out.most_common():
            _say(f"!!   {number}: {reason}")
    total = sum((result.took for result in done), start=timedelta())
    _say(f"\n{_clock(total)} in all")
    _say(results.closing_line(done))


def _line(result: Result) -> str:
    said = "; ".join(part for part in (result.counted, result.trouble) if part)
    return (
        f"{'ok    ' if result.ok else 'FAILED'} {_clock(result.took):>7}  {result.title}{f': {said}' if said else ''}"
    )


def _clock(took: timedelta) -> str:
    minutes, seconds = divmod(took.total_seconds(), 60)
    return f"{int(minutes)}:{seconds:04.1f}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
