"""Ranges of versions: `>=7.0,<7.2`, each part of which must hold."""

from __future__ import annotations

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from changeover.domain.version.model import Scheme, Version, VersionError, ints, padded
from changeover.domain.version.standards import Pep440

_PART = re.compile(r"\s*(==|!=|>=|<=|>|<)\s*(\S+)\s*")
_WILDCARD = re.compile(r"([0-9]+(?:\.[0-9]+)*)\.\*")


def holds(scheme: Scheme, version: Version, text: str) -> bool:
    """Whether the range has the version; raise `VersionError` for a range that cannot be read, or that says nothing."""
    parts = text.split(",")
    if not text.strip():
        raise VersionError("an empty version range would hold every version")
    if not all(part.strip() for part in parts):
        raise VersionError(f"not a version range: {text.strip()!r} has a comma with nothing before or after it")
    if isinstance(scheme, Pep440):
        return _python_holds(version, text)
    held = [_part_holds(scheme, version, part) for part in parts]  # all are read, whatever the first says
    return all(held)


def _python_holds(version: Version, text: str) -> bool:
    try:
        return SpecifierSet(text).contains(version.key, prereleases=True)
    except InvalidSpecifier as exc:
        raise VersionError(f"not a version range: {exc}") from exc


def part_of(text: str) -> tuple[str, str]:
    """Operator and what it is held against."""
    match = _PART.fullmatch(text)
    if match is None:
        raise VersionError(f"not a version range: {text.strip()!r} is not one of == != >= <= > < and a version")
    return match[1], match[2]


def series_of(scheme: Scheme, operator: str, told: str) -> tuple[int, ...]:
    """The numbers that every version of `==1.2.*` begins with; () where it is no such part."""
    match = _WILDCARD.fullmatch(told) if operator in {"==", "!="} else None
    return _series(scheme, match[1])[0] if match else ()


def _part_holds(scheme: Scheme, version: Version, text: str) -> bool:
    operator, told = part_of(text)
    if operator in {"==", "!="} and (wild := _WILDCARD.fullmatch(told)):
        numbers, one = _series(scheme, wild[1])
        if reason := scheme.incomparable(version, one):
            raise VersionError(f"{version} cannot be held against {operator}{told}: {reason}")
        return (padded(version.numbers, len(numbers))[: len(numbers)] == numbers) is (operator == "==")
    bound = scheme.parse(told)
    if reason := scheme.incomparable(version, bound):
        raise VersionError(f"{version} cannot be held against {operator}{bound}: {reason}")
    return _compares(scheme, scheme.bounded(version, bound), operator, bound)


def _series(scheme: Scheme, prefix: str) -> tuple[tuple[int, ...], Version]:
    """What versions that are written with this prefix have in common, as the scheme reads them, and one of them.

    So 1.8.* is Java 8, and 17763.* the Windows build 10.0.17763; a prefix that no version has is refused.
    """
    if not scheme.wildcards:
        raise VersionError(f"not a version range: '{prefix}.*' means nothing for {scheme.name} versions")
    for rest in ("", ".0", ".0.0", ".0.0.0"):
        one, other = (_read(scheme, f"{prefix}.{number}{rest}") for number in (1, 2))
        if one and other and (common := _common(one.numbers, other.numbers)):
            return common, one
    whole = _read(scheme, prefix)  # 1.1.1.* of OpenSSL, after which letters follow
    if whole and whole.numbers == ints(prefix):
        return whole.numbers, whole
    raise VersionError(f"not a version range: no {scheme.name} versions begin with '{prefix}.'")


def _read(scheme: Scheme, text: str) -> Version | None:
    try:
        return scheme.parse(text)
    except VersionError:
        return None


def _common(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    differ = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), len(one))
    return one[:differ]


def _compares(scheme: Scheme, version: Version, operator: str, bound: Version) -> bool:
    match operator:
        case "==":
            return version == bound
        case "!=":
            return version != bound
        case ">=":
            return scheme.reaches(version, bound)
        case ">":
            return version > bound and scheme.reaches(version, bound)
        case "<=":
            return version == bound or not scheme.reaches(version, bound)
    return not scheme.reaches(version, bound) and not is_pre_release_of(version, bound)


def is_pre_release_of(version: Version, bound: Version) -> bool:
    """`<8.0` means that 8.0 is not wanted, so neither are its pre-releases; the same as in PEP 440."""
    width = max(len(version.numbers), len(bound.numbers))
    same = padded(version.numbers, width) == padded(bound.numbers, width)
    return version.pre and not bound.pre and same
