"""Versions as Oracle, Microsoft, PostgreSQL and OpenSSL number them, each with its servicing lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from changeover.domain.version.model import FixAnswer, Scheme, Version, dotted, ints, padded


class Serviced(Scheme):
    """Lines are serviced side by side: a number of one line, however high, says nothing about another line's fix."""

    def family(self, version: Version) -> object:
        """What is cumulative: within it, whatever is newer has what is older."""
        return version.branch

    def fix_in(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        mine = [fix for fix in fixes if self.family(fix) == self.family(version)]
        return super().fix_in(version, mine) if mine else self.unnamed(version, fixes)

    def unnamed(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        return FixAnswer(
            False, f"{version} (line {version.line}): no fix is named for it, and other lines' say nothing about it"
        )


class Listed(Scheme):
    """Lines are serviced side by side, and the vendor names a fix for every line that needed one.

    So a line that is newer than all of a list was opened after the fix. One fix alone is no such list.
    """

    def in_newer_line(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        if len({fix.branch for fix in fixes}) < 2:
            return FixAnswer(
                False,
                f"{version} (line {version.line}): no fix is named for it, and {fixes[0]} alone is no list",
            )
        return super().in_newer_line(version, fixes)


class Oracle(Serviced):
    """Oracle Database, "About Oracle Database Release Numbers".

    From 18 on release, update and revision (the first three fields) make the version: the rest is an increment or a
    date. Before 18 the fourth field is the patch set and the fifth the patch set update, so that all of them count.
    """

    name = "oracle"

    _form = re.compile(r"(?:0|[1-9][0-9]{0,3})(?:\.(?:0|[1-9][0-9]{0,3})){3}\.[0-9]{1,6}")

    def read(self, text: str) -> Version:
        if not self._form.fullmatch(text):
            raise self.no(text, "it is five numbers, as in 19.21.0.0.0")
        numbers = ints(text)
        if not numbers[0]:
            raise self.no(text, "there is no release 0")
        if numbers[0] >= 18:
            key, steps = (*numbers[:3], 0, 0), (numbers[:1], numbers[:2])
            return Version(self.name, key, text, str(numbers[0]), numbers[:2], numbers, steps)
        return Version(self.name, numbers, text, dotted(numbers[:4]), numbers[:4], numbers, (numbers[:2], numbers[:4]))

    def family(self, version: Version) -> object:
        """Updates (RU) are cumulative within a release; revisions (RUR) within their update, hence the branch."""
        return version.numbers[:1] if version.numbers[0] >= 18 else version.branch

    def fix_in(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        """A later update need not have what a revision of an earlier one brought."""
        mine = [fix for fix in fixes if not _is_revision(fix) or fix.branch == version.branch]
        return super().fix_in(version, mine) if mine else self.unnamed(version, fixes)


def _is_revision(version: Version) -> bool:
    return version.numbers[0] >= 18 and version.numbers[2] > 0


class Microsoft(Serviced):
    """Builds of two to four numbers; where they do not tell the servicing line, it is added: 13.0.5893.48-SP2-CU17-GDR.

    Windows: a build is a line (17763, 20348) and its last number is cumulative. SQL Server from 2017 on: the GDR line
    and the CU line are told apart by the thousands of the third number ("Determine the version, edition, and update
    level of SQL Server"). Before, and for what else has builds (Exchange), numbers alone do not tell the line: without
    a mark each build (the first three numbers) is one. Three small numbers (.NET) count as they do elsewhere.
    """

    name = "microsoft"

    _form = re.compile(r"([0-9]{1,10}(?:\.[0-9]{1,10}){1,3})((?:-(?:RTM|SP[0-9]{1,2}|CU[0-9]{0,3}|GDR))*)")
    _sql_server: ClassVar[dict[int, dict[int, str]]] = {
        14: {1: "GDR", 2: "GDR", 3: "CU"},
        15: {2: "GDR", 4: "CU"},
        16: {1: "GDR", 4: "CU"},
        17: {1: "GDR", 4: "CU"},
    }

    def read(self, text: str) -> Version:
        if re.fullmatch(r"KB[0-9]+", text):
            raise self.no(text, "a KB number names an update; name the build that it brings")
        match = self._form.fullmatch(text)
        if match is None:
            raise self.no(text, "it is a build of two to four numbers, and may end in -RTM, -SP2, -CU17 or -GDR")
        numbers, marks = ints(match[1]), match[2].split("-")[1:]
        if len(numbers) == 2 and numbers[0] >= 10240:
            numbers = (10, 0, *numbers)  # as Windows itself shows its "OS build"
        numbers = padded(numbers, 4)
        pack = next((mark for mark in marks if mark.startswith("SP")), "")
        told = next((mark[:2] for mark in marks if mark.startswith("CU")), "GDR" if {"GDR", "RTM"} & {*marks} else "")
        by_number = self._track(numbers)
        if told and by_number and told != by_number:
            raise self.no(text, f"the build is of the {by_number} line, and the mark says {told}")
        track = told or by_number
        if _is_windows(numbers):
            branch: tuple[object, ...] = numbers[:3]
            line = str(numbers[2])
        else:
            told_pack = pack or ("RTM" if "RTM" in marks else "")
            branch = (*numbers[:2], *_line_of(numbers, by_number, (told_pack, told) if told_pack and told else ()))
            line = " ".join(part for part in (dotted(numbers[:2]), pack, track) if part)
        steps = (numbers[:3] if _is_windows(numbers) else numbers[:2], numbers[:3])
        return Version(self.name, numbers, text, line, branch, numbers, steps, track=track)

    def _track(self, numbers: tuple[int, ...]) -> str:
        if numbers[1] or not 1000 <= numbers[2] < 10000:
            return ""
        return self._sql_server.get(numbers[0], {}).get(numbers[2] // 1000, "")

    def fix_in(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        """One build and its updates, whatever marks they have; then the family, in which all builds are cumulative."""
        mine = [fix for fix in fixes if self.akin(version, fix)]
        return Scheme.fix_in(self, version, mine) if mine else super().fix_in(version, fixes)

    def akin(self, version: Version, fix: Version) -> bool:
        return version.numbers[:3] == fix.numbers[:3]

    def unnamed(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        akin = any(fix.numbers[:2] == version.numbers[:2] for fix in fixes)
        if version.branch[-1] != _BUILD or not akin:
            return super().unnamed(version, fixes)
        text = "its numbers do not tell the servicing line; add it to version and fixes, as in -SP2-CU17 or -SP2-GDR"
        return FixAnswer(False, f"{version}: no fix is named for this very build, and {text}")

    def change_of_line(self, a: Version, b: Version) -> str:
        return super().change_of_line(a, b) if a.numbers[:2] == b.numbers[:2] else ""


_BUILD = "build"


def _line_of(numbers: tuple[int, ...], by_number: str, told: tuple[str, ...]) -> tuple[object, ...]:
    """What tells the line below the first two numbers; a mark does with its service pack only (or RTM)."""
    if by_number:  # SQL Server from 2017 on, which has no service packs
        return (by_number,)
    if told:
        return told
    small = numbers[2] < 1000 and not numbers[3]  # .NET 6.0.26, and 8.0.101 of its SDK's band 8.0.1xx
    return (numbers[2] // 100,) if small else (numbers[2], _BUILD)


def _is_windows(numbers: tuple[int, ...]) -> bool:
    return (numbers[:2] == (10, 0) and numbers[2] >= 10240) or (numbers[0] == 6 and numbers[2] >= 6000)


class PostgreSql(Listed):
    """https://www.postgresql.org/support/versioning: two numbers from 10 on, three before.

    The line is the first number, before 10 the first two; going to another line is major.
    """

    name = "postgresql"

    _form = re.compile(r"([0-9]+(?:\.[0-9]+)*)(?:(devel|alpha|beta|rc)([0-9]*))?")
    _stages = ("devel", "alpha", "beta", "rc")

    def read(self, text: str) -> Version:
        match = self._form.fullmatch(text)
        if match is None or re.search(r"(?:^|\.)0[0-9]", text):
            raise self.no(text, "it is 16.4, before 10 9.6.24, and a pre-release 17beta2, 17rc1 or 18devel")
        numbers, stage, number = ints(match[1]), match[2] or "", match[3]
        if bool(number) != (stage not in {"", "devel"}):
            raise self.no(text, f"{stage} takes {'no' if stage == 'devel' else 'a'} number")
        width = 1 if numbers[0] >= 10 else 2
        if len(numbers) != width + (not stage):
            lead = "from 10 on it has two numbers" if width == 1 else "before 10 it has three numbers"
            raise self.no(text, f"{lead}, and a pre-release one less")
        line = numbers[:width]
        key = (
            (*padded(line, 2), -1, self._stages.index(stage), int(number or 0))
            if stage
            else (*padded(line, 2), numbers[width], 0, 0)
        )
        return Version(self.name, key, text, dotted(line), line, numbers, (line, key), pre=bool(stage))


class OpenSsl(Listed):
    """https://openssl-library.org/policies/releasestrat: until 1.1.1 letters are patches (… y, z, za, zb …), from 3 on

    the third number is. A line is 1.1.1, or 3.0.
    """

    name = "openssl"

    _form = re.compile(
        r"((?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2})(z?[a-z])?(?:-(dev|alpha|beta|pre)([0-9]*))?(\+[0-9A-Za-z.-]+)?"
    )
    _stages = ("dev", "alpha", "beta", "pre")

    def read(self, text: str) -> Version:
        match = self._form.fullmatch(text)
        if match is None:
            raise self.no(text, _openssl_reason(text))
        numbers, letters, stage, number = ints(match[1]), match[2] or "", match[3] or "", match[4]
        old = numbers[0] < 2
        if numbers[0] == 2:
            raise self.no(text, "there is no OpenSSL 2")
        if not old and letters:
            raise self.no(text, "from 3 on the third number counts, and there are no letters")
        if old and match[5]:
            raise self.no(text, "before 3 nothing stands after '+'")
        if (stage == "dev" and number) or (stage not in {"", "dev"} and not number):
            raise self.no(text, f"{stage} takes {'no' if stage == 'dev' else 'a'} number")
        rank = (0, self._stages.index(stage), int(number or 0)) if stage else (1, 0, 0)
        line = numbers if old else numbers[:2]
        steps = (numbers[:2], numbers) if old else (numbers[:1], numbers[:2])
        key = (*numbers, len(letters), letters, *rank)
        return Version(self.name, key, text, dotted(line), line, numbers, steps, pre=bool(stage))

    def in_newer_line(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        """3.0 was opened beside 1.1.1: only lines of the same generation follow one another."""
        if not any((fix.numbers[0] < 2) == (version.numbers[0] < 2) for fix in fixes):
            return FixAnswer(
                False,
                f"{version} (line {version.line}): no fix is named for it, and it was opened beside {max(fixes).line}",
            )
        return super().in_newer_line(version, fixes)


def _openssl_reason(text: str) -> str:
    if re.match(r"[0-9.]+[a-z]*-[a-z]", text):
        return "what stands after '-' marks a distribution's build; compare its package as debian or rpm"
    return "it is 1.1.1w or 3.0.13, and a pre-release 3.0.0-alpha1 or 1.1.1-pre9"
