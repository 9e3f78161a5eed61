"""Versions are compared by the declared scheme; what does not fit it to the letter is refused."""

from __future__ import annotations

from itertools import combinations
from typing import get_args

import pytest

from changeover.domain.version import (
    SCHEMES,
    SchemeName,
    VersionError,
    change_of_line,
    compare,
    leaves_room,
    line,
    older,
    overlap,
    parse,
    same,
    step,
    within,
)

# The rows of the acceptance cases, and more of each kind: each chain goes from old to new.
CHAINS = {
    "V01-debian-epoch": ("debian", "9.7p1-1 1:9.2p1-2+deb12u3 1:9.2p1-10 2:1.0"),
    "V02-debian-tilde": (
        "debian",
        "2.4.58-2 2.4.59~rc1-1 2.4.59 2.4.59-1~deb12u1 2.4.59-1~deb12u2 2.4.59-1 2.4.59-1+b1 2.4.59-1.1 2.4.59-2",
    ),
    "V02-debian-kernel": ("debian", "5.15.0-97.107 5.15.0-100.110 6.1.0-9"),
    "V13-debian": ("debian", "1.0~~ 1.0~rc1 1.0 1.0rc1 1.0+dfsg 1.0.1"),
    "V03-rpm-marks": ("rpm", "2.3.0~rc1-1 2.3.0-1 2.3.0^20260110git1a2b3c-1 2.3.0.1-1"),
    "V03-rpm-epoch": ("rpm", "2.9-1 1:1.0-1 2:0.1-1"),
    "V03-rpm-kernel": ("rpm", "4.18.0-513.9.1.el8_9 4.18.0-513.11.1.el8_9 4.18.0-553.el8_10"),
    "V13-rpm": ("rpm", "1.0~rc1 1.0 1.0^git1 1.0.rc1 1.0.1"),
    "rpm-release": ("rpm", "2.3.0 2.3.0-1 2.3.0-1.1 2.3.0-10"),
    "V04-pep440": ("pep440", "1.0.dev1 1.0a1 1.0b2 1.0rc1 1.0 1.0+local.1 1.0.post1 1.1 1.9 1.10 1!0.1"),
    "V05-semver": (
        "semver",
        (
            "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 "
            "1.0.0-rc.9 1.0.0-rc.10 1.0.0-rc10 1.0.0-rc9 1.0.0 1.9.0 1.10.0 2.0.0"
        ),
    ),
    "V06-oracle": (
        "oracle",
        (
            "9.2.0.8.0 11.2.0.3.0 11.2.0.4.0 11.2.0.4.181016 12.1.0.2.0 12.2.0.1.0 18.4.0.0.0 19.3.0.0.0 "
            "19.9.0.0.201020 19.10.0.0.210119 19.21.0.0.231017 19.21.1.0.0 19.22.0.0.240116 21.3.0.0.0 "
            "23.4.0.24.05"
        ),
    ),
    "V08-date": ("date", "2023.12.9 2024.2.1 2024.9.0 2024.10.2 2024-10-03 20241004 2025.1.0"),
    "V08-date-short": ("date", "08.04 22.04.5 24.04 24.10"),
    "V09-jenkins": ("jenkins", "1.651.3 2.9 2.426 2.426.1 2.426.3 2.427 2.440.1"),
    "V12-postgresql": (
        "postgresql",
        (
            "8.4.22 9.0.0 9.5.25 9.6beta4 9.6rc1 9.6.0 9.6.9 9.6.24 10.0 10.1 10.2 10.23 16.4 17devel 17beta1 "
            "17beta2 17rc1 17.0"
        ),
    ),
    "microsoft-sql-server": ("microsoft", "14.0.3475.1 15.0.2000.5 15.0.2110.4 15.0.4322.2 15.0.4355.3 16.0.1000.6"),
    "microsoft-windows": ("microsoft", "6.1.7601.24214 10.0.14393.6709 17763.5329 10.0.17763.5458 10.0.20348.2227"),
    "microsoft-short": ("microsoft", "4.8 4.8.1 6.0.9 6.0.26 8.0.1"),
    "java": (
        "java",
        (
            "1.4.2_19 1.7.0_80 1.8.0-ea 8 1.8.0_45 1.8.0_101 8u391 1.8.0_392-b07 8u392-b08 8u402 9-ea+5 9 "
            "11.0.9 11.0.9.1 11.0.10 17-ea+2 17-ea+10 17 17.0.9+8 17.0.9+9 17.0.10 21.0.1+12-LTS"
        ),
    ),
    "openssl-letters": (
        "openssl",
        "0.9.8zh 1.0.2-beta3 1.0.2 1.0.2a 1.0.2u 1.0.2y 1.0.2z 1.0.2za 1.0.2zi 1.1.0l 1.1.1-pre9 1.1.1 1.1.1w",
    ),
    "openssl-numbers": ("openssl", "1.1.1w 3.0.0-alpha17 3.0.0-beta2 3.0.0 3.0.9 3.0.13 3.1.0 3.2.0 3.10.0 4.0.0"),
    "numeric": ("numeric", "0 0.9 1 1.9 1.10 1.10.1 4.3 10 2024"),
}

