"""Release records as files: `<product>/<release>.yaml`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from changeover.adapters.document_files import UnusableFileError, demand, read_bytes, stay_inside, unusable
from changeover.adapters.document_search import Kind, placed
from changeover.adapters.schema_faults import add_faults, validate
from changeover.adapters.yaml_text import YamlText, read_yaml
from changeover.domain.fault import Fault, Reading, dotted
from changeover.domain.path import Product
from changeover.domain.release import ReleaseRecord
from changeover.domain.release_faults import record_faults
from changeover.domain.release_misfits import between_faults


def load_release(name: str, *, releases: Path) -> ReleaseRecord:
    """`name` is `<product>/<release>` as in a plan; raise `DocumentFaults` (a `PlanError`)."""
    return demand(read_release(name, releases=releases), then="correct the release record, or the plan's `release`")


def read_release(name: str, *, releases: Path) -> Reading[ReleaseRecord]:
    """Never raises for what is on the disk."""
    product, _, release = name.partition("/")
    path = releases / product / f"{release}.yaml"
    if not path.is_file():
        known = sorted(f"{found.parent.name}/{found.stem}" for found in releases.glob("*/*.yaml"))
        return unusable(path, f"there is no release record {name!r}; known: {', '.join(known) or 'none'}")
    return read_release_file(path, root=releases)


def read_product(product: str, *, releases: Path) -> Product:
    """Every record of a product, and as faults everything that keeps one from being read or does not fit the others."""
    return _product(releases / product, root=releases)


def find_releases(paths: Sequence[Path], *, releases: Path) -> tuple[Reading[ReleaseRecord], ...]:
    """Every record named or below a directory named, held against the others of its product."""
    kind = Kind("release record", "<product>/<release>.yaml", releases, read_release_file)
    return tuple(_beside_others(reading) for reading in kind.find(paths))


def read_release_file(path: Path, *, root: Path | None = None) -> Reading[ReleaseRecord]:
    """`root`: the directory that a symbolic link may not leave. A file that is as it was is not read again."""
    try:
        if root is not None:
            stay_inside(path, root)
        status = path.stat()
    except UnusableFileError as exc:
        return unusable(path, exc)
    except OSError:
        return _read(path)
    return _read_once(path, (status.st_ino, status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=256)
def _read_once(path: Path, state: tuple[int, int, int]) -> Reading[ReleaseRecord]:  # noqa: ARG001 -- part of the key
    return _read(path)


def _read(path: Path) -> Reading[ReleaseRecord]:
    try:
        raw = read_bytes(path)
    except UnusableFileError as exc:
        return unusable(path, exc)
    document = read_yaml(raw, name=str(path))
    record = validate(document, ReleaseRecord)
    if not document.broken and isinstance(document.data, dict):
        if record is None:
            add_faults(document, record_faults(_as_meant(document)))
        for key, of_path in (("product", path.parent.name), ("release", path.name.removesuffix(".yaml"))):
            told = document.data.get(key)
            if isinstance(told, str) and told != of_path and not document.was_refused((key,)):
                place = f"{path.parent.name}/{path.name}"
                document.fault(document.line((key,)), (key,), f"is {told!r}, and the file is {place}")
    faults = tuple(sorted(set(document.faults)))
    digest = hashlib.sha256(raw).hexdigest()
    return Reading(str(path), None if faults else record, faults, digest, document.line)


def _as_meant(document: YamlText) -> dict[str, Any]:
    """A version without quotes is a number to YAML, which is told; as it was written, it tells of what hangs on it."""
    data: dict[str, Any] = document.data
    written = document.written.get(("version",))
    return data if written is None or isinstance(data.get("version"), str) else {**data, "version": written}


def _product(directory: Path, *, root: Path | None = None) -> Product:
    readings = [read_release_file(path, root=root) for path in sorted(directory.glob("*.yaml"))]
    readings += [
        unusable(path, "is not read as a release record; name it <release>.yaml")
        for path in sorted(directory.glob("*.yml"))
    ]
    records = tuple(reading.document for reading in readings if reading.document is not None)
    unread = [str(fault) for reading in readings for fault in reading.faults]
    misfits = [str(fault) for reading in readings for fault in _misfits(reading, records)]
    others = sorted({found.parent.name for found in directory.parent.glob("*/*.yaml")} - {directory.name})
    return Product(directory.name, records, (*unread, *misfits), str(directory), tuple(others))


def _beside_others(reading: Reading[ReleaseRecord]) -> Reading[ReleaseRecord]:
    """The same, or its faults against the other records of its product."""
    if reading.document is None:
        return reading
    others = _product(placed(Path(reading.file)).parent).records
    faults = tuple(sorted(_misfits(reading, others)))
    if not faults:
        return reading
    return Reading(reading.file, None, faults, reading.digest, reading.line_of)


def _misfits(reading: Reading[ReleaseRecord], records: tuple[ReleaseRecord, ...]) -> list[Fault]:
    if reading.document is None:
        return []
    return [
        Fault(reading.file, reading.line_of(path), dotted(path), message)
        for release, path, message in between_faults(records)
        if release == reading.document.release
    ]
