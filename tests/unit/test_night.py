"""The night policy: what a plan may say, what is missing in it, and what happens when nobody answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from changeover.domain.night import ILLEGAL, SILENCE, Action, Case, Night, chosen, uncovered
from changeover.domain.night_clock import LONGEST_HOLD, NightFacts, choices_of, cut_off, hold_until, moments_due, rule
from changeover.domain.plan import cross_faults
from changeover.domain.plan_check import not_covered, plan_notes
from changeover.domain.record import MarkKind
from changeover.settings import PROJECT
from tests.support.world import plan

OPENS = datetime(2026, 8, 14, 22, tzinfo=UTC)
DECIDE_BY, CLOSES = OPENS + timedelta(hours=3), OPENS + timedelta(hours=5)
BEFORE = NightFacts(OPENS, latest_start=OPENS + timedelta(hours=1), decide_by=DECIDE_BY, closes=CLOSES)
BEGUN = NightFacts(OPENS, change_began=True, decide_by=DECIDE_BY, closes=CLOSES)
COMPLETE = {
    "plan_approval": "skip_environment",
    "support": "hold",
    "readiness_refused": "skip_environment",
    "implement_failed": "back_out",
    "acceptance_failed": "back_out",
    "execution_unknown": "hold",
    "decide_by_passed": "back_out",
    "window_end_passed": "proceed",
    "hypercare_failed": "hold",
}
LEGAL = {case: [action for action in Action if action not in illegal] for case, illegal in ILLEGAL.items()}


def at(hours: float) -> datetime:
    return OPENS + timedelta(hours=hours)


def action(case: Case, when: datetime, facts: NightFacts = BEGUN, **night: Any) -> Action:
    return rule(choices_of(Night.model_validate(night)), case, facts, at=when).action


def test_every_case_can_be_held_and_has_a_meaning_of_silence() -> None:
    """Silence never lets anything go on; what it means is legal wherever a plan could choose it at all."""
    assert set(ILLEGAL) == set(SILENCE) == set(Case)
    assert all(Action.HOLD in actions for actions in LEGAL.values())
    assert set(SILENCE.values()) == {Action.BACK_OUT, Action.SKIP_ENVIRONMENT}
    assert all(LEGAL[case] == [Action.HOLD] for case in Case if SILENCE[case] not in LEGAL[case])


@pytest.mark.parametrize(("case", "illegal"), [(case, bad) for case, bads in ILLEGAL.items() for bad in bads])
def test_an_illegal_choice_is_refused_with_its_reason(case: Case, illegal: Action) -> None:
    (fault,) = cross_faults(plan().model_dump() | {"night": {str(case): str(illegal)}})
    assert fault.startswith(f"night.{case}: {illegal} is not possible: {ILLEGAL[case][illegal]}; possible: hold")


def test_the_policy_that_the_docs_show_is_complete_and_legal() -> None:
    page = (PROJECT / "docs/windows.md").read_text(encoding="utf-8")
    shown = yaml.safe_load(page[page.index("night:\n  plan_approval") :].partition("```")[0])["night"]
    assert cross_faults(plan().model_dump() | {"night": shown}) == ()
    assert uncovered(Night.model_validate(shown), {"training": (True, True)}) == ()


def test_every_fault_of_a_night_is_told_at_once() -> None:
    night = {
        "acceptance_failed": "proceed",
        "go_no_go": "back_out",
        "environments": {"training": {"sign_off": "skip_environment"}, "elsewhere": {}},
    }
    found = cross_faults(plan().model_dump() | {"night": night})
    assert len(found) == 4, found
    assert any("what was not accepted is never kept by silence" in fault for fault in found)
    assert any("'elsewhere' is not an environment after the baseline, one of training, production" in f for f in found)


def test_an_environment_may_differ() -> None:
    night = Night.model_validate({"sign_off": "back_out", "environments": {"training": {"sign_off": "proceed"}}})
    assert chosen(night, Case.SIGN_OFF, "training") is Action.PROCEED
    assert chosen(night, Case.SIGN_OFF, "production") is Action.BACK_OUT
    assert chosen(night, Case.GO_NO_GO) is None


def test_coverage_asks_for_gates_only_where_people_are_asked() -> None:
    night = Night.model_validate(COMPLETE)
    assert uncovered(night, {"training": (False, False)}) == ()
    assert uncovered(night, {"training": (True, True), "production": (True, False)}) == ("go_no_go", "sign_off")
    own = night.model_copy(update={"environments": {"training": Night(go_no_go="proceed", sign_off="proceed")}})
    assert uncovered(own, {"training": (True, True), "production": (True, False)}) == ("go_no_go (production)",)
    assert set(uncovered(None, {"training": (False, False)})) == set(COMPLETE)


def test_a_plan_that_starts_by_itself_is_warned_of_what_it_does_not_say() -> None:
    from changeover.domain.plan import Unattended
    from changeover.domain.plan_check import Library

    attended = plan()
    assert not_covered(attended) == ()
    alone = attended.model_copy(update={"unattended": Unattended(window_of="production")})
    ((path, told),) = [
        note for note in plan_notes(alone, Library(None, None, (), ()), now=OPENS) if "says nothing" in note[1]
    ]
    assert (path, "support" in told) == (("unattended",), True)
    assert not_covered(alone.model_copy(update={"night": Night.model_validate(COMPLETE)})) == ()


def test_a_hold_before_the_change_lasts_until_it_is_too_late_to_begin_and_then_skips() -> None:
    held = rule(choices_of(Night(go_no_go="hold")), Case.GO_NO_GO, BEFORE, at=at(0.5))
    assert (held.action, held.until) == (Action.HOLD, at(1))
    assert action(Case.GO_NO_GO, at(1), BEFORE, go_no_go="hold") is Action.SKIP_ENVIRONMENT


def test_a_hold_after_the_change_lasts_until_decide_by_and_then_that_moments_choice_counts() -> None:
    assert action(Case.SIGN_OFF, at(2.9), sign_off="hold") is Action.HOLD
    assert action(Case.SIGN_OFF, at(3), sign_off="hold") is Action.BACK_OUT
    assert action(Case.SIGN_OFF, at(3), sign_off="hold", decide_by_passed="proceed") is Action.PROCEED
    assert action(Case.IMPLEMENT_FAILED, at(3), implement_failed="hold", decide_by_passed="proceed") is Action.BACK_OUT


def test_a_plan_may_hold_beyond_every_moment_but_not_for_ever() -> None:
    holds: dict[str, Any] = {"implement_failed": "hold", "decide_by_passed": "hold", "window_end_passed": "hold"}
    for hours in (2, 4, 6, 24):
        assert action(Case.IMPLEMENT_FAILED, at(hours), **holds) is Action.HOLD
    assert action(Case.IMPLEMENT_FAILED, OPENS + LONGEST_HOLD, **holds) is Action.BACK_OUT


def test_no_clock_takes_back_what_cannot_be_undone() -> None:
    facts = NightFacts(OPENS, change_began=True, decide_by=DECIDE_BY, closes=CLOSES, undoable=False)
    assert action(Case.WINDOW_END_PASSED, at(6), facts, window_end_passed="back_out") is Action.PROCEED
    assert cut_off(choices_of(None), facts) is None


def test_a_running_change_is_ended_at_the_first_moment_that_backs_out() -> None:
    def ends(**night: Any) -> datetime | None:
        return cut_off(choices_of(Night.model_validate(night)), BEGUN)

    assert cut_off(choices_of(None), BEGUN) == DECIDE_BY
    assert ends(decide_by_passed="back_out", window_end_passed="proceed") == DECIDE_BY
    assert ends(decide_by_passed="proceed", window_end_passed="back_out") == CLOSES
    assert ends(decide_by_passed="hold", window_end_passed="proceed") is None


def test_the_moments_of_decide_by_come_in_their_order() -> None:
    near, passed = MarkKind.DECIDE_BY_NEAR, MarkKind.DECIDE_BY_PASSED
    quarter = timedelta(minutes=15)
    for when, due in ((at(2.7), ()), (at(2.75), (near,)), (DECIDE_BY, (near, passed)), (at(9), (near, passed))):
        assert moments_due(DECIDE_BY, tell_before=quarter, at=when) == due


moments = st.integers(min_value=-24 * 60, max_value=14 * 24 * 60).map(
    lambda minutes: OPENS + timedelta(minutes=minutes)
)
nights = st.fixed_dictionaries(
    {}, optional={str(case): st.sampled_from(list(map(str, actions))) for case, actions in LEGAL.items()}
)


@st.composite
def facts_of_a_night(draw: st.DrawFn) -> NightFacts:
    began, windowed = draw(st.booleans()), draw(st.booleans())
    if not windowed:
        return NightFacts(draw(moments), change_began=began)
    closes = draw(moments)
    decide_by = closes - timedelta(minutes=draw(st.integers(0, 600)))
    start = decide_by - timedelta(minutes=draw(st.integers(0, 600)))
    return NightFacts(
        draw(moments), change_began=began, latest_start=None if began else start, decide_by=decide_by, closes=closes,
        undoable=draw(st.booleans()),
    )  # fmt: skip


@given(nights, st.sampled_from(list(Case)), facts_of_a_night(), moments)
def test_whatever_a_plan_says_the_ruling_is_legal_and_a_hold_ends(
    night: dict[str, str], case: Case, facts: NightFacts, when: datetime
) -> None:
    """Never proceed where that is illegal; a hold ends after now, and no later than a week after it began."""
    ruling = rule(choices_of(Night.model_validate(night)), case, facts, at=when)
    assert ruling.action in LEGAL[case] or ruling.action is SILENCE[case]
    assert (ruling.action is Action.HOLD) == (ruling.until is not None)
    if ruling.until is not None:
        assert when < ruling.until <= facts.since + LONGEST_HOLD
        assert str(case) in night


@given(nights, facts_of_a_night(), moments, moments)
def test_a_hold_that_is_over_stays_over(
    night: dict[str, str], facts: NightFacts, one: datetime, other: datetime
) -> None:
    """While it lasts its end comes no nearer, and once the clock has ended it no later look revives it."""
    choices = choices_of(Night.model_validate(night))
    early, late = sorted((one, other))
    first, second = hold_until(choices, facts, at=early), hold_until(choices, facts, at=late)
    if first is None:
        assert second is None
    elif second is not None:
        assert second >= first


@given(nights, facts_of_a_night())
def test_a_change_is_ended_only_where_it_can_go_back_inside_the_window_or_at_its_end(
    night: dict[str, str], facts: NightFacts
) -> None:
    ends = cut_off(choices_of(Night.model_validate(night)), facts)
    assert ends in (None, facts.decide_by, facts.closes)
    assert ends is None or facts.undoable
