"""What really runs, held against the plan and the CMDB: every difference is a finding, and some of them inhibit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from changeover.domain.analysis_facts import Said
from changeover.domain.estate import EstateEnvironment, Host
from changeover.domain.plan import Plan
from changeover.domain.version import VersionError, same

Reports = Mapping[str, Mapping[str, Any]]

FINDINGS = (
    "discovery-record-missing",
    "discovery-unread",
    "discovery-version-planned",
    "discovery-version-recorded",
    "discovery-version-mixed",
    "discovery-module-missing",
    "discovery-module-unknown",
    "discovery-customisation-missing",
    "discovery-customisation-unknown",
    "discovery-customisation-mixed",
    "discovery-setting-differs",
    "discovery-setting-mixed",
    "discovery-integration-missing",
    "discovery-integration-unknown",
    "discovery-integration-endpoint",
    "discovery-integration-stopped",
    "discovery-differs-from-production",
)
"""Every finding of the comparison; the catalogue says of each how grave it is and what to do."""

_SECRET = re.compile(r"pass|secret|token|key|credential|salt", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")


def differences(
    plan: Plan,
    *,
    records: Mapping[str, EstateEnvironment | None],
    reports: Reports,
    hosts: Mapping[str, Iterable[Host]] | None = None,
    version_scheme: str = "pep440",
    only: Iterable[str] | None = None,
) -> list[Said]:
    """Compare every environment of the plan. `hosts` are the frozen ones; without them the record's hosts are taken.

    The baseline is built anew from another environment, so nothing that runs there now is compared.
    """
    found: list[Said] = []
    wanted = {lane.name for lane in plan.lanes} if only is None else set(only)
    for environment in (lane for lane in plan.lanes if lane.name in wanted):
        name, record = environment.name, records.get(environment.name)
        if record is None:
            found.append(Said("discovery-record-missing", name, "the CMDB has no such environment", environment=name))
            continue
        names = [host.name for host in (hosts or {}).get(name, record.hosts)]
        read = {host: reports[host] for host in names if reports.get(host)}
        here = [Said("discovery-unread", host, "the host gave no report") for host in names if host not in read]
        here += _versions(plan, record, read, version_scheme)
        here += _modules(plan, read)
        here += _customisations(plan, record, read)
        here += _settings(plan, name, read)
        here += _integrations(plan, record, read)
        found += [one._replace(environment=name) for one in here]
    found += _beside_production(plan, {name: records.get(name) for name in wanted}, reports)
    return found


def _equal(a: str, b: str, scheme: str) -> bool:
    try:
        return same(a, b, scheme)
    except VersionError:
        return a == b


def _versions(plan: Plan, record: EstateEnvironment, read: Reports, scheme: str) -> Iterable[Said]:
    found = {host: str(report.get("version") or "") for host, report in read.items()}
    for host, version in found.items():
        if not version:
            yield Said("discovery-unread", host, "the running version could not be read")
            continue
        if not _equal(version, plan.from_version, scheme):
            yield Said("discovery-version-planned", host, f"{version} runs, the plan starts from {plan.from_version}")
        if record.version is not None and not _equal(version, record.version, scheme):
            yield Said("discovery-version-recorded", host, f"{version} runs, the CMDB records {record.version}")
    if len(set(found.values())) > 1:
        each = ", ".join(f"{host}: {version or 'unread'}" for host, version in sorted(found.items()))
        yield Said("discovery-version-mixed", record.name, f"the hosts do not run the same version ({each})")


def _modules(plan: Plan, read: Reports) -> Iterable[Said]:
    """Customisations that the application counts among its modules are compared as customisations."""
    expected = set(plan.expected.modules)
    if not expected:
        return
    for host, report in read.items():
        active = set(report.get("modules") or {})
        own = set(plan.expected.customisations) | set(report.get("customisations") or {})
        for name in sorted(expected - active):
            yield Said(
                "discovery-module-missing", f"{host}/{name}", f"the plan expects module {name}, it is not active"
            )
        for name in sorted(active - expected - own):
            yield Said("discovery-module-unknown", f"{host}/{name}", f"module {name} is active and not in the plan")


def _customisations(plan: Plan, record: EstateEnvironment, read: Reports) -> Iterable[Said]:
    wanted = set(plan.expected.customisations) | {c.name for c in record.customisations}
    digests: dict[str, dict[str, str]] = {}
    for host, report in read.items():
        found = report.get("customisations") or {}
        for name in sorted(wanted - set(found)):
            yield Said("discovery-customisation-missing", f"{host}/{name}", f"{name} is expected and not there")
        for name in sorted(set(found) - wanted):
            yield Said("discovery-customisation-unknown", f"{host}/{name}", f"{name} is on neither plan nor record")
        for name, about in found.items():
            digests.setdefault(name, {})[host] = str(about.get("digest") or "unread")
    for name, by_host in sorted(digests.items()):
        if len(set(by_host.values())) > 1:
            each = ", ".join(f"{host}: {digest[:12]}" for host, digest in sorted(by_host.items()))
            text = f"{name} is not the same on every host ({each})"
            yield Said("discovery-customisation-mixed", f"{record.name}/{name}", text, by_host)


def _settings(plan: Plan, environment: str, read: Reports) -> Iterable[Said]:
    values = {host: _values(report) for host, report in read.items()}
    for key, wanted in sorted(plan.expected.settings.items()):
        for host, found in values.items():
            if found.get(key) != wanted:
                text = f"{key} is {_shown(key, found.get(key))}, the plan expects {_shown(key, wanted)}"
                yield Said("discovery-setting-differs", f"{host}/{key}", text)
    for key in sorted({key for found in values.values() for key in found} - set(plan.expected.settings)):
        if len({found.get(key) for found in values.values()}) > 1:
            each = ", ".join(f"{host}: {_shown(key, found.get(key))}" for host, found in sorted(values.items()))
            yield Said("discovery-setting-mixed", f"{environment}/{key}", f"{key} differs between hosts ({each})")


def _values(report: Mapping[str, Any]) -> dict[str, str]:
    """Setting → value, of all the host's settings files."""
    files = report.get("settings") or {}
    return {key: str(value) for about in files.values() for key, value in (about.get("values") or {}).items()}


