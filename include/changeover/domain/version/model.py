"""What every scheme of versions has in common: strict reading, order, lines, and the answer to "is this fix in"."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import total_ordering
from typing import Any, ClassVar

MAX_LENGTH = 128
"""Longer than any vendor writes; what is longer is a mistake or an attack."""


class VersionError(ValueError):
    """The text is not a version (or a range) of the declared scheme, or two versions cannot be compared."""


@total_ordering
@dataclass(frozen=True)
class Version:
    """A version of a scheme. Two are equal when the scheme says so, however they are written."""

    scheme: str
    key: Any
    """What the scheme orders by; hashable."""
    text: str = field(compare=False)
    line: str = field(compare=False)
    """The name of the branch it belongs to, as people say it."""
    branch: Any = field(compare=False)
    """What makes two versions be of one line; equal versions have equal branches."""
    numbers: tuple[int, ...] = field(compare=False)
    """The leading numbers, for major/minor and for `==1.2.*`."""
    steps: tuple[Any, Any] | None = field(default=None, compare=False)
    """What changes in a major and in a minor step, where that is not the first and the second number."""
    pre: bool = field(default=False, compare=False)
    """A pre-release: it may have been cut before a fix that its release has."""
    track: str = field(default="", compare=False)
    """The vendor's servicing track (LTS, weekly, GDR, CU), where changing it is a decision."""

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version) or other.scheme != self.scheme:
            return NotImplemented
        return bool(self.key < other.key)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class FixAnswer:
    """Whether a fix is in, and why it is thought so."""

    fixed: bool
    why: str


class Scheme(ABC):
    """How one kind of versions is read, ordered and serviced."""

    name: ClassVar[str]
    wildcards: ClassVar[bool] = True
    """Whether `==1.2.*` means something: numbers separated by dots come first."""

    @abstractmethod
    def read(self, text: str) -> Version:
        """Read what `parse` found plain; raise by `self.no(...)` when it does not fit."""

    def parse(self, text: str) -> Version:
        """Raise `VersionError` for a text that does not fit the scheme to the letter."""
        if reason := _not_plain(text):
            raise VersionError(f"{shown(text)} is not written as a plain {self.name} version: {reason}")
        return self.read(text)

    def no(self, text: str, reason: str) -> VersionError:
        article = "an" if self.name[0] in "aeiou" else "a"
        return VersionError(f"{shown(text)} is not {article} {self.name} version: {reason}")

    def incomparable(self, a: Version, b: Version) -> str:
        """Why the two cannot be put in order; empty when they can."""
        return ""

    def bounded(self, version: Version, bound: Version) -> Version:
        """The version as it is held against the bound of a range."""
        return version

    def reaches(self, version: Version, bound: Version) -> bool:
        """Whether a gate that wants "at least `bound`" is passed."""
        return version >= bound

    def akin(self, version: Version, fix: Version) -> bool:
        """Whether the fix was made for the version's own line."""
        return bool(version.branch == fix.branch)

    def fix_in(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        """Whether a version has a fix, of which the fixed versions are named, one per line."""
        own = [fix for fix in fixes if self.akin(version, fix)]
        if own:
            since = next((fix for fix in own if self.reaches(version, fix)), None)
            if since is not None:
                return FixAnswer(True, f"{version} (line {version.line}): fixed from {since} on")
            return FixAnswer(False, f"{version} (line {version.line}): fixed only from {min(own)} on")
        newest = max(fixes)
        if not self.reaches(version, newest):
            return FixAnswer(
                False, f"{version} (line {version.line}): no fix is named for it, and it is before {newest}"
            )
        return self.in_newer_line(version, fixes)

    def in_newer_line(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        """The answer for a line that no fix is named for and that is newer than all that have one."""
        if version.pre:
            return FixAnswer(
                False, f"{version} (line {version.line}): a pre-release, which may have been cut before {max(fixes)}"
            )
        return FixAnswer(True, f"{version} (line {version.line}): comes after {max(fixes)}, the newest of the fixes")

    def change_of_line(self, a: Version, b: Version) -> str:
        """Why going from a to b has to be named as a change of line; empty when it is none."""
        if a.track and b.track and a.track != b.track:
            return f"{a} is of the {a.track} line, {b} of the {b.track} line: a change of line has to be named"
        return ""


def shown(text: str) -> str:
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}…"


def _not_plain(text: str) -> str:
    if not text:
        return "it is empty"
    if len(text) > MAX_LENGTH:
        return f"it is {len(text)} characters long, and {MAX_LENGTH} are the most"
    strange = next((char for char in text if not 33 <= ord(char) <= 126), "")
    if strange.isspace():
        return "it holds white space"
    if strange:
        return f"{strange!r} is not a plain ASCII character"
    if re.match(r"[vV][0-9]", text):
        return f"it begins with {text[0]!r}; write the number alone"
    return ""


def trimmed(numbers: Sequence[int]) -> tuple[int, ...]:
    """Without the zeros at the end, so that 4.3 equals 4.3.0."""
    kept = list(numbers)
    while len(kept) > 1 and not kept[-1]:
        kept.pop()
    return tuple(kept)


def ints(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def dotted(numbers: Sequence[int]) -> str:
    return ".".join(map(str, numbers))


def padded(numbers: Sequence[int], width: int) -> tuple[int, ...]:
    return (*numbers, *[0] * (width - len(numbers)))[: max(width, len(numbers))]
