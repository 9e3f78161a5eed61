"""The directory that documents are written into: what is somebody else's, or was edited, is left alone."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from changeover.errors import ToolError

LIST = "documents.json"
"""Which files this command wrote there, with their digests: how it knows its own again."""


def objections(directory: Path, files: Mapping[str, bytes], *, replace: bool) -> tuple[str, ...]:
    """Why the files may not be written; all reasons at once. `replace`: also what was edited since it was written."""
    if directory.exists() and not directory.is_dir():
        return (f"{directory} is not a directory",)
    known = _written_before(directory)
    if known is None:
        return (f"{directory / LIST} is not a list that this command wrote",)
    found = []
    for name in sorted(files):
        path = directory / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            found.append(f"{path} is not a plain file")
        elif path.exists() and name not in known:
            found.append(f"{path} was not written by this command")
        elif path.exists() and not replace and _digest(path.read_bytes()) not in (known[name], _digest(files[name])):
            found.append(f"{path} was edited since it was written (--replace gives it up)")
    return tuple(found)


def write_documents(directory: Path, files: Mapping[str, bytes], *, about: Mapping[str, str]) -> None:
    """Each file whole or not at all; the list of them last."""
    known = _written_before(directory) or {}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _write_whole(directory / name, content)
        listed = {**known, **{name: _digest(content) for name, content in files.items()}}
        text = json.dumps({"schema_version": 1, **about, "files": dict(sorted(listed.items()))}, indent=2)
        _write_whole(directory / LIST, f"{text}\n".encode())
    except OSError as exc:
        raise ToolError(
            f"the documents could not be written: {exc.strerror or exc}",
            where=str(directory),
            then="make the directory writable, or name another",
        ) from exc


def _written_before(directory: Path) -> dict[str, str] | None:
    """File name → digest; None when the list is there and not ours."""
    path = directory / LIST
    if not path.exists() and not path.is_symlink():
        return {}
    try:
        if path.is_symlink() or not path.is_file():
            return None
        told = json.loads(path.read_text(encoding="utf-8"))
        files = told["files"]
        return {str(name): str(digest) for name, digest in files.items()} if told["schema_version"] == 1 else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