# Written in two ways, one version.
EQUAL = {
    "debian": "0:1.2-1 1.2-1 / 7.4.052-1 7.4.52-1 / 1.0 1.0-0 / 1.a 1.a0",
    "rpm": "10.0001 10.1 / 0:1-1 1-1 / 2.0 2_0 / 1.0.0-01 1.0.0-1",
    "pep440": "1.0 1.0.0 / 1.0-1 1.0.post1 / 1.01 1.1 / 8.0.12 8.0.12.0 / 1.0-RC1 1.0rc1",
    "semver": "1.0.0+a 1.0.0+b / 1.0.0-rc.1+5 1.0.0-rc.1",
    "oracle": "19.21.0.0.0 19.21.0.0.231017 / 23.4.0.24.05 23.4.0.0.0",
    "microsoft": (
        "15.02.1118.040 15.2.1118.40 / 17763.5329 10.0.17763.5329 / 4.8 4.8.0.0 / 15.0.4355.3-CU25-GDR 15.0.4355.3"
    ),
    "date": "2024.09.0 2024.9 / 2024-10-02 2024.10.2 / 20241002 2024.10.02 / 24.4 24.04",
    "jenkins": "2.427 2.427.0",
    "java": (
        "1.8.0_392 8u392 / 1.8.0_05 8u5 / 1.8.0_392-b08 8u392-b8 / 8.0.392+8 8u392-b08 / 1.8 8 / 17.0.9+9-LTS 17.0.9+9"
    ),
    "openssl": "3.0.15+quic 3.0.15",
    "postgresql": "16.4 16.4",
    "numeric": "4.3 4.3.0 / 1.01 1.1 / 0 0.0",
}

# What no scheme reads.
NEVER = [
    "",
    " 4.3.1",
    "4.3.1 ",
    "4.3.1\n",
    "4.3\t1",
    "v4.3.1",
    "V4",
    "４.３.１",
    "4.3.1\u00a0",
    "4,3",
    "latest",
    "4.3.1\0",
    "1" * 129,
]

REFUSED = {
    "debian": "1.0- -1 a:1 x1.0 :1 1: 1.0_1 99999999999:1 1.0-1_2 1.0-1:2 1.0^1",
    "rpm": "1.0- -1 1-2-3 a:1 1: 1.0-a:b 1.0/2 99999999999:1 ~ 1.0-1-",
    "pep440": "4.3.1-SNAPSHOT 4..3 4.3.x 1:9.2p1-2 8u392 1.0^1",
    "semver": "1.01.0 1.0 1 1.0.0.0 1.0.0- 1.0.0-01 1.0.0+ 1.0.0-a..b 1.0.0-a_b -1.0.0",
    "oracle": "19.21 19.21.0 19c 19.21.0.0 19.21.0.0.0.0 019.21.0.0.0 0.1.0.0.0 19.21.0.0.x 19.21.0.0.",
    "microsoft": "KB5034768 15 15.0.4355.3.1 15.0.4355.3-XX 15.0.x.3 15.0.4355.3- 15.0.4355.3-GDR 17763",
    "date": "4.3.1 2024-13-01 2024-02-30 20241301 2024-1-1 3024.1.1 2024.10b1 24 2024-10 1024.1 2024.",
    "jenkins": "2 2.426.3.1 2.0426 2.426-rc1 2.426.1-SNAPSHOT 0.1 2.426.03 LTS",
    "java": "1.9.0 1.8.0_ 8u 11u21 17.0.0 17.0 08 17.0.9+ 17.0.9+09 1.8.0_392+8 17.0.9_392 1.8.0_392-xy",
    "openssl": "1.1.1W 1.1.1ab 1.1 3.0 3.0.1a 2.0.0 1.0.2k-fips 1.1.1.1 01.1.1 3.0.0-alpha 3.0.0-dev1 1.1.1w+x",
    "postgresql": "16 9.6 16.4.0 9.6.24.1 10.0.1 16.04 17beta 17.0beta1 9.6.0beta1 18devel1 16.4-1.pgdg",
    "numeric": "1. .1 1..2 1.0a -1 1-2 +1 1_000",
}


