"""Documents tell an approval by a quorum as it is counted: how far it came, and everybody who said yes."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.domain.paper import Paper
from changeover.domain.record import MarkKind
from changeover.usecases.documents.catalogue import PAPERS
from changeover.usecases.documents.subject import Subject
from tests.support import papers
from tests.support.story import Story, opened

TWO = papers.NORDWIND.read_text(encoding="utf-8").replace(
    "  by: [anna.berg, petra.lang]\n  wait: 4h\n", "  by: [anna.berg, petra.lang]\n  wait: 4h\n  quorum: 2\n"
)
NIGHT = "night: {plan_approval: hold}\n"
TASK = "s06_planning.approve_plan"


@pytest.fixture
def story(tmp_path: Path) -> Story:
    made = opened(tmp_path)
    made.mark(MarkKind.ASKED, gate="plan", asked=["anna.berg", "petra.lang"], needed=2)
    return made


def say(story: Story, who: str, kind: MarkKind = MarkKind.APPROVED) -> None:
    story.mark(kind, gate="plan", by=who, plan_digest=story.run.plan_digest)


def subject(story: Story) -> Subject:
    return papers.subject(TWO, ledger=story.ledger, run=story.run)


def told(story: Story, name: str) -> str:
    paper: Paper = PAPERS[name](subject(story))
    return "\n".join(paper.texts())


def test_nobody_has_answered(story: Story) -> None:
    assert TASK not in subject(story).actuals
    assert "not yet given" in told(story, "implementation-plan")


def test_one_of_two_is_no_approval(story: Story) -> None:
    say(story, "anna.berg")
    say(story, "anna.berg")
    actual = subject(story).actuals[TASK]
    assert (actual.state, actual.by) == ("1 of 2 approvals", ("anna.berg",))
    assert "1 of 2 approvals by Anna Berg" in told(story, "implementation-plan")
    passport = told(story, "upgrade-passport")
    assert "1 of 2 approvals, 2026-11-25" in passport
    assert "approved" not in passport


def test_two_of_two_are_both_named(story: Story) -> None:
    say(story, "anna.berg")
    say(story, "petra.lang")
    assert "approved by Anna Berg and Petra Lang" in told(story, "implementation-plan")
    assert "Anna Berg and Petra Lang" in told(story, "closing-report")
    assert "approved, 2026-11-25" in told(story, "upgrade-passport")


def test_one_no_is_the_answer(story: Story) -> None:
    say(story, "anna.berg")
    say(story, "petra.lang", MarkKind.REJECTED)
    assert "rejected by Petra Lang" in told(story, "implementation-plan")


def test_asked_anew_nothing_is_counted_yet(story: Story) -> None:
    say(story, "petra.lang", MarkKind.REJECTED)
    story.mark(MarkKind.ASKED, gate="plan", asked=["anna.berg", "petra.lang"], needed=2)
    assert "not yet given" in told(story, "implementation-plan")


def test_a_request_that_asked_more_people_than_the_plan_names_is_counted_as_it_was_put(story: Story) -> None:
    """A back-out that may lose data asks two of all that the plan names at any gate."""
    story.mark(MarkKind.ASKED, gate="plan", asked=["anna.berg", "mira.schulz"], needed=2)
    say(story, "mira.schulz")
    assert subject(story).actuals[TASK].state == "1 of 2 approvals"


@pytest.mark.parametrize(("night", "silence"), [("", "a no"), (NIGHT, "asked again")])
def test_silence_is_what_the_plans_night_says(night: str, silence: str) -> None:
    plan = papers.NORDWIND.read_text(encoding="utf-8") + night
    paper = PAPERS["implementation-plan"](papers.subject(plan))
    assert f"4 h 00; silence is {silence}" in "\n".join(paper.texts())
