"""Release records: what the vendor's release needs, changes, asks to be done by hand, and from where it is reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from changeover.domain.estate import Document, Name
from changeover.domain.finding import Finding, Severity
from changeover.domain.release_faults import record_faults, unreadable
from changeover.domain.remedy import Remedy
from changeover.domain.version import SchemeName, VersionError, older, parse, same, within
from changeover.domain.window import Day, Span

Text = Annotated[str, StringConstraints(min_length=1)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\n\r]*$")]
Ranges = tuple[Text, ...]
"""Version ranges of the product's scheme, any of which may hold; for PEP 440 such as `>=7.0,<8.0`."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
ReleaseName = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z.]+$", max_length=60)]


class Resources(Document):
    """What the vendor says a host needs."""

    memory_mib: int | None = Field(default=None, gt=0)
    """Memory in MiB."""
    disk_mib: int | None = Field(default=None, gt=0)
    """Disk space in MiB, beside the data."""
    processors: int | None = Field(default=None, gt=0)
    """Processors."""
    source: Text
    """Where the vendor says so."""


class Requirements(Document):
    """What the release needs from the platform; ranges are PEP 440 specifiers of the part's own version."""

    python: str | None = None
    """Python that runs it."""
    database: Mapping[str, str] = Field(default_factory=dict)
    """Database → range of its versions."""
    runtimes: Mapping[str, str] = Field(default_factory=dict)
    """Other programs and libraries that must be there → range of their versions."""
    platforms: tuple[Line, ...] = ()
    """Platforms that the vendor supports, in the vendor's words."""
    resources: Resources | None = None
    """What the vendor says a host needs."""
    disk_factor: float = Field(default=3.0, gt=0, allow_inf_nan=False)
    """Free space wanted, as a multiple of the application's data."""

    @model_validator(mode="after")
    def _ranges_can_be_read(self) -> Requirements:
        ranges = {"python": self.python} | {
            f"{part}.{name}": text
            for part, found in (("database", self.database), ("runtimes", self.runtimes))
            for name, text in found.items()
        }
        faults = [
            f"{where}: {fault}" for where, text in ranges.items() if text is not None and (fault := unreadable(text))
        ]
        if faults:
            raise ValueError("\n".join(faults))
        return self


class ArtefactFile(Document):
    """One file that the vendor publishes."""

    name: Line
    """Name of the file."""
    sha256: Sha256
    """Its digest."""


class Artefacts(Document):
    """What is installed. A digest of a manifest covers every file that the manifest names."""

    requirements: tuple[Line, ...] = ()
    """Python distributions, pinned."""
    files: tuple[ArtefactFile, ...] = ()
    """Files whose digest is known."""
    manifest: ArtefactFile | None = None
    """List of digests that the vendor publishes, with its own digest."""
    note: str = ""
    """What is worth knowing about them."""

    @model_validator(mode="after")
    def _names_something(self) -> Artefacts:
        if not (self.requirements or self.files or self.manifest):
            raise ValueError("names nothing; give requirements, files with digests, or a manifest with its digest")
        return self


class ManualStep(Document):
    """Something the vendor asks to be done by hand when this release is reached or passed."""

    id: Name
    """Name of the step; a role that does it uses the same one."""
    series: str
    """Release that brought it, as the vendor names it."""
    when: Literal["before", "after"]
    """Before or after the migration."""
    need: Literal["required", "recommended"] = "required"
    """The vendor's own word for it."""
    title: Line
    """What is to be done."""
    applies_if: str = ""
    """When it concerns a client; always when empty."""
    fix: Remedy | None = None
    """What does it where it is left to somebody's choice, and may be carried out in mode `fix`."""
    source: Text
    """Where the vendor says so."""


class ChangedThing(Document):
    """Something that works otherwise from this release on, or no longer at all."""

    kind: Literal["endpoint", "setting", "driver", "function", "module", "object", "runtime", "schema", "removed"]
    """What sort of thing it is; `removed` for what has no other sort."""
    what: Line
    """Name of the thing."""
    was: str = Field(default="", alias="from")
    """How it was; empty for something that is new."""
    becomes: str = Field(default="", alias="to")
    """How it is now; empty for something that is gone."""
    source: Text
    """Where the vendor says so, or how it was found."""


class MandatoryStop(Document):
    """A release at which whoever comes to this one from before it has to stop."""

    release: ReleaseName
    """Name of its record."""
    reason: Line
    """Why."""
    source: Text
    """Where the vendor says so."""


