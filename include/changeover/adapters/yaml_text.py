"""YAML as we read it: text, numbers, booleans and dates, each with its line; everything that surprises is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import yaml

from changeover.domain.fault import Fault, dotted

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 20
MAX_VALUES = 20_000

Path = tuple[str | int, ...]

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_HIDDEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069]")
_SUSPECT = re.compile(f"[\t\r]|{_CONTROL.pattern}|{_HIDDEN.pattern}")

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NORWAY = {
    variant: meaning
    for word, meaning in (("yes", "true"), ("on", "true"), ("no", "false"), ("off", "false"))
    for variant in (word, word.capitalize(), word.upper())
}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")
_ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_OTHER_BASE = re.compile(r"[-+]?0[0-9]+|[-+]?0[oO][0-7]+|[-+]?0[xX][0-9a-fA-F_]+|[-+]?0b[01_]+")
_UNDERSCORED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?")
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CUT_OFF = re.compile(r"[ \t]+#(?=[^\s#])")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt]|[ ]+)[0-9].*")


@dataclass
class YamlText:
    """What was read. `data` is only to be used where `faults` leaves it usable (`broken` says otherwise).

    `lines` has the line of every key and entry, `written` the text of every unquoted value. A value that was refused is
    under `refused`; whatever a schema says about it afterwards only repeats the fault.
    """

    name: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    written: dict[Path, str] = field(default_factory=dict)
    refused: set[Path] = field(default_factory=set)
    faults: list[Fault] = field(default_factory=list)
    broken: bool = False

    def fault(self, line: int, path: Path, message: str) -> None:
        self.faults.append(Fault(self.name, line, dotted(path), message))

    def line(self, path: Path) -> int:
        """Of the value, or of the nearest thing around it that was written."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1

    def was_refused(self, path: Path) -> bool:
        return any(path[:length] in self.refused for length in range(len(path) + 1))


def read_yaml(raw: bytes, *, name: str) -> YamlText:
    """Never raises for what is in `raw`: every fault found is in the result."""
    document = YamlText(name)
    text = _decode(raw, document)
    if text is not None:
        _Reader(document).read(text)
    return document


def _decode(raw: bytes, document: YamlText) -> str | None:
    """The text, or None when nothing more can be said than what was said."""
    document.broken = True
    if len(raw) > MAX_BYTES:
        document.fault(0, (), f"is larger than {MAX_BYTES // 1024} KiB; a document of this kind has a few")
        return None
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or raw[:4] == b"\x00\x00\xfe\xff":
        document.fault(1, (), "is UTF-16 or UTF-32 text; save it as UTF-8")
        return None
    if raw[:3] == b"\xef\xbb\xbf":
        document.fault(1, (), "begins with a byte order mark (BOM); save it as UTF-8 without one")
        raw = raw[3:]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        document.fault(line, (), f"byte 0x{raw[exc.start]:02x} is not UTF-8 (latin-1?); save the file as UTF-8")
        return None
    if raw.count(b"\x00") * 3 > len(raw):
        document.fault(1, (), "is UTF-16 or UTF-32 text without a mark; save it as UTF-8")
        return None
    return text if _clean(text, document) else None


def _clean(text: str, document: YamlText) -> bool:
    """Whether a YAML reader may see it."""
    if not _SUSPECT.search(text):
        return True
    readable = True
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if control := _CONTROL.search(line):
            document.fault(number, (), f"has the control character U+{ord(control[0]):04X}; remove it")
            readable = False
        if "\r" in line:
            document.fault(number, (), "has a bare carriage return; end lines with a line feed")
            readable = False
        if hidden := _HIDDEN.search(line):
            document.fault(number, (), f"has the invisible character U+{ord(hidden[0]):04X}; remove it")
        if "\t" in line:
            document.fault(number, (), "has a tab; YAML does not indent by tabs, use spaces")
            readable = False
    return readable


@dataclass
class _Open:
    """A mapping or list that is being filled."""

    path: Path
    line: int
    items: dict[str, Any] | list[Any]
    key: str | None = None
    awaiting_value: bool = False
    seen: dict[str, int] = field(default_factory=dict)


