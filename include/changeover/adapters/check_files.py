"""Directories of YAML documents of one kind, such as the catalogue of checks: every fault of every file at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from changeover.adapters.document_files import read_document
from changeover.adapters.yaml_text import YamlText
from changeover.domain.check import Catalogue, CheckFile
from changeover.errors import PlanError

Model = TypeVar("Model", bound=BaseModel)


def load_catalogue(directory: Path) -> Catalogue:
    """Every check of `directory/*.yaml`; raise `PlanError` with every fault of every file."""
    files = read_directory(directory, CheckFile, what="checks")
    try:
        return Catalogue(checks=tuple(check for file in files for check in file.checks))
    except ValidationError as exc:
        faults = tuple(line for error in exc.errors() for line in str(error["ctx"]["error"]).splitlines())
        raise unusable("checks", directory, faults) from exc


def read_directory(
    directory: Path, model: type[Model], *, what: str, also: Callable[[YamlText, Model], None] | None = None
) -> tuple[Model, ...]:
    """All `*.yaml` of a directory in the order of their names; raise `PlanError` for a faulty one or for none."""
    readings = [read_document(path, model, also=also) for path in yaml_files(directory)]
    if not readings:
        raise PlanError(f"there are no {what}", where=str(directory), then="add at least one *.yaml file")
    if faults := tuple(str(fault) for reading in readings for fault in reading.faults):
        raise unusable(what, directory, faults)
    return tuple(reading.document for reading in readings if reading.document is not None)


def unusable(what: str, directory: Path, faults: tuple[str, ...]) -> PlanError:
    return PlanError(f"the {what} cannot be used", faults=faults, where=str(directory), then="correct what is named")


def yaml_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.yaml")) if directory.is_dir() else []
