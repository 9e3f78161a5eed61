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
    if not text.strip():
        raise VersionError("an empty version range would hold every version")
    if isinstance(scheme, Pep440):
        return _python_holds(version, text)
    held = [_part_holds(scheme, version, part) for part in text.split(",")]  # all are read, whatever the first says
    return all(held)


def _python_holds(version: Version, text: str) -> bool:
    try:
        return SpecifierSet(text).contains(version.key, prereleases=True)
    except InvalidSpecifier as exc:
        raise VersionError(f"not a version range: {exc}") from exc


def _part_holds(scheme: Scheme, version: Version, text: str) -> bool:
    match = _PART.fullmatch(text)
    if match is None:
        raise VersionError(f"not a version range: {text.strip()!r} is not one of == != >= <= > < and a version")
    operator, told = match.groups()
    if operator in {"==", "!="} and (series := _WILDCARD.fullmatch(told)):
        if not scheme.wildcards:
            raise VersionError(f"not a version range: {told!r} means nothing for {scheme.name} versions")
        numbers = ints(series[1])
        return (padded(version.numbers, len(numbers))[: len(numbers)] == numbers) is (operator == "==")
    bound = scheme.parse(told)
    if reason := scheme.incomparable(version, bound):
        raise VersionError(f"{version} cannot be held against {operator}{bound}: {reason}")
    return _compares(scheme, scheme.bounded(version, bound), operator, bound)


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
            return version <= bound
    return version < bound and not _is_pre_release_of(version, bound)


def _is_pre_release_of(version: Version, bound: Version) -> bool:
    """`<8.0` means that 8.0 is not wanted, so neither are its pre-releases; the same as in PEP 440."""
    width = max(len(version.numbers), len(bound.numbers))
    same = padded(version.numbers, width) == padded(bound.numbers, width)
    return version.pre and not bound.pre and same
