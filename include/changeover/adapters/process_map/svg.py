"""The process map as SVG: text that can be searched, in the documents' font."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from xml.sax.saxutils import escape, quoteattr

from changeover.adapters.process_map.layout import (
    LABEL,
    LANES,
    PAD,
    Band,
    Box,
    Canvas,
    Card,
    Port,
    Sheet,
    Wire,
    fit,
    lay_out,
)
from changeover.adapters.process_map.lettering import measure
from changeover.domain.blueprint import Lane, Task
from changeover.domain.brand import Brand

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
INK, GREY = "#1b1f24", "#5b6470"
PAPERS = {
    "a3": Canvas(1190.551, 841.89, 8, 60),
    "11x17": Canvas(1224, 792, 8, 60),
    "legal": Canvas(1008, 612, 8, 59, margin=18, head=54, foot=22),
}
"""Paper → landscape sheet: 420 x 297 mm, 17 x 11 in, 14 x 8.5 in."""
WHOLE = Canvas(1190.551, inf, 7.6, 64)
"""Everything on one picture."""


@dataclass(frozen=True)
class Caption:
    """What stands around the map. `logo` is a data URI."""

    title: str
    subtitle: str
    foot: str
    logo: str


def map_svg(tasks: Sequence[Task], brand: Brand, caption: Caption) -> str:
    (sheet,) = lay_out(tasks, brand, WHOLE)
    return _sheet(sheet, WHOLE, brand, caption, "")


def map_pages(tasks: Sequence[Task], brand: Brand, caption: Caption, canvas: Canvas) -> tuple[str, ...]:
    sheets, canvas = fit(tasks, brand, canvas)
    return tuple(
        _sheet(sheet, canvas, brand, caption, f"page {number} of {len(sheets)}")
        for number, sheet in enumerate(sheets, start=1)
    )


def _sheet(sheet: Sheet, canvas: Canvas, brand: Brand, caption: Caption, page: str) -> str:
    primary, accent = brand.colours.primary, brand.colours.accent
    width, height = _n(sheet.width), _n(sheet.height)
    space = "http://www.w3.org/2000/svg"
    view = f'width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}"'
    parts = [f'<svg xmlns="{space}" {view} font-family="{FONT}" fill="{INK}">']
    parts += [f"<title>{escape(caption.title)}</title>", f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    parts += _around(sheet, canvas, brand, caption, page)
    for band in sheet.bands:
        parts += _lanes(band, brand, canvas)
        for heading in band.headings:
            box = heading.box
            parts.append(_rect(box, primary, "none", 2))
            y = box.middle + canvas.small * 0.36
            parts.append(_text(box.x + PAD, y, heading.text, canvas.small, bold=True, fill="#ffffff"))
        parts += [_wire(wire) for wire in band.wires]
        parts += [part for card in band.cards for part in _card(card, primary, accent)]
        parts += [part for port in band.ports for part in _port(port, canvas, accent)]
    return "\n".join([*parts, "</svg>", ""])


def _around(sheet: Sheet, canvas: Canvas, brand: Brand, caption: Caption, page: str) -> Iterator[str]:
    left, right = canvas.margin, sheet.width - canvas.margin
    room = right - left - 130
    size = max(min(15, 15 * room / max(measure(caption.title, 15, bold=True), 1)), canvas.small)
    yield _text(left, canvas.head - 24, caption.title, size, bold=True, fill=brand.colours.primary)
    yield _text(left, canvas.head - 12, caption.subtitle, canvas.text, fill=GREY)
    yield (
        f'<image x="{_n(right - 120)}" y="{_n(canvas.head - 37)}" width="120" height="28" '
        f'preserveAspectRatio="xMaxYMid meet" href={quoteattr(caption.logo)}/>'
    )
    base = sheet.height - canvas.foot + 15
    yield _text(left, base, caption.foot, canvas.small, fill=GREY)
    yield _text(right, base, page, canvas.small, fill=GREY, anchor="end")


def _lanes(band: Band, brand: Brand, canvas: Canvas) -> Iterator[str]:
    tints = {lane: getattr(brand.colours, lane.value) for lane in LANES}
    for lane, box in band.lanes.items():
        yield _rect(box, tints[lane], "#c3c9d1", 0)
        x, y = box.x + LABEL / 2 + canvas.text * 0.36, box.middle
        yield (
            f'<text transform="translate({_n(x)} {_n(y)}) rotate(-90)" text-anchor="middle" '
            f'font-size="{_n(canvas.small)}" font-weight="bold" fill="{GREY}">{LANES[lane]}</text>'
        )
    seen = band.lanes[Lane.ONSTAGE]
    yield (
        f'<path d="M{_n(seen.x)} {_n(seen.bottom)}H{_n(seen.right)}" stroke="{brand.colours.primary}" '
        'stroke-width="1.2" stroke-dasharray="6 3" fill="none"/>'
    )
    yield _text(seen.right - 3, seen.bottom - 3, "line of visibility", canvas.small, fill=GREY, anchor="end")


def _card(card: Card, primary: str, accent: str) -> Iterator[str]:
    box = card.box
    decides = card.task.asked is not None
    yield (
        f'<rect id={quoteattr(card.task.id)} x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" '
        f'height="{_n(box.height)}" rx="3" fill="#ffffff" stroke="{accent if decides else primary}" '
        f'stroke-width="{2 if decides else 0.8}"/>'
    )
    y = box.y + PAD
    for line in card.lines:
        y += line.size * 1.22
        yield _text(box.x + PAD, y - line.size * 0.3, line.text, line.size, bold=line.bold)


def _wire(wire: Wire) -> str:
    (x, y), *rest = wire.points
    path = f"M{_n(x)} {_n(y)}" + "".join(f"L{_n(a)} {_n(b)}" for a, b in rest)
    head = ""
    if wire.target:
        tip_x, tip_y = wire.points[-1]
        head = f'<path d="M{_n(tip_x)} {_n(tip_y)}l-4 -2.4v4.8z" fill="{GREY}"/>'
    return f'<path d="{path}" stroke="{GREY}" stroke-width="0.9" fill="none"/>{head}'


def _port(port: Port, canvas: Canvas, accent: str) -> Iterator[str]:
    radius = canvas.small * 0.85
    if port.name in ("start", "end"):
        width = 1 if port.name == "start" else 3
        yield (
            f'<circle cx="{_n(port.x)}" cy="{_n(port.y)}" r="{_n(radius)}" fill="#ffffff" stroke="{INK}" '
            f'stroke-width="{width}"><title>{port.name}</title></circle>'
        )
        return
    yield f'<circle cx="{_n(port.x)}" cy="{_n(port.y)}" r="{_n(radius)}" fill="#ffffff" stroke="{accent}"/>'
    yield _text(port.x, port.y + canvas.small * 0.36, port.name, canvas.small, bold=True, anchor="middle")


def _text(
    x: float, y: float, text: str, size: float, *, bold: bool = False, fill: str = INK, anchor: str = "start"
) -> str:
    weight = ' font-weight="bold"' if bold else ""
    place = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}"{weight}{place} fill="{fill}">{escape(text)}</text>'


def _rect(box: Box, fill: str, stroke: str, radius: float) -> str:
    return (
        f'<rect x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}" '
        f'rx="{_n(radius)}" fill="{fill}" stroke="{stroke}" stroke-width="0.6"/>'
    )


def _n(value: float) -> str:
    """Short, and the same on every machine."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
