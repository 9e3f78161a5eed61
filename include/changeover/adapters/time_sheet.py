"""Time sheets as CSV files, as spreadsheets save them: comma or semicolon, with or without a byte order mark."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from changeover.adapters.document_files import UnusableFileError, read_bytes
from changeover.adapters.yaml_text import MAX_BYTES
from changeover.domain.effort import Line
from changeover.domain.fault import Fault


@dataclass(frozen=True)
class TimeSheet:
    header: tuple[str, ...]
    lines: tuple[Line, ...]


def read_time_sheet(path: Path) -> TimeSheet | Fault:
    """Its cells, unjudged; or why there are none to be had."""
    name = str(path)
    try:
        raw = read_bytes(path)
    except UnusableFileError as exc:
        return Fault(name, 0, "", str(exc))
    if len(raw) > MAX_BYTES:
        return Fault(name, 0, "", f"is larger than {MAX_BYTES // 1024} KiB; import it in parts")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        return Fault(name, raw.count(b"\n", 0, exc.start) + 1, "", "is not UTF-8 text; save it as CSV UTF-8")
    if "\0" in text:
        return Fault(name, 0, "", "holds NUL characters; it is not a CSV file")
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        return _sheet(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True))
    except csv.Error as exc:
        return Fault(name, 0, "", f"is not CSV: {exc}")


def _sheet(reader: Iterator[list[str]]) -> TimeSheet:
    rows = _numbered(reader)
    header = tuple(cell.strip().lower() for cell in next(rows, (0, []))[1])
    lines = tuple(
        Line(number, {**dict(zip(header, row, strict=False)), **_surplus(header, row)})
        for number, row in rows
        if any(cell.strip() for cell in row)
    )
    return TimeSheet(header, lines)


def _numbered(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for row in reader:
        yield reader.line_num, row  # type: ignore[attr-defined]  # a csv reader counts, which its type does not say


def _surplus(header: tuple[str, ...], row: list[str]) -> dict[str, str]:
    """Cells beyond the last column, under a name that no column can have."""
    more = [cell for cell in row[len(header) :] if cell.strip()]
    return {"": ", ".join(more)} if more else {}
