"""What a schema has to say about a document, in plain words, each with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from changeover.adapters.yaml_text import Path, YamlText

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]
LONGEST_SHOWN = 80

_PATTERNS = {
    r"^[a-z0-9][a-z0-9._-]{0,62}$": (
        "is not a name: lower-case letters, digits, '.', '-' and '_', beginning with a letter or digit, at most 63"
    ),
    r"^[0-9][0-9A-Za-z.+!~^:_-]*$": (
        "is not an exact version: it begins with a digit and has no spaces, such as '7.0.59' (not 'latest', not 'v7.0')"
    ),
    r"^[^\n\r]*$": "has more than one line",
    r"^[0-9A-Za-z.]+$": "is not the name of a release: letters, digits and '.'",
    r"^[0-9a-f]{64}$": "is not a sha256: 64 digits of 0-9 and a-f",
    r"^[a-z0-9-]+/[0-9A-Za-z.]+$": "is not a release record '<product>/<release>' such as 'tryton/8.0'",
}
_PATH_PREFIX = re.compile(r"([a-z_]+(?:\.[A-Za-z0-9_-]+)*): (.*)", re.DOTALL)


def validate(document: YamlText, model: type[Model]) -> Model | None:
    """The checked document, or None with every fault added to `document.faults`."""
    if document.broken:
        return None
    if not isinstance(document.data, dict):
        document.fault(1, (), f"must be a mapping of keys to values, not {_kind(document.data)}")
        return None
    try:
        checked = model.model_validate(document.data)
    except ValidationError as exc:
        _tell(document, model, exc)
        return None
    return None if document.faults else checked


def add_faults(document: YamlText, texts: tuple[str, ...], *, below: Path = ()) -> None:
    """Faults of the form `path: message`, left out when the value there was refused already or the fault is known."""
    known = {(fault.path, fault.message) for fault in document.faults}
    for text in texts:
        match = _PATH_PREFIX.fullmatch(text)
        path, message = (below, text) if match is None else ((*below, *_split(match[1])), match[2])
        if (".".join(map(str, path)), message) not in known and not document.was_refused(path):
            document.fault(document.line(path), path, message)


def _split(path: str) -> Path:
    return tuple(int(part) if part.isdigit() else part for part in path.split("."))


def _tell(document: YamlText, model: type[BaseModel], error: ValidationError) -> None:
    told: set[Path] = set()
    for item in error.errors(include_url=False):
        kind = item["type"]
        path = _written_path(document.data, item["loc"], missing=kind == "missing")
        if document.was_refused(path):
            continue
        if kind == "value_error":
            add_faults(document, tuple(str(item["ctx"]["error"]).split("\n")), below=path)
            continue
        if path in told or _only_by_its_parts(item):  # the other branches of a union say the same again
            continue
        told.add(path)
        document.fault(document.line(path), path, _words(document, model, item, path))


def _only_by_its_parts(item: Mapping[str, Any]) -> bool:
    """A list that is "too short" only because entries of it are faulty."""
    return bool(item["type"] == "too_short" and len(item["input"]) >= item["ctx"]["min_length"])


def _written_path(data: Any, location: Location, *, missing: bool) -> Path:
    """The location as it stands in the document: without the schema's own names of union branches."""
    path: list[str | int] = []
    for position, part in enumerate(location):
        in_mapping = isinstance(data, dict) and part in data
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_mapping or in_list:
            data = data[part]
        elif not (missing and position == len(location) - 1):
            continue
        path.append(part)
    return tuple(path)


@dataclass(frozen=True)
class _Problem:
    """What the schema found, and how the value was written when it stood there without quotes."""

    item: Mapping[str, Any]
    written: str | None

    @property
    def value(self) -> Any:
        return self.item["input"]

    @property
    def context(self) -> Mapping[str, Any]:
        context: Mapping[str, Any] = self.item["ctx"]
        return context


def _words(document: YamlText, model: type[BaseModel], item: Mapping[str, Any], path: Path) -> str:
    kind: str = item["type"]
    if kind == "extra_forbidden":
        return _unknown_key(str(path[-1]), known_keys(model, item["loc"][:-1]))
    if kind == "missing":
        return "is missing"
    if kind in _WORDS:
        return _WORDS[kind](_Problem(item, document.written.get(path)))
    text = str(item["msg"]).replace("Input should", "should").replace("Value should", "should")
    return text[:1].lower() + text[1:]


