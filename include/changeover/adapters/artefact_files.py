"""A release's artefacts on disk: `<application>/<version>/` with SHA256SUMS, wheels and requirements.txt."""

from __future__ import annotations

import configparser
import hashlib
import zipfile
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath

from changeover.domain.analysis_facts import PlugIn
from changeover.domain.artefacts import ArtefactSet, Wheel, plain

MANIFEST, PINS = "SHA256SUMS", "requirements.txt"


def read_artefacts(place: Path, plug_in: PlugIn | None) -> ArtefactSet:
    """Never raises for what lies there; a wheel that cannot be read says so itself."""
    if not (place / MANIFEST).is_file():
        return ArtefactSet(str(place), there=False)
    lines = (place / MANIFEST).read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = [(name.strip().removeprefix("*"), digest) for digest, _, name in (line.partition(" ") for line in lines)]
    listed = {name: digest for name, digest in pairs if name}
    differing = tuple(sorted(n for n, digest in listed.items() if "/" in n or _digest(place / n) != digest))
    wheels = [name for name in sorted(listed) if name.endswith(".whl") and name not in differing]
    return ArtefactSet(
        place=str(place),
        there=True,
        listed=listed,
        differing=differing,
        unlisted=tuple(sorted(path.name for path in place.glob("*.whl") if path.name not in listed)),
        wheels=tuple(_wheel(place / name, plug_in) for name in wheels),
        pins=_pins(place / PINS),
    )


def _digest(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pins(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.partition("==") for line in lines if "==" in line)
    return {plain(name.strip()): version.strip() for name, _, version in pairs}


def _wheel(path: Path, plug_in: PlugIn | None) -> Wheel:
    name, version, *_ = (*path.name.removesuffix(".whl").split("-"), "")
    try:
        with zipfile.ZipFile(path) as archive:
            info = f"{'-'.join(path.name.split('-')[:2])}.dist-info"
            about = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode("utf-8"))
            return Wheel(
                path.name,
                plain(name),
                version,
                requires=tuple(about.get_all("Requires-Dist") or ()),
                requires_python=about.get("Requires-Python") or "",
                plug_ins=_plug_ins(archive, info, plug_in) if plug_in else {},
            )
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as exc:
        return Wheel(path.name, plain(name), version, fault=f"{type(exc).__name__}: {exc}")


def _plug_ins(archive: zipfile.ZipFile, info: str, kind: PlugIn) -> dict[str, str]:
    """Name → version, by the entry points that the wheel declares and the description beside their code."""
    if f"{info}/entry_points.txt" not in archive.namelist():
        return {}
    points = _ini(archive.read(f"{info}/entry_points.txt"), "=")
    found = {}
    for name, target in points[kind.group].items() if points.has_section(kind.group) else ():
        place = PurePosixPath(*target.partition(":")[0].split(".")) / kind.descriptor
        described = (
            _ini(archive.read(str(place))) if str(place) in archive.namelist() else configparser.RawConfigParser()
        )
        found[name] = described.get(kind.section, kind.option, fallback="")
    return found


def _ini(raw: bytes, *delimiters: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(delimiters=delimiters or ("=", ":"), strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign] # names are told apart by case
    try:
        parser.read_string(raw.decode("utf-8"))
    except (configparser.Error, UnicodeDecodeError) as exc:
        raise ValueError(str(exc)) from exc
    return parser
