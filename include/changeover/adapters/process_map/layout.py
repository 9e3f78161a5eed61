"""Where everything of the process map stands, in points: bands of four swimlanes, a column for each step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import inf

from changeover.adapters.process_map.lettering import wrap
from changeover.domain.blueprint import ALTERNATIVES, Lane, Task
from changeover.domain.brand import Brand

LANES = {
    Lane.CLIENT: "Client",
    Lane.ONSTAGE: "Onstage",
    Lane.BACKSTAGE: "Backstage",
    Lane.SYSTEM: "Systems",
}


@dataclass(frozen=True)
class Canvas:
    """A sheet of paper, or room without end. `text` is the size of a title."""

    width: float
    height: float
    text: float
    column: float
    """No column is narrower."""
    margin: float = 22
    head: float = 54
    foot: float = 24
    gap: float = 11
    """Between two columns: here the lines run."""
    port: float = 20
    """Room at both ends of a band, where the flow comes in and goes out."""
    card: float = 0
    """No task is drawn less high."""
    spare: float = 0
    """Height that each lane has beyond its need where there is no end to the height."""

    @property
    def small(self) -> float:
        """Nothing on it is smaller."""
        return self.text - 0.6

    @property
    def inner(self) -> float:
        return self.width - 2 * self.margin - LABEL - 2 * self.port


LABEL = 18
"""Width of a swimlane's own name, which stands upright."""
PAD = 4
HEADING = 17
LEAST = 38
"""Height of an empty lane: its own name has to fit."""
BETWEEN = 12
ROOMY = 26
"""A lane grows by no more than this when there is room left on its sheet."""
SIZES = (8.4, 8.0, 7.6, 7.2, 6.9)
"""Sizes of text that are tried for paper."""


@dataclass(frozen=True)
class Line:
    text: str
    size: float
    bold: bool = False


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Card:
    task: Task
    box: Box
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Heading:
    box: Box
    number: int
    text: str


@dataclass(frozen=True)
class Port:
    """Where the flow enters or leaves a band: the start, the end, or the number of the passage to the next band."""

    x: float
    y: float
    name: str


@dataclass(frozen=True)
class Wire:
    """A line with an arrow at its end. `source` and `target` are task ids, "" at a port."""

    source: str
    target: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Band:
    lanes: Mapping[Lane, Box]
    headings: tuple[Heading, ...]
    cards: tuple[Card, ...]
    wires: tuple[Wire, ...]
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Sheet:
    width: float
    height: float
    bands: tuple[Band, ...]


Column = tuple[Task, ...]
Block = tuple[Column, ...]


def fit(tasks: Sequence[Task], brand: Brand, canvas: Canvas) -> tuple[tuple[Sheet, ...], Canvas]:
    """On as few sheets as the sizes of text allow, and then as large as possible."""
    tried = [replace(canvas, text=size) for size in SIZES]
    laid = [(lay_out(tasks, brand, one), one) for one in tried]
    return min(laid, key=lambda pair: len(pair[0]))


def lay_out(tasks: Sequence[Task], brand: Brand, canvas: Canvas) -> tuple[Sheet, ...]:
    """On as many sheets as it takes. A canvas without end in height is as high as what stands on it."""
    rows, count = _rows(_blocks(tasks), canvas)
    builder = _Bands(brand, canvas, canvas.inner / count, len(rows))
    heights = [builder.height(row) for row in rows]
    sheets: list[list[int]] = [[]]
    room = canvas.height - canvas.head - canvas.foot
    for number, height in enumerate(heights):
        if height > room and sheets[-1]:
            sheets.append([])
            room = canvas.height - canvas.head - canvas.foot
        sheets[-1].append(number)
        room -= height + BETWEEN
    return tuple(_sheet([(n, rows[n]) for n in numbers], builder) for numbers in sheets)


