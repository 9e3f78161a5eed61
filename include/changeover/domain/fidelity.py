"""Fidelity: how like production an environment is where an upgrade is tried first, item by item and in all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from changeover.domain.analysis_facts import AnalysisFacts, Report, Said
from changeover.domain.artefacts import plain

WEIGHTS = {
    "version": 25,
    "runtime": 15,
    "modules": 15,
    "customisations": 15,
    "integrations": 15,
    "settings": 10,
    "data": 5,
}
"""Of 100. What is tested in an environment of another version says least of all."""
UNREAD, ABSENT, WHOLE = "unread", "absent", "(all of it)"
"""What nobody read is like nothing, whatever the other side says. `WHOLE` stands for a part that was not reported."""
ADDRESSES = re.compile(r"^[a-z+.-]+://[^/]*")


@dataclass(frozen=True)
class FidelityItem:
    """One trait that differs."""

    group: str
    trait: str
    here: str
    production: str

    def as_json(self) -> dict[str, str]:
        return {"group": self.group, "trait": self.trait, "here": self.here, "production": self.production}


@dataclass(frozen=True)
class Fidelity:
    """One environment beside one production."""

    environment: str
    production: str
    percent: int
    groups: Mapping[str, tuple[int, int]]
    """Group → traits that are alike, of how many."""
    items: tuple[FidelityItem, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Group that was not compared, and does not count → why."""

    def as_json(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "production": self.production,
            "percent": self.percent,
            "groups": {g: {"weight": WEIGHTS[g], "alike": a, "of": n} for g, (a, n) in self.groups.items()},
            "not_compared": dict(self.left_out),
            "differences": [item.as_json() for item in self.items],
        }


def fidelity(facts: AnalysisFacts) -> tuple[Fidelity, ...]:
    """Every lane that is no production, beside each production that was read."""
    return tuple(one for production in facts.productions for one in _all_beside(facts, production))


def _all_beside(facts: AnalysisFacts, production: str) -> Iterator[Fidelity]:
    there = _traits(facts.of(production).values())
    for lane in facts.plan.lanes:
        here = facts.of(lane.name) if lane.name in facts.hosts and lane.kind != "production" else {}
        if here and there:
            yield _beside(lane.name, production, _traits(here.values()), there)


def fidelity_findings(found: Iterable[Fidelity], *, least_percent: int) -> Iterator[Said]:
    for one in found:
        if one.percent < least_percent:
            text = (
                f"{one.percent} % like {one.production}, {least_percent} % are wanted; {len(one.items)} traits differ"
            )
            if one.left_out:
                text += f"; not compared: {', '.join(one.left_out)}"
            evidence = {f"{item.group}: {item.trait}": f"{item.here} / {item.production}" for item in one.items}
            yield Said("environment-fidelity", one.environment, text, evidence, one.environment)


def _beside(environment: str, production: str, here: _Traits, there: _Traits) -> Fidelity:
    """By the share of what was compared; nothing compared is like nothing."""
    groups, items, left_out, total, of = {}, [], {}, Fraction(0), 0
    for group, weight in WEIGHTS.items():
        ours, theirs = here.get(group, {}), there.get(group, {})
        pairs = [(n, ours.get(n, ABSENT), theirs.get(n, ABSENT)) for n in sorted(set(ours) | set(theirs))]
        if not any(_was_read(a) or _was_read(b) for _, a, b in pairs):
            left_out[group] = "read on neither side" if pairs else "neither side has any"
            continue
        alike = sum(a == b and _was_read(a) for _, a, b in pairs)
        groups[group] = (alike, len(pairs))
        total += weight * Fraction(alike, len(pairs))
        of += weight
        items += [FidelityItem(group, name, a, b) for name, a, b in pairs if a != b or not _was_read(a)]
    percent = int(100 * total / of) if of else 0
    return Fidelity(environment, production, percent, groups, tuple(items), left_out)


def _was_read(value: str) -> bool:
    """On every host that was asked; what is absent on one side was read there."""
    return UNREAD not in value.split(" and ")


_Traits = dict[str, dict[str, str]]


def _traits(reports: Iterable[Report]) -> _Traits:
    """Group → trait → its values on all hosts. Addresses, paths and secrets are no traits."""
    seen: dict[str, dict[str, Counter[str]]] = {}
    for report in reports:
        for group, name, value in _of(report):
            seen.setdefault(group, {}).setdefault(name, Counter())[value] += 1
    return {g: {n: " and ".join(sorted(values)) for n, values in names.items()} for g, names in seen.items()}


def _of(report: Report) -> Iterator[tuple[str, str, str]]:
    yield "version", "application", str(report.get("version") or UNREAD)
    host, runtime, database = (report.get(name) or {} for name in ("host", "runtime", "database"))
    yield "runtime", "system", str(host.get("system") or UNREAD)
    yield "runtime", "machine", str(host.get("machine") or UNREAD)
    yield "runtime", "python", str(runtime.get("python") or UNREAD)
    yield "runtime", str(database.get("name") or "database"), str(database.get("version") or UNREAD)
    yield from _unreported(report)
    own = {plain(name) for name in report.get("customisations") or {}}
    for name, version in (runtime.get("packages") or {}).items():
        if plain(name) not in own:
            yield "runtime", f"package {name}", str(version)
    for name, version in (report.get("modules") or {}).items():
        yield "modules", name, str(version)
    for name, about in (report.get("customisations") or {}).items():
        yield "customisations", name, str(about.get("digest") or UNREAD)[:12]
    for kind in ("edited", "added", "missing"):
        for file in (report.get("vendor_files") or {}).get(kind) or ():
            yield "customisations", f"vendor's file {file}", kind
    for name, about in (report.get("integrations") or {}).items():
        program = ((report.get("programs") or {}).get(name) or {}).get("program") or {}
        yield "integrations", f"{name}: program", str(program.get("digest") or UNREAD)[:12]
        yield "integrations", f"{name}: calls", ADDRESSES.sub("", str(about.get("endpoint") or "")) or "/"
        yield "integrations", f"{name}: schedule", str(about.get("schedule") or UNREAD)
    for name, about in (report.get("client_settings") or {}).items():
        yield "settings", name, ADDRESSES.sub("", str((about or {}).get("value")))
    volume = (report.get("volume") or {}).get("bytes")
    if volume is not None:
        yield "data", "volume", _magnitude(int(volume))


def _unreported(report: Report) -> Iterator[tuple[str, str, str]]:
    """Parts that every host reports, be they empty: one that is missing is no "none"."""
    for section, group in _SECTIONS.items():
        if report.get(section) is None:
            yield group, f"{section} {WHOLE}", UNREAD


_SECTIONS = {
    "modules": "modules",
    "customisations": "customisations",
    "vendor_files": "customisations",
    "integrations": "integrations",
    "client_settings": "settings",
}


def _magnitude(size: int) -> str:
    """Data classes: each is ten times the one before."""
    names = ("under 1 MB", "1 to 10 MB", "10 to 100 MB", "100 MB to 1 GB", "1 to 10 GB", "10 to 100 GB")
    return next(
        (n for limit, n in zip((10**6 * 10**p for p in range(6)), names, strict=True) if size < limit), "over 100 GB"
    )
