"""Plans as files: found, read within bounds, checked against the schema; every fault at once."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from changeover.adapters.schema_faults import add_faults, validate
from changeover.adapters.yaml_text import MAX_BYTES, YamlText, read_yaml
from changeover.domain.fault import Fault
from changeover.domain.plan import Plan, cross_faults
from changeover.errors import PlanError


class PlanFaults(PlanError):
    """A plan that cannot be used; `details` has every fault with its place."""

    def __init__(self, name: str, details: tuple[Fault, ...]) -> None:
        self.details = details
        super().__init__(
            f"{name} cannot be used: {len(details)} fault{'s' if len(details) != 1 else ''}",
            faults=tuple(str(fault) for fault in details),
            then="correct the plan and run `changeover plan check` on it",
        )


@dataclass(frozen=True)
class PlanReading:
    """One plan file: the plan, or why there is none. `digest` is "" when not even the bytes could be had."""

    name: str
    path: Path
    digest: str
    plan: Plan | None
    faults: tuple[Fault, ...]
    lines: YamlText | None = None


def plan_digest(raw: bytes) -> str:
    """sha256 of the exact bytes: what an approval is bound to."""
    return hashlib.sha256(raw).hexdigest()


def parse_plan(text: bytes, *, name: str) -> Plan:
    """Raise `PlanFaults` with every fault. `name` is the path; `<client>/<upgrade>.yaml` at its end must say what the plan says."""
    plan, document = _parse(text, name)
    if plan is None:
        raise PlanFaults(name, _ordered(document.faults))
    return plan


def load_plan(path: Path) -> Plan:
    """Read and parse one plan file; raise `PlanFaults`."""
    reading = read_plan(path)
    if reading.plan is None:
        raise PlanFaults(reading.name, reading.faults)
    return reading.plan


def read_plan(path: Path, *, within: Path | None = None) -> PlanReading:
    """Never raises for what is on the disk. `within`: the directory that a symbolic link may not leave."""
    name = str(path)
    try:
        _stay_inside(path, within)
        raw = read_bytes(path)
    except _Unusable as exc:
        return PlanReading(name, path, "", None, (Fault(name, 0, "", str(exc)),))
    plan, document = _parse(raw, name)
    return PlanReading(name, path, plan_digest(raw), plan, _ordered(document.faults), document)


def _parse(raw: bytes, name: str) -> tuple[Plan | None, YamlText]:
    document = read_yaml(raw, name=name)
    plan = validate(document, Plan)
    if plan is None and not document.broken and isinstance(document.data, dict):
        add_faults(document, cross_faults(document.data))
    if not document.broken and isinstance(document.data, dict):
        _compare_names(document, PurePath(name))
    return (None, document) if document.faults else (plan, document)


def _compare_names(document: YamlText, path: PurePath) -> None:
    """The DAG, the CMDB and people find a plan by its path; it must not say something else inside."""
    if path.suffix != ".yaml":
        return
    for key, of_path in (("client", path.parent.name), ("upgrade", path.name.removesuffix(".yaml"))):
        told = document.data.get(key)
        if of_path and isinstance(told, str) and told != of_path and not document.was_refused((key,)):
            document.fault(
                document.line((key,)), (key,), f"is {told!r}, and the file is {path.parent.name}/{path.name}"
            )


def _ordered(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(set(faults)))


class _Unusable(Exception):
    """The bytes of a file cannot be had, and why."""


def read_bytes(path: Path) -> bytes:
    """At most one byte more than a document may have; nothing but a regular file is opened."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as exc:
        raise _Unusable(_reason(path, exc)) from exc
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _Unusable("is not a regular file")
        if status.st_size > MAX_BYTES:
            raise _Unusable(
                f"has {status.st_size / 1024 / 1024:.1f} MiB; a document of this kind has a few KiB, "
                f"at most {MAX_BYTES // 1024} KiB are read"
            )
        try:
            return file.read(MAX_BYTES + 1) or b""
        except OSError as exc:
            raise _Unusable(_reason(path, exc)) from exc


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "is a symbolic link to nothing" if path.is_symlink() else "does not exist"
    if isinstance(error, PermissionError):
        return "may not be read by this user"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _stay_inside(path: Path, within: Path | None) -> None:
    if within is None:
        return
    try:
        target = path.resolve()
        inside = target.is_relative_to(within.resolve())
    except (OSError, RuntimeError, ValueError) as exc:
        raise _Unusable(f"cannot be followed: {exc}") from exc
    if not inside:
        raise _Unusable(f"leads out of {within} to {target}; a plan lies where it is read")