def _sheet(rows: Sequence[tuple[int, Sequence[Block]]], builder: _Bands) -> Sheet:
    canvas = builder.canvas
    taken = sum(builder.height(row) + BETWEEN for _, row in rows) - BETWEEN
    left = canvas.height - canvas.head - canvas.foot - taken
    builder = replace(
        builder, extra=canvas.spare if left == inf else max(min(left / (len(LANES) * len(rows)), ROOMY), 0)
    )
    bands = []
    y = canvas.head
    for number, row in rows:
        bands.append(builder.band(row, number, y))
        y = bands[-1].lanes[Lane.SYSTEM].bottom + BETWEEN
    height = y - BETWEEN + canvas.foot if canvas.height == inf else canvas.height
    return Sheet(canvas.width, height, tuple(bands))


def endless(tasks: Sequence[Task], *, text: float, column: float) -> Canvas:
    """Room for everything in one band, for tools in which one scrolls."""
    columns = sum(len(block) for block in _blocks(tasks))
    margins = 2 * 22 + LABEL + 2 * 50
    return Canvas(columns * column + margins, inf, text, column, head=0, foot=0, gap=36, port=50, card=56, spare=84)


def _blocks(tasks: Sequence[Task]) -> list[Block]:
    """The columns of each sub-process; alternatives stand in one column."""

    def same_column(task: Task) -> tuple[str, ...]:
        return ("one of", *task.after) if _is_alternative(task) else (task.id,)

    blocks = groupby(tasks, key=lambda task: (task.process.number, task.environment))
    return [tuple(tuple(column) for _, column in groupby(block, key=same_column)) for _, block in blocks]


def _is_alternative(task: Task) -> bool:
    return task.process.per_environment and task.name in ALTERNATIVES


