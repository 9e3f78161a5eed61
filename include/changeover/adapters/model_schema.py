"""JSON schemas for editors and reference tables for people, from the classes of our documents and their docstrings."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from types import ModuleType
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from changeover.domain.window import duration_text


@dataclass(frozen=True)
class Described:
    """A document of ours. `modules` hold the classes it is made of, `forms` says what people call some of them."""

    model: type[BaseModel]
    modules: tuple[ModuleType, ...]
    title: str
    forms: Mapping[str, str] = field(default_factory=dict)

    def schema(self) -> dict[str, Any]:
        """JSON Schema 2020-12, every key described."""
        schema = self.model.model_json_schema(by_alias=True)
        definitions = schema.pop("$defs")
        for name, definition in definitions.items():
            _describe(definition, self._class(name))
        _describe(schema, self.model)
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.title,
            **{key: value for key, value in schema.items() if key != "title"},
            "$defs": dict(sorted(definitions.items())),
        }

    def schema_text(self) -> str:
        return json.dumps(self.schema(), indent=2, ensure_ascii=False) + "\n"

    def reference(self, *, head: str, whole: tuple[str, str]) -> str:
        """A page with a table for each part; `whole` is the title and anchor of the document itself."""
        schema = self.schema()
        parts = (
            self._section(self.forms.get(name, name), _anchor(name), schema["$defs"][name])
            for name in _in_order(schema)
        )
        return "\n".join((head, self._section(*whole, schema), *parts))

    def _class(self, name: str) -> type[BaseModel]:
        found: type[BaseModel] = next(getattr(module, name) for module in self.modules if hasattr(module, name))
        return found

    def _section(self, title: str, anchor: str, part: Mapping[str, Any]) -> str:
        rows = [
            f"| `{name}` | {self._type(declared)} | {_need(name, declared, part)} | {_cell(declared['description'])} |"
            for name, declared in part["properties"].items()
        ]
        return "\n".join(
            (f'## <a id="{anchor}"></a>{title}', "", part.get("description", ""), "", *_TABLE, *rows, ""),
        )

    def _type(self, declared: Mapping[str, Any]) -> str:
        if "$ref" in declared:
            name = str(declared["$ref"]).rsplit("/", 1)[-1]
            return f"[{self.forms.get(name, name)}](#{_anchor(name)})"
        if "const" in declared:
            return f"`{declared['const']}`"
        if "enum" in declared:
            return " \\| ".join(f"`{value}`" for value in declared["enum"])
        if branches := declared.get("oneOf") or declared.get("anyOf"):
            return " or ".join(self._type(branch) for branch in branches if branch.get("type") != "null")
        return self._plain_type(declared)

    def _plain_type(self, declared: Mapping[str, Any]) -> str:
        kind = declared.get("type")
        if kind == "array":
            return f"list of {self._type(declared['items'])}"
        if kind == "object":
            named = declared.get("patternProperties", {})
            values: Any = declared.get("additionalProperties") or next(iter(named.values()), {})
            return f"key → {self._type(values) if isinstance(values, dict) else 'value'}"
        if declared.get("format") == "date":
            return "`2026-11-28`"
        if "examples" in declared:
            return " ".join(f"`'{example}'`" if ":" in example else f"`{example}`" for example in declared["examples"])
        return {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}.get(
            str(kind), "value"
        )


def _describe(definition: dict[str, Any], model: type[BaseModel]) -> None:
    """Descriptions from the attribute docstrings, defaults as they are written in a plan, no invented titles."""
    definition.pop("title", None)
    told = _attribute_docstrings(model)
    for name, about in model.model_fields.items():
        declared = definition["properties"][about.alias or name]
        declared.pop("title", None)
        declared["description"] = told[name]
        for branch in declared.get("anyOf", ()):
            branch.pop("title", None)
        if about.default is PydanticUndefined or about.default is None or isinstance(about.default, BaseModel):
            declared.pop("default", None)
        elif isinstance(about.default, timedelta):
            declared["default"] = duration_text(about.default)
    properties = definition["properties"]
    if "const" in properties.get("kind", {}):  # it says which form this is, so it is read first
        definition["properties"] = {"kind": properties.pop("kind"), **properties}


def _attribute_docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Read from the source, so that nothing is paid for them when a plan is only used."""
    told: dict[str, str] = {}
    for part in reversed(model.__mro__):
        if issubclass(part, BaseModel) and part.__module__.startswith("changeover."):
            told |= _own_docstrings(part)
    return told


def _own_docstrings(model: type[BaseModel]) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(model)).body[0]
    told: dict[str, str] = {}
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    for statement, following in pairwise(body):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            told[statement.target.id] = " ".join(str(following.value.value).split())
    return told


def _in_order(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Parts in the order in which a reader meets them."""
    met: dict[str, None] = {}

    def visit(part: Mapping[str, Any]) -> None:
        for declared in part["properties"].values():
            for name in _references(declared):
                if name not in met:
                    met[name] = None
                    visit(schema["$defs"][name])

    visit(schema)
    return tuple(met)


def _references(declared: Any) -> Iterator[str]:
    if isinstance(declared, dict):
        for key, value in declared.items():
            if key == "$ref":
                yield str(value).rsplit("/", 1)[-1]
            elif key != "discriminator":
                yield from _references(value)
    elif isinstance(declared, list):
        for value in declared:
            yield from _references(value)


def _anchor(name: str) -> str:
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _need(name: str, declared: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    if name in part.get("required", ()):
        return "yes"
    default = declared.get("default")
    return f"`{default}`" if default not in (None, [], {}, "") else "no"


_TABLE = ("| key | value | required, or default | meaning |", "|---|---|---|---|")
