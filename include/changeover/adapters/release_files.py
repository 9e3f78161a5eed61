"""Release records as files: `<product>/<release>.yaml`."""

from __future__ import annotations

from pathlib import Path

from changeover.adapters.document_files import demand, read_document, unusable
from changeover.adapters.yaml_text import YamlText
from changeover.domain.fault import Reading
from changeover.domain.release import ReleaseRecord
from changeover.domain.version import VersionError, parse, within


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

    def also(document: YamlText, record: ReleaseRecord) -> None:
        for key, told, of_path in (("product", record.product, product), ("release", record.release, release)):
            if told != of_path:
                document.fault(document.line((key,)), (key,), f"is {told!r}, and the file is {product}/{release}.yaml")
        _check_versions(document, record)

    return read_document(path, ReleaseRecord, also=also)


def _check_versions(document: YamlText, record: ReleaseRecord) -> None:
    try:
        parse(record.version, record.version_scheme)
    except VersionError as exc:
        document.fault(document.line(("version",)), ("version",), str(exc))
        return
    for number, ranges in enumerate(record.supported_from):
        try:
            within(record.version, (ranges,), record.version_scheme)
        except VersionError as exc:
            path = ("supported_from", number)
            document.fault(document.line(path), path, str(exc))
