"""Versions are read and compared by the scheme that the product declares, never by a guess.

The schemes, what fits them, their lines and how a fix is looked for: docs/versions.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from changeover.domain.version.jvm import Java, Jenkins
from changeover.domain.version.model import FixAnswer, Scheme, Version, VersionError
from changeover.domain.version.packages import Debian, Rpm
from changeover.domain.version.ranges import holds
from changeover.domain.version.spans import Bound, parts_of, possible
from changeover.domain.version.standards import Date, Numeric, Pep440, SemVer
from changeover.domain.version.vendors import Microsoft, OpenSsl, Oracle, PostgreSql

__all__ = [
    "SCHEMES", "FixAnswer", "Order", "SchemeName", "Step", "Version", "VersionError",
    "change_of_line", "compare", "fix_in", "leaves_room", "line", "older", "overlap", "parse", "same", "step", "within",
]  # fmt: skip

SchemeName = Literal[
    "debian", "rpm", "pep440", "semver", "oracle", "microsoft", "date", "jenkins", "java", "openssl", "postgresql",
    "numeric",
]  # fmt: skip
SCHEMES: tuple[str, ...] = get_args(SchemeName)
Order = Literal["older", "equal", "newer"]
Step = Literal["none", "patch", "minor", "major"]

_SCHEMES: dict[str, Scheme] = {
    scheme.name: scheme
    for scheme in (
        Debian(), Rpm(), Pep440(), SemVer(), Oracle(), Microsoft(), Date(), Jenkins(), Java(), OpenSsl(), PostgreSql(),
        Numeric(),
    )
}  # fmt: skip


def _scheme(name: str) -> Scheme:
    try:
        return _SCHEMES[name]
    except KeyError:
        raise VersionError(f"version scheme {name!r} is not known; known: {', '.join(SCHEMES)}") from None


def parse(text: str, scheme: str) -> Version:
    """Raise `VersionError` for an unknown scheme or a text that does not fit it to the letter."""
    return _scheme(scheme).parse(text)


def compare(a: str, b: str, scheme: str) -> Order:
    """What a is to b; raise `VersionError` when they cannot be put in order."""
    rules = _scheme(scheme)
    first, second = rules.parse(a), rules.parse(b)
    if reason := rules.incomparable(first, second):
        raise VersionError(f"{a} and {b} cannot be compared: {reason}")
    return "equal" if first == second else "older" if first < second else "newer"


def same(a: str, b: str, scheme: str) -> bool:
    return compare(a, b, scheme) == "equal"


def older(a: str, b: str, scheme: str) -> bool:
    return compare(a, b, scheme) == "older"


def within(version: str, ranges: tuple[str, ...], scheme: str) -> bool:
    """Whether any of the ranges (`>=7.0,<7.2`; PEP 440 specifier sets for `pep440`) holds the version."""
    rules = _scheme(scheme)
    parsed = rules.parse(version)
    held = [holds(rules, parsed, text) for text in ranges]  # all are read, so that a faulty one is never passed over
    return any(held)


def overlap(a: str, b: str, scheme: str) -> bool:
    """Whether some version may be in both ranges; False only where it is certain that none is."""
    rules = _scheme(scheme)
    return possible(rules, [*parts_of(rules, a), *parts_of(rules, b)])


def leaves_room(text: str, scheme: str, *, since: str = "") -> bool:
    """Whether a range may hold any version at all, or one that is `since` or newer."""
    rules = _scheme(scheme)
    least = [Bound(">=", rules.parse(since))] if since else []
    return possible(rules, [*parts_of(rules, text), *least])


def line(version: str, scheme: str) -> str:
    """The branch a version belongs to: `15` of PostgreSQL, `1.1.1` of OpenSSL, `LTS` of Jenkins."""
    return parse(version, scheme).line


def step(a: str, b: str, scheme: str) -> Step:
    """How large the step between the two is, in either direction."""
    if same(a, b, scheme):
        return "none"
    first, second = parse(a, scheme), parse(b, scheme)
    (major, minor), (other_major, other_minor) = (
        version.steps or (version.numbers[:1], (*version.numbers, 0)[:2]) for version in (first, second)
    )
    return "major" if major != other_major else "minor" if minor != other_minor else "patch"


def change_of_line(a: str, b: str, scheme: str) -> str:
    """Why going from a to b leaves the vendor's servicing line and has to be named; empty when it does not."""
    rules = _scheme(scheme)
    return rules.change_of_line(rules.parse(a), rules.parse(b))


def fix_in(version: str, fixes: Sequence[str], scheme: str) -> FixAnswer:
    """Whether the version has a fix. `fixes` are the versions that brought it, one per line that needed it."""
    rules = _scheme(scheme)
    if not fixes:
        raise VersionError("no version is named that has the fix")
    parsed, named = rules.parse(version), [rules.parse(fix) for fix in fixes]
    for fix in named:
        if reason := rules.incomparable(parsed, fix):
            raise VersionError(f"{version} and {fix} cannot be compared: {reason}")
    return rules.fix_in(parsed, named)
