"""The post-implementation review: everything that did not go as planned, and what to check earlier next time."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from changeover import wiring
from changeover.adapters.report_files import review_text, write_review
from changeover.domain.record import MarkKind
from changeover.domain.review import Review, review_of
from tests.support.story import Story, upgraded

FAULT = "order-feed-reads-orders"


def review(story: Story) -> Review:
    return review_of(wiring.report(story.ledger, story.cmdb, story.run.key))


@pytest.fixture
def good(tmp_path: Path) -> Story:
    return upgraded(tmp_path)


@pytest.fixture
def backed_out(tmp_path: Path) -> Story:
    return upgraded(tmp_path, failed=FAULT)


def test_an_upgrade_as_planned_deviates_in_nothing(good: Story) -> None:
    told = review(good)
    assert (told.deviations, told.incidents, told.proposed) == ((), (), ())
    assert {(row.environment, row.what) for row in told.forecasts} >= {
        ("training", "implement"), ("production", "implement"), ("production", "restore_point"),
    }  # fmt: skip


def test_the_forecast_is_what_the_rehearsal_took(good: Story) -> None:
    rows = {(row.environment, row.what): row for row in review(good).forecasts}
    assert rows["production", "implement"].forecast == timedelta(seconds=22.5)
    assert rows["production", "implement"].actual == timedelta(seconds=21.3)
    assert rows["production", "restore_point"].forecast is None
    assert not any(environment == "baseline" for environment, _ in rows)


def test_a_step_longer_than_rehearsed_is_told(good: Story) -> None:
    good.step("production", "implement", 300, generation=2)
    told = review(good)
    assert [(d.environment, d.what) for d in told.deviations] == [
        ("production", "implement took longer than rehearsed")
    ]
    assert [check.key for check in told.proposed] == ["like-production-implement"]


def test_a_back_out_is_told_with_its_reason_and_a_check_for_next_time(backed_out: Story) -> None:
    """The integration passed in training and failed in production: what differs is to be compared earlier."""
    told = review(backed_out)
    assert ("production", "acceptance said no") in {(d.environment, d.what) for d in told.deviations}
    assert ("production", "the change was backed out") in {(d.environment, d.what) for d in told.deviations}
    (check,) = told.proposed
    assert (check.key, check.stage) == (f"same-as-baseline-{FAULT}", "analysis")
    assert "in baseline it had passed" in check.because


def test_a_check_that_failed_where_it_was_first_asked_is_asked_earlier(good: Story) -> None:
    good.gate("readiness", "training", "disk-io", failed="disk-io")
    (check,) = review(good).proposed
    assert (check.key, check.stage) == ("early-disk-io", "analysis")


def test_decisions_carry_names(backed_out: Story) -> None:
    told = review(backed_out)
    assert ("plan", "anna.berg") in {(row.question, row.by) for row in told.decisions}
    assert ("verdict", "back out", "rule") in {(row.question, row.answer, row.by) for row in told.decisions}
    assert [row.at for row in told.decisions] == sorted(row.at for row in told.decisions)
    assert "(anna.berg)" in review_text(told, "html")


def test_an_incident_is_told_as_it_was_seen_last(good: Story) -> None:
    for severity in (3, 1):
        good.mark(MarkKind.INCIDENT_SEEN, number="INC7", severity=severity, opened_at="then", summary="no <orders>")
    told = review(good)
    (seen,) = told.incidents
    assert (seen.number, seen.severity, seen.state) == ("INC7", 1, "open")
    assert [check.key for check in told.proposed] == ["accept-inc7"]
    assert "no &lt;orders&gt;" in review_text(told, "html")


def test_silence_is_told_and_somebody_is_asked_for_next_time(good: Story) -> None:
    good.mark(MarkKind.REJECTED, "production", gate="sign_off", by="nobody: no answer in time")
    told = review(good)
    assert told.deviations[0].reasons == ("sign off by nobody: no answer in time",)
    assert [check.key for check in told.proposed] == ["respondent-of-sign-off"]


@pytest.mark.parametrize(("minutes", "kept"), [(60, True), (0, False)])
def test_a_window_is_kept_or_not(good: Story, minutes: int, *, kept: bool) -> None:
    closes = good.clock - timedelta(hours=1) + timedelta(minutes=minutes) * 2
    good.mark(
        MarkKind.WINDOW_AGREED, "production", opens=(closes - timedelta(hours=9)).isoformat(), closes=closes.isoformat()
    )
    told = review(good)
    assert [window.kept for window in told.windows] == [kept]
    assert ("the window closed before the work had ended" in {d.what for d in told.deviations}) is not kept


def test_the_forecast_of_a_windows_fit_is_held_against_what_came(good: Story) -> None:
    """Work that begins with the window, as rehearsed; and what was really left when it had ended."""
    closes = good.clock + timedelta(hours=1)
    opens, forecast = closes - timedelta(hours=9), timedelta(minutes=30)
    good.mark(
        MarkKind.WINDOW_AGREED, "production", opens=opens.isoformat(), closes=closes.isoformat(),
        forecast_seconds=forecast.total_seconds(), decide_by=(closes - timedelta(hours=2)).isoformat(),
    )  # fmt: skip
    (window,) = review(good).windows
    assert window.settled is not None
    assert window.began is not None
    assert (window.forecast, window.spare_forecast) == (forecast, timedelta(hours=8, minutes=30))
    assert (window.actual, window.spare) == (window.settled - window.began, closes - window.settled)
    as_json = window.as_json()
    assert as_json["forecast_seconds"] == 1800.0
    assert as_json["actual_seconds"] == (window.settled - window.began).total_seconds()


def test_both_forms_are_written_and_say_the_same(backed_out: Story, tmp_path: Path) -> None:
    told = review(backed_out)
    written = write_review(told, tmp_path / "reports")
    as_json = json.loads(written["json"].read_text())
    assert (as_json["schema_version"], as_json["outcome"]) == (1, "backed_out")
    page = written["html"].read_text()
    for check in as_json["proposed_checks"]:
        assert check["key"] in page
    for heading in ("Forecast against actual", "Deviations", "Decisions", "Incidents", "Proposed checks", "Timeline"):
        assert f"<h2>{heading}</h2>" in page
    assert {path.name for path in written.values()} == {f"{backed_out.run.key}.review.{form}" for form in written}


def test_a_run_that_came_nowhere_has_a_review_as_well(tmp_path: Path) -> None:
    from tests.support.story import opened

    page = review_text(review(opened(tmp_path)), "html")
    assert "No step of an environment in use was begun." in page
    assert "still open" in page
