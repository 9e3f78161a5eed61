"""JSON schemas of plans and freezes for editors, and reference pages for people, generated from the classes."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from changeover.domain import estate, freeze, plan, window
from changeover.domain.freeze import FreezeCalendar
from changeover.domain.plan import Plan
from changeover.domain.window import duration_text

_MODULES = (plan, window, freeze, estate)
_FORMS = {
    "AnyTime": "Window: any time",
    "DatedWindow": "Window: dated",
    "RecurringWindow": "Window: recurring",
    "DatedFreeze": "Freeze: dated",
    "RecurringFreeze": "Freeze: recurring",
}


def plan_schema() -> dict[str, Any]:
    """JSON Schema 2020-12, every key described."""
    return _schema(Plan, "Changeover upgrade plan")


def freeze_schema() -> dict[str, Any]:
    """The same for a client's freezes."""
    return _schema(FreezeCalendar, "Changeover freezes of a client")


def _schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs")
    for name, definition in definitions.items():
        _describe(definition, _model(name))
    _describe(schema, model)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **{key: value for key, value in schema.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }


def plan_schema_text() -> str:
    return json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"


def freeze_schema_text() -> str:
    return json.dumps(freeze_schema(), indent=2, ensure_ascii=False) + "\n"


def _model(name: str) -> type[BaseModel]:
    found: type[BaseModel] = next(getattr(module, name) for module in _MODULES if hasattr(module, name))
    return found


def _describe(definition: dict[str, Any], model: type[BaseModel]) -> None:
    """Descriptions from the attribute docstrings, defaults as they are written in a plan, no invented titles."""
    definition.pop("title", None)
    told = _attribute_docstrings(model)
    for name, field in model.model_fields.items():
        declared = definition["properties"][name]
        declared.pop("title", None)
        declared["description"] = told[name]
        for branch in declared.get("anyOf", ()):
            branch.pop("title", None)
        if field.default is PydanticUndefined or field.default is None or isinstance(field.default, BaseModel):
            declared.pop("default", None)
        elif isinstance(field.default, timedelta):
            declared["default"] = duration_text(field.default)
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


def plan_reference() -> str:
    """The page docs/plan-reference.md."""
    return _reference(plan_schema(), _HEAD, _section("The plan", "plan", plan_schema()))


def freeze_reference() -> str:
    """The page docs/freeze-reference.md."""
    return _reference(freeze_schema(), _FREEZE_HEAD, _section("The freezes of a client", "freezes", freeze_schema()))


def _reference(schema: Mapping[str, Any], head: str, first: str) -> str:
    parts = (_section(_FORMS.get(name, name), _anchor(name), schema["$defs"][name]) for name in _in_order(schema))
    return "\n".join((head, first, *parts))


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


def _section(title: str, anchor: str, part: Mapping[str, Any]) -> str:
    rows = [
        f"| `{name}` | {_type(declared)} | {_need(name, declared, part)} | {_cell(declared['description'])} |"
        for name, declared in part["properties"].items()
    ]
    return "\n".join(
        (f'## <a id="{anchor}"></a>{title}', "", part.get("description", ""), "", *_TABLE, *rows, ""),
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _need(name: str, declared: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    if name in part.get("required", ()):
        return "yes"
    default = declared.get("default")
    return f"`{default}`" if default not in (None, [], {}, "") else "no"


def _type(declared: Mapping[str, Any]) -> str:
    if "$ref" in declared:
        name = str(declared["$ref"]).rsplit("/", 1)[-1]
        return f"[{_FORMS.get(name, name)}](#{_anchor(name)})"
    if "const" in declared:
        return f"`{declared['const']}`"
    if "enum" in declared:
        return " \\| ".join(f"`{value}`" for value in declared["enum"])
    if branches := declared.get("oneOf") or declared.get("anyOf"):
        return " or ".join(_type(branch) for branch in branches if branch.get("type") != "null")
    return _plain_type(declared)


def _plain_type(declared: Mapping[str, Any]) -> str:
    kind = declared.get("type")
    if kind == "array":
        return f"list of {_type(declared['items'])}"
    if kind == "object":
        named = declared.get("patternProperties", {})
        values: Mapping[str, Any] = declared.get("additionalProperties") or next(iter(named.values()), {})
        return f"key → {_type(values)}"
    if declared.get("format") == "date":
        return "`2026-11-28`"
    if "examples" in declared:
        return " ".join(f"`'{example}'`" if ":" in example else f"`{example}`" for example in declared["examples"])
    return {"string": "text", "integer": "number", "boolean": "true or false"}.get(str(kind), "value")


_TABLE = ("| key | value | required, or default | meaning |", "|---|---|---|---|")
_HEAD = """# Plan reference

<!-- Generated by `./changeover plan schema --write` from the docstrings of changeover/domain/plan.py. -->

A plan is one YAML file, `include/plans/<client>/<upgrade>.yaml`; `client` and `upgrade` inside it say the same as its
path. `./changeover plan check` tells every fault with its line, `./changeover plan show` what the plan will do. Editors
complete and check plans with the JSON schema `include/plans/plan.schema.json`; put this line first in a plan:

```yaml
# yaml-language-server: $schema=../plan.schema.json
```

Complete examples: `include/plans/nordwind/tryton-8.0.yaml`, `include/plans/lindgren/roundup-2.6.yaml`.

The YAML is read strictly, because what surprises in a plan surprises in production:

- Versions and times of day stand in quotes. Without them `1.10` is the number 1.1 and `22:00` the number 1320.
- `yes`, `no`, `on`, `off` without quotes are refused: write `true` or `false`, or quote them. So are numbers that begin
  with `0`, numbers with `_`, and moments in time.
- No key twice, no anchors (`&`), aliases (`*`), merge keys (`<<`) or tags (`!`), no tabs, one document to a file,
  UTF-8 without a byte order mark, at most 1 MiB.
- A secret never stands in a plan: roles ask for it by name, and Airflow's connections hold it.
"""
_FREEZE_HEAD = """# Freeze reference

<!-- Generated by `./changeover plan schema --write` from the docstrings of changeover/domain/freeze.py. -->

A client's freezes are one YAML file, `include/freezes/<client>.yaml`, read as strictly as a plan (see
[plan-reference.md](plan-reference.md)). `./changeover plan check` tells its faults with the client's plans,
`./changeover window show PLAN` the nights a freeze takes away. How freezes work: [windows.md](windows.md). Put this
line first:

```yaml
# yaml-language-server: $schema=freeze.schema.json
```
"""