class KnownDefect(Document):
    """A defect of the product that the vendor knows."""

    id: Line
    """Its number at the vendor, or a CVE."""
    title: Line
    """What goes wrong."""
    affects: Ranges = Field(min_length=1)
    """Versions that have it."""
    fixed_in: tuple[Line, ...] = ()
    """Versions in which it is repaired; none known when empty."""
    severity: Literal["inhibitor", "advisory"] = "advisory"
    """Whether it stops an upgrade to an affected version."""
    applies_if: str = ""
    """When it concerns a client; always when empty."""
    workaround: str = ""
    """What can be done until then."""
    source: Text
    """Where the vendor says so."""


class TermsChange(Document):
    """A change of licence or of support that comes with this release."""

    kind: Literal["licence", "support"]
    """Licence or support."""
    what: Line
    """What changes."""
    source: Text
    """Where the vendor says so."""


class Estimate(Document):
    """How long a step takes; the rehearsal measures it anew for every client."""

    step: Literal["stage", "restore_point", "implement", "verify", "back_out", "manual_steps"]
    """Step of a leg."""
    takes: Span
    """How long."""
    basis: Line
    """For which data, on what machine."""
    source: Text
    """Who measured or said so."""


class Irreversible(Document):
    """Something that cannot be undone in place."""

    what: Line
    """What is done."""
    way_back: Line
    """What a back-out has to do instead."""
    source: Text
    """Where the vendor says so."""


class Condition(Document):
    """Something that must be true before the next hop may begin."""

    what: Line
    """What must be true, such as: the migrations in the background have ended."""
    acceptance_test: str = ""
    """Name of the acceptance test that proves it; while there is none, no plan may have a leg that ends here and
    another after it, nor start from here."""
    source: Text
    """Where the vendor says so."""


class Lifting(Document):
    """Somebody who may do so has decided that the recall does not count for us."""

    by: Line
    """Their name."""
    role: str = ""
    """The role in which they did it."""
    on: Day
    """Day of the decision."""
    reason: Line
    """Why."""


class Recall(Document):
    """The release was withdrawn: no upgrade goes to it or over it until that is lifted."""

    since: Day
    """Day of the recall."""
    reason: Line
    """Why."""
    may_lift: tuple[Line, ...] = Field(min_length=1)
    """Names or roles of whom one may lift it."""
    source: Text
    """Who recalled it, and where that is written."""
    lifted: Lifting | None = None
    """Who lifted it; only somebody named above can."""

    @model_validator(mode="after")
    def _lifted_by_one_who_may(self) -> Recall:
        if self.lifted is not None and not {self.lifted.by, self.lifted.role} & set(self.may_lift):
            who = f"{self.lifted.by!r}" + (f" as {self.lifted.role!r}" if self.lifted.role else "")
            raise ValueError(f"lifted.by: {who} may not lift this recall; {', '.join(self.may_lift)} may")
        return self

    @property
    def stands(self) -> bool:
        return self.lifted is None


