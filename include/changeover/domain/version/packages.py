"""Versions of packages of Linux distributions: dpkg's order and rpm's order.

Neither is taken from a library: the Python ports that were tried read what does not fit (full-width digits, an empty
revision), give equal versions unequal hashes, or get rpm's caret wrong. The tests hold these against dpkg and librpm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from changeover.domain.version.model import FixAnswer, Scheme, Version, ints

MAX_EPOCH = 2**31 - 1
"""What dpkg keeps an epoch in."""

_LEADING = re.compile(r"[0-9]+(?:\.[0-9]+)*")


@dataclass(frozen=True)
class Origin:
    """Where a package comes from, as far as its version tells."""

    suite: str
    """Whom a fix is made for: deb12, ubuntu22.04, el8_9; empty where the version does not say."""
    release: str
    """The distribution's release: deb12, el8."""
    source: Any
    """Epoch and upstream version."""
    revision: str | None


class _Packages(Scheme):
    """Both kinds: a fix is made for a distribution's release, or for the upstream version where none is marked."""

    wildcards = False

    def akin(self, version: Version, fix: Version) -> bool:
        """Of one suite; or of one upstream version, where not both say for which suite they were made."""
        if version.branch.suite and fix.branch.suite:
            return bool(version.branch.suite == fix.branch.suite)
        return bool(version.branch.source == fix.branch.source)

    def fix_in(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        """A distribution's release is serviced on its own; another release's fix says nothing about it."""
        release = version.branch.release
        if not release:
            return super().fix_in(version, fixes)
        mine = [fix for fix in fixes if fix.branch.release == release]
        unmarked = [fix for fix in fixes if not fix.branch.release]
        if not (mine or unmarked):
            return FixAnswer(False, f"no fix is named for {release}")
        apart = [fix for fix in mine if fix.branch.suite != version.branch.suite and self.goes_on_beside(fix)]
        if mine and len(apart) == len(mine):
            beside = ", ".join(sorted({fix.branch.suite for fix in apart}))
            text = f"{beside} is serviced on beside later minor releases: its fix may be newer than this build"
            return FixAnswer(False, f"{version} (line {version.line}): {text}; name the fix for {version.line}")
        mine = [fix for fix in mine if fix not in apart]
        return super().fix_in(version, mine or unmarked)

    def goes_on_beside(self, fix: Version) -> bool:
        """Whether the release that a fix is for is serviced beside later minor ones, so that those need their own."""
        return False

    def _version(self, text: str, key: tuple[Any, Any, Any], origin: Origin, upstream: str) -> Version:
        leading = _LEADING.match(upstream)
        numbers = ints(leading[0]) if leading else ()
        line, steps = origin.suite or upstream, ((key[0], numbers[:1]), (key[0], numbers[:2]))
        return Version(self.name, key, text, line, origin, numbers, steps)


class Debian(_Packages):
    """deb-version(7): `[epoch:]upstream[-revision]`."""

    name = "debian"

    _form = re.compile(
        r"(?:(?P<epoch>[0-9]+):)?(?P<upstream>[A-Za-z0-9.+~:-]*?)(?:-(?P<revision>[A-Za-z0-9.+~]*))?",
    )
    _suite = re.compile(
        r"(?P<deb>deb[0-9]+)u[0-9]|(?P<bpo>bpo[0-9]+)\+[0-9]|(?P<ubuntu>ubuntu)0\.(?P<of>[0-9]+\.[0-9]+)\."
    )

    def read(self, text: str) -> Version:
        match = self._form.fullmatch(text)
        if match is None:
            raise self.no(text, "it may hold letters, digits and . + - ~ only, after an epoch of digits and ':'")
        epoch, upstream, revision = int(match["epoch"] or 0), match["upstream"], match["revision"]
        if epoch > MAX_EPOCH:
            raise self.no(text, f"dpkg reads no epoch above {MAX_EPOCH}")
        if not upstream[:1].isdigit():
            raise self.no(text, "the upstream version must begin with a digit")
        if ":" in upstream and match["epoch"] is None:
            raise self.no(text, "what stands before ':' is the epoch, which is a number")
        if revision == "":
            raise self.no(text, "the revision after '-' is empty")
        suite = "".join(part for part in mark.groups() if part) if (mark := self._suite.search(text)) else ""
        source = (epoch, debian_key(upstream))
        return self._version(
            text, (*source, debian_key(revision or "")), Origin(suite, suite, source, revision), upstream
        )

    def reaches(self, version: Version, bound: Version) -> bool:
        """A rebuild for an older suite (2.4.59-1~deb12u1) comes before 2.4.59 is packaged; "2.4.59~" lets it pass.

        This is stricter than dpkg's order, in which a bare 2.4.59 is older than each of its revisions.
        """
        bare = bound.branch.revision is None and not bound.text.endswith("~")
        rebuild = "~" in (version.branch.revision or "")
        if bare and rebuild and version.branch.source == bound.branch.source:
            return False
        return super().reaches(version, bound)


def debian_key(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Text and number by turns. In text `~` comes before the end, the end before letters, letters before the rest."""
    pairs = re.findall(r"([^0-9]*)([0-9]*)", text)[:-1] or [("", "")]
    key = [((*map(_debian_order, letters), 0), int(digits or 0)) for letters, digits in pairs]
    return (*key, ((0,), 0))


def _debian_order(char: str) -> int:
    if char == "~":
        return -1
    return ord(char) if char.isalpha() else ord(char) + 256


class Rpm(_Packages):
    """rpm-version(7): `[epoch:]version[-release]`. As in librpm, a version without a release is older than with one."""

    name = "rpm"

    _form = re.compile(r"(?:(?P<epoch>[0-9]+):)?(?P<version>[A-Za-z0-9._+~^]+)(?:-(?P<release>[A-Za-z0-9._+~^]+))?")
    _dist = re.compile(
        r"(?:^|[._+])(?P<dist>(?:el|fc|amzn|mga|azl|cm|oe)[0-9]+)(?:_(?P<z>[0-9]+)|\.(?P<m>[0-9]+)\.[0-9]+\+)?"
    )

    def read(self, text: str) -> Version:
        match = self._form.fullmatch(text)
        if match is None:
            raise self.no(
                text, "it is [epoch:]version[-release] of letters, digits and . _ + ~ ^, each with one '-' at most"
            )
        epoch, version, release = int(match["epoch"] or 0), match["version"], match["release"]
        if epoch > 2 * MAX_EPOCH + 1:
            raise self.no(text, f"rpm reads no epoch above {2 * MAX_EPOCH + 1}")
        if not any(char.isdigit() for char in version):
            raise self.no(text, "there is no digit in it")
        mark = self._dist.search(release or "")
        dist = mark["dist"] if mark else ""
        minor = (mark["z"] or mark["m"] or "") if mark else ""
        source = (epoch, rpm_key(version))
        origin = Origin(f"{dist}_{minor}" if minor else dist, dist, source, release)
        return self._version(text, (*source, rpm_key(release) if release else ()), origin, version)

    def goes_on_beside(self, fix: Version) -> bool:
        """Minor releases with extended updates (EUS): before 8 any, from 8 on 8.1 and the even ones.

        Those of el8_9 ended with 8.10; those of el8_8 went on beside it (Red Hat, "RHEL Extended Update Support").
        """
        major, _, minor = fix.branch.suite.removeprefix("el").partition("_")
        if not (minor and fix.branch.suite.startswith("el")):
            return False
        return int(major) < 8 or int(minor) % 2 == 0 or (major, minor) == ("8", "1")

    def bounded(self, version: Version, bound: Version) -> Version:
        """As in a dependency: a bound without release means every release."""
        if bound.branch.revision is not None or version.branch.revision is None:
            return version
        return self.read(version.text.rpartition("-")[0])


def rpm_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Segments; `~` comes before the end, the end before `^`, then letters, then numbers. Separators do not count."""
    key = []
    for digits, letters, mark in re.findall(r"([0-9]+)|([A-Za-z]+)|([~^])", text):
        if mark:
            key.append((0 if mark == "~" else 2, 0, ""))
        else:
            key.append((4, int(digits), "") if digits else (3, 0, letters))
    return (*key, (1, 0, ""))
