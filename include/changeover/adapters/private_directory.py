"""A short-lived private directory in memory for one execution, and the clearing of those whose owner died."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_SHARED = "c-"
_UNUSED, _OLD = 3600.0, 86_400.0


@contextlib.contextmanager
def private_directory(name: str) -> Iterator[Path]:
    """Mode 0700, its path short enough for sockets, gone after the block, or, after a crash, at the next `sweep`."""
    base = _base()
    with _guarded(base):
        sweep(base)
        path = Path(tempfile.mkdtemp(prefix=f"{name[:12]}-", dir=base))
        owner = (path / "owner.lock").open("wb")
        fcntl.flock(owner, fcntl.LOCK_EX)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        owner.close()


def shared_directory(name: str) -> Path:
    """Where SSH connections wait to be used again by the next execution of the same run under the same keys."""
    path = _base() / f"{_SHARED}{name}"
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def clear_leftovers() -> None:
    """Remove what executions left behind whose owner was killed."""
    base = _base()
    with _guarded(base):
        sweep(base)


def sweep(base: Path) -> None:
    for path in base.iterdir():
        if path.name.startswith(_SHARED):
            with contextlib.suppress(OSError):
                age = time.time() - path.stat().st_mtime
                if age > _OLD:
                    shutil.rmtree(path)
                elif age > _UNUSED:
                    path.rmdir()  # ssh takes its sockets away itself: what is not empty is in use
        elif path.is_dir() and _is_ownerless(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_ownerless(path: Path) -> bool:
    try:
        with (path / "owner.lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _guarded(base: Path) -> Iterator[None]:
    """Making a directory and taking its lock is one step for whoever sweeps."""
    with (base / ".guard").open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _base() -> Path:
    """In memory where there is such a place; a directory somebody else put there first is not used."""
    for root in ("/dev/shm", tempfile.gettempdir()):  # noqa: S108  # our directory in it is private and checked
        path = Path(root) / f"changeover-{os.geteuid()}"
        with contextlib.suppress(OSError):
            path.mkdir(mode=0o700, exist_ok=True)
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
                return path
    return Path(tempfile.mkdtemp(prefix="changeover-"))
