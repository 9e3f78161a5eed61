"""Whatever the bytes are, the answer is faults or a document, never a crash."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from changeover.adapters.plan_files import parse_plan, read_plan
from changeover.adapters.yaml_text import read_yaml
from changeover.errors import PlanError
from changeover.settings import PROJECT

GOOD = (PROJECT / "include" / "plans" / "nordwind" / "tryton-8.0.yaml").read_text(encoding="utf-8")
LINES = GOOD.splitlines()
SCRAPS = st.sampled_from([
    "no", "22:00", "1.10", "0777", "&a", "*a", "!x", "{", "}", "[", "]", ": ", "- ", "? ", "<<: ", "---", "...",
    "'", '"', "|", ">", "%YAML 1.1", "\t", "\x00", "\ufeff", "é", "2026-13-45", "1e999", "9" * 5000, "~", "#",
    "\u2028", "\U0001f600",
])  # fmt: skip


def answers(raw: bytes) -> None:
    document = read_yaml(raw, name="p.yaml")
    assert document.faults or document.data is not None
    for fault in faults(raw):
        assert fault != "no fault is told"
        assert "value_error" not in fault
        assert "http" not in fault


def faults(raw: bytes) -> tuple[str, ...]:
    """Of a plan that cannot be used; there is at least one."""
    try:
        parse_plan(raw, name="nordwind/tryton-8.0.yaml")
    except PlanError as exc:
        return exc.faults or ("no fault is told",)
    return ()


@given(st.binary(max_size=400))
@example(b"")
@example(b"\xff\xfe\x00")
@example(b"- ? - ? - ?")
@example(b"? \n? \n")
@example(b"{? a, ? b}")
def test_arbitrary_bytes_are_answered(raw: bytes) -> None:
    answers(raw)


@given(st.text(max_size=400))
def test_arbitrary_text_is_answered(text: str) -> None:
    answers(text.encode("utf-8", "surrogatepass"))


@given(st.lists(st.one_of(SCRAPS, st.sampled_from(LINES), st.just("\n")), max_size=40))
def test_scraps_of_yaml_are_answered(parts: list[str]) -> None:
    answers("".join(parts).encode())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(LINES) - 1), st.one_of(SCRAPS, st.text(max_size=20)), st.booleans())
def test_a_good_plan_with_one_line_spoilt_is_answered(number: int, scrap: str, whole: bool) -> None:
    line = scrap if whole else LINES[number].split(":")[0] + ": " + scrap
    answers("\n".join([*LINES[:number], line, *LINES[number + 1 :]]).encode("utf-8", "surrogatepass"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | SCRAPS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Of every value in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, part in inner for place in places(part, (*path, key)))]


DOCUMENT = read_yaml(GOOD.encode(), name="p.yaml").data
PLACES = [place for place in places(DOCUMENT) if place]


@given(st.sampled_from(PLACES), VALUES, st.text(max_size=6))
def test_a_good_plan_with_one_value_of_another_kind_is_answered(
    place: tuple[str | int, ...], value: Any, key: str
) -> None:
    spoilt = copy.deepcopy(DOCUMENT)
    parent = spoilt
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    if isinstance(parent, dict) and key:
        parent[key] = value
    answers(json.dumps(spoilt, default=str).encode())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200))
def test_a_file_of_arbitrary_bytes_is_answered(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "plan.yaml"
    path.write_bytes(raw)
    reading = read_plan(path)
    assert (reading.document is None) == bool(reading.faults)
