"""The executor: starts Ansible detached from the caller, or attaches to what was started, and waits for its result."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, cast

import changeover
from changeover.adapters.ansible_events import told
from changeover.adapters.ansible_inventory import check_variables
from changeover.adapters.execution_directory import (
    ExecutionDirectory,
    ExecutionState,
    Order,
    Target,
    checked_name,
    plain,
    read_json,
    write_first,
)
from changeover.adapters.execution_ending import (
    end_controller,
    end_everywhere,
    read_result,
    recorded_targets,
    refuse_what_did_not_begin,
    what_is_left,
)
from changeover.adapters.private_directory import clear_leftovers
from changeover.domain import execution
from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult
from changeover.domain.record import StepStatus
from changeover.errors import ExecutionError
from changeover.ports import Credentials, ExecutionSpec, StopSpec

_KEPT_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONTZPATH", "LD_LIBRARY_PATH", "TMPDIR")
_TRIES = 3


class AnsibleExecutor:
    """`playbooks` holds ansible.cfg, playbooks, roles/ and plugins/. `ssh_options` (`Name=value`) are a site's own."""

    def __init__(
        self,
        playbooks: Path,
        *,
        ssh_options: tuple[str, ...] = (),
        verbosity: int = 0,
        poll: timedelta = timedelta(milliseconds=40),
        patience: timedelta = timedelta(seconds=40),
    ) -> None:
        self._playbooks = playbooks.absolute()
        self._ssh_options, self._verbosity = ssh_options, verbosity
        self._poll, self._patience = poll.total_seconds(), patience.total_seconds()

    def run(
        self,
        spec: ExecutionSpec,
        credentials: Credentials,
        *,
        on_event: Callable[[str], None],
        stop: Callable[[], str],
    ) -> ExecutionResult:
        """Start it, or attach to it if it runs, or return its result if it ended. Never runs a directory twice."""
        directory = ExecutionDirectory(spec.directory.absolute())
        order = self._order(spec)
        _check_keys(order, credentials)
        for _ in range(_TRIES):
            state = directory.state()
            process = None
            if state is ExecutionState.NOTHING:
                process = self._start(directory, order, credentials, on_event)
            else:
                _check_same(directory, order, on_event)
                if state is ExecutionState.RUNNING:
                    on_event(f"attached to execution {order.token}")
            self._follow(directory, on_event, stop)
            if process is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
            if directory.state() is not ExecutionState.NOTHING:
                names = tuple(target.name for target in order.everyone)
                return read_result(directory, names, order.token)
            _raise_not_started(directory)
        raise ExecutionError(
            "the execution could not be started",
            where=str(directory.path),
            then="read controller.log in that directory",
        )

    def prepare(self, directory: Path) -> None:
        ExecutionDirectory(directory.absolute()).make()

    def here(self, directory: Path) -> bool:
        return directory.is_dir()

    def running(self, directory: Path) -> bool:
        return ExecutionDirectory(directory).state() is ExecutionState.RUNNING

    def stop(self, execution: StopSpec, credentials: Credentials, *, why: str) -> tuple[bool, str]:
        """The stop file comes first: a process that is only about to begin finds it, and does not."""
        place = ExecutionDirectory(execution.directory.absolute())
        if here := self.here(execution.directory):
            ask_to_stop(place, why)
            refuse_what_did_not_begin(place, [host.name for host in execution.hosts], execution.token)
            self._wait_while_running(place)
            end_controller(place)
            time.sleep(0.5 if place.state() is ExecutionState.RUNNING else 0)
        result = what_is_left(place, execution.token)
        if result is not None and result.status is not StepStatus.UNKNOWN:
            return True, "; ".join((f"it ended: {result.status}", *result.reasons))
        targets = recorded_targets(place) or tuple(map(_target, execution.hosts))
        gone, seen = end_everywhere(targets, execution.token, credentials.ssh_keys)
        if here and place.state() is not ExecutionState.RUNNING:
            return gone, seen
        where = "could not be ended" if here else "is not on this machine"
        return False, "; ".join(filter(None, (f"its controller process {where}", seen)))

    def left(self, directory: Path) -> ExecutionResult | None:
        place = ExecutionDirectory(directory.absolute())
        return what_is_left(place, str(place.started_facts().get("token", "")))

    def _order(self, spec: ExecutionSpec) -> Order:
        if not spec.hosts:
            raise ExecutionError("no host is planned for this step", where=f"{spec.environment} {spec.step}")
        playbook = self._playbooks / spec.playbook
        if not playbook.is_file():
            raise ExecutionError(
                "there is no such playbook", where=str(playbook), then="check the role's and the plan's entry points"
            )
        for text, what in ((spec.environment, "environment"), (spec.step, "step")):
            checked_name(text, what)
        order = Order(
            run_key=spec.run_key,
            environment=spec.environment,
            step=spec.step,
            generation=spec.generation,
            token=execution_token(spec),
            playbook=str(playbook),
            playbooks=str(self._playbooks),
            hosts=tuple(map(_target, spec.hosts)),
            sources=tuple(map(_target, spec.sources)),
            variables=plain(spec.variables, "variables"),
            timeout_seconds=spec.timeout.total_seconds(),
            ssh_options=self._ssh_options,
            verbosity=self._verbosity,
        )
        check_variables(order.everyone)
        return order

    def _start(
        self,
        directory: ExecutionDirectory,
        order: Order,
        credentials: Credentials,
        on_event: Callable[[str], None],
    ) -> subprocess.Popen[bytes]:
        """Returns once the detached process has started its work, has given up, or has found another owner."""
        clear_leftovers()
        directory.make()
        directory.not_started.unlink(missing_ok=True)
        if not write_first(directory.spec, order.to_json()):
            _check_same(directory, order, on_event)
        process = _spawn(directory)
        sealed = {"ssh_keys": dict(credentials.ssh_keys), "secrets": dict(credentials.secrets)}
        with contextlib.suppress(BrokenPipeError), cast("IO[bytes]", process.stdin) as pipe:
            pipe.write(json.dumps(sealed).encode())
        while process.poll() is None and not directory.started.exists():
            time.sleep(0.02)
        return process

    def _follow(self, directory: ExecutionDirectory, on_event: Callable[[str], None], stop: Callable[[], str]) -> None:
        """Tell events as they come, until nobody owns the directory any more."""
        lines = _tail(directory.events)
        asked: float | None = None
        while True:
            running = directory.state() is ExecutionState.RUNNING
            for line in lines:
                if line is None:
                    break
                on_event(told(line))
            if not running:
                return
            if asked is None and (why := stop()):
                asked = time.monotonic()
                ask_to_stop(directory, why)
                on_event(f"stopping, Ansible is being ended here and on its hosts: {why}")
            if asked is not None and time.monotonic() - asked > self._patience:
                end_controller(directory)
                time.sleep(0.5)
            time.sleep(self._poll)

    def _wait_while_running(self, directory: ExecutionDirectory) -> None:
        until = time.monotonic() + self._patience
        while directory.state() is ExecutionState.RUNNING and time.monotonic() < until:
            time.sleep(self._poll)


