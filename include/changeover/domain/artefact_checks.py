"""Checks of the new release's artefacts against the release record, the hosts, and what the client has of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from packaging.requirements import InvalidRequirement, Requirement

from changeover.domain.analysis_facts import AnalysisFacts, Said, command, hint
from changeover.domain.artefacts import ArtefactSet, Wheel, plain
from changeover.domain.version import VersionError, within

FETCH = "python3 -m pip download --no-deps --dest . {pin}"
MANIFEST = "sha256sum *.whl requirements.txt > SHA256SUMS"


def artefacts_there(facts: AnalysisFacts) -> Iterator[Said]:
    """The release lies beside the controller, whole, as its manifest says."""
    found = facts.artefacts
    subject = f"{facts.plan.application} {facts.plan.to_version}"
    if found is None or not found.there:
        place = found.place if found else "the artefacts' directory"
        fetch = hint(f"Fetch what the release record pins into {place}, with requirements.txt and SHA256SUMS.")
        yield Said("artefacts-missing", subject, f"there is no {place} with a SHA256SUMS", actions=(fetch,))
        return
    for name in found.differing:
        yield Said("artefact-digest", name, f"{name} is missing or is not as SHA256SUMS says", {"place": found.place})
    for wheel in found.wheels:
        if wheel.fault:
            yield Said("artefact-digest", wheel.file, f"{wheel.file} cannot be read: {wheel.fault}")


def requirements_there(facts: AnalysisFacts, found: ArtefactSet) -> Iterator[Said]:
    """Everything that the release record pins."""
    for text in facts.release.artefacts.requirements:
        name, _, version = text.partition("==")
        wheel = found.wheel(name)
        if wheel is None or (version and wheel.version != version.strip()):
            has = f"{wheel.version} is there" if wheel else "none is there"
            yield Said(
                "artefact-requirement", plain(name), f"the release needs {text}, {has}",
                {"place": found.place}, actions=(command(_add(found, text)),),
            )  # fmt: skip
        elif found.pins and found.pins.get(plain(name)) != wheel.version:
            yield Said(
                "artefact-requirement", plain(name), f"{wheel.file} is there and requirements.txt does not install it",
                {"place": found.place}, actions=(command(_pin(found, text)),),
            )  # fmt: skip


def drivers_there(facts: AnalysisFacts, found: ArtefactSet) -> Iterator[Said]:
    """A driver that the client's hosts use and the release replaces: the new one has to come with the artefacts."""
    for thing in facts.release.changed:
        old, new = _first(thing.was), _first(thing.becomes)
        if thing.kind != "driver" or not (old and new) or found.wheel(new):
            continue
        users = [host for _, host, report in facts.each() if _installed(old, report)]
        if users:
            pins = [p for p in facts.release.artefacts.requirements if plain(p).startswith(new)]
            yield Said(
                "artefact-driver", new, f"{thing.what}: {old} becomes {thing.becomes}, and the artefacts have no {new}",
                {"hosts": users, "source": thing.source},
                actions=tuple(command(_add(found, pin)) for pin in pins or [new]), related=tuple(users),
            )  # fmt: skip


def _first(text: str) -> str:
    """Name of the distribution, which a record writes first."""
    match = re.match(r"[A-Za-z][A-Za-z0-9._-]*", text)
    return plain(match[0]) if match else ""


def _installed(name: str, report: object) -> bool:
    runtime = (report.get("runtime") or {}) if isinstance(report, dict) else {}
    packages = {plain(package) for package in runtime.get("packages") or {}}
    return bool(packages & {name, f"{name}-binary"})


def _add(found: ArtefactSet, pin: str) -> str:
    return f"cd {found.place} && {FETCH.format(pin=pin)} && echo '{pin}' >> requirements.txt && {MANIFEST}"


def _pin(found: ArtefactSet, pin: str) -> str:
    return f"cd {found.place} && echo '{pin}' >> requirements.txt && {MANIFEST}"


def dependencies_there(facts: AnalysisFacts, found: ArtefactSet) -> Iterator[Said]:
    """What the artefacts need of each other; nothing is fetched on a host."""
    python = _target_python(facts)
    for wheel in found.wheels:
        if wheel.name == "pip":
            continue
        for requirement in _needed(wheel, _extras(wheel, found, python), python):
            other = found.wheel(requirement.name)
            if other is None or not requirement.specifier.contains(other.version, prereleases=True):
                has = f"{other.version} is there" if other else "none is there"
                pin = f"{requirement.name}{requirement.specifier}"
                yield Said(
                    "artefact-dependency", f"{wheel.name}/{plain(requirement.name)}",
                    f"{wheel.name} {wheel.version} needs {pin}, {has}", {"place": found.place},
                    actions=(command(f"cd {found.place} && {FETCH.format(pin=repr(pin))} && {MANIFEST}"),),
                )  # fmt: skip


def _needed(wheel: Wheel, extras: Iterable[str], python: str) -> Iterator[Requirement]:
    for text in wheel.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        where = {"python_version": ".".join(python.split(".")[:2]), "python_full_version": python}
        if requirement.marker is None or any(requirement.marker.evaluate({**where, "extra": e}) for e in extras):
            yield requirement


