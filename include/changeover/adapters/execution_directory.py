"""The directory of one execution: what was ordered, who owns it, whether it started, and how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from changeover.errors import ExecutionError

_PATIENCE = 1.0
"""An observer holds the lock for microseconds; an owner tries this many seconds before it believes in another owner."""


@dataclass(frozen=True)
class Target:
    """A host as the detached process needs it; the light twin of the estate's `Host`."""

    name: str
    address: str
    port: int
    user: str
    connection: str
    host_keys: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What is to be run, free of secrets; stored as `spec.json`."""

    run_key: str
    environment: str
    step: str
    generation: int
    token: str
    playbook: str
    playbooks: str
    hosts: tuple[Target, ...]
    sources: tuple[Target, ...]
    variables: Mapping[str, Any]
    timeout_seconds: float
    ssh_options: tuple[str, ...] = ()
    verbosity: int = 0

    @property
    def everyone(self) -> tuple[Target, ...]:
        return (*self.hosts, *self.sources)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Order:
        data = json.loads(text)
        for group in ("hosts", "sources"):
            data[group] = tuple(Target(**{**host, "host_keys": tuple(host["host_keys"])}) for host in data[group])
        return cls(**{**data, "ssh_options": tuple(data["ssh_options"])})


class ExecutionState(StrEnum):
    """`lost`: it started, its owner is gone, and it left no result."""

    NOTHING = "nothing"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True)
class ExecutionDirectory:
    path: Path

    @property
    def spec(self) -> Path:
        return self.path / "spec.json"

    @property
    def lock(self) -> Path:
        return self.path / "owner.lock"

    @property
    def started(self) -> Path:
        return self.path / "started.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def result(self) -> Path:
        return self.path / "result.json"

    @property
    def stop_wanted(self) -> Path:
        return self.path / "stop"

    @property
    def not_started(self) -> Path:
        """Why the detached process gave up before anything was started."""
        return self.path / "not_started.json"

    @property
    def output(self) -> Path:
        return self.path / "ansible.log"

    @property
    def controller_log(self) -> Path:
        return self.path / "controller.log"

    def make(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def state(self) -> ExecutionState:
        """The result is looked for again after the lock was found free: the owner writes it before it lets go."""
        if self.result.exists():
            return ExecutionState.ENDED
        if self._is_owned():
            return ExecutionState.RUNNING
        if self.result.exists():
            return ExecutionState.ENDED
        return ExecutionState.LOST if self.started.exists() else ExecutionState.NOTHING

    def _is_owned(self) -> bool:
        try:
            handle = self.lock.open("rb")
        except FileNotFoundError:
            return False
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextlib.contextmanager
    def own(self) -> Iterator[bool]:
        """Hold the owner's lock for the block; False when somebody else has it. Child processes do not inherit it."""
        with self.lock.open("a+b") as handle:
            os.fchmod(handle.fileno(), 0o600)
            until = time.monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if self.started.exists() or time.monotonic() > until:
                        yield False
                        return
                    time.sleep(0.02)
                else:
                    break
            yield True

    def mark_started(self, facts: Mapping[str, Any]) -> None:
        """Write ahead of the first touch; the file can be made once only."""
        descriptor = os.open(self.started, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            json.dump({"started_at": datetime.now(UTC).isoformat(), **facts}, handle)
            handle.flush()
            os.fsync(handle.fileno())

    def started_facts(self) -> Mapping[str, Any]:
        return read_json(self.started) or {}


def write_refusal(directory: ExecutionDirectory, hosts: Iterable[str], token: str) -> None:
    """The result of what was stopped before it touched anything; only the owner may write it."""
    now = datetime.now(UTC).isoformat()
    result = {
        "schema_version": 1,
        "status": "failed",
        "reasons": [f"stopped before it began: {directory.stop_wanted.read_text().strip()}"],
        "hosts": [{"host": host, "state": "not_attempted"} for host in hosts],
        "token": token,
        "started_at": now,
        "ended_at": now,
    }
    write_whole(directory.result, json.dumps(result))


def write_whole(path: Path, text: str) -> None:
    """Readers see the old file or the whole new one."""
    _written_beside(path, text).rename(path)


def write_first(path: Path, text: str) -> bool:
    """The same, if there is no such file yet; of several writers one is told True."""
    temporary = _written_beside(path, text)
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _written_beside(path: Path, text: str) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    return Path(name)


def read_json(path: Path) -> Mapping[str, Any] | None:
    """None when there is no such file, or when it does not hold a JSON object."""
    try:
        content = json.loads(path.read_text())
    except (FileNotFoundError, ValueError, UnicodeDecodeError):
        return None
    return content if isinstance(content, dict) else None


def plain(value: Any, where: str) -> Any:
    """The value as JSON will give it back, or an error that names what cannot be handed to Ansible."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [plain(item, f"{where}[{index}]") for index, item in enumerate(items)]
    raise ExecutionError(
        f"a value of type {type(value).__name__} cannot be given to Ansible",
        where=where,
        then="hand over plain text, numbers, lists and mappings",
    )


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return key
    raise ExecutionError(f"the key {key!r} is not text", where=where, then="quote it in the file it comes from")


def checked_name(text: str, what: str) -> str:
    """Names become parts of paths and of environment variables."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._:+@-]{0,199}", text):
        return text
    raise ExecutionError(f"{what} {text!r} cannot be used as a name", then="use letters, digits and . _ : + @ -")
