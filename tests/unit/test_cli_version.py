"""`version compare` and `version fixed`: one word on stdout, reasons on stderr, and what scripts go by."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from changeover import cli
from changeover.domain.version import SCHEMES
from tests.unit.test_cli import HEAVY, imported, in_a_process


def ask(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli.app, ["version", *words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize(
    ("scheme", "a", "b", "answer"),
    [
        ("debian", "9.7p1-1", "1:9.2p1-2+deb12u3", "older"),
        ("debian", "2.4.59-1", "2.4.59-1~deb12u1", "newer"),
        ("rpm", "2.3.0^20260110git1a2b3c-1", "2.3.0.1-1", "older"),
        ("oracle", "19.21.0.0.0", "19.21.0.0.231017", "equal"),
        ("pep440", "1!0.1", "1.10", "newer"),
        ("semver", "1.0.0+a", "1.0.0+b", "equal"),
    ],
)
def test_compare_prints_one_word(scheme: str, a: str, b: str, answer: str) -> None:
    assert ask("compare", scheme, a, b) == (0, f"{answer}\n", "")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("debian", "-1", "1.0"), "'-1' is not a debian version: the upstream version must begin with a digit"),
        (("debian", "1.0", "--", "-1"), "'-1' is not a debian version"),
        (("numeric", "--1", "1"), "'--1' is not a numeric version"),
        (("numeric", "", "1"), "it is empty"),
        (("semver", "1.0.0", "v1.0.0"), "begins with 'v'"),
        (("semver", "1.0.0", " 1.0.0"), "it holds white space"),
        (("date", "24.04", "2024.04"), "24.04 and 2024.04 cannot be compared: one year has two digits"),
    ],
)
def test_compare_that_cannot_be_made_is_1_and_says_why(words: tuple[str, ...], reason: str) -> None:
    """Also for a version that looks like an option: it is wrong as a version, not as a command."""
    code, out, err = ask("compare", *words)
    assert (code, out) == (1, "")
    assert reason in err
    assert "next: " in err


def test_both_answers_about_a_fix_are_0() -> None:
    assert ask("fixed", "openssl", "3.0.8", "1.1.1t", "3.0.8") == (0, "fixed\n", "")
    assert ask("fixed", "openssl", "3.0.7", "1.1.1t", "3.0.8") == (0, "not fixed\n", "")


def test_scripts_may_have_it_as_an_exit_code() -> None:
    assert ask("fixed", "--exit-code", "openssl", "3.0.8", "3.0.8") == (0, "fixed\n", "")
    assert ask("fixed", "openssl", "3.0.7", "3.0.8", "--exit-code") == (1, "not fixed\n", "")


def test_the_reason_is_told_when_it_is_asked_for() -> None:
    code, out, err = ask("fixed", "--why", "openssl", "3.0.7", "1.1.1t", "3.0.8")
    assert (code, out, err) == (0, "not fixed\n", "3.0.7 (line 3.0): fixed only from 3.0.8 on\n")


@pytest.mark.parametrize("words", [("openssl", "3.0", "3.0.8"), ("openssl", "3.0.7", "3.0.8", "-5")])
def test_what_cannot_be_read_is_no_answer(words: tuple[str, ...]) -> None:
    code, out, err = ask("fixed", *words)
    assert (code, out) == (1, "")
    assert "is not an openssl version: " in err


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "guess", "1", "2"),
        ("compare", "", "1", "2"),
        ("compare", "Debian", "1", "2"),
        ("fixed", "guess", "1", "2"),
    ],
)
def test_a_scheme_that_is_not_known_is_no_answer_and_names_the_known(words: tuple[str, ...]) -> None:
    code, out, err = ask(*words)
    assert (code, out) == (1, "")
    assert err.startswith(f"version scheme {words[1]!r} is not known; known: ")
    assert "Value error" not in err
    assert "next: " in err
    assert all(scheme in err for scheme in SCHEMES)


@pytest.mark.parametrize(
    "words", [("compare",), ("compare", "debian", "1"), ("compare", "debian", "1", "2", "3"), ("fixed", "debian", "1")]
)
def test_too_few_or_too_many_words_are_usage(words: tuple[str, ...]) -> None:
    assert ask(*words)[0] == 2


def test_it_starts_without_heavy_libraries() -> None:
    run = in_a_process("version", "compare", "debian", "1~rc1", "1", modules=True)
    assert (run.returncode, run.stdout) == (0, "older\n")
    assert imported(run) & {*HEAVY, "yaml", "rich"} == set()
