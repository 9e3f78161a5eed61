"""What the catalogue says of the findings that come from release records: whose they are, and whether one may waive."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import replace

from changeover.domain.check import Catalogue, Check, CheckStage
from changeover.domain.finding import Action, ActionKind, Finding


def of_release(key: str, catalogue: Catalogue) -> bool:
    """Whether a check looks at release records alone."""
    check = catalogue.find(key)
    return check is not None and CheckStage.RELEASE in check.stages


def as_told(findings: Iterable[Finding], catalogue: Catalogue, *, off: Container[str] = ()) -> tuple[Finding, ...]:
    """Each with what its check says, where the record says nothing itself. `off` leaves out advisories only."""
    pairs = [(finding, _check(finding.key, catalogue)) for finding in findings]
    return tuple(
        finding if check is None else _with(finding, check)
        for finding, check in pairs
        if finding.inhibits or check is None or check.key not in off
    )


def _check(key: str, catalogue: Catalogue) -> Check | None:
    """One check for all kinds of a thing: release-changed-endpoint is told as release-changed."""
    return catalogue.find(key) or catalogue.find(key.rpartition("-")[0])


def _with(finding: Finding, check: Check) -> Finding:
    cure = finding.remediation or check.remediation
    return replace(
        finding,
        remediation=cure,
        audience=check.audience,
        groups=check.groups,
        actions=finding.actions or (Action(ActionKind.HINT, cure),),
    )
