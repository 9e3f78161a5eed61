"""Waivers as files: `include/waivers/<client>.yaml`; every fault of a file at once."""

from __future__ import annotations

from pathlib import Path

import yaml

from changeover.adapters.document_files import demand, read_document
from changeover.adapters.whole_file import write_whole
from changeover.adapters.yaml_text import YamlText
from changeover.domain.check import Catalogue
from changeover.domain.fault import Reading
from changeover.domain.waiver import Waiver, WaiverFile, waiver_faults


def load_waivers(client: str, *, waivers: Path, catalogue: Catalogue) -> tuple[Waiver, ...]:
    """Those of a client, none when there is no file; raise `DocumentFaults` (a `PlanError`) for a faulty one."""
    path = waivers / f"{client}.yaml"
    if not path.exists():
        return ()
    return demand(read_waivers(path, catalogue), then="correct the file, or take the waiver out").waivers


def read_waivers(path: Path, catalogue: Catalogue) -> Reading[WaiverFile]:
    """Never raises for what is on the disk."""

    def also(document: YamlText, file: WaiverFile) -> None:
        if file.client != path.stem:
            document.fault(document.line(("client",)), ("client",), f"is {file.client!r}, and the file is {path.name}")
        for place, message in waiver_faults(file, catalogue):
            document.fault(document.line(place), place, message)

    return read_document(path, WaiverFile, also=also)


def add_waiver(client: str, waiver: Waiver, *, standing: Path, target: Path, catalogue: Catalogue) -> Path:
    """Write the client's file below `target`: the waivers that stand below `standing`, and this one."""
    others = [one for one in load_waivers(client, waivers=standing, catalogue=catalogue) if one.id != waiver.id]
    file = WaiverFile(schema_version=1, client=client, waivers=(*others, waiver))
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = target / f"{client}.yaml"
    write_whole(path, yaml.safe_dump(file.model_dump(mode="json", exclude_none=True), sort_keys=False))
    return path