def execution_token(spec: ExecutionSpec) -> str:
    return execution.execution_token(spec.run_key, spec.environment, spec.step, spec.generation)


def ask_to_stop(directory: ExecutionDirectory, why: str) -> None:
    write_first(directory.stop_wanted, why)


def _check_keys(order: Order, credentials: Credentials) -> None:
    """Without this, ssh would go on with whatever keys the controller's account has."""
    missing = sorted({target.connection for target in order.everyone} - set(credentials.ssh_keys))
    if missing:
        raise ExecutionError(
            f"no SSH key was given for {', '.join(missing)}",
            where=f"{order.environment} {order.step}",
            then="put the key into the connection's extra.private_key",
        )


def _target(host: Host) -> Target:
    return Target(
        name=checked_name(host.name, "host"),
        address=host.address,
        port=host.port,
        user=host.user,
        connection=host.connection,
        host_keys=tuple(host.host_keys),
        variables=plain(host.variables, f"host {host.name}"),
    )


def _check_same(directory: ExecutionDirectory, order: Order, on_event: Callable[[str], None]) -> None:
    """Attaching to something else under the same name would report its result as ours."""
    if directory.result.exists() and not directory.spec.exists():
        return  # it was stopped before it was ordered
    try:
        recorded = Order.from_json(directory.spec.read_text())
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise ExecutionError(
            "the order of an earlier execution cannot be read", where=str(directory.spec), then="ask the hosts"
        ) from exc
    for name in ("token", "hosts", "sources"):
        if getattr(recorded, name) != getattr(order, name):
            raise ExecutionError(
                f"this execution was started with other {name}",
                where=str(directory.path),
                then="use a new generation of the step",
            )
    if Path(recorded.playbook).name != Path(order.playbook).name:
        raise ExecutionError(
            f"this execution runs {Path(recorded.playbook).name}, not {Path(order.playbook).name}",
            where=str(directory.path),
            then="use a new generation of the step",
        )
    changed = sorted(
        name
        for name in {*recorded.variables, *order.variables}
        if recorded.variables.get(name) != order.variables.get(name)
    )
    if changed:
        on_event(f"the execution keeps the variables it was ordered with; others now: {', '.join(changed)}")


def _spawn(directory: ExecutionDirectory) -> subprocess.Popen[bytes]:
    """A session of its own, a scrubbed environment, and no open file but its log."""
    log = os.open(directory.controller_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "changeover.adapters.ansible_execution", str(directory.path)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
    finally:
        os.close(log)


def _environment() -> dict[str, str]:
    """Airflow's own secrets are in our environment: only what is named here is passed on."""
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    account = pwd.getpwuid(os.geteuid())
    programs = str(Path(sys.executable).parent)
    return {
        "LC_ALL": "C.UTF-8",
        **kept,
        "PATH": os.pathsep.join((programs, kept.get("PATH", os.defpath))),
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "PYTHONPATH": str(Path(changeover.__file__).parents[1]),
        "PYTHONUNBUFFERED": "1",
    }


def _raise_not_started(directory: ExecutionDirectory) -> None:
    reason = read_json(directory.not_started)
    if reason is not None:
        raise ExecutionError(
            f"Ansible was not started, and nothing was touched: {reason.get('what', 'no reason was left')}",
            where=str(directory.path),
        )


def _tail(path: Path) -> Iterator[Mapping[str, Any] | None]:
    """Whole lines as they come; None when there is none for now. A line that is no JSON is told as it is."""
    position, rest = 0, ""
    while True:
        try:
            with path.open("r", encoding="utf-8", errors="replace") as handle:
                handle.seek(position)
                chunk = handle.read()
                position = handle.tell()
        except FileNotFoundError:
            chunk = ""
        *whole, rest = (rest + chunk).split("\n")
        for text in whole:
            try:
                line = json.loads(text)
            except ValueError:
                line = {"text": text}
            yield line if isinstance(line, dict) else {"text": text}
        yield None
