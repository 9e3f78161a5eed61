"""Versions are compared by the scheme the product's release record declares, never by a guess."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version


class VersionError(ValueError):
    """The text is not a version (or a range) of the declared scheme."""


SCHEMES = ("pep440",)


def parse(text: str, scheme: str) -> Version:
    """Raise `VersionError` for an unknown scheme or a text that does not fit it to the letter."""
    if scheme not in SCHEMES:
        raise VersionError(f"version scheme {scheme!r} is not known; known: {', '.join(SCHEMES)}")
    try:
        version = Version(text)
    except InvalidVersion as exc:
        raise VersionError(f"{text!r} is not a {scheme} version") from exc
    if text.strip() != text or text[:1] in "vV" or not text.isascii():
        raise VersionError(f"{text!r} is not written as a plain {scheme} version")
    return version


def same(a: str, b: str, scheme: str) -> bool:
    return parse(a, scheme) == parse(b, scheme)


def older(a: str, b: str, scheme: str) -> bool:
    return parse(a, scheme) < parse(b, scheme)


def within(version: str, ranges: tuple[str, ...], scheme: str) -> bool:
    """Whether any of the ranges (PEP 440 specifier sets) holds the version."""
    parsed = parse(version, scheme)
    if not all(text.strip() for text in ranges):
        raise VersionError("an empty version range would hold every version")
    try:
        return any(SpecifierSet(text).contains(parsed, prereleases=True) for text in ranges)
    except InvalidSpecifier as exc:
        raise VersionError(f"not a version range: {exc}") from exc
