"""Business data before and after, compared exactly: no rounding, no row and no null lost on the way."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.adapters.expectation_rows import NotComparableError, decimal, differences, pairs, text, total

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8))


@pytest.mark.parametrize(
    ("value", "number", "told"),
    [
        (None, False, "null"),
        ("null", False, "'null'"),
        ("", False, "''"),
        (True, False, "true"),
        (1, False, "1"),
        ("1", False, "'1'"),
        (1.50, False, "1.5"),
        ("1.50", False, "'1.50'"),
        ("1.50", True, "1.5"),
        ("1e3", True, "1000"),
        ("-0.00", True, "0"),
        (10**40 + 1, False, str(10**40 + 1)),
        ({"b": 1, "a": [2]}, False, '{"a": [2], "b": 1}'),
    ],
)
def test_values_as_text(value: Any, number: bool, told: str) -> None:
    assert text(value, number=number) == told


@given(VALUES, VALUES)
def test_texts_are_equal_exactly_when_values_are(a: Any, b: Any) -> None:
    alike = a == b and type(a) is type(b)
    assert (text(a, number=False) == text(b, number=False)) is alike


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=7, min_value=-(10**40), max_value=10**40)))
def test_sums_are_exact_at_any_size(numbers: list[Decimal]) -> None:
    """Python's decimals round at 28 digits; money does not."""
    exact = sum((Fraction(number) for number in numbers), Fraction(0))
    found, nulls = total([{"x": str(number)} for number in numbers], "x", "after")
    assert Fraction(found) == exact
    assert nulls == 0


@pytest.mark.parametrize("value", ["x", "nan", "inf", "", "1e999", [], True])
def test_what_is_no_number_is_told(value: Any) -> None:
    with pytest.raises(NotComparableError, match="is not a"):
        decimal(value)


def test_a_column_that_is_missing_in_one_row_is_missing() -> None:
    with pytest.raises(NotComparableError, match="column x is missing after in 1 of 2 rows"):
        total([{"x": 1}, {"y": 1}], "x", "after")


def test_keys_of_several_columns() -> None:
    before = [{"a": 1, "b": "x", "v": 1}, {"a": 1, "b": "y", "v": 2}]
    found = pairs(before, before[::-1], key=["a", "b"], name="v", number=False)
    assert [pair.row for pair in found] == ["a=1, b='x'", "a=1, b='y'"]
    assert differences(found) == ""


def test_few_examples_are_told_and_the_rest_is_counted() -> None:
    before = [{"id": i, "v": i} for i in range(9)]
    after = [{"id": i, "v": -1} for i in range(9)]
    told = differences(pairs(before, after, key=["id"], name="v", number=False))
    assert told.startswith("9 of 9 rows differ: id=0: 0 before, -1 after; ")
    assert told.endswith("id=4: 4 before, -1 after and 4 more")


@given(
    st.dictionaries(st.integers(0, 6), VALUES, max_size=5),
    st.dictionaries(st.integers(0, 6), VALUES, max_size=5),
)
def test_pairs_are_equal_exactly_when_the_data_is(before: dict[int, Any], after: dict[int, Any]) -> None:
    def rows(values: dict[int, Any]) -> list[dict[str, Any]]:
        return [{"id": key, "v": value} for key, value in values.items()]

    def typed(values: dict[int, Any]) -> dict[int, tuple[type, Any]]:
        return {key: (type(value), value) for key, value in values.items()}

    try:
        found = pairs(rows(before), rows(after), key=["id"], name="v", number=False)
    except NotComparableError:
        assert all(value is None for value in (*before.values(), *after.values()))
        return
    assert all(pair.equal for pair in found) is (typed(before) == typed(after))