class ReleaseRecord(Document):
    """`include/releases/<product>/<release>.yaml`."""

    schema_version: Literal[1]
    """Version of this format."""
    product: Name
    """Product, as the directory is named."""
    release: ReleaseName
    """Name of the release, as the file is named; a series such as 7.2, or the version itself."""
    version: Line
    """Exact version that is installed, in quotes."""
    version_scheme: SchemeName
    """How the product's versions are compared; the same in all its records."""
    released: Day
    """Day on which the vendor published this version."""
    covers: Ranges = ()
    """Versions for which this record speaks, such as those of its series: whoever is on one has its manual steps behind
    and its stop made, so that no version is covered by two records. The version alone when empty."""
    follows: ReleaseName | None = None
    """Release right before this one in the vendor's line. Its record has to be there: no step between is to be lost."""
    supported_from: Ranges = Field(min_length=1)
    """Versions from which the vendor supports coming here in one hop."""
    mandatory_stops: tuple[MandatoryStop, ...] = ()
    """Releases at which whoever comes here from before them has to stop."""
    downgrade_to: Ranges = ()
    """Older versions to which the vendor supports going back from here; none when empty."""
    requires: Requirements = Requirements()
    """What it needs."""
    artefacts: Artefacts
    """What is installed."""
    manual_steps: tuple[ManualStep, ...] = ()
    """What is to be done by hand for this release alone; the planner adds those of the releases between."""
    changed: tuple[ChangedThing, ...] = ()
    """Removed and changed functions, endpoints, objects and settings, against the release before it."""
    known_defects: tuple[KnownDefect, ...] = ()
    """Defects of the product that the vendor tells of with this release."""
    licence: str | None = None
    """Licence under which the vendor publishes it."""
    terms: tuple[TermsChange, ...] = ()
    """Changes of licence or support."""
    estimates: tuple[Estimate, ...] = ()
    """How long the steps of a hop to this release take."""
    irreversible: tuple[Irreversible, ...] = ()
    """What cannot be undone in place."""
    before_leaving: tuple[Condition, ...] = ()
    """What must be true before the next hop may begin."""
    recall: Recall | None = None
    """The vendor, or we, withdrew it."""
    sources: tuple[Text, ...] = Field(min_length=1)
    """Where all of this comes from."""

    @model_validator(mode="after")
    def _holds_together(self) -> ReleaseRecord:
        if faults := record_faults(self.model_dump()):
            raise ValueError("\n".join(faults))
        return self

    @property
    def recalled(self) -> bool:
        return self.recall is not None and self.recall.stands

    def supports(self, version: str) -> bool:
        """Coming here in one hop. A range that cannot be read supports nothing."""
        return held(version, self.supported_from, self.version_scheme)

    def speaks_for(self, version: str) -> bool:
        """Whoever is on this version has what this record asks for behind."""
        scheme = self.version_scheme
        return same(version, self.version, scheme) or held(version, self.covers, scheme)


def held(version: str, ranges: Ranges, scheme: str) -> bool:
    try:
        return bool(ranges) and within(version, ranges, scheme)
    except VersionError:
        return False


def path_findings(
    record: ReleaseRecord, *, from_version: str, to_version: str, downgrade: bool = False
) -> tuple[Finding, ...]:
    """Whether this record, on its own, stands against going from here to there in one hop; every fault at once.

    A downgrade that the plan names is judged by the record of the installed release, so by the path planner.
    """
    subject = f"{record.product} {from_version} -> {to_version}"
    try:
        for text in (from_version, to_version, record.version):
            parse(text, record.version_scheme)
    except VersionError as exc:
        return (
            Finding("release-version", subject, str(exc), remediation="Write the exact version as the vendor does."),
        )
    found = [*target_findings(record, to_version=to_version, subject=subject)]
    if same(from_version, to_version, record.version_scheme):
        found.append(Finding("release-no-op", subject, no_op_text(to_version)))
    elif not older(from_version, to_version, record.version_scheme):
        if not downgrade:
            found.append(Finding("release-downgrade", subject, downgrade_text(from_version, to_version)))
    elif not record.supports(from_version):
        found.append(
            Finding(
                "release-path",
                subject,
                unsupported_text(record, from_version),
                remediation="Plan the stops on the way.",
            )
        )
    return tuple(found)


def target_findings(record: ReleaseRecord, *, to_version: str, subject: str) -> Iterator[Finding]:
    """Whether the record is the one of the wanted version, and may be installed at all."""
    if not same(to_version, record.version, record.version_scheme):
        text = f"the plan wants {to_version}, the release record describes {record.version}"
        yield Finding("release-target", subject, text)
    recall = record.recall
    if recall is not None and recall.stands:
        yield Finding(
            "release-recalled",
            subject,
            recall_text(record, recall),
            remediation=f"Plan another release, or have the recall lifted by {' or '.join(recall.may_lift)}.",
        )
    elif recall is not None and recall.lifted is not None:
        by = f"{recall.lifted.by} on {recall.lifted.on}: {recall.lifted.reason}"
        text = f"{record.version} was recalled on {recall.since} ({recall.reason}); lifted by {by}"
        yield Finding("release-recall-lifted", subject, text, Severity.ADVISORY)


def no_op_text(version: str) -> str:
    return f"already on {version}: no upgrade is needed"


def downgrade_text(from_version: str, to_version: str) -> str:
    return f"{to_version} is older than {from_version}: a downgrade is never an upgrade"


def unsupported_text(record: ReleaseRecord, version: str) -> str:
    return f"the vendor supports coming from {' or '.join(record.supported_from)}, not from {version}"


def recall_text(record: ReleaseRecord, recall: Recall) -> str:
    return (
        f"{record.product} {record.version} was recalled on {recall.since}: {recall.reason}; "
        f"only {' or '.join(recall.may_lift)} may lift that"
    )
