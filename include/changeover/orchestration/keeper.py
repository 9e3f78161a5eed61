"""One process that imports Airflow once, prepares its database, and keeps the components running as its children.

Importing Airflow costs each component four to nine CPU seconds; a forked child inherits the work. The keeper itself
never opens a database connection or starts a thread, so that what it forks starts clean.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from changeover.orchestration.processes import PidFile, end_session

COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server", "--apps", "core"),
    "execution-api": ("api-server", "--apps", "execution", "--port", "{execution_port}"),
    # Logs are on this machine: nothing has to serve them to the user interface.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
BASE_MODULES = (
    "airflow.settings",
    "airflow.cli.cli_parser",
    "airflow.cli.commands.scheduler_command",
    "airflow.cli.commands.dag_processor_command",
    "airflow.cli.commands.triggerer_command",
    "airflow.executors.local_executor",
    "airflow.models.dagbag",
    "airflow.cli.commands.api_server_command",
    "airflow.api_fastapi.app",
)
OWN_MODULES = ("changeover.orchestration.plan_bundle", "changeover.orchestration.dag_factory")
"""What every task imports. A fault in them belongs into Airflow's list of import errors and must not end the keeper."""
API_SERVERS = ("api-server", "execution-api")
PATIENCE = 5.0
"""Seconds a component has to end by itself. Work on hosts is detached: a task killed here is only its watcher."""
QUICK_DEATH = 10.0
MOST_QUICK_DEATHS = 3
PR_SET_PDEATHSIG = 1


@dataclass
class Keeper:
    """The children by name; `prepare` is run to its end in a child of its own before the components start."""

    home: Path
    components: dict[str, tuple[str, ...]]
    prepare: Callable[[], None]
    modules: tuple[str, ...] = BASE_MODULES
    own_modules: tuple[str, ...] = OWN_MODULES
    run_component: Callable[[tuple[str, ...]], None] = field(default_factory=lambda: _airflow)
    pids: dict[int, str] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    quick_deaths: dict[str, int] = field(default_factory=dict)
    stopping: bool = False

    def run(self) -> int:
        """Bring everything up and stay until asked to stop; the answer is the exit code."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        for name in self.modules:
            importlib.import_module(name)
        preparing = self._fork("prepare", self.prepare)
        for name in self.own_modules:
            try:
                importlib.import_module(name)
            except Exception as exc:  # noqa: BLE001  # whatever it is, Airflow will show it
                _note(f"module cannot be imported: name={name} error={exc!r}")
        code = _exit_code(preparing)
        if code or self.stopping:
            return code
        gc.freeze()  # the children share these pages for as long as nobody's collector touches them
        for name in self.components:
            self._start(name)
        return self._watch()

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _start(self, name: str) -> None:
        arguments = self.components[name]
        pid = self._fork(name, lambda: self.run_component(arguments))
        self.pids[pid], self.started[name] = name, time.monotonic()

    def _fork(self, name: str, action: Callable[[], None]) -> int:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        if pid := os.fork():
            PidFile(self.home, name).write(pid)
            return pid
        try:
            _become(name, self.home / "logs" / f"{name}.log", parent)
            action()
            code = 0
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        except BaseException:  # noqa: BLE001  # unwinding into the keeper's own stack would make a second keeper
            import traceback

            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _watch(self) -> int:
        while not self.stopping:
            if not (ended := self._reap()):
                time.sleep(0.2)
            for name, code in ended:
                _note(f"component ended: name={name} code={code}")
                self._note_death(name)
                if self.quick_deaths[name] >= MOST_QUICK_DEATHS:
                    _note(f"component does not stay up: name={name} log={self.home / 'logs' / name}.log")
                    self._end_all()
                    return 1
                if not self.stopping:
                    self._start(name)
        self._end_all()
        return 0

    def _reap(self) -> list[tuple[str, int]]:
        ended = []
        for pid, name in list(self.pids.items()):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                del self.pids[pid]
                end_session(pid, patience=0.0)  # what it left behind would go on beside what takes its place
                ended.append((name, os.waitstatus_to_exitcode(status)))
        return ended

    def _note_death(self, name: str) -> None:
        quick = time.monotonic() - self.started[name] < QUICK_DEATH
        self.quick_deaths[name] = self.quick_deaths.get(name, 0) + 1 if quick else 0

    def _end_all(self) -> None:
        """The API servers last: a task that is about to end has to tell them."""
        last = {pid for pid, name in self.pids.items() if name in API_SERVERS}
        for group in (set(self.pids) - last, last):
            for pid in group:
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE
            for pid in group:
                end_session(pid, patience=max(0.0, deadline - time.monotonic()))
                os.waitpid(pid, 0)
                PidFile(self.home, self.pids.pop(pid)).remove()


def _note(text: str) -> None:
    """To keeper.log. Logging is Airflow's here, and set up for its own programs."""
    sys.stdout.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n")
    sys.stdout.flush()


def _exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _become(name: str, log: Path, parent: int) -> None:
    """Turn a fresh fork into a component: own session, own log, and gone when the keeper is gone."""
    os.setsid()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died between fork and prctl
        os._exit(1)
    log.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    from setproctitle import setproctitle

    setproctitle(f"changeover airflow {name}")


def _airflow(arguments: tuple[str, ...]) -> None:
    from airflow.cli import cli_parser

    sys.argv = ["airflow", *arguments]
    parsed = cli_parser.get_parser().parse_args(list(arguments))
    parsed.func(parsed)


def main() -> int:
    """Run from `serve`, which has put every setting into the environment."""
    # Before the first import of Airflow: it decides which secrets backends a server process may use.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
    from changeover.orchestration.prepare_airflow import prepare
    from changeover.settings import load

    settings = load()
    execution_port, *wanted = sys.argv[1:]
    components = {
        name: tuple(argument.format(execution_port=execution_port) for argument in COMPONENTS[name]) for name in wanted
    }
    return Keeper(settings.airflow_home, components, lambda: prepare(settings)).run()


if __name__ == "__main__":
    sys.exit(main())
