"""Business data before and after, prepared so that nothing is lost on the way into the library: exact, row by row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

Row = Mapping[str, Any]
Rows = Sequence[Row]

LOST, ADDED = "(row lost)", "(row added)"
EXAMPLES = 5
MOST_DIGITS = 200


class NotComparableError(Exception):
    """The data cannot be held against each other; the message says why in plain words. It is a "no"."""


@dataclass(frozen=True)
class Pair:
    """One row's value before and after, both as text."""

    row: str
    before: str
    after: str

    @property
    def equal(self) -> bool:
        return self.before == self.after


def text(value: Any, *, number: bool) -> str:
    """A value as text, so that two values are equal exactly when their texts are; null is no text of any value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal) or number:
        return f"{decimal(value):f}"
    if isinstance(value, str):
        return repr(value)
    return json.dumps(value, sort_keys=True, default=str)


def decimal(value: Any) -> Decimal:
    """An exact number without trailing zeros; a text is read as it is written, a float as it is printed."""
    try:
        exact = Decimal(str(value))
    except InvalidOperation as exc:
        raise NotComparableError(f"{value!r} is not a number") from exc
    if not exact.is_finite() or abs(exact.adjusted()) > MOST_DIGITS:
        raise NotComparableError(f"{value!r} is not a finite number of at most {MOST_DIGITS} digits")
    plain = f"{exact:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return Decimal("0" if plain == "-0" else plain)


def column(rows: Rows, name: str, when: str) -> list[Any]:
    """Raise when a row lacks the column."""
    if missing := sum(name not in row for row in rows):
        raise NotComparableError(f"column {name} is missing {when} in {missing} of {len(rows)} rows")
    return [row[name] for row in rows]


def by_key(rows: Rows, key: Sequence[str], when: str) -> dict[str, Row]:
    """Rows by the text of their key; raise when a key names two rows."""
    parts = [column(rows, name, when) for name in key]
    names = [
        ", ".join(f"{name}={text(value, number=False)}" for name, value in zip(key, values, strict=True))
        for values in zip(*parts, strict=True)
    ]
    if twice := [name for name, times in Counter(names).items() if times > 1]:
        raise NotComparableError(f"{len(twice)} keys name more than one row {when}: {_some(twice)}")
    return dict(zip(names, rows, strict=True))


def pairs(before: Rows, after: Rows, *, key: Sequence[str], name: str, number: bool) -> list[Pair]:
    """Every row that is there before or after. A column that is null throughout compares nothing, so it raises."""
    old, new = by_key(before, key, "before"), by_key(after, key, "after")
    values = column(before, name, "before") + column(after, name, "after")
    if values and all(value is None for value in values):
        raise NotComparableError(f"column {name} is null in every row, before and after: nothing compared")
    return [
        Pair(
            row,
            text(old[row][name], number=number) if row in old else ADDED,
            text(new[row][name], number=number) if row in new else LOST,
        )
        for row in dict.fromkeys((*old, *new))
    ]


def total(rows: Rows, name: str, when: str) -> tuple[Decimal, int]:
    """Exact sum of a column, and how many nulls it has; raise when there is nothing to sum up."""
    values = column(rows, name, when)
    numbers = [decimal(value) for value in values if value is not None]
    if values and not numbers:
        raise NotComparableError(f"column {name} is null in every row {when}: nothing compared")
    return _sum(numbers), len(values) - len(numbers)


def _sum(numbers: Sequence[Decimal]) -> Decimal:
    """Over whole numbers of the smallest unit: decimal arithmetic of Python rounds at 28 digits."""
    places = max((-_exponent(number) for number in numbers), default=0)
    return decimal(f"{sum(_scaled(number, places) for number in numbers)}e-{places}")


def _scaled(number: Decimal, places: int) -> int:
    sign, digits, _ = number.as_tuple()
    magnitude = int("".join(map(str, digits))) * int(10 ** (_exponent(number) + places))
    return -magnitude if sign else magnitude


def _exponent(number: Decimal) -> int:
    return int(number.as_tuple().exponent)


def differences(found: Sequence[Pair]) -> str:
    unequal = [f"{pair.row}: {pair.before} before, {pair.after} after" for pair in found if not pair.equal]
    return f"{len(unequal)} of {len(found)} rows differ: {_some(unequal, '; ')}" if unequal else ""


def _some(items: Sequence[str], between: str = ", ") -> str:
    more = len(items) - EXAMPLES
    return between.join(items[:EXAMPLES]) + (f" and {more} more" if more > 0 else "")
