"""What must hold for any versions of a scheme: the order is total, and the answers about fixes follow it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from changeover.domain.version import SCHEMES, VersionError, compare, fix_in, older, parse, step, within

# Few values in each place, so that versions often share their beginnings.
small = st.sampled_from([0, 1, 2, 9, 10, 11, 100])
positive = st.sampled_from([1, 2, 9, 10, 11])


def numbers(least: int, most: int, each: SearchStrategy[int] = small) -> SearchStrategy[str]:
    return st.lists(each, min_size=least, max_size=most).map(lambda parts: ".".join(map(str, parts)))


def joined(*parts: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.tuples(*parts).map("".join)


def maybe(part: SearchStrategy[str]) -> SearchStrategy[str]:
    return st.one_of(st.just(""), part)


def one_of(*texts: str) -> SearchStrategy[str]:
    return st.sampled_from(texts)


def text(alphabet: str) -> SearchStrategy[str]:
    return st.text(alphabet, min_size=1, max_size=6)


def after(sign: str, part: SearchStrategy[str]) -> SearchStrategy[str]:
    return maybe(joined(st.just(sign), part))


epoch = maybe(one_of("0:", "1:", "2:"))
VERSIONS: dict[str, SearchStrategy[str]] = {
    "debian": joined(epoch, one_of("1", "2", "10"), maybe(text("01.ab~+")), after("-", text("01.ab~+"))),
    "rpm": joined(epoch, one_of("1", "2", "10"), maybe(text("01.ab~^_+")), after("-", text("01.ab~^_+"))),
    "pep440": joined(
        maybe(one_of("1!")), numbers(1, 4), maybe(one_of("a1", "b2", "rc1", "rc10")), maybe(one_of(".post1")),
        maybe(one_of(".dev0", ".dev1")), maybe(one_of("+local.1", "+2")),
    ),
    "semver": joined(
        numbers(3, 3), after("-", one_of("a", "rc1", "rc.1", "rc.10", "1", "a.b")), maybe(one_of("+b", "+1"))
    ),
    "oracle": joined(one_of("9", "11", "12", "18", "19", "21"), one_of("."), numbers(4, 4)),
    "microsoft": st.one_of(
        numbers(2, 4),
        joined(one_of("14.0.", "15.0.", "16.0."), one_of("1000", "2110", "3475", "4322", "4355"), one_of(".0", ".1")),
        joined(one_of("", "10.0."), one_of("17763", "20348"), one_of(".1", ".5329")),
    ),
    "date": st.one_of(
        joined(one_of("2023", "2024", "2025"), maybe(joined(one_of("."), numbers(1, 3)))),
        one_of("2024-09-30", "20241002", "2024-10-02", "20240101.1"),
    ),
    "jenkins": joined(positive.map(str), one_of("."), numbers(1, 2)),
    "java": st.one_of(
        joined(one_of("8", "9", "11", "17"), maybe(joined(one_of(".0.1", ".0.9", ".0.10"), maybe(one_of(".1")))),
               maybe(one_of("-ea", "-10")), maybe(one_of("+9", "+10", "+9-LTS"))),
        joined(one_of("1.8.0", "1.7.0"), one_of("", "_05", "_45", "_101"), one_of("", "-ea"), one_of("", "-b08")),
        one_of("8u5", "8u45", "8u101", "8u101-b08", "7u80"),
    ),
    "openssl": st.one_of(
        joined(
            one_of("1.0.2", "1.1.0", "1.1.1"), one_of("", "a", "w", "z", "za"), one_of("", "-dev", "-pre1", "-beta2")
        ),
        joined(
            one_of("3.0.", "3.1.", "4.0."), small.map(str), one_of("", "-alpha1", "-alpha17"), one_of("", "+quic")
        ),
    ),
    "postgresql": st.one_of(
        joined(one_of("9.5.", "9.6.", "8.4."), small.map(str)),
        joined(one_of("10.", "15.", "16."), small.map(str)),
        joined(one_of("9.6", "10", "15", "16"), one_of("devel", "beta1", "beta10", "rc1")),
    ),
    "numeric": numbers(1, 4),
}  # fmt: skip
ORDERS = {"older": "newer", "equal": "equal", "newer": "older"}
MANY = settings(max_examples=60, deadline=None)


def drawn(data: st.DataObject, scheme: str, count: int) -> list[str]:
    return data.draw(st.lists(VERSIONS[scheme], min_size=count, max_size=count))


def test_every_scheme_is_tried() -> None:
    assert set(VERSIONS) == set(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
@MANY
@given(data=st.data())
def test_the_order_is_total_and_antisymmetric(scheme: str, data: st.DataObject) -> None:
    """Each pair has one answer, and turned round it is the opposite one."""
    a, b = drawn(data, scheme, 2)
    assert compare(a, b, scheme) == ORDERS[compare(b, a, scheme)]
    assert compare(a, a, scheme) == "equal"


@pytest.mark.parametrize("scheme", SCHEMES)
@MANY
@given(data=st.data())
def test_the_order_is_transitive(scheme: str, data: st.DataObject) -> None:
    """Of three versions, sorted by their neighbours, the first is never newer than the last."""
    a, b, c = drawn(data, scheme, 3)
    for first, second, third in ((a, b, c), (b, c, a), (c, a, b), (c, b, a), (b, a, c), (a, c, b)):
        if compare(first, second, scheme) == compare(second, third, scheme):
            assert compare(first, third, scheme) == compare(first, second, scheme)
        elif compare(first, second, scheme) == "equal":
            assert compare(first, third, scheme) == compare(second, third, scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@MANY
@given(data=st.data())
def test_equal_versions_are_one_to_a_set(scheme: str, data: st.DataObject) -> None:
    """Equal means the same hash, the same branch and no step between; unequal means a step."""
    a, b = (parse(text, scheme) for text in drawn(data, scheme, 2))
    if a == b:
        assert hash(a) == hash(b)
        assert a.branch == b.branch or scheme in {"debian", "rpm"}  # whose branch keeps how the release is written
        assert not a < b <= a < b
    assert (step(a.text, b.text, scheme) == "none") is (a == b)


@pytest.mark.parametrize("scheme", SCHEMES)
@MANY
@given(data=st.data())
def test_a_fix_never_comes_before_the_first_version_that_brought_it(scheme: str, data: st.DataObject) -> None:
    """A version that brought the fix has it, whatever else is named; one that is older than all has not."""
    version, *fixes = drawn(data, scheme, 4)
    assert fix_in(version, [*fixes, version], scheme).fixed
    if fix_in(version, fixes, scheme).fixed and scheme != "jenkins":  # an LTS is numbered by the weekly it was cut from
        assert any(not older(version, fix, scheme) for fix in fixes)
    if all(older(version, fix, scheme) for fix in fixes):
        assert not fix_in(version, fixes, scheme).fixed


@pytest.mark.parametrize("scheme", SCHEMES)
@MANY
@given(data=st.data())
def test_a_version_is_within_its_own_bounds(scheme: str, data: st.DataObject) -> None:
    version, other = drawn(data, scheme, 2)
    if scheme == "pep440":  # whose specifiers treat local and post releases in their own way
        version, other = (f"{text.split('+')[0]}" for text in (version, other))
    assert within(version, (f">={version},<={version},=={version}",), scheme)
    assert not within(version, (f"!={version}", f"<{version}", f">{version}"), scheme)
    if within(version, (f">{other}",), scheme):
        assert older(other, version, scheme)
    rebuild = scheme == "debian" and "-" not in other  # 2-1~deb12u1 does not reach a bare 2, though it is after it
    if within(version, (f"<{other}",), scheme) and not rebuild:
        assert older(version, other, scheme)
    if not parse(version, scheme).pre:
        assert within(version, (f"<{other}",), scheme) is not within(version, (f">={other}",), scheme)
    if scheme != "pep440":  # to which 1.post1 is neither above 1 nor at most 1
        assert within(version, (f"<={other}",), scheme) is not within(version, (f">{other}",), scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
@MANY
@given(text=st.one_of(st.text(max_size=200), st.text("0123456789.-+:~^uv_ abz", max_size=30)))
def test_any_text_is_read_or_refused(scheme: str, text: str) -> None:
    """Nothing else comes out than a version of it, or a reason of one line."""
    reason = ""
    try:
        version = parse(text, scheme)
    except VersionError as exc:
        reason = str(exc)
    else:
        assert version == parse(str(version), scheme)
        assert text.isascii()
        assert text == text.strip() != ""
    assert len(reason.splitlines()) <= 1
