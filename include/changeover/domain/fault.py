"""Faults of a document: what is wrong, in which file, on which line, under which key."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

Document = TypeVar("Document")


@dataclass(frozen=True, order=True)
class Fault:
    """`line` counts from 1 (0: the file as a whole); `path` is dotted, such as `environments.1.window.start`."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"

    def as_json(self) -> dict[str, str | int]:
        return {"file": self.file, "line": self.line, "path": self.path, "message": self.message}


def dotted(path: Iterable[str | int]) -> str:
    return ".".join(str(part) for part in path)


@dataclass(frozen=True)
class Reading(Generic[Document]):
    """A file that was read: the checked document, or the faults for which there is none.

    `digest` is the sha256 of its exact bytes, "" when not even those could be had.
    """

    file: str
    document: Document | None
    faults: tuple[Fault, ...] = ()
    digest: str = ""
    line_of: Callable[[tuple[str | int, ...]], int] = lambda path: 0
    """Line of a key, for faults that are found later."""
    parts: Document | None = None
    """Of a faulty document what is valid all the same: attributes that are faulty are missing."""