def _rows(blocks: Sequence[Block], canvas: Canvas) -> tuple[list[list[Block]], int]:
    """Sub-processes in bands, whole where that is possible: as few bands as can be, and then as wide columns."""
    most = max(int(canvas.inner // canvas.column), 1)
    rows = _filled(blocks, most)
    for fewer in range(most - 1, 0, -1):
        narrower = _filled(blocks, fewer)
        if len(narrower) > len(rows):
            return rows, max(sum(map(len, row)) for row in rows)
        rows = narrower
    return rows, max(sum(map(len, row)) for row in rows)


def _filled(blocks: Sequence[Block], count: int) -> list[list[Block]]:
    rows: list[list[Block]] = [[]]
    room = count
    for block in blocks:
        rest = block
        while rest:
            if len(rest) > room and rows[-1] and (len(rest) <= count or room < count / 2):
                rows.append([])
                room = count
            rows[-1].append(rest[:room])
            rest, room = rest[room:], room - len(rest[:room])
    return [row for row in rows if row]


@dataclass(frozen=True)
class _Bands:
    brand: Brand
    canvas: Canvas
    column: float
    of: int
    """How many bands there are."""
    extra: float = 0
    """Height that each lane is given beyond its need."""

    def height(self, row: Sequence[Block]) -> float:
        return self._lanes([column for block in row for column in block], 0)[Lane.SYSTEM].bottom

    def band(self, row: Sequence[Block], number: int, top: float) -> Band:
        columns = [column for block in row for column in block]
        lanes = self._lanes(columns, top)
        cards = tuple(card for i, column in enumerate(columns) for card in self._cards(column, i, lanes))
        ports = self._ports(cards, number)
        return Band(
            lanes, tuple(self._headings(row, top)), cards, tuple(_wires(cards, ports, self.canvas.gap / 2)), ports
        )

    def _left(self, column: int) -> float:
        return self.canvas.margin + LABEL + self.canvas.port + column * self.column

    def _lanes(self, columns: Sequence[Column], top: float) -> dict[Lane, Box]:
        """A lane is as high as its fullest column."""
        lanes: dict[Lane, Box] = {}
        y = top + HEADING
        for lane in LANES:
            stacks = [[self._height(task) for task in column if task.lane is lane] for column in columns]
            fullest = max(sum(stack) + PAD * (len(stack) + 1) for stack in stacks)
            height = max(fullest, LEAST) + self.extra
            lanes[lane] = Box(self.canvas.margin, y, self.canvas.width - 2 * self.canvas.margin, height)
            y += height
        return lanes

    def _cards(self, column: Column, number: int, lanes: Mapping[Lane, Box]) -> Iterator[Card]:
        for lane, box in lanes.items():
            mine = [task for task in column if task.lane is lane]
            free = box.height - sum(self._height(task) for task in mine)
            y = box.y
            for task in mine:
                y += free / (len(mine) + 1)
                height = self._height(task)
                yield Card(
                    task,
                    Box(self._left(number) + self.canvas.gap / 2, y, self.column - self.canvas.gap, height),
                    self._lines(task),
                )
                y += height

    def _height(self, task: Task) -> float:
        return max(sum(line.size * 1.22 for line in self._lines(task)) + 2 * PAD, self.canvas.card)

    def _lines(self, task: Task) -> tuple[Line, ...]:
        width = self.column - self.canvas.gap - 2 * PAD
        names = task.form.systems if task.lane is Lane.SYSTEM else task.responsible
        called = self.brand.system if task.lane is Lane.SYSTEM else self.brand.role
        title = wrap(task.title, self.canvas.text, width, bold=True)
        who = wrap(", ".join(map(called, names)), self.canvas.small, width)
        when = wrap(f"when {ALTERNATIVES[task.name]}" if _is_alternative(task) else "", self.canvas.small, width)
        return (
            *(Line(text, self.canvas.text, bold=True) for text in title),
            *(Line(text, self.canvas.small) for text in (*who, *when)),
        )

    def _headings(self, row: Sequence[Block], top: float) -> Iterator[Heading]:
        column = 0
        for block in row:
            task = block[0][0]
            box = Box(self._left(column) + 1, top, self.column * len(block) - 2, HEADING - 3)
            yield Heading(box, task.process.number, self._heading(task, box.width - 2 * PAD))
            column += len(block)

    def _heading(self, task: Task, width: float) -> str:
        """The name where there is room for it, else as much of it as there is room for."""
        process, environment = task.process, task.environment if task.process.per_environment else ""
        for text in (
            f"{process.number} {process.title}{f' · {environment}' if environment else ''}",
            f"{process.number} {process.title.removeprefix('Upgrade ')}{f' · {environment}' if environment else ''}",
            f"{process.number} {SHORT[process.number]}{f' · {environment}' if environment else ''}",
            f"{process.number} {SHORT[process.number]}",
            f"{process.number} {SHORT[process.number].split()[0]}",
        ):
            if len(wrap(text, self.canvas.small, width, bold=True)) == 1:
                return text
        return f"{process.number}"

    def _ports(self, cards: Sequence[Card], number: int) -> tuple[Port, ...]:
        first, last = cards[0].box, cards[-1].box
        port = self.canvas.port
        left = self.canvas.margin + LABEL + port / 2
        right = self.canvas.width - self.canvas.margin - port / 2
        end = self._left(0) + port / 2 + self.column * round((last.right - self._left(0)) / self.column)
        return (
            Port(left, first.middle, "start" if number == 0 else str(number)),
            Port(min(end, right), last.middle, "end" if number == self.of - 1 else str(number + 1)),
        )


SHORT = {
    1: "Transition", 2: "Kickoff", 3: "Release analysis", 4: "Client analysis", 5: "Baseline", 6: "Planning",
    7: "Preparations", 8: "Readiness", 9: "Implementation", 10: "Support", 11: "Closeout",
}  # fmt: skip
"""Sub-processes in a narrow place."""


def _wires(cards: Sequence[Card], ports: tuple[Port, ...], ahead: float) -> Iterator[Wire]:
    here = {card.task.id: card for card in cards}
    entry, leave = ports
    first, last = cards[0], cards[-1]
    yield Wire("", first.task.id, ((entry.x, entry.y), (first.box.x, first.box.middle)))
    for card in cards:
        for source in card.task.after:
            if source in here:
                yield Wire(source, card.task.id, _elbow(here[source].box, card.box, ahead))
    yield Wire(last.task.id, "", ((last.box.right, last.box.middle), (leave.x, leave.y)))


def _elbow(source: Box, target: Box, ahead: float) -> tuple[tuple[float, float], ...]:
    """Across the gap in front of the target, where no card stands."""
    if abs(source.middle - target.middle) < 0.5:
        return ((source.right, source.middle), (target.x, source.middle))
    bend = target.x - ahead
    return (
        (source.right, source.middle), (bend, source.middle), (bend, target.middle), (target.x, target.middle),
    )  # fmt: skip
