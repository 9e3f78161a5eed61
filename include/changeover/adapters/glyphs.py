"""Letters that the fonts of the documents lack: they would be printed as empty boxes, a name in a signature too."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_TAG = re.compile(r"<(?:style|title|desc)\b.*?</(?:style|title|desc)>|<[^>]*>", re.DOTALL)
_NOT_PRINTED = ("Cc", "Cf", "Zs", "Zl", "Zp")
SHOWN = 5
"""So many of the texts are told."""


def letters_of(fonts: Path) -> frozenset[int]:
    """Every code point that one of the fonts in a directory can print."""
    from fontTools.ttLib import TTFont

    found: set[int] = set()
    for path in sorted((*fonts.glob("*.ttf"), *fonts.glob("*.otf"))):
        with TTFont(path, lazy=True) as font:
            found |= set(font.getBestCmap() or {})
    return frozenset(found)


def not_printable(data: Any, known: frozenset[int]) -> tuple[str, ...]:
    """The texts in a document's data that hold letters of no font: each with these letters and their code points."""
    told: dict[str, None] = {}
    for text in _texts(data):
        lacking = dict.fromkeys(c for c in text if ord(c) not in known and unicodedata.category(c) not in _NOT_PRINTED)
        if lacking:
            named = ", ".join(f"{letter} (U+{ord(letter):04X})" for letter in lacking)
            told[f"{named} in “{' '.join(text.split())[:80]}”"] = None
    return tuple(told)


def _texts(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        if data.lstrip().startswith(("<svg", "<?xml")):
            yield from (html.unescape(part) for part in _TAG.split(data) if part.strip())
        else:
            yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            if key != "logo":
                yield from _texts(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _texts(value)
