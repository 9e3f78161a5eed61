"""Files of our own formats: opened within bounds, never followed out of their directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from changeover.adapters.schema_faults import validate
from changeover.adapters.yaml_text import MAX_BYTES, YamlText, read_yaml
from changeover.domain.fault import Fault, Reading
from changeover.errors import PlanError

Model = TypeVar("Model", bound=BaseModel)
Found = TypeVar("Found")


class DocumentFaults(PlanError):
    """A document that cannot be used; `details` has every fault with its place."""

    def __init__(self, name: str, details: tuple[Fault, ...], *, then: str) -> None:
        self.details = details
        super().__init__(
            f"{name} cannot be used: {len(details)} fault{'s' if len(details) != 1 else ''}",
            faults=tuple(str(fault) for fault in details),
            then=then,
        )


class UnusableFileError(Exception):
    """The bytes of a file cannot be had; the message says why."""


def demand(reading: Reading[Found], *, then: str) -> Found:
    """The document, or `DocumentFaults`."""
    if reading.document is None:
        raise DocumentFaults(reading.file, reading.faults, then=then)
    return reading.document


def read_document(
    path: Path, model: type[Model], *, also: Callable[[YamlText, Model], None] | None = None
) -> Reading[Model]:
    """Read and check one file; `also` may add faults to what the schema lets pass. Never raises for what is on disk."""
    name = str(path)
    try:
        document = read_yaml(read_bytes(path), name=name)
    except UnusableFileError as exc:
        return unusable(path, exc)
    checked = validate(document, model)
    if checked is not None and also is not None:
        also(document, checked)
    faults = tuple(sorted(set(document.faults)))
    return Reading(name, None if faults else checked, faults, line_of=document.line)


def unusable(path: Path, reason: Exception | str) -> Reading[Found]:
    return Reading(str(path), None, (Fault(str(path), 0, "", str(reason)),))


def read_bytes(path: Path) -> bytes:
    """At most one byte more than a document may have; nothing but a regular file is opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as exc:
        raise UnusableFileError(_reason(path, exc)) from exc
    try:
        _check_kind(os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise UnusableFileError(_reason(path, exc)) from exc
    finally:
        os.close(descriptor)


def _check_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnusableFileError("is not a regular file")
    if status.st_size > MAX_BYTES:
        raise UnusableFileError(
            f"has {status.st_size / 1024 / 1024:.1f} MiB; a document of this kind has a few KiB, "
            f"at most {MAX_BYTES // 1024} KiB are read"
        )


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is a symbolic link to nothing" if path.is_symlink() else "does not exist"
    if isinstance(error, PermissionError):
        return "may not be read by this user"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def stay_inside(path: Path, root: Path) -> None:
    """Raise `UnusableFileError` when the file really lies outside of `root`."""
    try:
        target = path.resolve()
        inside = target.is_relative_to(root.resolve())
    except (OSError, RuntimeError, ValueError) as exc:
        raise UnusableFileError(f"cannot be followed: {exc}") from exc
    if not inside:
        raise UnusableFileError(f"leads out of {root} to {target}; a document lies where it is read")