def _unknown_key(key: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(key.lower().replace("-", "_"), known, n=1, cutoff=0.6)
    if near:
        return f"is not a known key; did you mean '{near[0]}'?"
    return f"is not a known key; known here: {', '.join(sorted(known))}" if known else "is not a known key"


def known_keys(model: type[BaseModel], location: Location) -> tuple[str, ...]:
    """Keys that the schema knows at a location of an error."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.get("$defs", {})
    here: Mapping[str, Any] = schema
    for part in location:
        here = _descend(_follow(here, definitions), part)
    return tuple(_follow(here, definitions).get("properties", {}))


def _follow(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while True:
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        elif "anyOf" in schema and (real := [s for s in schema["anyOf"] if s.get("type") != "null"]):
            schema = real[0]
        else:
            return schema


def _descend(schema: Mapping[str, Any], part: str | int) -> Mapping[str, Any]:
    if isinstance(part, int):
        items: Mapping[str, Any] = schema.get("items", {})
        return items
    if part in schema.get("properties", {}):
        found: Mapping[str, Any] = schema["properties"][part]
        return found
    branches = schema.get("discriminator", {}).get("mapping", {})
    if part in branches:
        return {"$ref": branches[part]}
    extra = schema.get("additionalProperties")
    return extra if isinstance(extra, dict) else {}


_KINDS = ((bool, "true or false"), (dict, "a mapping"), (list, "a list"), (str, "text"), (date, "a date"))


def _kind(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return next((words for python, words in _KINDS if isinstance(value, python)), "nothing")


def _text_wanted(problem: _Problem) -> str:
    value, written = problem.value, problem.written
    if isinstance(value, bool | int | float | date) and written is not None:
        reads = str(value).lower() if isinstance(value, bool) else str(value)
        kind = _kind(value) if reads == written else f"{_kind(value)}, {reads},"
        return f"{written} without quotes is {kind} to YAML; text is meant here, write '{written}'"
    if value is None:
        return "is empty; text is wanted"
    return f"must be text, not {_kind(value)}"


def _pattern(problem: _Problem) -> str:
    pattern = problem.context["pattern"]
    return f"{_shown(problem.value)} {_PATTERNS.get(pattern, f'does not have the form {pattern}')}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 4]}…'"


def _one_of(problem: _Problem) -> str:
    expected = str(problem.context.get("expected") or problem.context.get("expected_tags"))
    choices = re.findall(r"'([^']+)'", expected)
    value = problem.context.get("tag", problem.value)
    near = get_close_matches(value, choices, n=1, cutoff=0.6) if isinstance(value, str) else []
    hint = f"; did you mean '{near[0]}'?" if near else ""
    wanted = f"one of {', '.join(choices)}" if len(choices) > 1 else (choices[0] if choices else expected)
    where = "kind: " if problem.item["type"] == "union_tag_invalid" else ""
    return f"{where}{_shown(value) if value is not None else 'nothing'} is not {wanted}{hint}"


def _tag_missing(problem: _Problem) -> str:  # noqa: ARG001 -- one signature for all
    return "kind is missing; it says which form this is"


def _wants(what: str) -> Callable[[_Problem], str]:
    def words(problem: _Problem) -> str:
        value = problem.value
        return f"must be {what}, not {_shown(value) if isinstance(value, str | int | float) else _kind(value)}"

    return words


def _bound(words: str, key: str) -> Callable[[_Problem], str]:
    return lambda problem: words.format(problem.context[key])


def _more_than(problem: _Problem) -> str:
    limit = problem.context["gt"]
    return f"must be greater than {limit}" if isinstance(limit, int | float) else "must be more than nothing"


_WORDS: dict[str, Callable[[_Problem], str]] = {
    "string_type": _text_wanted,
    "string_pattern_mismatch": _pattern,
    "string_too_short": _bound("has fewer than {} characters", "min_length"),
    "string_too_long": _bound("has more than {} characters", "max_length"),
    "too_short": _bound("needs at least {} entries", "min_length"),
    "too_long": _bound("has more than {} entries", "max_length"),
    "literal_error": _one_of,
    "union_tag_invalid": _one_of,
    "union_tag_not_found": _tag_missing,
    "model_type": _wants("a mapping of keys to values"),
    "model_attributes_type": _wants("a mapping of keys to values"),
    "dict_type": _wants("a mapping of keys to values"),
    "mapping_type": _wants("a mapping of keys to values"),
    "tuple_type": _wants("a list"),
    "list_type": _wants("a list"),
    "int_type": _wants("a whole number"),
    "int_parsing": _wants("a whole number"),
    "int_from_float": _wants("a whole number"),
    "float_type": _wants("a number"),
    "float_parsing": _wants("a number"),
    "bool_type": _wants("true or false"),
    "bool_parsing": _wants("true or false"),
    "date_type": _wants("a day such as 2026-11-28"),
    "date_parsing": _wants("a day such as 2026-11-28"),
    "date_from_datetime_parsing": _wants("a day such as 2026-11-28"),
    "date_from_datetime_inexact": _wants("a day such as 2026-11-28"),
    "time_delta_type": _wants("a duration such as '30m'"),
    "greater_than": _more_than,
    "greater_than_equal": _bound("must be at least {}", "ge"),
    "less_than_equal": _bound("must be at most {}", "le"),
}  # fmt: skip
