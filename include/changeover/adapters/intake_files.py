"""The intake as a file with options over it, and the plan that is made of it: written once, never over another."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from changeover.adapters.document_files import UnusableFileError, read_bytes, unusable
from changeover.adapters.plan_files import read_plan
from changeover.adapters.schema_faults import validate
from changeover.adapters.yaml_text import read_yaml
from changeover.domain.fault import Reading
from changeover.domain.intake import Intake
from changeover.domain.plan import Plan

HEAD = "# yaml-language-server: $schema=../plan.schema.json\n"


def read_intake(path: Path | None, options: Mapping[str, Any]) -> Reading[Intake]:
    """`options` are the plan's keys, with a dot into a part; each goes before what the file says."""
    try:
        raw = read_bytes(path) if path else b"{}"
    except UnusableFileError as exc:
        return unusable(path or Path(), exc)
    document = read_yaml(raw, name=str(path or "options"))
    if isinstance(document.data, dict):
        for key, value in options.items():
            part, _, name = key.rpartition(".")
            held = document.data.setdefault(part, {}) if part else document.data
            if isinstance(held, dict):
                held[name] = value
    intake = validate(document, Intake)
    return Reading(document.name, intake, tuple(sorted(set(document.faults))), "", document.line)


class _Quoting(yaml.SafeDumper):
    """Text that begins with a digit is quoted: versions and times of day are no numbers."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if text[:1].isdigit() else None)


_Quoting.add_representer(str, _text)


def plan_text(document: Mapping[str, Any]) -> str:
    """As people write plans."""
    return HEAD + yaml_text(document)


def yaml_text(document: Mapping[str, Any]) -> str:
    """As people write documents: keys in their order, versions and times of day in quotes."""
    parts = []
    for key, value in document.items():
        gap = "\n" if isinstance(value, dict | list) else ""
        body = yaml.dump(
            {key: value}, Dumper=_Quoting, sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
        )
        parts.append(f"{gap}{body}")
    return "".join(parts)


def read_as_plan(text: str, client: str, upgrade: str) -> Reading[Plan]:
    """Read exactly as `plan check` will read it from its place."""
    with tempfile.TemporaryDirectory(prefix="changeover-plan-") as place:
        path = Path(place) / client / f"{upgrade}.yaml"
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
        return read_plan(path)


def write_new(path: Path, text: str) -> bool:
    """False, with nothing changed, where something lies already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True
