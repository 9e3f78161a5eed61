"""Versions by a written standard, and plain numbers: PEP 440, SemVer, dates, dotted numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

import semver
from packaging.version import InvalidVersion
from packaging.version import Version as PythonVersion

from changeover.domain.version.model import FixAnswer, Scheme, Version, dotted, ints, padded, trimmed


class Pep440(Scheme):
    """The Python packaging specification (PEP 440), read by `packaging`."""

    name = "pep440"

    def read(self, text: str) -> Version:
        try:
            read = PythonVersion(text)
        except InvalidVersion as exc:
            raise self.no(text, "it is numbers, then aN, bN or rcN, .postN, .devN, +local") from exc
        branch = (read.epoch, read.major, read.minor)
        line = f"{f'{read.epoch}!' if read.epoch else ''}{read.major}.{read.minor}"
        steps = (branch[:2], branch)
        return Version(self.name, read, text, line, branch, read.release, steps, pre=read.is_prerelease)


class SemVer(Scheme):
    """https://semver.org 2.0.0, read by `semver`. What stands after + does not count."""

    name = "semver"

    def read(self, text: str) -> Version:
        try:
            read = semver.Version.parse(text)
        except ValueError as exc:
            raise self.no(text, "it is three numbers without leading zeros, then -pre.release and +build") from exc
        key: Any = read.replace(build=None)
        numbers = (read.major, read.minor, read.patch)
        return Version(self.name, key, text, dotted(numbers[:2]), numbers[:2], numbers, pre=read.prerelease is not None)


class Numeric(Scheme):
    """Numbers and dots. 4.3 equals 4.3.0, and 1.01 equals 1.1."""

    name = "numeric"

    def read(self, text: str) -> Version:
        if not re.fullmatch(r"[0-9]+(?:\.[0-9]+)*", text):
            raise self.no(text, "it is numbers separated by dots")
        numbers = ints(text)
        branch = padded(numbers, 2)[:2]
        return Version(self.name, trimmed(numbers), text, dotted(branch), branch, numbers)

    def fix_in(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        """Where nothing that is named has a third number, the first number is the line."""
        short = all(len(named.key) <= 2 for named in (version, *fixes))
        if short and len({fix.numbers[0] for fix in fixes}) == len(fixes):
            return _ByFirstNumber().fix_in(version, fixes)
        return super().fix_in(version, fixes)


class _ByFirstNumber(Numeric):
    def akin(self, version: Version, fix: Version) -> bool:
        return version.numbers[0] == fix.numbers[0]

    fix_in = Scheme.fix_in


class Date(Scheme):
    """The year first: 2024.9.0, 24.04, 2024-09-30, 20240930; fields count as numbers (https://calver.org)."""

    name = "date"

    _dotted = re.compile(r"(?:[0-9]{4}(?:\.[0-9]{1,8}){0,4}|[0-9]{2}(?:\.[0-9]{1,8}){1,4})")
    _day = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})(?:\.([0-9]{1,8}))?")

    def read(self, text: str) -> Version:
        if day := self._day.fullmatch(text):
            numbers = tuple(int(part) for part in day.group(1, 3, 4, 5) if part)
            try:
                date(*numbers[:3])
            except ValueError as exc:
                raise self.no(text, f"there is no such day ({exc})") from exc
        elif self._dotted.fullmatch(text):
            numbers = ints(text)
        else:
            raise self.no(text, "it is a year of two or four digits and then numbers, as in 2024.10.2, or 2024-10-02")
        if numbers[0] >= 100 and not 1970 <= numbers[0] < 2200:
            raise self.no(text, f"{numbers[0]} is not a year of software")
        branch = padded(numbers, 2)[:2]
        line = f"{text[:2] if numbers[0] < 100 else numbers[0]}.{branch[1]}"
        return Version(self.name, trimmed(numbers), text, line, branch, numbers)

    def incomparable(self, a: Version, b: Version) -> str:
        if (a.numbers[0] < 100) != (b.numbers[0] < 100):
            return "one year has two digits and the other has four: nobody declared which century is meant"
        return ""