def _shown(key: str, value: str | None) -> str:
    """What may be written down: a finding ends up in reports that others read."""
    if value is None:
        return "not set"
    return "(hidden)" if _SECRET.search(key) else _LOGIN.sub("(hidden)@", repr(value))


def _integrations(plan: Plan, record: EstateEnvironment, read: Reports) -> Iterable[Said]:
    found = {host: report.get("integrations") or {} for host, report in read.items()}
    everywhere = {name for names in found.values() for name in names}
    recorded = {integration.name: integration.endpoint for integration in record.integrations}
    wanted = set(plan.expected.integrations) | set(recorded)
    for name in sorted(wanted - everywhere) if read else ():
        yield Said("discovery-integration-missing", f"{record.name}/{name}", f"{name} is expected and runs on no host")
    for host, names in found.items():
        for name, about in sorted(names.items()):
            subject, endpoint = f"{host}/{name}", str(about.get("endpoint") or "")
            if name not in wanted:
                yield Said("discovery-integration-unknown", subject, f"{name} is on neither plan nor record")
            elif recorded.get(name) and endpoint != recorded[name]:
                text = f"{name} speaks to {_LOGIN.sub('(hidden)@', endpoint) or 'an unknown endpoint'}"
                yield Said("discovery-integration-endpoint", subject, f"{text}, the CMDB records {recorded[name]}")
            if about.get("schedule", "running") != "running":
                yield Said("discovery-integration-stopped", subject, f"the schedule of {name} is {about['schedule']}")


def _beside_production(plan: Plan, records: Mapping[str, EstateEnvironment | None], reports: Reports) -> Iterable[Said]:
    """Where a test environment is not like production, its passed tests say nothing about production."""
    kinds = {environment.name: environment.kind for environment in plan.lanes}
    traits = {name: _traits(record, reports) for name in kinds if (record := records.get(name)) is not None}
    for production in (name for name in traits if kinds[name] == "production"):
        for other in (name for name in traits if kinds[name] != "production"):
            for trait in sorted(set(traits[production]) | set(traits[other])):
                here, there = traits[other].get(trait, "absent"), traits[production].get(trait, "absent")
                if here != there:
                    text = f"{trait}: {here} here, {there} in {production}"
                    yield Said("discovery-differs-from-production", f"{other}/{trait}", text, environment=other)


def _traits(record: EstateEnvironment, reports: Reports) -> dict[str, str]:
    """What should be alike in two environments; addresses and paths never are."""
    seen: dict[str, Counter[str]] = {}
    for host in record.hosts:
        report = reports.get(host.name) or {}
        for name, version in (report.get("modules") or {}).items():
            seen.setdefault(f"module {name}", Counter())[str(version)] += 1
        for name, about in (report.get("customisations") or {}).items():
            seen.setdefault(f"customisation {name}", Counter())[str(about.get("digest") or "unread")[:12]] += 1
        for name, about in (report.get("integrations") or {}).items():
            calls = re.sub(r"^[a-z+.-]+://[^/]*", "", str(about.get("endpoint") or ""))
            seen.setdefault(f"integration {name}", Counter())[f"calls {calls or '/'}"] += 1
    return {trait: " and ".join(sorted(values)) for trait, values in seen.items()}