def _extras(wheel: Wheel, found: ArtefactSet, python: str) -> set[str]:
    """Extras of a wheel that the others ask for."""
    asked = {""}
    for other in found.wheels:
        for requirement in _needed(other, {""}, python):
            if plain(requirement.name) == wheel.name:
                asked |= requirement.extras
    return asked


def _target_python(facts: AnalysisFacts) -> str:
    """The oldest of the hosts' interpreters, which make the new release's environment."""
    versions = [str((report.get("host") or {}).get("python") or "") for _, _, report in facts.each()]
    numbers = [tuple(int(part) for part in v.split(".")[:3] if part.isdecimal()) for v in versions if v]
    return ".".join(map(str, min(numbers))) if numbers else "3.11.0"


def platforms_fit(facts: AnalysisFacts, found: ArtefactSet) -> Iterator[Said]:
    """A wheel that is built for another Python or machine cannot be installed on the host."""
    for environment, host, report in facts.each():
        about = report.get("host") or {}
        python, machine = str(about.get("python") or ""), str(about.get("machine") or "")
        libc = str(about.get("libc") or "")
        for wheel in found.wheels:
            if why := _unfit(wheel.file, python, machine, libc):
                yield Said("artefact-platform", f"{host}/{wheel.name}", f"{wheel.file}: {why}", environment=environment)


def _unfit(file: str, python: str, machine: str, libc: str) -> str:
    words = file.removesuffix(".whl").split("-")
    if len(words) < 5:
        return ""
    pythons, abi, platforms = words[-3].split("."), words[-2], words[-1].split(".")
    minor = int(python.split(".")[1]) if python.startswith("3.") and python.split(".")[1].isdecimal() else None
    if minor is not None and not any(_fits_python(tag, abi, minor) for tag in pythons):
        return f"is for {words[-3]}, the host has Python {python}"
    if platforms != ["any"] and machine and not any(tag.endswith(machine) for tag in platforms):
        return f"is for {words[-1]}, the host is {machine}"
    glibc = re.search(r"glibc \d+\.(\d+)", libc)
    wanted = [int(m[1]) for tag in platforms if (m := re.match(r"manylinux_2_(\d+)_", tag))]
    older = any(tag.startswith(("manylinux20", "manylinux1")) for tag in platforms)
    if glibc and wanted and not older and min(wanted) > int(glibc[1]):
        return f"needs glibc 2.{min(wanted)}, the host has {libc}"
    return ""


def _fits_python(tag: str, abi: str, minor: int) -> bool:
    match = re.fullmatch(r"(py|cp)3(\d*)", tag)
    if match is None:
        return False
    if not match[2]:
        return True
    return int(match[2]) == minor or ((match[1] == "py" or abi == "abi3") and int(match[2]) <= minor)


def customisations_ported(facts: AnalysisFacts, found: ArtefactSet) -> Iterator[Said]:
    """The client's own plug-ins come with the artefacts, in a version of the new release's series."""
    kind = facts.traits.plug_in
    if kind is None:
        return
    series = facts.plan.to_version.split(".")[: kind.series_parts]
    wanted = ".".join(series)
    for name, hosts in facts.customisations().items():
        wheel = found.plug_in(name)
        version = (wheel.plug_ins.get(name) or wheel.version) if wheel else ""
        deliver = (
            hint(f"The client delivers {name} ported to {wanted}; the release record says what changed."),
            command(
                f"cp {name}-{wanted}.*.whl {found.place}/ && cd {found.place}"
                f" && ls {name}-{wanted}.*.whl | sed 's/-/==/;s/-.*//;s/_/-/g' >> requirements.txt && {MANIFEST}"
            ),
        )
        if wheel is None:
            text = f"{name} runs on {', '.join(hosts) or 'no host'}, and the artefacts bring no {name} for {wanted}"
            yield Said("customisation-unported", name, text, {"place": found.place}, actions=deliver, related=hosts)
        elif version.split(".")[: kind.series_parts] != series:
            text = f"{wheel.file} says version {version}; the release takes plug-ins of {wanted} alone"
            yield Said("customisation-series", name, text, {"place": found.place}, actions=deliver, related=hosts)


def runtime_fits(facts: AnalysisFacts) -> Iterator[Said]:
    """The hosts' Python, of which the new release's environment is made, and the database server."""
    wanted = facts.release.requires
    for environment, host, report in facts.each():
        python = str((report.get("host") or {}).get("python") or "")
        if wanted.python and not _within(python, wanted.python):
            text = f"the release needs Python {wanted.python}, the host has {python or 'none that could be read'}"
            yield Said("runtime-python", host, text, environment=environment)
        database = report.get("database") or {}
        name, version = str(database.get("name") or ""), str(database.get("version") or "")
        if name in wanted.database and not _within(version, wanted.database[name]):
            text = f"the release needs {name} {wanted.database[name]}, {version or 'no version'} was found"
            yield Said("runtime-database", host, text, environment=environment)


def _within(version: str, text: str) -> bool:
    try:
        return within(version, (text,), "pep440")
    except VersionError:
        return False
