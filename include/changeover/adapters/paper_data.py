"""A document as plain data for the templates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from changeover.adapters.brand_files import BrandSet
from changeover.domain.paper import Audience, Block, Facts, Gantt, Paper, Points, Signatures, Table, Text

READERS = {Audience.CLIENT: "For the client and us", Audience.INTERNAL: "For us only, not for the client"}
_LONG = re.compile(r"\S{16,}")
_SEAM = re.compile(r"([._/:=,@-])(?=\S)|([^\s._/:=,@-]{16})(?=\S)")


@dataclass(frozen=True)
class Printed:
    """What stands on every page beside the document itself."""

    plan_title: str
    digest: str
    brand: BrandSet


def paper_data(paper: Paper, printed: Printed, *, soften: Callable[[str], str] = lambda text: text) -> dict[str, Any]:
    """`soften` is applied to every text of the document."""
    sections = [
        {"title": soften(section.title), "blocks": [_block(block, soften) for block in section.blocks]}
        for section in paper.sections
    ]
    brand = printed.brand.brand
    return {
        "paper": {
            "title": paper.title,
            "about": soften(paper.about),
            "readers": READERS[paper.audience],
            "landscape": paper.landscape,
            "sections": sections,
        },
        "plan": {"title": soften(printed.plan_title), "digest": printed.digest[:16]},
        "brand": {"name": brand.name, "footer": brand.footer, "colours": brand.colours.model_dump()},
    }


def breakable(text: str) -> str:
    """Long words get places at which they may break (U+200B), so that none runs out of its cell."""
    return _LONG.sub(lambda word: _SEAM.sub(lambda seam: f"{seam[0]}\u200b", word[0]), text)


def _block(block: Block, soften: Callable[[str], str]) -> dict[str, Any]:
    match block:
        case Text(text):
            return {"kind": "text", "text": soften(text)}
        case Points(items, numbered):
            return {"kind": "points", "items": list(map(soften, items)), "numbered": numbered}
        case Facts(pairs):
            return {"kind": "facts", "pairs": [[soften(name), soften(value)] for name, value in pairs]}
        case Table(head, rows, widths):
            cells = [list(map(soften, row)) for row in rows]
            return {"kind": "table", "head": list(head), "rows": cells, "widths": list(widths)}
        case Gantt():
            return _gantt(block, soften)
        case Signatures(names):
            return {"kind": "signatures", "names": list(map(soften, names))}


def _gantt(gantt: Gantt, soften: Callable[[str], str]) -> dict[str, Any]:
    """Left edges and widths as shares of the chart."""
    first = gantt.first - timedelta(days=1)
    length = (gantt.last - first).days + 2

    def span(begin: date, end: date) -> dict[str, float]:
        return {
            "left": round((begin - first).days / length, 4),
            "width": round(((end - begin).days + 1) / length, 4),
        }

    step = next((step for step in (1, 2, 7, 14, 28, 91) if length / step <= 14), 365)
    ticks = [
        {"left": round(offset / length, 4), "label": f"{first + timedelta(days=offset):%m-%d}"}
        for offset in range(1, length - step // 2, step)
    ]
    bars = [
        {"label": soften(bar.label), "milestone": bar.milestone, **span(bar.first, bar.last),
         "actual": span(*bar.actual) if bar.actual else None}
        for bar in gantt.bars
    ]  # fmt: skip
    years = f"{gantt.first:%Y}" if gantt.first.year == gantt.last.year else f"{gantt.first:%Y} to {gantt.last:%Y}"
    really = "; thin bars below are the days on which it was really done" if any(b.actual for b in gantt.bars) else ""
    return {"kind": "gantt", "ticks": ticks, "bars": bars,
            "legend": f"Days are month-day of {years}. Diamonds are decisions and ends{really}."}  # fmt: skip


def logo_bytes(brand: BrandSet) -> dict[str, Any]:
    return {"format": brand.logo.form, "data": list(brand.logo.data)}
