"""The orders of packages against the programs whose orders they are: dpkg, and rpm's own library."""

from __future__ import annotations

import random
import subprocess
from itertools import pairwise

import pytest

from changeover.domain.version import compare

# rpm's own cases, tests/rpmvercmp.at of rpm-software-management/rpm: what is older, what is newer; or two equal ones.
RPM_OLDER = """
1.0 2.0 / 2.0 2.0.1 / 2.0.1 2.0.1a / 5.5p1 5.5p2 / 5.5p1 5.5p10 / 10xyz 10.1xyz / xyz10 xyz10.1 / xyz.4 8 /
xyz.4 2 / 5.5p2 5.6p1 / 5.6p1 6.5p1 / 6.0 6.0.rc1 / 10a1 10b2 / 10a2 10b2 / 1.0a 1.0aa / 10.0001 10.0039 /
4.999.9 5.0 / 20101121 20101122 / 1.0~rc1 1.0 / 1.0~rc1 1.0~rc2 / 1.0~rc1~git123 1.0~rc1 / 1.0 1.0^ /
1.0 1.0^git1 / 1.0^git1 1.0^git2 / 1.0^git1 1.01 / 1.0^20160101 1.0.1 / 1.0^20160101^git1 1.0^20160102 /
1.0~rc1 1.0~rc1^git1 / 1.0^git1~pre 1.0^git1 / 1b.fc17 1.fc17 / 1.fc17 1g.fc17
"""
RPM_EQUAL = "10.0001 10.1 / 2.0 2_0 / 2_0 2_0 / 1.0^ 1.0^ / 1.0aa 1.0aa / 1.0^20160101^git1 1.0^20160101^git1"
PAIRS = 5000


def split(cases: str) -> list[list[str]]:
    return [case.split() for case in cases.split("/")]


@pytest.mark.parametrize(("a", "b"), split(RPM_OLDER))
def test_rpm_says_older(a: str, b: str) -> None:
    assert compare(a, b, "rpm") == "older"
    assert compare(b, a, "rpm") == "newer"


@pytest.mark.parametrize(("a", "b"), split(RPM_EQUAL))
def test_rpm_says_equal(a: str, b: str) -> None:
    assert compare(a, b, "rpm") == "equal"


def chance(seed: int, alphabet: str, revision: str) -> list[str]:
    """Versions with few different characters, so that many differ late or not at all; not one of dpkg's refusals."""
    dice = random.Random(seed)

    def some(of: str) -> str:
        return "".join(dice.choice(of) for _ in range(dice.randint(1, 7)))

    def one() -> str:
        return dice.choice(("", "", "0:", "1:")) + "1" + some(alphabet) + dice.choice(("", f"-{some(revision)}"))

    return [one() for _ in range(PAIRS + 1)]


@pytest.mark.dpkg
def test_the_order_is_dpkgs() -> None:
    """Neighbours of versions by chance; one shell asks dpkg, as a process a question would take minutes."""
    versions = chance(1, "0121a~.+Z", "012a~.+")[:401]
    asked = "\n".join(
        f"if dpkg --compare-versions '{a}' lt '{b}'; then echo older; "
        f"elif dpkg --compare-versions '{a}' eq '{b}'; then echo equal; else echo newer; fi"
        for a, b in pairwise(versions)
    )
    told = subprocess.run(["sh", "-s"], input=asked, capture_output=True, text=True, check=True)
    assert told.stderr == ""
    assert told.stdout.split() == [compare(a, b, "debian") for a, b in pairwise(versions)]


@pytest.mark.rpm
def test_the_order_is_rpms() -> None:
    """With epoch and release, by the library behind `rpm` itself."""
    versions = chance(2, "0121a~^.+_Z", "012a~^._")
    pairs = list(pairwise(versions))
    told = []
    for at in range(0, PAIRS, 500):
        asked = " ".join(f"print(rpm.vercmp('{a}', '{b}') .. ' ')" for a, b in pairs[at : at + 500])
        told += subprocess.run(
            ["rpm", "--eval", f"%{{lua: {asked}}}"], capture_output=True, text=True, check=True
        ).stdout.split()
    words = {"-1": "older", "0": "equal", "1": "newer"}
    assert [words[word] for word in told] == [compare(a, b, "rpm") for a, b in pairs]
