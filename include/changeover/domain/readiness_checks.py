"""The readiness checks, one function each: facts and thresholds in, a "yes" or "no" with its reason out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from math import ceil

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from changeover.domain.certificates import too_short
from changeover.domain.check import Check
from changeover.domain.disk_space import HostSpace, gib, needs, rooms, whole
from changeover.domain.estate import EstateEnvironment, Host
from changeover.domain.facts import HostFacts, ReadinessFacts, Report
from changeover.domain.plan import Plan
from changeover.domain.release import ReleaseRecord, path_findings
from changeover.domain.version import VersionError, same

FINISHED = frozenset({"committed", "backed_out", "stood_down", "fixed"})
"""Phases of a host's marker after which nothing of that run is left to do."""


@dataclass(frozen=True)
class Said:
    ok: bool
    why: str


def yes(why: str) -> Said:
    return Said(True, why)


def no(why: str) -> Said:
    return Said(False, why)


@dataclass(frozen=True)
class EnvironmentQuestion:
    """One check of the whole environment."""

    check: Check
    plan: Plan
    release: ReleaseRecord
    record: EstateEnvironment
    facts: ReadinessFacts
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class HostQuestion:
    """One check on one host."""

    check: Check
    plan: Plan
    release: ReleaseRecord
    record: EstateEnvironment
    facts: ReadinessFacts
    host: Host

    @property
    def probe(self) -> HostFacts:
        return self.facts.probes.get(self.host.name) or HostFacts(self.host.name, False, "the host was not probed")

    @property
    def report(self) -> Report:
        return self.facts.reports.get(self.host.name) or {}

    @property
    def space(self) -> HostSpace:
        named = (self.host.variables.get(key) for key in ("app_root", "host_state_dir"))
        return HostSpace(self.probe, self.report, tuple(str(path) for path in named if path))

    @property
    def version(self) -> str | None:
        found = self.report.get("version")
        return found if isinstance(found, str) and found else None


def reachable(q: HostQuestion) -> Said:
    if not q.probe.reachable:
        return no(q.probe.error or "the host could not be reached over SSH")
    return yes("reached over SSH") if q.report else no("Ansible gave no report of the host")


def privilege(q: HostQuestion) -> Said:
    """The directories that the roles write to."""
    wanted = {name: q.host.variables.get(name) for name in ("app_root", "host_state_dir")}
    if missing := [name for name, path in wanted.items() if not path]:
        return no(f"the CMDB names no {' and no '.join(missing)} for this host")
    bad = [
        f"{path} is not writable" if q.probe.writable.get(str(path)) is False else f"{path} could not be tried"
        for path in wanted.values()
        if q.probe.writable.get(str(path)) is not True
    ]
    return no("; ".join(bad)) if bad else yes(f"{' and '.join(str(path) for path in wanted.values())} are writable")


def python_version(q: HostQuestion) -> Said:
    found, wanted = q.probe.python, q.release.requires.python
    if found is None:
        return no("the host's Python could not be read")
    if wanted is None:
        return yes(f"Python {found}; the release names no requirement")
    try:
        fits = SpecifierSet(wanted).contains(Version(found), prereleases=True)
    except (InvalidSpecifier, InvalidVersion) as exc:
        return no(f"Python {found} cannot be held against {wanted}: {exc}")
    return yes(f"Python {found} ({wanted})") if fits else no(f"Python {found} found, {wanted} wanted by the release")


def version_found(q: HostQuestion) -> Said:
    wanted, scheme = q.plan.from_version, q.release.version_scheme
    if q.version is None:
        return no("the running version could not be read")
    try:
        if same(q.version, wanted, scheme):
            return yes(f"{q.version} runs, as planned")
        if same(q.version, q.plan.to_version, scheme):
            return no(f"already on {q.version}: no upgrade is needed")
    except VersionError as exc:
        return no(str(exc))
    return no(f"{q.version} found, {wanted} planned")


def path_supported(q: HostQuestion) -> Said:
    """From the version found on this host, not from the one that was planned."""
    if q.version is None:
        return no("the running version could not be read")
    release, wanted = (q.release, q.plan.to_version) if q.facts.first_leg is None else _leg_to(q.facts.first_leg)
    named = q.plan.downgrade is not None
    found = path_findings(release, from_version=q.version, to_version=wanted, downgrade=named)
    faults = [finding.summary for finding in found if finding.inhibits]
    return no("; ".join(faults)) if faults else yes(f"the vendor supports {q.version} to {wanted}")