@pytest.mark.parametrize(("scheme", "chain"), CHAINS.values(), ids=CHAINS)
def test_order(scheme: str, chain: str) -> None:
    """Every pair of the chain, in both directions; it is never the order of text."""
    for a, b in combinations(chain.split(), 2):
        assert (a, compare(a, b, scheme), b) == (a, "older", b)
        assert (b, compare(b, a, scheme), a) == (b, "newer", a)


@pytest.mark.parametrize(
    ("scheme", "pair"), [(scheme, pair) for scheme, pairs in EQUAL.items() for pair in pairs.split(" / ")]
)
def test_one_version_written_in_two_ways(scheme: str, pair: str) -> None:
    """V14: equality of text would call these a change."""
    a, b = pair.split()
    assert compare(a, b, scheme) == "equal"
    assert compare(b, a, scheme) == "equal"
    assert same(a, b, scheme)
    assert hash(parse(a, scheme)) == hash(parse(b, scheme))
    assert line(a, scheme) == line(b, scheme) or scheme in {"debian", "rpm"}  # as it is written


@pytest.mark.parametrize(
    ("a", "b", "scheme", "order"),
    [
        ("1.0rc1", "1.0", "pep440", "older"),
        ("1.0rc1", "1.0", "debian", "newer"),
        ("1.0rc1", "1.0", "rpm", "newer"),
        ("1.0~rc1", "1.0", "debian", "older"),
        ("1.0~rc1", "1.0", "rpm", "older"),
        ("6.0.rc1", "6.0", "rpm", "newer"),
    ],
)
def test_one_text_in_two_schemes(a: str, b: str, scheme: str, order: str) -> None:
    """V13: a scheme that is guessed is a coin that is tossed."""
    assert compare(a, b, scheme) == order


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("text", NEVER)
def test_what_is_a_version_nowhere_is_refused(scheme: str, text: str) -> None:
    with pytest.raises(VersionError, match=r"is not .*version: .") as caught:
        parse(text, scheme)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("scheme", "text"), [(scheme, text) for scheme, texts in REFUSED.items() for text in texts.split()]
)
def test_what_does_not_fit_is_refused_with_the_reason(scheme: str, text: str) -> None:
    with pytest.raises(VersionError, match=r"is not .*version: ."):
        parse(text, scheme)


def test_a_scheme_nobody_declared_is_not_guessed() -> None:
    for scheme in ("", "PEP440", "guess", "deb"):
        with pytest.raises(VersionError, match="is not known; known: debian, rpm, pep440"):
            parse("1.0", scheme)
    assert get_args(SchemeName) == SCHEMES


def test_years_of_two_and_of_four_digits_have_no_order() -> None:
    for ask in (compare, older, same):
        with pytest.raises(VersionError, match="cannot be compared: one year has two digits"):
            ask("24.04", "2024.04", "date")
    with pytest.raises(VersionError, match=r"cannot be held against >=22\.04"):
        within("2024.04", (">=22.04",), "date")


# ---- lines and steps


@pytest.mark.parametrize(
    ("scheme", "version", "wanted"),
    [
        ("postgresql", "15.4", "15"),
        ("postgresql", "9.6.24", "9.6"),
        ("postgresql", "17beta1", "17"),
        ("openssl", "1.1.1w", "1.1.1"),
        ("openssl", "3.0.13", "3.0"),
        ("oracle", "19.21.0.0.231017", "19"),
        ("oracle", "12.1.0.2.170117", "12.1.0.2"),
        ("jenkins", "2.426.3", "LTS"),
        ("jenkins", "2.427", "weekly"),
        ("java", "8u392", "8"),
        ("java", "1.7.0_80", "7"),
        ("java", "17.0.9+9", "17"),
        ("microsoft", "10.0.17763.5329", "17763"),
        ("microsoft", "15.0.4355.3", "15.0 CU"),
        ("microsoft", "15.0.2110.4", "15.0 GDR"),
        ("microsoft", "13.0.5893.48-SP2-CU17-GDR", "13.0 SP2 CU"),
        ("microsoft", "6.0.26", "6.0"),
        ("debian", "1:9.2p1-2+deb12u3", "deb12"),
        ("debian", "2.4.52-1ubuntu0.22.04.1", "ubuntu22.04"),
        ("debian", "1.2.3-4~bpo12+1", "bpo12"),
        ("debian", "5.15.0-100.110", "5.15.0"),
        ("rpm", "4.18.0-553.el8_10", "el8_10"),
        ("rpm", "8.0.36-1.module+el8.9.0+21207+6c20cb2c", "el8_9"),
        ("rpm", "3.0.7-25.el9", "el9"),
        ("rpm", "3.0.7-25", "3.0.7"),
        ("pep440", "1!7.2.3rc1", "1!7.2"),
        ("semver", "1.2.3", "1.2"),
        ("date", "2024.10.2", "2024.10"),
        ("date", "24.04.1", "24.4"),
        ("numeric", "4.3.1", "4.3"),
    ],
)
def test_line(scheme: str, version: str, wanted: str) -> None:
    assert line(version, scheme) == wanted


