"""Versions are compared by the declared scheme; what does not fit it to the letter is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest

from changeover.domain.version import VersionError, older, parse, same, within

V04 = ["1.0.dev1", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0+local.1", "1.0.post1", "1.1", "1.9", "1.10", "1!0.1"]
V08 = ["2024.2.1", "2024.9.0", "2024.10.2", "2025.1.0"]


@pytest.mark.parametrize("chain", [V04, V08], ids=["V04", "V08"])
def test_order(chain: list[str]) -> None:
    """Not the order of text: 1.10 is newer than 1.9."""
    for a, b in pairwise(chain):
        assert older(a, b, "pep440")
        assert not older(b, a, "pep440")
        assert not same(a, b, "pep440")


@pytest.mark.parametrize(
    ("a", "b"), [("1.0", "1.0.0"), ("1.0-1", "1.0.post1"), ("1.01", "1.1"), ("8.0.12", "8.0.12.0")]
)
def test_one_version_written_in_two_ways(a: str, b: str) -> None:
    assert same(a, b, "pep440")
    assert not older(a, b, "pep440")


@pytest.mark.parametrize(
    "text",
    [
        "latest",
        "",
        " 4.3.1",
        "4.3.1 ",
        "v4.3.1",
        "V4",
        "4.3.1-SNAPSHOT",
        "４.３.１",
        "4..3",
        "4.3.x",
        "1:9.2p1-2",
        "4.3\n",
    ],  # full-width digits are the point
)
def test_what_is_not_a_version_is_refused(text: str) -> None:
    with pytest.raises(VersionError, match=r"is not"):
        parse(text, "pep440")


def test_a_scheme_nobody_declared_is_not_guessed() -> None:
    """V13: the same text is older in one scheme and newer in another."""
    for scheme in ("", "debian", "PEP440"):
        with pytest.raises(VersionError, match="is not known"):
            parse("1.0", scheme)


@pytest.mark.parametrize(
    ("version", "ranges", "inside"),
    [
        ("7.0.59", (">=7.0,<7.1",), True),
        ("7.1", (">=7.0,<7.1",), False),
        ("7.8.3", (">=7.0,<7.1", "==7.8.*"), True),
        ("7.8.3", (), False),
        ("7.0rc1", (">=7.0,<7.1",), False),
        ("7.0.1rc1", (">=7.0,<7.1",), True),
    ],
)
def test_ranges(version: str, ranges: tuple[str, ...], inside: bool) -> None:
    assert within(version, ranges, "pep440") is inside


@pytest.mark.parametrize("text", ["", "  ", "7.0 to 8.0", ">=seven"])
def test_a_range_that_says_nothing_holds_nothing(text: str) -> None:
    """An empty specifier would hold every version there is."""
    with pytest.raises(VersionError):
        within("7.0", (text,), "pep440")
