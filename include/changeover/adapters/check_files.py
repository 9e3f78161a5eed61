"""The catalogue of checks and the expectation files, as files: read within bounds, every fault at once in plain words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from changeover.adapters.schema_faults import validate
from changeover.adapters.yaml_text import MAX_BYTES, read_yaml
from changeover.domain.check import Catalogue, CheckFile
from changeover.errors import PlanError

Model = TypeVar("Model", bound=BaseModel)


def load_catalogue(directory: Path) -> Catalogue:
    """Every check of `directory/*.yaml`; raise `PlanError` with every fault of every file."""
    files = read_documents(directory, CheckFile, what="check files")
    try:
        return Catalogue(checks=tuple(check for file in files for check in file.checks))
    except ValidationError as exc:
        faults = tuple(line for error in exc.errors() for line in str(error["ctx"]["error"]).splitlines())
        raise PlanError(
            "the catalogue of checks cannot be used",
            faults=faults,
            where=str(directory),
            then="correct the files named",
        ) from exc


def documents_digest(directory: Path) -> str:
    """sha256 over names and bytes of `directory/*.yaml`: what a run is pinned to."""
    digest = hashlib.sha256()
    for path in _yaml_files(directory):
        digest.update(f"{path.name}\n{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def read_documents(directory: Path, model: type[Model], *, what: str) -> tuple[Model, ...]:
    """All `*.yaml` of a directory by the order of their names; raise `PlanError` when one is faulty or there is none."""
    read: list[Model] = []
    faults: list[str] = []
    paths = _yaml_files(directory)
    if not paths:
        raise PlanError(f"there are no {what}", where=str(directory), then="add at least one *.yaml file")
    for path in paths:
        with path.open("rb") as file:
            document = read_yaml(file.read(MAX_BYTES + 1), name=str(path))
        checked = validate(document, model)
        if checked is None:
            faults += [str(fault) for fault in sorted(set(document.faults))]
        else:
            read.append(checked)
    if faults:
        raise PlanError(f"the {what} cannot be used", faults=tuple(faults), then="correct the lines named")
    return tuple(read)


def _yaml_files(directory: Path) -> list[Path]:
    found: Iterable[Path] = directory.glob("*.yaml") if directory.is_dir() else ()
    return sorted(path for path in found if path.is_file())
