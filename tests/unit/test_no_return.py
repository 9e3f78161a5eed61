"""The point of no return: estimates from measured runs, and until when each step may begin."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.domain.no_return import Estimate, NoReturn, Reversible, Sample, Step, estimate, no_return, time_needed
from changeover.domain.window import Occurrence
from tests.support.windows import at, third_saturday

NIGHT = next(n for n in third_saturday().nights(closing_after=at("2026-08-01 00:00")) if isinstance(n, Occurrence))


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def step(name: str, typical: float, careful: float, how: Reversible = Reversible.UNTIL_COMMIT) -> Step:
    return Step(name, Estimate(minutes(typical), minutes(careful), 3), how)


LANE = (
    step("restore_point", 5, 10, Reversible.YES),
    step("implement", 60, 80),
    step("acceptance", 8, 10, Reversible.YES),
    step("commit", 1, 5, Reversible.NO),
)


def clock(steps: tuple[Step, ...] = LANE, way_back: float = 60) -> NoReturn:
    return no_return(steps, minutes(way_back), night=NIGHT)


def test_the_percentiles_are_times_that_were_measured() -> None:
    ten = [Sample(minutes(n)) for n in (12, 10, 11, 30, 13, 14, 15, 16, 17, 60)]
    assert estimate(ten) == Estimate(minutes(14), minutes(30), 10)
    assert estimate(ten[:3]) == Estimate(minutes(11), minutes(12), 3)
    assert estimate([]) == Estimate(timedelta(0), timedelta(0), 0)


@pytest.mark.parametrize(("volume", "took"), [(None, 10), (100, 10), (50, 10), (250, 25), (0, 10)])
def test_more_data_takes_longer_and_less_is_not_trusted_to_be_quicker(volume: int | None, took: float) -> None:
    assert estimate([Sample(minutes(10), 100)], volume=volume).careful == minutes(took)
    assert estimate([Sample(minutes(10))], volume=volume).careful == minutes(10)


def test_each_step_begins_only_while_what_follows_and_the_way_back_fit() -> None:
    """The window closes at 17:00Z: 10 + 80 + 10 minutes of work, and 60 back."""
    told = {each.name: f"{each.latest_safe_start:%H:%M}" for each in clock().steps}
    assert told == {"restore_point": "14:20", "implement": "14:30", "acceptance": "15:50", "commit": "16:55"}
    assert [f"{each.expected:%H:%M}" for each in clock().steps] == ["13:00", "13:05", "14:05", "14:13"]


def test_people_can_decide_while_the_way_back_fits() -> None:
    assert clock().decide_by == at("2026-08-14 16:00")
    assert clock(way_back=2).decide_by == at("2026-08-14 16:55")


def test_before_a_step_that_cannot_be_undone_is_the_last_moment() -> None:
    """The way back would be short, and there is none once the irreversible step has begun."""
    lane = (LANE[0], step("implement", 60, 80, Reversible.NO), *LANE[2:])
    assert clock(lane, way_back=5).decide_by == at("2026-08-14 15:25")
    assert clock(lane, way_back=5).steps[1].latest_safe_start == at("2026-08-14 15:25")


def test_work_that_cannot_be_undone_in_the_night_does_not_fit() -> None:
    assert clock(way_back=140).fits
    assert not clock(way_back=141).fits


durations = st.integers(0, 300)


@given(st.lists(st.tuples(durations, st.sampled_from(list(Reversible))), min_size=1, max_size=6), durations)
def test_a_later_step_never_has_to_begin_before_an_earlier_one(
    drawn: list[tuple[int, Reversible]], way_back: int
) -> None:
    steps = tuple(step(str(n), took, took, how) for n, (took, how) in enumerate(drawn))
    found = no_return(steps, minutes(way_back), night=NIGHT)
    latest = [each.latest_safe_start for each in found.steps]
    assert latest == sorted(latest)
    assert found.decide_by <= NIGHT.closes
    for n, each in enumerate(found.steps):
        assert NIGHT.closes - each.latest_safe_start == time_needed(steps, minutes(way_back), done=n)
        assert NIGHT.closes - each.latest_safe_start >= steps[n].work.careful