@pytest.mark.parametrize(
    ("scheme", "a", "b", "wanted"),
    [
        ("postgresql", "9.5.25", "9.6.0", "major"),
        ("postgresql", "9.6.23", "9.6.24", "minor"),
        ("postgresql", "9.6.24", "10.0", "major"),
        ("postgresql", "10.1", "10.2", "minor"),
        ("postgresql", "17rc1", "17.0", "minor"),
        ("postgresql", "16.4", "16.4", "none"),
        ("openssl", "1.1.1v", "1.1.1w", "patch"),
        ("openssl", "1.1.0l", "1.1.1", "minor"),
        ("openssl", "1.0.2u", "1.1.1", "major"),
        ("openssl", "3.0.13", "3.2.0", "minor"),
        ("openssl", "1.1.1w", "3.0.0", "major"),
        ("oracle", "19.21.0.0.0", "19.22.0.0.0", "minor"),
        ("oracle", "19.21.0.0.0", "19.21.1.0.0", "patch"),
        ("oracle", "19.22.0.0.0", "21.3.0.0.0", "major"),
        ("oracle", "12.1.0.2.0", "12.2.0.1.0", "major"),
        ("oracle", "11.2.0.3.0", "11.2.0.4.0", "minor"),
        ("java", "8u391", "8u392", "patch"),
        ("java", "8u392", "11.0.21", "major"),
        ("java", "1.8.0_392", "8", "patch"),
        ("jenkins", "2.426.2", "2.426.3", "patch"),
        ("jenkins", "2.426.3", "2.440.1", "minor"),
        ("microsoft", "10.0.17763.1", "10.0.20348.1", "major"),
        ("microsoft", "10.0.17763.1", "10.0.17763.2", "patch"),
        ("microsoft", "15.0.4322.2", "15.0.4355.3", "minor"),
        ("microsoft", "15.0.4355.3", "16.0.1000.6", "major"),
        ("semver", "1.2.3", "1.3.0", "minor"),
        ("semver", "1.2.3-rc.1", "1.2.3", "patch"),
        ("pep440", "1.2", "1!1.2", "major"),
        ("pep440", "7.0.3", "7.2.1", "minor"),
        ("debian", "1:9.2p1-1", "1:9.2p1-2", "patch"),
        ("debian", "2.4.58-1", "2.5.0-1", "minor"),
        ("debian", "1.2-1", "1:1.2-1", "major"),
        ("rpm", "4.18.0-1", "5.14.0-1", "major"),
        ("date", "2024.9.0", "2024.10.2", "minor"),
        ("numeric", "4", "4.1", "minor"),
    ],
)
def test_how_large_a_step_is(scheme: str, a: str, b: str, wanted: str) -> None:
    """V12: the first number is not the major version everywhere."""
    assert step(a, b, scheme) == wanted
    assert step(b, a, scheme) == wanted


def test_a_change_of_line_is_told() -> None:
    """V09: a weekly Jenkins is newer than the LTS before it, and going there is a decision of its own."""
    assert "has to be named" in change_of_line("2.426.3", "2.427", "jenkins")
    assert "has to be named" in change_of_line("15.0.2110.4", "15.0.4355.3", "microsoft")
    for scheme, a, b in (
        ("jenkins", "2.426.3", "2.440.1"),
        ("jenkins", "2.426", "2.427"),
        ("microsoft", "15.0.4355.3", "16.0.1000.6"),
        ("postgresql", "15.4", "16.4"),
    ):
        assert not change_of_line(a, b, scheme)


