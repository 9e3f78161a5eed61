"""Release records: what the vendor's new release needs, changes and asks to be done by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from changeover.domain.estate import Document, Name
from changeover.domain.finding import Finding, Severity
from changeover.domain.version import SchemeName, VersionError, older, parse, same, within


class Requirements(Document):
    """What the release needs from the platform; ranges are PEP 440 specifiers of the part's own version."""

    python: str | None = None
    database: Mapping[str, str] = Field(default_factory=dict)
    disk_factor: float = Field(default=3.0, gt=0, allow_inf_nan=False)
    """Free space wanted, as a multiple of the application's data."""

    @model_validator(mode="after")
    def _ranges_can_be_read(self) -> Requirements:
        ranges = {"python": self.python, **{f"database.{name}": text for name, text in self.database.items()}}
        faults = [f"{where}: {fault}" for where, text in ranges.items() if text is not None and (fault := _fault(text))]
        if faults:
            raise ValueError("\n".join(faults))
        return self


def _fault(text: str) -> str:
    try:
        within("0", (text,), "pep440")
    except VersionError as exc:
        return str(exc)
    return ""


class Artefacts(Document):
    requirements: tuple[str, ...]
    note: str = ""


class ManualStep(Document):
    id: Name
    series: str
    when: Literal["before", "after"]
    title: str
    applies_if: str = ""
    source: str


class ChangedThing(Document):
    kind: Literal["endpoint", "setting", "driver", "function", "module", "schema", "removed"]
    what: str
    was: str = Field(default="", alias="from")
    becomes: str = Field(default="", alias="to")
    source: str


class ReleaseRecord(Document):
    """`include/releases/<product>/<release>.yaml`."""

    schema_version: Literal[1]
    product: Name
    release: str
    version: str
    version_scheme: SchemeName
    released: date
    supported_from: tuple[str, ...] = Field(min_length=1)
    requires: Requirements = Requirements()
    artefacts: Artefacts
    manual_steps: tuple[ManualStep, ...] = ()
    changed: tuple[ChangedThing, ...] = ()
    sources: tuple[str, ...] = Field(min_length=1)


def _supported(record: ReleaseRecord, version: str) -> bool:
    """A range that cannot be read supports nothing."""
    try:
        return within(version, record.supported_from, record.version_scheme)
    except VersionError:
        return False


def path_findings(record: ReleaseRecord, *, from_version: str, to_version: str) -> tuple[Finding, ...]:
    """Whether the vendor supports going from here to there; every fault at once."""
    subject = f"{record.product} {from_version} -> {to_version}"
    try:
        for text in (from_version, to_version, record.version):
            parse(text, record.version_scheme)
    except VersionError as exc:
        return (
            Finding("release-version", subject, str(exc), remediation="Write the exact version as the vendor does."),
        )
    found = []
    if not same(to_version, record.version, record.version_scheme):
        found.append(
            Finding(
                "release-target", subject, f"the plan wants {to_version}, the release record describes {record.version}"
            )
        )
    if same(from_version, to_version, record.version_scheme):
        found.append(Finding("release-no-op", subject, f"already on {to_version}: no upgrade is needed"))
    elif not older(from_version, to_version, record.version_scheme):
        found.append(
            Finding(
                "release-downgrade",
                subject,
                f"{to_version} is older than {from_version}: a downgrade is never an upgrade",
            )
        )
    elif not _supported(record, from_version):
        ranges = " or ".join(record.supported_from)
        found.append(
            Finding(
                "release-path",
                subject,
                f"the vendor supports coming from {ranges}, not from {from_version}",
                remediation="Plan the stops on the way.",
            )
        )
    if record.manual_steps:
        titles = "; ".join(step.title for step in record.manual_steps)
        found.append(
            Finding(
                "release-manual-steps",
                subject,
                f"the vendor asks for {len(record.manual_steps)} manual steps: {titles}",
                Severity.ADVISORY,
            )
        )
    found.extend(
        Finding(
            f"release-changed-{thing.kind}",
            thing.what,
            f"{thing.was or 'present'} becomes {thing.becomes or 'gone'}",
            Severity.ADVISORY,
        )
        for thing in record.changed
    )
    return tuple(found)
