"""The JSON schema and the reference page: generated, kept current, and of one mind with the reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from changeover.adapters.plan_schema import (
    estate_reference,
    estate_schema,
    estate_schema_text,
    freeze_reference,
    freeze_schema,
    freeze_schema_text,
    plan_reference,
    plan_schema,
    plan_schema_text,
)
from changeover.adapters.yaml_text import read_yaml
from changeover.settings import PROJECT
from tests.support.content import PLAN, plan_with

SHIPPED = sorted((PROJECT / "include" / "plans").glob("*/*.yaml"))
REFRESH = "run `./changeover plan schema --write` and commit what it wrote"


def as_editors_see_it(text: str) -> Any:
    """Editors read YAML 1.2, to which a date without quotes is text."""
    document = read_yaml(text.encode(), name="p.yaml")
    assert not document.faults
    return json.loads(json.dumps(document.data, default=str))


def test_the_schema_file_is_current() -> None:
    assert (PROJECT / "include/plans/plan.schema.json").read_text(encoding="utf-8") == plan_schema_text(), REFRESH


def test_the_reference_page_is_current() -> None:
    assert (PROJECT / "docs/plan-reference.md").read_text(encoding="utf-8") == plan_reference(), REFRESH


def test_the_freezes_schema_and_page_are_current() -> None:
    assert (PROJECT / "include/freezes/freeze.schema.json").read_text(encoding="utf-8") == freeze_schema_text(), REFRESH
    assert (PROJECT / "docs/freeze-reference.md").read_text(encoding="utf-8") == freeze_reference(), REFRESH


def test_the_estates_schema_and_page_are_current_and_the_sample_fits() -> None:
    assert (PROJECT / "include/estates/estate.schema.json").read_text(encoding="utf-8") == estate_schema_text(), REFRESH
    assert (PROJECT / "docs/estate-reference.md").read_text(encoding="utf-8") == estate_reference(), REFRESH
    text = (PROJECT / "include/estates/oakfield.yaml").read_text(encoding="utf-8")
    jsonschema.Draft202012Validator(estate_schema()).validate(as_editors_see_it(text))
    assert text.startswith("# yaml-language-server: $schema=estate.schema.json\n")


@pytest.mark.parametrize("schema", [plan_schema(), freeze_schema(), estate_schema()], ids=["plan", "freezes", "estate"])
def test_the_schema_is_one(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_shipped_plans_fit_the_schema_and_name_it(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    jsonschema.Draft202012Validator(plan_schema()).validate(as_editors_see_it(text))
    assert text.startswith("# yaml-language-server: $schema=../plan.schema.json\n")


def declared(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for part, definition in {"": schema, **schema["$defs"]}.items():
        for name, value in definition["properties"].items():
            yield f"{part}.{name}", value


def test_every_key_is_described_for_the_editor() -> None:
    for schema in (plan_schema(), freeze_schema(), estate_schema()):
        assert [name for name, value in declared(schema) if not value.get("description")] == []


def test_defaults_are_written_as_in_a_plan() -> None:
    defaults = {name: value["default"] for name, value in declared(plan_schema()) if "default" in value}
    assert defaults["Approval.wait"] == "4h"
    assert defaults["DatedWindow.late_start_tolerance"] == "30m"
    assert defaults["Environment.implement_within"] == "2h"


@pytest.mark.parametrize(
    "change",
    [
        ("kind: training", "kind: trainin"),
        ('start: "22:00"', 'start: "7:00"'),
        ("wait: 1h", "wait: 1 hour"),
        ("wait: 1h", "wiat: 1h"),
        ("requested_by: jo\n", ""),
        ("by: [ann], wait", "by: [], wait"),
        ('      end: "04:00"\n', ""),
        ('      end: "04:00"\n', '      end: "04:00"\n      duration: 6h\n'),
        ("kind: dated", "kind: recurring"),
    ],
)
def test_editors_refuse_what_the_reader_refuses(change: tuple[str, str]) -> None:
    validator = jsonschema.Draft202012Validator(plan_schema())
    assert validator.is_valid(as_editors_see_it(PLAN))
    assert not validator.is_valid(as_editors_see_it(plan_with(change)))