# ---- ranges


@pytest.mark.parametrize(
    ("scheme", "version", "ranges", "inside"),
    [
        ("pep440", "7.0.59", (">=7.0,<7.1",), True),
        ("pep440", "7.1", (">=7.0,<7.1",), False),
        ("pep440", "7.8.3", (">=7.0,<7.1", "==7.8.*"), True),
        ("pep440", "7.8.3", (), False),
        ("pep440", "7.0rc1", (">=7.0,<7.1",), False),
        ("pep440", "7.0.1rc1", (">=7.0,<7.1",), True),
        ("semver", "7.1.9", (">=7.0.0,<7.2.0",), True),
        ("semver", "7.2.0", (">=7.0.0, <7.2.0",), False),
        ("semver", "7.2.0-rc.1", (">=7.0.0,<7.2.0",), False),
        ("semver", "7.2.0-rc.1", ("<7.2.0-rc.2",), True),
        ("semver", "7.10.0", ("==7.*",), True),
        ("semver", "7.1.0", ("==7.10.*",), False),
        ("semver", "7.1.0", ("!=7.1.*",), False),
        ("semver", "7.1.0+build", ("==7.1.0",), True),
        ("postgresql", "15.10", (">=15.4,<16.0",), True),
        ("postgresql", "16rc1", ("<16.0",), False),
        ("postgresql", "9.6.24", ("==9.6.*",), True),
        ("openssl", "1.1.1w", ("==1.1.1.*", ">=3.0.8,<3.1.0"), True),
        ("openssl", "3.0.7", ("==1.1.1.*", ">=3.0.8,<3.1.0"), False),
        ("oracle", "19.21.0.0.231017", ("<=19.21.0.0.0",), True),
        ("java", "1.8.0_392", (">=8u391,<9",), True),
        ("java", "17-ea", ("<17",), False),
        ("jenkins", "2.426.3", (">2.426,!=2.427",), True),
        ("microsoft", "17763.5458", (">=10.0.17763.5329",), True),
        ("date", "2024.10.2", (">=2024.9,<2025.1",), True),
        ("numeric", "1.10", (">1.9",), True),
        ("java", "17.0.9+9", ("<=17.0.9",), True),
        ("java", "17.0.9+9", ("==17.0.9",), True),
        ("java", "17.0.9+9", (">17.0.9",), False),
        ("java", "17.0.9+9", ("!=17.0.9", "<17.0.9"), False),
        ("java", "17.0.9+9", ("<17.0.9+11",), True),
        ("java", "17.0.9-ea+9", ("==17.0.9",), False),
        ("java", "8u392", ("==1.8.*",), True),
        ("java", "1.8.0_392", ("==8.*",), True),
        ("java", "17.0.9", ("==17.0.*",), True),
        ("java", "17.1", ("==17.0.*",), False),
        ("microsoft", "17763.5", ("==17763.*",), True),
        ("microsoft", "20348.5", ("==17763.*",), False),
        ("microsoft", "15.0.4322.2", ("==15.0.*",), True),
        ("oracle", "19.21.0.0.0", ("==19.21.*",), True),
        ("oracle", "19.2.0.0.0", ("==19.21.*",), False),
        ("jenkins", "2.426.3", ("==2.426.*",), True),
        ("postgresql", "9.6.24", ("==9.*",), True),
        ("date", "2024-09-30", ("==2024.9.*",), True),
        ("date", "24.04.1", ("==24.04.*",), True),
        ("debian", "2.4.59-1~deb12u1", (">=2.4.59-1",), False),
        ("debian", "2.4.59-1~deb12u1", (">=2.4.59",), False),
        ("debian", "2.4.59-1~deb12u1", (">2.4.59",), False),
        ("debian", "2.4.59-1~deb12u1", (">=2.4.59~",), True),
        ("debian", "2.4.59-1", (">=2.4.59",), True),
        ("debian", "2.4.59-1~deb12u1", ("<2.4.59",), True),
        ("debian", "2.4.59-1~deb12u1", ("<=2.4.59",), True),
        ("debian", "2.4.59-1", ("<2.4.59",), False),
        ("debian", "2.4.59-1~deb12u1", ("<2.4.59~",), False),
        ("debian", "1:9.2p1-2+deb12u3", (">=1:9.2p1-2,<1:9.3",), True),
        ("rpm", "2.3.0-5.el9", ("<=2.3.0",), True),
        ("rpm", "2.3.0-5.el9", ("==2.3.0",), True),
        ("rpm", "2.3.0-5.el9", (">2.3.0",), False),
        ("rpm", "2.3.0-5.el9", ("<=2.3.0-4",), False),
    ],
)
def test_ranges(scheme: str, version: str, ranges: tuple[str, ...], inside: bool) -> None:
    assert within(version, ranges, scheme) is inside


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    "text", ["", "  ", ",", " , ", "7.0 to 8.0", ">=seven", ">= ", "7.0", ">=7.0,", ",>=7.0", ">=7.0,,<8.0", "=>7.0"]
)
def test_a_range_that_says_nothing_holds_nothing(scheme: str, text: str) -> None:
    """An empty specifier would hold every version there is; a faulty one is told behind one that holds, too."""
    version = CHAINS_OF[scheme][0]
    with pytest.raises(VersionError):
        within(version, (f"=={version}", text), scheme)


