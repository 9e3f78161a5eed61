"""A document for people: sections of texts, tables and charts, before anything says how they look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Audience(StrEnum):
    """Who may read it. What is for the client shows what the client sees, and nothing from behind that line."""

    CLIENT = "client"
    INTERNAL = "internal"


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Points:
    """A list; numbered where the order counts."""

    items: tuple[str, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    pairs: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Table:
    """`widths` are shares of the page's width."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Bar:
    label: str
    first: date
    last: date
    """The last day that belongs to it."""
    milestone: bool = False
    actual: tuple[date, date] | None = None


@dataclass(frozen=True)
class Gantt:
    bars: tuple[Bar, ...]

    @property
    def first(self) -> date:
        return min(self._days())

    @property
    def last(self) -> date:
        return max(self._days())

    def _days(self) -> list[date]:
        return [day for bar in self.bars for day in (bar.first, bar.last, *(bar.actual or ()))]


@dataclass(frozen=True)
class Signatures:
    """A line for each to sign on."""

    names: tuple[str, ...]


Block = Text | Points | Facts | Table | Gantt | Signatures


@dataclass(frozen=True)
class Section:
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Paper:
    """`name` is the file's, without its ending."""

    name: str
    title: str
    audience: Audience
    about: str
    sections: tuple[Section, ...]
    landscape: bool = False

    def texts(self) -> Iterator[str]:
        """Every text in it, for who has to look at all of them."""
        yield from (self.title, self.about)
        for section in self.sections:
            yield section.title
            for block in section.blocks:
                yield from _texts(block)

    def empty(self) -> tuple[str, ...]:
        """Sections in which nothing stands."""
        return tuple(
            section.title
            for section in self.sections
            if not any(text.strip() for block in section.blocks for text in _texts(block))
            or any(isinstance(block, Table) and not block.rows for block in section.blocks)
        )


def _texts(block: Block) -> Iterator[str]:
    match block:
        case Text(text):
            yield text
        case Points(items):
            yield from items
        case Facts(pairs):
            yield from (text for pair in pairs for text in pair)
        case Table(head, rows):
            yield from head
            yield from (text for row in rows for text in row)
        case Gantt(bars):
            yield from (bar.label for bar in bars)
        case Signatures(names):
            yield from names
