"""Freezes as files: `<client>.yaml`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from changeover.adapters.document_files import UnusableFileError, read_document, stay_inside, unusable
from changeover.adapters.icalendar_files import freeze_lines
from changeover.adapters.schema_faults import validate
from changeover.adapters.yaml_text import YamlText, read_yaml
from changeover.domain.fault import Reading
from changeover.domain.freeze import FreezeCalendar


def read_freezes(client: str, *, freezes: Path) -> Reading[FreezeCalendar]:
    """An empty calendar where the client has no file. Never raises for what is on the disk."""
    path = freezes / f"{client}.yaml"
    if not path.exists() and not path.is_symlink():
        return Reading(str(path), FreezeCalendar(schema_version=1, client=client))

    def also(document: YamlText, calendar: FreezeCalendar) -> None:
        if calendar.client != client:
            document.fault(
                document.line(("client",)), ("client",), f"is {calendar.client!r}, and the file is {path.name}"
            )

    try:
        stay_inside(path, freezes)
    except UnusableFileError as exc:
        return unusable(path, exc)
    return read_document(path, FreezeCalendar, also=also)


def add_freezes(client: str, new: Sequence[Mapping[str, Any]], *, freezes: Path) -> tuple[Path, tuple[str, ...]]:
    """Write them behind those that the client's file has, whole or not at all: the path, or every fault."""
    reading = read_freezes(client, freezes=freezes)
    path = Path(reading.file)
    if reading.document is None:
        return path, tuple(map(str, reading.faults))
    known = [freeze.name for freeze in reading.document.freezes]
    lines = freeze_lines(new)
    if path.exists() and known:
        text = path.read_text(encoding="utf-8").rstrip("\n") + f"\n{lines}"
    else:
        head = f"# yaml-language-server: $schema=freeze.schema.json\nschema_version: 1\nclient: {client}\n"
        text = f"{head}freezes:\n{lines}"
    faults = [
        f"freeze {each['name']!r} is in {path} already: rename that one, or leave this event out if it is the same"
        for each in new
        if each["name"] in known
    ]
    document = read_yaml(text.encode(), name=str(path))
    calendar = validate(document, FreezeCalendar)
    if calendar is None or len(calendar.freezes) != len(known) + len(new):
        faults += [str(fault) for fault in document.faults] or [
            f"{path} does not end with its freezes; add them by hand"
        ]
    if not new or faults:
        return path, tuple(faults) or ("holds no freeze",)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".new")
    written.write_text(text, encoding="utf-8")
    written.replace(path)
    return path, ()
