"""Findings: what a check has to say, with a key that stays the same from run to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """An inhibitor stops the upgrade; an advisory is told and recorded."""

    INHIBITOR = "inhibitor"
    ADVISORY = "advisory"


@dataclass(frozen=True)
class Finding:
    """`key` names the check; `subject` what it is about (a host, a module, an environment)."""

    key: str
    subject: str
    summary: str
    severity: Severity = Severity.INHIBITOR
    remediation: str = ""
    evidence: dict[str, object] = field(default_factory=dict)

    @property
    def inhibits(self) -> bool:
        return self.severity is Severity.INHIBITOR
