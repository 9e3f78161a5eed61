"""What ranges leave room for: whether two have a version in common, or whether one holds any at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from packaging.specifiers import SpecifierSet

from changeover.domain.version.model import Scheme, Version, VersionError, padded
from changeover.domain.version.ranges import is_pre_release_of, part_of, series_of
from changeover.domain.version.standards import Pep440


@dataclass(frozen=True)
class Bound:
    """A part of a range that names a version."""

    operator: str
    version: Version


@dataclass(frozen=True)
class Series:
    """A part that names the numbers which versions begin with; it has no other operators than == and !=."""

    operator: str
    numbers: tuple[int, ...]


Part = Bound | Series


def parts_of(scheme: Scheme, text: str) -> list[Part]:
    """Those of a range that can be read."""
    told = _python_parts(text) if isinstance(scheme, Pep440) else [part_of(part) for part in text.split(",")]
    return [
        Series(operator, numbers)
        if (numbers := series_of(scheme, operator, version))
        else Bound(operator, scheme.parse(version))
        for operator, version in told
    ]


def _python_parts(text: str) -> list[tuple[str, str]]:
    found = [(spec.operator, spec.version) for spec in SpecifierSet(text)]
    return [
        part
        for operator, version in found
        for part in (
            ((">=", version), ("==", f"{version.rpartition('.')[0]}.*"))
            if operator == "~="
            else ((operator.removesuffix("=") if operator == "===" else operator, version),)
        )
    ]


def possible(scheme: Scheme, parts: Sequence[Part]) -> bool:
    """Whether some version may meet all the parts; False only where it is certain that none does.

    Versions lie close together: between two that differ there is always room for one.
    """
    bounds = [part for part in parts if isinstance(part, Bound)]
    lower = [part for part in bounds if part.operator in {">=", ">", "=="}]
    upper = [part for part in bounds if part.operator in {"<=", "<", "=="}]
    excluded = {part.version for part in bounds if part.operator == "!="}
    series = [part.numbers for part in parts if isinstance(part, Series) and part.operator == "=="]
    return (
        all(_room(scheme, low, high) for low in lower for high in upper)
        and all(_begin_alike(a, b) for a in series for b in series)
        and all(_reaches_into(part, numbers) for part in (*lower, *upper) for numbers in series)
        and not any(part.operator == "==" and part.version in excluded for part in lower)
    )


def _room(scheme: Scheme, low: Bound, high: Bound) -> bool:
    """Between a lower and an upper bound."""
    if reason := scheme.incomparable(low.version, high.version):
        raise VersionError(f"{low.version} and {high.version} cannot be compared: {reason}")
    least, most = scheme.bounded(low.version, high.version), scheme.bounded(high.version, low.version)
    if least != most or least is not low.version or most is not high.version:
        return least <= most and not (high.operator == "<" and is_pre_release_of(least, most))
    return low.operator != ">" and high.operator != "<"


def _begin_alike(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(x == y for x, y in zip(a, b, strict=False))


def _reaches_into(part: Bound, series: tuple[int, ...]) -> bool:
    """Whether a bound leaves something of a series."""
    numbers = padded(part.version.numbers, len(series))
    begin, rest = numbers[: len(series)], numbers[len(series) :]
    if part.operator == "==":
        return begin == series
    if part.operator in {">=", ">"}:
        return begin <= series
    return begin > series or (begin == series and (part.operator == "<=" or any(rest)))
