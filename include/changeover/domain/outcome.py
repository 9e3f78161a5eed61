"""Outcomes, computed from positive proof and never from task colours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from changeover.domain.version import VersionError, same


class Outcome(StrEnum):
    SUCCESSFUL = "successful"
    SUCCESSFUL_WITH_ISSUES = "successful_with_issues"
    BACKED_OUT = "backed_out"
    BACK_OUT_FAILED = "back_out_failed"
    REFUSED = "refused"
    MISSED = "missed"
    UNKNOWN = "unknown"

    @property
    def is_success(self) -> bool:
        return self in (Outcome.SUCCESSFUL, Outcome.SUCCESSFUL_WITH_ISSUES)


@dataclass(frozen=True)
class Verdict:
    """An outcome with every reason that led to it."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class EnvironmentProofs:
    """What the ledger and the hosts prove about one environment at the end of its lane.

    `versions` maps every planned host to the version found running on it (None: could not be read).
    """

    hosts_planned: tuple[str, ...]
    from_version: str
    to_version: str
    change_began: bool
    versions: Mapping[str, str | None]
    acceptance_passed: bool | None
    """Acceptance of the new release: None when it was not run."""
    data_whole: bool | None
    signed_off: bool
    committed: bool
    back_out_began: bool
    old_release_accepted: bool | None
    old_data_whole: bool | None
    window_missed: bool = False
    issues: tuple[str, ...] = ()
    hosts_backed_out: tuple[str, ...] = ()
    """The hosts a back-out was run on; empty means all of them."""
    hosts_untouched: tuple[str, ...] = ()
    """Hosts that this run did not begin to change, or put back before."""
    doubts: tuple[str, ...] = ()
    """Work on its hosts ended so that nobody knows what is true there, and no person has decided since."""
    version_scheme: str = "pep440"


def environment_verdict(proofs: EnvironmentProofs) -> Verdict:
    """Fail closed: a success needs every proof, a back-out every proof of the old release, the rest is unknown."""
    if not proofs.change_began:
        return _untouched(proofs)
    if proofs.back_out_began:
        return _after_back_out(proofs)
    missing = (
        *_wrong_versions(proofs, proofs.to_version, proofs.hosts_planned),
        *(() if proofs.acceptance_passed else ("acceptance of the new release is not proven",)),
        *(() if proofs.data_whole else ("the comparison of business data is not proven",)),
        *(() if proofs.signed_off else ("sign-off is missing",)),
        *(() if proofs.committed else ("the new release was not committed",)),
    )
    if missing:
        return Verdict(
            Outcome.UNKNOWN,
            (
                "the change began and neither success nor back-out is proven",
                *proofs.doubts,
                *missing,
                *proofs.issues,
            ),
        )
    if proofs.issues:
        return Verdict(Outcome.SUCCESSFUL_WITH_ISSUES, proofs.issues)
    return Verdict(
        Outcome.SUCCESSFUL,
        (f"{proofs.to_version} runs on {', '.join(proofs.hosts_planned)} and was accepted",),
    )


def _untouched(proofs: EnvironmentProofs) -> Verdict:
    strange = tuple(
        f"{host}: {version} found, {proofs.from_version} expected"
        for host, version in sorted(proofs.versions.items())
        if version is not None and not _same(version, proofs.from_version, proofs)
    )
    if proofs.doubts:
        return Verdict(Outcome.UNKNOWN, (*proofs.doubts, *proofs.issues, *strange))
    if proofs.window_missed:
        return Verdict(Outcome.MISSED, (*proofs.issues, *strange))
    return Verdict(Outcome.REFUSED, (*proofs.issues, *strange, "nothing was touched"))


def _after_back_out(proofs: EnvironmentProofs) -> Verdict:
    chosen = proofs.hosts_backed_out or proofs.hosts_planned
    missing = (
        *_wrong_versions(proofs, proofs.from_version, chosen),
        *(() if proofs.old_release_accepted else ("acceptance of the old release is not proven",)),
        *(() if proofs.old_data_whole else ("the comparison of business data after the back-out is not proven",)),
    )
    if missing:
        return Verdict(Outcome.BACK_OUT_FAILED, (*missing, *proofs.issues))
    kept = tuple(host for host in proofs.hosts_planned if host not in (*chosen, *proofs.hosts_untouched))
    if kept:
        found = ", ".join(f"{host} keeps {proofs.versions.get(host)}" for host in kept)
        return Verdict(
            Outcome.UNKNOWN,
            (
                f"backed out on {', '.join(chosen)} only; {found}: a person must decide",
                *proofs.issues,
            ),
        )
    return Verdict(
        Outcome.BACKED_OUT,
        (
            f"{proofs.from_version} runs on {', '.join(chosen)} and was accepted",
            *((f"not changed: {', '.join(proofs.hosts_untouched)}",) if proofs.hosts_untouched else ()),
            *proofs.issues,
        ),
    )


def _wrong_versions(proofs: EnvironmentProofs, wanted: str, hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not hosts:
        return ("no host was planned, so nothing is proven",)
    return tuple(
        f"{host}: {proofs.versions.get(host) or 'no version'} found, {wanted} wanted"
        for host in hosts
        if not _same(proofs.versions.get(host), wanted, proofs)
    )


def _same(found: str | None, wanted: str, proofs: EnvironmentProofs) -> bool:
    """By the product's scheme, in which 1.0 and 1.0.0 may be one version; what it cannot read is equal to nothing."""
    try:
        return found is not None and same(found, wanted, proofs.version_scheme)
    except VersionError:
        return False


_GRAVITY = (
    Outcome.BACK_OUT_FAILED,
    Outcome.UNKNOWN,
    Outcome.BACKED_OUT,
    Outcome.MISSED,
    Outcome.REFUSED,
    Outcome.SUCCESSFUL_WITH_ISSUES,
    Outcome.SUCCESSFUL,
)


def run_verdict(
    environments: Mapping[str, Verdict],
    *,
    planned: Iterable[str],
    blockers: tuple[str, ...] = (),
) -> Verdict:
    """The gravest environment decides; an environment without a verdict, or a blocker, rules success out."""
    planned = tuple(planned)
    reasons = tuple(
        f"{name}: {verdict.outcome} ({'; '.join(verdict.reasons)})" for name, verdict in environments.items()
    )
    outcomes = {verdict.outcome for verdict in environments.values()}
    absent = tuple(name for name in planned if name not in environments)
    if not planned and not environments:
        return Verdict(
            Outcome.REFUSED,
            (*blockers, *reasons, "no environment was reached; nothing was touched"),
        )
    if absent and (not outcomes or all(outcome.is_success for outcome in outcomes)):
        outcomes.add(Outcome.REFUSED)
    gravest = next(outcome for outcome in _GRAVITY if outcome in outcomes)
    if blockers and gravest.is_success:
        gravest = Outcome.UNKNOWN
    return Verdict(
        gravest,
        (
            *blockers,
            *reasons,
            *(f"{name}: not reached, not touched" for name in absent),
        ),
    )
