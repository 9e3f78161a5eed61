"""The catalogue of checks: what is asked, when, how grave a "no" is, against which threshold, and what to do then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import Field, model_validator

from changeover.domain.estate import Document, Name
from changeover.domain.finding import Severity
from changeover.domain.plan import Line
from changeover.domain.remedy import Remedy

Amount = Annotated[int, Field(ge=0)]


class CheckStage(StrEnum):
    """When a check is asked. `release` looks at the vendor's records alone; `baseline` is the readiness check of the

    rehearsal, before restore points are proven.
    """

    RELEASE = "release"
    ANALYSIS = "analysis"
    BASELINE = "baseline"
    READINESS = "readiness"
    ACCEPTANCE = "acceptance"


class Check(Document):
    """One entry of `include/checks/*.yaml`."""

    key: Name
    title: Line
    severity: Severity
    stages: tuple[CheckStage, ...] = Field(min_length=1)
    scope: Literal["host", "environment"] = "host"
    measured_by: Literal[
        "release_record", "ssh_probe", "discover", "artefacts", "ledger", "cmdb", "pytest", "great_expectations"
    ]
    thresholds: Mapping[Name, Amount] = Field(default_factory=dict)
    """Whole numbers; the unit is the end of the name (`_bytes`, `_percent`, `_milliseconds`, `_hours`)."""
    remediation: Line
    source: Line = "Changeover"
    """Where it comes from: lines of docs/cases.md, or ours."""
    audience: Literal["provider", "client"] = "provider"
    """Whose a finding of this check is to act on."""
    groups: tuple[Name, ...] = ()
    waivable: bool = True
    """False: nobody may have an upgrade go on in spite of this check."""
    teaches: bool = True
    """False: what it finds is that client's, or our own disk's, and says nothing of the release to anybody else."""
    fix: Remedy | None = None
    """What cures a finding of this check, and may be carried out in mode `fix`."""
    aliases: tuple[Name, ...] = ()
    """Names it had before; a waiver given under one of them still counts."""

    def limit(self, name: str) -> Fraction:
        return Fraction(self.thresholds[name])


class CheckFile(Document):
    schema_version: Literal[1]
    checks: tuple[Check, ...] = Field(min_length=1)


class Catalogue(Document):
    """Every check of every file."""

    checks: tuple[Check, ...]

    @model_validator(mode="after")
    def _keys_are_unique(self) -> Catalogue:
        keys = [key for check in self.checks for key in (check.key, *check.aliases)]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError("\n".join(f"checks: {key!r} is in the catalogue twice" for key in twice))
        return self

    def __getitem__(self, key: str) -> Check:
        return {check.key: check for check in self.checks}[key]

    def find(self, key: str) -> Check | None:
        """By its key or by one it had before."""
        return next((check for check in self.checks if key in (check.key, *check.aliases)), None)

    def at(self, stage: CheckStage, *, off: Iterable[str] = ()) -> tuple[Check, ...]:
        """The checks of a stage; `off` leaves out advisory ones only, an inhibitor stays whatever a plan says."""
        unwanted = set(off)
        return tuple(
            check
            for check in self.checks
            if stage in check.stages and not (check.severity is Severity.ADVISORY and check.key in unwanted)
        )

    def faults_of(self, off: Mapping[str, str]) -> tuple[str, ...]:
        """What is wrong with a plan's `checks_off`, as `path: message`."""
        known = {check.key: check for check in self.checks}
        return tuple(
            f"checks_off.{key}: no check of the catalogue has this key"
            if key not in known
            else f"checks_off.{key}: is an inhibitor and cannot be left out"
            for key in off
            if key not in known or known[key].severity is Severity.INHIBITOR
        )
