"""Values to JSON and back, exactly. Typed fields become plain JSON; free data is tagged only where JSON has no word."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel

T = TypeVar("T")
TAG = "$"
_MICROSECOND = timedelta(microseconds=1)


class CodecError(ValueError):
    """The value cannot be recorded, or the record is not one of that type."""


def canonical(data: object) -> str:
    """The one text of a JSON value: sorted keys, no spaces, ASCII. Digests are taken over it."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def dumps(hint: Any, value: object) -> str:
    return canonical(_lookup(hint).dump(value))


def loads(hint: type[T], text: str) -> T:
    value: T = _lookup(hint).load(json.loads(text))
    return value


def to_json(value: object) -> Any:
    """Free data as JSON data; the way back is `from_json`."""
    return _dump_free(value)


def from_json(data: object) -> Any:
    return _load_free(data)


@dataclass(frozen=True)
class _Codec:
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


def _lookup(hint: Any) -> _Codec:
    return _codec(hint)


@cache
def _codec(hint: Any) -> _Codec:
    """How values of a type hint are written and read."""
    if hint in (Any, object):
        return _Codec(_dump_free, _load_free)
    if hint in _SCALARS:
        return _scalar(hint)
    if hint is datetime:
        return _Codec(_utc_text, datetime.fromisoformat)
    if hint is timedelta:
        return _Codec(_microseconds, lambda data: timedelta(microseconds=data))
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _Codec(lambda value: hint(value).value, hint)
    if isinstance(hint, type) and (is_dataclass(hint) or issubclass(hint, BaseModel)):
        return _record(hint)
    return _generic(hint)


_SCALARS = (str, int, float, bool)


def _scalar(hint: type) -> _Codec:
    def checked(value: Any) -> Any:
        if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
            raise CodecError(f"{value!r} is not of type {hint.__name__}")
        return str(value) if hint is str else value

    return _Codec(checked, checked)


def _generic(hint: Any) -> _Codec:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        inner = _codec(next(a for a in arguments if a is not type(None)))
        return _Codec(
            lambda value: None if value is None else inner.dump(value),
            lambda data: None if data is None else inner.load(data),
        )
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _codec(arguments[0])
        return _Codec(lambda value: [item.dump(v) for v in value], lambda data: tuple(item.load(d) for d in data))
    if origin is tuple:
        parts = tuple(_codec(a) for a in arguments)
        return _Codec(
            lambda value: [part.dump(v) for part, v in zip(parts, value, strict=True)],
            lambda data: tuple(part.load(d) for part, d in zip(parts, data, strict=True)),
        )
    if isinstance(origin, type) and issubclass(origin, Mapping) and arguments[0] is str:
        key, item = _codec(str), _codec(arguments[1])
        return _Codec(
            lambda value: {key.dump(k): item.dump(v) for k, v in value.items()},
            lambda data: {k: item.load(v) for k, v in data.items()},
        )
    raise CodecError(f"values of type {hint} cannot be recorded")


def _record(hint: Any) -> _Codec:
    """A dataclass or pydantic document as one JSON object. Fields that are not in the record keep their default."""
    hints = get_type_hints(hint)
    names = [f.name for f in fields(hint)] if is_dataclass(hint) else list(hint.model_fields)

    def dump(value: Any) -> Any:
        if not isinstance(value, hint):
            raise CodecError(f"{value!r} is not of type {hint.__name__}")
        return {name: _codec(hints[name]).dump(getattr(value, name)) for name in names}

    def load(data: Any) -> Any:
        return hint(**{name: _codec(hints[name]).load(data[name]) for name in names if name in data})

    return _Codec(dump, load)


def _utc_text(value: Any) -> str:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise CodecError(f"{value!r} is not a time with a zone")
    return value.astimezone(UTC).isoformat()


def _microseconds(value: Any) -> int:
    if not isinstance(value, timedelta):
        raise CodecError(f"{value!r} is not a duration")
    return value // _MICROSECOND


def _dump_free(value: Any) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
    if isinstance(value, tuple):
        return {TAG: "tuple", "value": [_dump_free(v) for v in value]}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_dump_free(v) for v in value]
    if isinstance(value, Mapping):
        if all(isinstance(k, str) and not k.startswith(TAG) for k in value):
            return {str(k): _dump_free(v) for k, v in value.items()}
        return {TAG: "map", "value": [[_dump_free(k), _dump_free(v)] for k, v in value.items()]}
    for tag, (kind, dump, _load) in _TAGGED.items():
        if isinstance(value, kind):
            return {TAG: tag, "value": dump(value)}
    raise CodecError(f"a {type(value).__name__} cannot be recorded: {value!r}")


def _load_free(data: Any) -> Any:
    if isinstance(data, list):
        return [_load_free(d) for d in data]
    if not isinstance(data, dict):
        return data
    if TAG not in data:
        return {k: _load_free(v) for k, v in data.items()}
    tag, value = data[TAG], data["value"]
    if tag == "tuple":
        return tuple(_load_free(v) for v in value)
    if tag == "map":
        return {_load_free(k): _load_free(v) for k, v in value}
    if tag == "float":
        return float(value)
    return _TAGGED[tag][2](value)


_TAGGED: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "datetime": (datetime, _utc_text, datetime.fromisoformat),  # before date: every datetime is a date
    "date": (date, date.isoformat, date.fromisoformat),
    "time": (time, time.isoformat, time.fromisoformat),
    "timedelta": (timedelta, _microseconds, lambda data: timedelta(microseconds=data)),
    "decimal": (Decimal, str, Decimal),
    "path": (Path, str, Path),
    "bytes": (bytes, bytes.hex, bytes.fromhex),
}
