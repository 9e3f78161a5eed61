"""What a plan has to name before a path is planned over it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Named:
    """Whether the plan says why; the vendor has to support it all the same."""

    downgrade: bool = False
    change_of_line: bool = False


NOTHING_NAMED = Named()