def test_a_series_means_nothing_where_numbers_do_not_come_first() -> None:
    for scheme in ("debian", "rpm"):
        with pytest.raises(VersionError, match=r"means nothing for"):
            within("2.4.1-1", ("==2.4.*",), scheme)


@pytest.mark.parametrize(
    ("scheme", "version", "text"),
    [
        ("semver", "1.2.3", "==1.02.*"),
        ("java", "8u392", "==1.*"),
        ("java", "8u392", "==1.8.0.*"),
        ("java", "11.0.2", "==1.11.*"),
        ("date", "2024-09-30", "==202409.*"),
        ("oracle", "19.21.0.0.0", "==0.*"),
        ("openssl", "3.0.13", "==2.*"),
    ],
)
def test_a_series_that_no_version_belongs_to_is_refused(scheme: str, version: str, text: str) -> None:
    """It would never match, and a known defect would be missed in silence."""
    with pytest.raises(VersionError, match="begin with"):
        within(version, (text,), scheme)


def test_a_series_of_years_of_two_digits_has_no_order_with_years_of_four() -> None:
    with pytest.raises(VersionError, match="which century"):
        within("2024.10", ("==24.*",), "date")


@pytest.mark.parametrize(
    ("scheme", "text", "room"),
    [
        ("pep440", ">=3,<2", False),
        ("pep440", ">=9,<8", False),
        ("pep440", ">=3,<3", False),
        ("pep440", ">3,<=3", False),
        ("pep440", ">=3,<=3", True),
        ("pep440", "==3,!=3", False),
        ("pep440", "==3,>=4", False),
        ("pep440", ">=3.0rc1,<3.0", False),
        ("pep440", "~=3.1,<3.1", False),
        ("pep440", "~=3.1,>=3.9", True),
        ("pep440", "~=3.1,>=4", False),
        ("pep440", "==1.2.*,>=1.3", False),
        ("pep440", "==1.2.*,<1.2", False),
        ("pep440", "==1.2.*,<1.2.1", True),
        ("pep440", "==1.2.*,==1.2.3.*", True),
        ("pep440", "==1.2.*,==1.3.*", False),
        ("numeric", ">=1.10,<1.9", False),
        ("numeric", ">1.9,<1.10", True),
        ("debian", ">=1:1.0,<2.0", False),
        ("rpm", ">=2.3.0-5,<=2.3.0", True),
        ("rpm", ">=2.3.1-5,<=2.3.0", False),
        ("java", ">=17.0.9+9,<=17.0.9", True),
        ("microsoft", "==17763.*,>=20348.1", False),
        ("jenkins", "==2.426.*,>=2.426.2,<2.427", True),
    ],
)
def test_a_range_that_contradicts_itself_leaves_no_room(scheme: str, text: str, room: bool) -> None:
    assert leaves_room(text, scheme) is room


@pytest.mark.parametrize(
    ("a", "b", "both"),
    [
        (">=1,<3", ">=2,<4", True),
        (">=1,<2", ">=2,<3", False),
        (">1,<3", ">2,<4", True),
        ("==1.*", ">=1.5", True),
        ("==1.*", "==2.*", False),
        ("==1.2.3", "==1.2.*", True),
    ],
)
def test_ranges_that_have_a_version_in_common(a: str, b: str, both: bool) -> None:
    assert overlap(a, b, "pep440") is overlap(b, a, "pep440") is both


CHAINS_OF = {scheme: chain.split() for scheme, chain in reversed(CHAINS.values())}
