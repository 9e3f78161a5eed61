"""A tree of lines: how plans and paths are shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Branch:
    """A line of the tree: what, and what there is to say about it."""

    label: str
    detail: str = ""
    children: tuple[Branch, ...] = ()

    def lines(self, depth: int = 0) -> list[str]:
        """As plain text."""
        own = "  " * depth + self.label + (f": {self.detail}" if self.detail else "")
        return [
            own,
            *(line for child in self.children for line in child.lines(depth + 1)),
        ]