def _leg_to(release: ReleaseRecord) -> tuple[ReleaseRecord, str]:
    return release, release.version


def disk_space(q: HostQuestion) -> Said:
    database = whole((q.report.get("sizes") or {}).get("database_bytes"))
    if database is None:
        return no("the size of the database could not be read")
    app_root, factor = str(q.host.variables.get("app_root", "")), Fraction(str(q.release.requires.disk_factor))
    wanted = needs(q.report, database, app_root=app_root, factor=factor, legs=q.facts.legs)
    if isinstance(wanted, str):
        return no(wanted)
    room = (q.release.requires.resources and q.release.requires.resources.disk_mib) or 0
    wanted[app_root] = wanted.get(app_root, Fraction(0)) + (room << 20)
    keep, other = int(q.check.limit("keep_free_percent")), int(q.check.limit("other_free_bytes"))
    said = [Said(*room.enough(keep)) for room in rooms(q.space, wanted, other=other)]
    return _all(said) if said else no("no path to measure is known")


def inodes(q: HostQuestion) -> Said:
    said = [_inodes_of(q, path) for path in q.space.paths]
    return _all(said) if said else no("no path to measure is known")


def _inodes_of(q: HostQuestion, path: str) -> Said:
    free, total = q.space.measure(path, "inodes"), q.space.measure(path, "total_inodes")
    if free is None or total is None:
        return no(f"{path}: free inodes could not be read")
    if total == 0:
        return yes(f"{path}: the file system does not count inodes")
    wanted = max(int(q.check.limit("free_inodes")), ceil(total * q.check.limit("keep_free_percent") / 100))
    return Said(free >= wanted, f"{path}: {free} inodes free, {wanted} wanted")


def memory(q: HostQuestion) -> Said:
    free, total = q.probe.memory_available_bytes, q.probe.memory_bytes
    if free is None or total is None:
        return no("memory could not be read")
    wanted = max(int(q.check.limit("available_bytes")), ceil(total * q.check.limit("available_percent") / 100))
    return Said(free >= wanted, f"{gib(free)} of {gib(total)} memory available, {gib(wanted)} wanted")


def load(q: HostQuestion) -> Said:
    if q.probe.load is None or not q.probe.processors:
        return no("load could not be read")
    percent = q.probe.load * 100 / q.probe.processors
    limit = q.check.limit("load_percent")
    return Said(percent <= limit, f"load {q.probe.load:.2f} on {q.probe.processors} processors, {limit} % at most")


def services_running(q: HostQuestion) -> Said:
    services = q.report.get("services")
    if not isinstance(services, Mapping) or not services:
        return no("no service was reported")
    down = [f"{name} is {state or 'unknown'}" for name, state in sorted(services.items()) if state != "running"]
    return no("; ".join(down)) if down else yes(f"running: {', '.join(sorted(services))}")


def restore_point(q: HostQuestion) -> Said:
    point = q.facts.restore_points.get(q.host.name)
    if point is None:
        return no("no restore point is on record")
    if not point.readable:
        return no(f"the restore point {point.label} was not proven readable")
    return yes(f"{point.label} was proven readable at {point.proven_at:%Y-%m-%d %H:%MZ}")


def restore_point_age(q: HostQuestion) -> Said:
    point = q.facts.restore_points.get(q.host.name)
    if point is None:
        return no("no restore point is on record")
    limit = timedelta(hours=int(q.check.limit("age_hours")))
    age = q.facts.at - point.proven_at
    hours = max(age, timedelta(0)) / timedelta(hours=1)
    return Said(age <= limit, f"proven {hours:.1f} hours ago, {limit / timedelta(hours=1):g} at most")


def host_lock(q: HostQuestion) -> Said:
    if not q.probe.reachable or "lock" not in q.report:
        return no("the host's lock could not be read")
    held = q.probe.lock or q.report["lock"]
    if held and held.get("run") != q.facts.run:
        return no(f"held by run {held.get('run') or 'unknown'} since {held.get('taken_at') or 'an unknown time'}")
    return yes("held by this run" if held else "free")


def host_marker(q: HostQuestion) -> Said:
    """Work that another run began on the host and did not bring to an end."""
    if "marker" not in q.report:
        return no("the host's marker could not be read")
    marker = q.report["marker"]
    if not marker:
        return yes("no run left anything unfinished")
    run, phase = marker.get("run") or "unknown", marker.get("phase") or "in an unknown phase"
    if run != q.facts.run and phase not in FINISHED:
        return no(f"run {run} left the host {phase} at {marker.get('at') or 'an unknown time'}")
    return yes(f"run {run}: {phase}")


