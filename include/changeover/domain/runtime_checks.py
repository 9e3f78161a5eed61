"""Checks of what the release asks of a host beside Python and database: machine, libraries and programs, platform."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from changeover.domain.analysis_facts import AnalysisFacts, Report, Said
from changeover.domain.artefacts import plain
from changeover.domain.version import VersionError, within

MIB = 1 << 20
COUNTED = Fraction(95, 100)
"""What a machine tells of its memory is a little less than it was sold with: firmware and kernel keep the rest."""


def resources_there(facts: AnalysisFacts) -> Iterator[Said]:
    """Memory, processors and disk space that the vendor asks for, with both numbers."""
    wanted = facts.release.requires.resources
    if wanted is None:
        return
    for environment, host, report in facts.each():
        about = report.get("host") or {}
        asked = (
            ("memory", wanted.memory_mib, _mib(about.get("memory_bytes")), "MiB of memory", COUNTED),
            ("processors", wanted.processors, _whole(about.get("processors")), "processors", Fraction(1)),
            ("disk", wanted.disk_mib, _free(facts, environment, host, report), "MiB of free disk space", Fraction(1)),
        )
        for name, need, found, words, share in asked:
            if need is None or (found is not None and found >= need * share):
                continue
            has = "that could not be read" if found is None else f"the host has {found}"
            text = f"the vendor asks for {need} {words}, {has}"
            evidence = {"wanted": need, "found": found, "source": wanted.source}
            yield Said("runtime-resources", f"{host}/{name}", text, evidence, environment)


def _free(facts: AnalysisFacts, environment: str, host: str, report: Report) -> int | None:
    """Where the application lies."""
    root = next((str(h.variables.get("app_root")) for h in facts.hosts[environment] if h.name == host), "")
    return _mib(((report.get("free") or {}).get(root) or {}).get("bytes"))


def _mib(size: object) -> int | None:
    found = _whole(size)
    return None if found is None else found // MIB


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def libraries_there(facts: AnalysisFacts) -> Iterator[Said]:
    """Libraries and programs of the release's `runtimes`: what the artefacts bring counts, else what the host has.

    One that the record pins has to come with them: that it does not is told as `artefact-requirement`.
    """
    pinned = {plain(text.partition("==")[0]) for text in facts.release.artefacts.requirements}
    for name, wanted in facts.release.requires.runtimes.items():
        wheel = facts.artefacts.wheel(name) if facts.artefacts else None
        if wheel is not None:
            if not _within(wheel.version, wanted):
                text = f"the release needs {name} {wanted}, the artefacts bring {wheel.version}"
                yield Said("runtime-library", plain(name), text, {"file": wheel.file})
            continue
        if plain(name) in pinned:
            continue
        for environment, host, report in facts.each():
            found = _installed(name, report)
            if found is None or not _within(found, wanted):
                has = "its version could not be read" if found is None else f"the host has {found}"
                text = f"the release needs {name} {wanted}, the artefacts bring none, {has}"
                yield Said("runtime-library", f"{host}/{plain(name)}", text, environment=environment)


def _installed(name: str, report: Report) -> str | None:
    """Beside the application, or as its role tells of the host itself."""
    packages = (report.get("runtime") or {}).get("packages") or {}
    there = {plain(one): str(version) for one, version in packages.items()}
    there |= {plain(one): str(version) for one, version in (report.get("installed") or {}).items() if version}
    return there.get(plain(name)) or there.get(f"{plain(name)}-binary")


def platforms_supported(facts: AnalysisFacts) -> Iterator[Said]:
    """The vendor's words against what a host calls itself: where not all of them stand there, a person compares."""
    supported = facts.release.requires.platforms
    for environment, host, report in facts.each() if supported else ():
        about = report.get("host") or {}
        system = " ".join(str(about.get(part) or "") for part in ("system", "machine")).strip()
        if not any(_words(one) <= _words(system) for one in supported if _words(one)):
            text = f"the vendor supports {'; '.join(supported)}; the host is {system or 'a system that is not told'}"
            yield Said("runtime-platform", host, text, {"supported": list(supported)}, environment)


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9_.]+", text.lower()))


def _within(version: str, wanted: str) -> bool:
    try:
        return within(version, (wanted,), "pep440")
    except VersionError:
        return False