class _Reader:
    """Builds the tree from events, so that depth and size are bounded by us and every surprise has its line."""

    def __init__(self, document: YamlText) -> None:
        self.document = document
        self.stack: list[_Open] = []
        self.values = 0
        self.documents = 0
        self.skipping = 0
        """Depth inside something whose content is of no further use."""
        self.done = False
        self.lines: list[str] = []

    def read(self, text: str) -> None:
        document = self.document
        self.lines = text.split("\n")
        try:
            for event in self._events(text):
                self._take(event)
                if self.done:
                    return
        except yaml.YAMLError as exc:
            mark = getattr(exc, "problem_mark", None) or getattr(exc, "context_mark", None)
            problem = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "unreadable text"
            last = max(1, len(text.splitlines()))
            document.fault(
                min(mark.line + 1, last) if mark else 0, (), f"cannot be read as YAML from here on: {problem}"
            )
            return
        if self.documents == 0 or (document.data is None and not document.faults):
            document.fault(1, (), "is empty")
            return
        document.broken = False

    def _events(self, text: str) -> Iterator[Any]:
        return iter(yaml.parse(text, Loader=_LOADER))

    def _stop(self, line: int, path: Path, message: str) -> None:
        self.document.fault(line, path, message)
        self.done = True

    def _take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent | yaml.AliasEvent):
            self.values += 1
            if self.values > MAX_VALUES:
                self._stop(line, (), f"has more than {MAX_VALUES} values")
                return
        if isinstance(event, yaml.DocumentStartEvent):
            self._document(event, line)
        elif self.skipping:
            self._skip(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event, line)
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event, line)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._open(event, line)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()

    def _document(self, event: Any, line: int) -> None:
        self.documents += 1
        if event.version or event.tags:
            self.document.fault(line, (), "has a YAML directive (%…); remove it")
        if self.documents == 2:
            self._stop(line, (), "holds a second document ('---'); write one document to a file")

    def _skip(self, event: Any) -> None:
        if isinstance(event, yaml.CollectionStartEvent):
            self.skipping += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            self.skipping -= 1

    def _path(self) -> Path:
        """Of the value about to come."""
        if not self.stack:
            return ()
        top = self.stack[-1]
        if isinstance(top.items, list):
            return (*top.path, len(top.items))
        return (*top.path, top.key) if top.key is not None else top.path

    def _wants_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].items, dict) and not self.stack[-1].awaiting_value

    def _put(self, value: Any) -> None:
        if not self.stack:
            self.document.data = value
            return
        top = self.stack[-1]
        if isinstance(top.items, list):
            top.items.append(value)
            return
        if top.key is not None and top.key not in top.items:
            top.items[top.key] = value
        top.awaiting_value, top.key = False, None

    def _decoration(self, event: Any, line: int, path: Path) -> None:
        """Anchors and tags, on whatever carries them."""
        if event.anchor is not None:
            self.document.fault(
                line, path, f"has the anchor '&{event.anchor}'; anchors are not read, write the value out"
            )
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            self.document.fault(line, path, f"has the tag '{shown}'; tags are not read, write the value plainly")
            self.document.refused.add(path)

    def _alias(self, event: Any, line: int) -> None:
        if self._wants_key():
            self._key_fault(line, f"the alias '*{event.anchor}' stands for a key; write the key out")
            return
        path = self._path()
        self.document.fault(line, path, f"is the alias '*{event.anchor}'; aliases are not read, write the value out")
        self.document.refused.add(path)
        self.document.lines.setdefault(path, line)
        self._put(None)

    def _open(self, event: Any, line: int) -> None:
        if self._wants_key():
            self._key_fault(line, "a list or mapping stands for a key; keys are text")
            self.skipping = 1
            return
        path = self._path()
        self.document.lines.setdefault(path, line)
        self._decoration(event, line, path)
        if len(self.stack) >= MAX_DEPTH:
            self._stop(line, path, f"is nested more than {MAX_DEPTH} deep")
            return
        items: dict[str, Any] | list[Any] = {} if isinstance(event, yaml.MappingStartEvent) else []
        self.stack.append(_Open((*path, "(repeated)") if self._is_repeated() else path, line, items))

    def _is_repeated(self) -> bool:
        """Whether the value about to come belongs to the second of two equal keys."""
        if not self.stack:
            return False
        top = self.stack[-1]
        return isinstance(top.items, dict) and top.key is not None and top.key in top.items

    def _close(self) -> None:
        closed = self.stack.pop()
        self._put(closed.items)

    def _key_fault(self, line: int, message: str) -> None:
        top = self.stack[-1]
        self.document.fault(line, top.path, message)
        self.document.refused.add(top.path)
        top.awaiting_value, top.key = True, None

    def _scalar(self, event: Any, line: int) -> None:
        plain = event.style in (None, "") and event.implicit[0]
        if self._wants_key():
            self._key(event, line, plain=plain)
            return
        path = self._path()
        self.document.lines.setdefault(path, line)
        self._decoration(event, line, path)
        value: Any = event.value
        if plain:
            if not self._is_repeated():
                self.document.written[path] = event.value
            value, problem = resolve(event.value)
            problem = problem or self._cut_off(event, value)
            if problem:
                self.document.fault(line, path, problem)
                self.document.refused.add(path)
        elif control := _CONTROL.search(value) or _HIDDEN.search(value):
            self.document.fault(line, path, f"has the character U+{ord(control[0]):04X} in it; remove it")
        self._put(value)

    def _cut_off(self, event: Any, value: Any) -> str:
        """Text that goes on after ' #', such as `Roundup #26`, of which YAML keeps the beginning alone."""
        end = event.end_mark
        rest = self.lines[end.line][end.column :] if end.line < len(self.lines) else ""
        if not (value is None or isinstance(value, str)) or not _CUT_OFF.match(rest):
            return ""
        lost = rest.strip() if len(rest.strip()) <= 40 else f"{rest.strip()[:40]}…"
        return f"what follows is a comment to YAML: {lost}; write the whole text in quotes, or '# ' before a comment"

    def _key(self, event: Any, line: int, *, plain: bool) -> None:
        top = self.stack[-1]
        key: str = event.value
        if plain and key == "<<":
            self._key_fault(line, "is a merge key '<<'; merging is not read, write the values out")
            return
        if plain and key not in _NORWAY and (not isinstance(resolve(key)[0], str) or resolve(key)[1]):
            self._key_fault(line, f"the key {key or '(nothing)'} is not text to YAML; write it in quotes")
            return
        path = (*top.path, key)
        self._decoration(event, line, path)
        if key in top.seen:
            self.document.fault(line, path, f"is written twice, first on line {top.seen[key]}; keep one")
        else:
            top.seen[key] = line
            self.document.lines[path] = line
        top.awaiting_value, top.key = True, key


