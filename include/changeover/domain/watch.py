"""The proof that reading changed nothing: what lay below the watched paths before, and what lies there after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Watched:
    """One look at one host. `directories` maps each one below the watched paths to the digest of what lies in it.

    The digest covers names, kinds, modes, owners, sizes and times of change, and the content of small files.
    """

    host: str
    directories: Mapping[str, str] = field(default_factory=dict)
    entries: int = 0
    fault: str = ""
    """Why there is no look."""


def unproven(host: str, before: Mapping[str, Watched], after: Mapping[str, Watched]) -> str:
    """Why nothing can be said of a host; "" when both looks were made."""
    for looks, when in ((before, "before"), (after, "after")):
        look = looks.get(host)
        if look is None or look.fault:
            return f"the look {when} the analysis failed: {look.fault if look else 'it was not made'}"
        if not look.directories:
            return f"the look {when} the analysis saw nothing"
    return ""


def changed(before: Watched, after: Watched) -> tuple[str, ...]:
    """Directories that are not as they were."""
    names = set(before.directories) | set(after.directories)
    return tuple(sorted(name for name in names if before.directories.get(name) != after.directories.get(name)))
