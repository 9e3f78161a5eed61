"""An application's role as it lies on disk: what it offers, and what it says of it."""

from __future__ import annotations

from dataclasses import dataclass

from changeover.domain.lane import ENTRY_POINTS, RoleDescription

ESSENTIAL = ("discover", "implement", "verify", "back_out")
"""Entry points without which nothing can be proven or undone: no plan may say that they do not apply."""


@dataclass(frozen=True)
class RoleOffer:
    """`offered`: entry points with a task file; `specified`: those whose arguments are specified."""

    description: RoleDescription
    offered: frozenset[str]
    specified: frozenset[str]
    fixes: frozenset[str] = frozenset()
    """Remedies of kind `playbook` that it brings along: <name> of its tasks/fix_<name>.yml."""

    def lacking(self) -> tuple[tuple[str, str], ...]:
        """Each entry point that cannot be used, and what it lacks."""
        lacks = []
        for name in ENTRY_POINTS:
            if name not in self.offered:
                lacks.append((name, f"tasks/{name}.yml is missing"))
            elif name not in self.specified:
                lacks.append((name, f"meta/argument_specs.yml does not specify {name!r}"))
            elif name not in self.description.entry_points:
                lacks.append((name, f"meta/changeover.yml does not describe {name!r}"))
        return tuple(lacks)
