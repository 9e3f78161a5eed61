"""Versions as Java and Jenkins number them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from changeover.domain.version.model import FixAnswer, Version, dotted, ints, trimmed
from changeover.domain.version.vendors import Listed, Serviced


class Jenkins(Serviced):
    """Weekly releases are 2.427, LTS releases 2.426.3, cut from the weekly 2.426 (https://www.jenkins.io/download/lts).

    The two are ordered by number, and are two lines: a weekly release has a fix from the weekly that is named, an LTS
    release from the LTS that is named. `2.427.0` is the weekly 2.427 written with three numbers.
    """

    name = "jenkins"

    def read(self, text: str) -> Version:
        if not re.fullmatch(r"[1-9][0-9]*\.(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))?", text):
            raise self.no(text, "a weekly release is 2.427, an LTS release 2.426.3")
        numbers = ints(text)
        key = (*numbers, 0)[:3]
        track = "LTS" if key[2] else "weekly"
        return Version(self.name, key, text, track, (track, *key[:2]) if key[2] else (track,), numbers, track=track)

    def family(self, version: Version) -> object:
        return version.track

    def unnamed(self, version: Version, fixes: Sequence[Version]) -> FixAnswer:
        """An LTS release has what the weekly had from which it was cut; a weekly has nothing from an LTS."""
        cut = self.read(dotted(version.key[:2]))
        since = min(fixes)
        if version.track == "LTS" and cut >= since:
            return FixAnswer(True, f"{version} was cut from the weekly {cut}, and weeklies are fixed from {since}")
        return FixAnswer(False, f"no {version.track} release is named as fixed")


class Java(Listed):
    """JDK versions: from 9 on the grammar of JEP 322 (`java.lang.Runtime.Version`), before it 1.8.0_392 and 8u392.

    Ordered as `Runtime.Version.compareToIgnoreOptional`: a pre-release is older, a build number counts, and a version
    without build number is older than with one. What stands after the build (LTS, a vendor's name) does not count.
    """

    name = "java"

    _old = re.compile(r"1\.(?P<feature>[1-8])(?:\.(?P<minor>[0-9]))?(?:_(?P<update>[0-9]{2,3}))?(?P<rest>(?:-.+)?)")
    _update = re.compile(r"(?P<feature>[5-8])u(?P<update>[0-9]{1,3})(?P<rest>(?:-.+)?)")
    _old_rest = re.compile(r"(?:-(?P<pre>ea|beta[0-9]*|rc[0-9]*|internal))?(?:-b(?P<build>[0-9]{1,3}))?")
    _new = re.compile(
        r"(?P<numbers>[1-9][0-9]*(?:(?:\.0)*\.[1-9][0-9]*)*)(?:-(?P<pre>[A-Za-z0-9]+))?"
        r"(?P<plus>\+(?P<build>0|[1-9][0-9]*)?)?(?:-(?P<opt>[-A-Za-z0-9.]+))?"
    )

    def read(self, text: str) -> Version:
        old = self._old.fullmatch(text) or self._update.fullmatch(text)
        if old:
            parts = old.groupdict()
            rest = self._old_rest.fullmatch(parts["rest"])
            if rest is None:
                raise self.no(text, "after 1.8.0_392 or 8u392 stand -ea and -b08 only")
            numbers = (int(parts["feature"]), int(parts.get("minor") or 0), int(parts["update"] or 0))
            return self._version(text, numbers, rest["pre"], rest["build"])
        match = self._new.fullmatch(text)
        if match is None or match["numbers"].split(".")[0] == "1":
            raise self.no(text, _java_reason(text))
        if match["plus"] and match["build"] is None and (match["pre"] or not match["opt"]):
            raise self.no(text, "a build number is missing after '+'")
        if not match["plus"] and match["opt"] and not match["pre"]:
            raise self.no(text, "what is optional stands after a build number")
        return self._version(text, ints(match["numbers"]), match["pre"], match["build"])

    def bounded(self, version: Version, bound: Version) -> Version:
        """A bound without build number means every build of it: `<=17.0.9` holds 17.0.9+9."""
        numbers, rank, build = version.key
        if build < 0 or bound.key[2] >= 0:
            return version
        return replace(version, key=(numbers, rank, -1))

    def _version(self, text: str, numbers: tuple[int, ...], pre: str | None, build: str | None) -> Version:
        short = trimmed(numbers)
        rank = (1, 0, 0, "") if pre is None else (0, 0, int(pre), "") if pre.isdigit() else (0, 1, 0, pre)
        key = (short, rank, -1 if build is None else int(build))
        return Version(self.name, key, text, str(short[0]), short[:1], numbers, pre=pre is not None)


def _java_reason(text: str) -> str:
    if re.match(r"[0-9]+u[0-9]", text):
        return "from 9 on updates are written 11.0.21"
    if re.match(r"1\.(?:9|[1-9][0-9])", text):
        return "from 9 on the first number is the release: 9, 11.0.21"
    if re.fullmatch(r"[0-9]+(?:\.[0-9]+)*\.0(?:[-+].*)?", text):
        return "zeros at the end are not written (JEP 322)"
    return "it is 17.0.9+9, 21-ea+5, and before 9 1.8.0_392 or 8u392"
