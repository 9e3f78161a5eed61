"""Plans as files: found, read within bounds, checked against the schema; every fault at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from changeover.adapters.document_files import (
    DocumentFaults,
    UnusableFileError,
    demand,
    read_bytes,
    stay_inside,
    unusable,
)
from changeover.adapters.document_search import Kind, placed
from changeover.adapters.schema_faults import add_faults, validate
from changeover.adapters.valid_parts import valid_parts
from changeover.adapters.yaml_text import YamlText, read_yaml
from changeover.domain.fault import Fault, Reading
from changeover.domain.plan import Plan, cross_faults

_IN_PARTS = ("trigger", "statement_of_work", "environments")
"""Where a fault leaves the rest to be judged."""
_THEN = "correct the plan and run `changeover plan check` on it"


def plan_digest(raw: bytes) -> str:
    """sha256 of the exact bytes: what an approval is bound to."""
    return hashlib.sha256(raw).hexdigest()


def parse_plan(text: bytes, *, name: str) -> Plan:
    """Raise `DocumentFaults` (a `PlanError`) with every fault.

    `name` is the file's path; where it ends in `<client>/<upgrade>.yaml` the plan has to say the same.
    """
    plan, document = _parse(text, name)
    if plan is None:
        raise DocumentFaults(name, _ordered(document.faults), then=_THEN)
    return plan


def load_plan(path: Path) -> Plan:
    """Read and parse one plan file; raise `DocumentFaults`."""
    return demand(read_plan(path), then=_THEN)


def read_plan(path: Path, *, root: Path | None = None) -> Reading[Plan]:
    """Never raises for what is on the disk. `root`: the directory that a symbolic link may not leave."""
    try:
        if root is not None:
            stay_inside(path, root)
        raw = read_bytes(path)
    except UnusableFileError as exc:
        return unusable(path, exc)
    plan, document = _parse(raw, str(path))
    parts = valid_parts(document, Plan, within=_IN_PARTS) if plan is None else None
    return Reading(str(path), plan, _ordered(document.faults), plan_digest(raw), document.line, parts)


def find_plans(paths: Sequence[Path], *, plans: Path) -> tuple[Reading[Plan], ...]:
    """Read every file named, and every plan below every directory named; a path that yields none is a fault of its own.

    `plans` is where the product keeps its plans: there, a plan lies exactly at `<client>/<upgrade>.yaml`.
    """
    return Kind("plan", "<client>/<upgrade>.yaml", plans, read_plan).find(paths)


def plan_texts(plans: Path) -> tuple[Reading[bytes], ...]:
    """The bytes of every plan below the product's directory of plans, found and bounded as `find_plans` does."""
    return tuple(Kind("plan", "<client>/<upgrade>.yaml", placed(plans), _read_text).below(plans))


def _read_text(path: Path, *, root: Path) -> Reading[bytes]:
    try:
        stay_inside(path, root)
        raw = read_bytes(path)
    except UnusableFileError as exc:
        return unusable(path, exc)
    return Reading(str(path), raw, digest=plan_digest(raw))


def _parse(raw: bytes, name: str) -> tuple[Plan | None, YamlText]:
    document = read_yaml(raw, name=name)
    plan = validate(document, Plan)
    if not document.broken and isinstance(document.data, dict):
        if plan is None:
            add_faults(document, cross_faults(document.data))
        _compare_names(document, PurePath(name))
    return (None, document) if document.faults else (plan, document)


def _compare_names(document: YamlText, path: PurePath) -> None:
    """The DAG, the CMDB and people find a plan by its path; it must not say something else inside."""
    if path.suffix != ".yaml":
        return
    place = f"{path.parent.name}/{path.name}"
    for key, of_path in (("client", path.parent.name), ("upgrade", path.name.removesuffix(".yaml"))):
        told = document.data.get(key)
        if of_path and isinstance(told, str) and told != of_path and not document.was_refused((key,)):
            document.fault(document.line((key,)), (key,), f"is {told!r}, and the file is {place}")


def _ordered(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(set(faults)))
