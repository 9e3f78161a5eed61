"""What a run took for the night (traffic closed, schedules and alarms paused), and what of it was not given back."""

from __future__ import annotations

from collections.abc import Iterable

from changeover.domain.record import Mark, MarkKind

TAKES = frozenset({"restore_point.yml", "build.yml"})
"""Playbooks that close something on hosts; it is written down before they run."""
GIVES_BACK = frozenset({"commit.yml", "stand_down.yml", "back_out.yml", "reopen.yml", "build.yml"})
"""Playbooks at whose good end everything that the run took is open again."""


def outstanding(marks: Iterable[Mark]) -> dict[str, tuple[str, ...]]:
    """Host → what was taken on it and not given back; a name is missing where the host could not say what."""
    found: dict[str, tuple[str, ...]] = {}
    for mark in marks:
        if mark.kind is MarkKind.TAKEN:
            named = tuple(str(name) for name in mark.data.get("names") or ())
            found[mark.host] = tuple(dict.fromkeys((*found.get(mark.host, ()), *named)))
        elif mark.kind is MarkKind.GIVEN_BACK:
            found.pop(mark.host, None)
    return found


def told(marks: Iterable[Mark]) -> tuple[str, ...]:
    return tuple(
        f"{host}: taken for the night and not given back: {', '.join(names) or 'traffic'}"
        for host, names in outstanding(marks).items()
    )