def resolve(text: str) -> tuple[Any, str]:
    """Value of an unquoted scalar, and why it is refused ("" when it is not).

    What YAML 1.1 and 1.2 read differently, or nobody writes on purpose, is refused; the value is then its text.
    """
    if text in _NULL:
        return None, ""
    if text in _BOOLEAN:
        return _BOOLEAN[text], ""
    if text in _NORWAY:
        return (
            text,
            f"{text} without quotes is {_NORWAY[text]} to YAML; write true or false, or '{text}' if text is meant",
        )
    if text[0] not in "0123456789+-.":
        return text, ""
    if _INTEGER.fullmatch(text):
        return (int(text), "") if len(text) < 19 else (text, f"{text[:20]}… is too large a number; write it in quotes")
    if _DATE.fullmatch(text):
        try:
            return date.fromisoformat(text), ""
        except ValueError:
            return text, f"{text} is not a day of the calendar"
    return _odd_number(text)


def _odd_number(text: str) -> tuple[Any, str]:
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    if _SIXTIES.fullmatch(text):
        return text, _sixties(shown, text)
    if _OTHER_BASE.fullmatch(text):
        return text, (
            f"{shown} without quotes is a number in another base to YAML; write '{shown}' if text is meant, "
            "or a decimal number"
        )
    if _UNDERSCORED.fullmatch(text):
        return text, f"{shown} without quotes is a number with separators to YAML; write it in quotes or without '_'"
    if _FLOAT.fullmatch(text):
        number = float(text)
        endless = number in (float("inf"), float("-inf"))
        return (text, f"{shown} is too large a number; write it in quotes") if endless else (number, "")
    if _ENDLESS.fullmatch(text):
        return text, f"{shown} without quotes is not a finite number; write '{shown}' if text is meant"
    if _MOMENT.fullmatch(text):
        return text, (
            f"{shown} without quotes is a moment in time to YAML; write the day alone, such as 2026-11-28, "
            "or all of it in quotes if text is meant"
        )
    return text, ""


def _sixties(shown: str, text: str) -> str:
    total = 0
    if len(text) <= 40 and "." not in text and text[0] in "123456789":
        for part in text.replace("_", "").split(":"):
            total = total * 60 + int(part)
        return f"{shown} without quotes is the number {total} to YAML (base 60); write '{shown}'"
    return f"{shown} without quotes may be a number in base 60 to YAML; write '{shown}'"