def clock_offset(q: HostQuestion) -> Said:
    if q.probe.clock_offset is None:
        return no("the host's clock could not be read")
    limit = timedelta(milliseconds=int(q.check.limit("offset_milliseconds")))
    off = q.probe.clock_offset.total_seconds()
    return Said(abs(q.probe.clock_offset) <= limit, f"{off:+.3f} s off, {limit.total_seconds():g} s at most")


def customisations(q: HostQuestion) -> Said:
    wanted = {*q.plan.expected.customisations, *(c.name for c in q.record.customisations)}
    return _as_expected("customisation", wanted, q.report.get("customisations"))


def certificates(q: HostQuestion) -> Said:
    """Against the night as it was agreed: it may be weeks after the analysis that read them."""
    read = q.facts.certificates.get(q.host.name)
    if read is None:
        return no("the analysis of this run read no certificates here")
    least = int(q.check.limit("least_days"))
    short = [why for _, why in too_short(read, q.record.name, q.facts.night, least_days=least, at=q.facts.at)]
    return no("; ".join((*short, "as the analysis read it"))) if short else yes(f"{len(read)} certificates last")


def integrations(q: EnvironmentQuestion) -> Said:
    """Wherever in the environment they run: an integration belongs to it, not to one host."""
    reports = {name: q.facts.reports.get(name, {}).get("integrations") for name in q.hosts}
    unread = sorted(name for name, found in reports.items() if not isinstance(found, Mapping))
    if unread:
        return no(f"not reported by {', '.join(unread)}")
    found = {name: about for report in reports.values() for name, about in (report or {}).items()}
    wanted = {*q.plan.expected.integrations, *(i.name for i in q.record.integrations)}
    said = _as_expected("integration", wanted, found)
    stopped = sorted(
        {
            f"{name} is {about.get('schedule')} on {host}"
            for host, report in reports.items()
            for name, about in (report or {}).items()
            if about.get("schedule", "running") != "running"
        }
    )
    return no("; ".join((*([] if said.ok else [said.why]), *stopped))) if stopped else said


def release_hold(q: EnvironmentQuestion) -> Said:
    """Asked anew at every start: a plan that waited for its window is held by what others met meanwhile."""
    if q.facts.learnt is None:
        return no("what other clients met on this release could not be read")
    if q.facts.learnt.holds:
        return no("; ".join(q.facts.learnt.holds))
    waived = q.facts.learnt.waived
    return yes(
        f"held by {len(waived)}, waived under {', '.join(sorted(set(waived)))}" if waived else "nothing holds it"
    )


def candidate_checks(q: EnvironmentQuestion) -> Said:
    if q.facts.learnt is None:
        return no("what other clients met on this release could not be read")
    told = q.facts.learnt.candidates
    return Said(all(ok for _, ok in told), "; ".join(why for why, _ in told) or "there is none")


def _as_expected(kind: str, wanted: Iterable[str], found: object) -> Said:
    if not isinstance(found, Mapping):
        return no(f"the {kind}s could not be read")
    wanted = set(wanted)
    faults = [f"{kind} {name} is missing" for name in sorted(wanted - set(found))]
    faults += [f"{kind} {name} is on neither plan nor record" for name in sorted(set(found) - wanted)]
    return no("; ".join(faults)) if faults else yes(", ".join(sorted(wanted)) or f"no {kind} expected, none found")


def _all(said: list[Said]) -> Said:
    bad = [one.why for one in said if not one.ok]
    return no("; ".join(bad)) if bad else yes("; ".join(one.why for one in said))


HOST_CHECKS: Mapping[str, Callable[[HostQuestion], Said]] = {
    "host-reachable": reachable,
    "host-privilege": privilege,
    "host-python": python_version,
    "version-found": version_found,
    "version-path": path_supported,
    "disk-space": disk_space,
    "disk-inodes": inodes,
    "host-memory": memory,
    "host-load": load,
    "services-running": services_running,
    "restore-point-proven": restore_point,
    "restore-point-age": restore_point_age,
    "host-lock": host_lock,
    "host-marker": host_marker,
    "clock-offset": clock_offset,
    "customisations-expected": customisations,
    "certificate-expiry": certificates,
}
ENVIRONMENT_CHECKS: Mapping[str, Callable[[EnvironmentQuestion], Said]] = {
    "integrations-expected": integrations,
    "release-hold": release_hold,
    "release-candidate-check": candidate_checks,
}
