"""What a trigger form or API call asks for: read without trust, refused with reasons, never more than was asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from changeover.domain.record import Run
from changeover.usecases.open_run import request_faults, requested_run
from tests.support.world import plan

PLAN = plan()
LANES = ("training", "production")


def asked_for(**asked: Any) -> Run:
    return requested_run(
        PLAN,
        plan_digest="0" * 64,
        plan_text="",
        dag_run_id="manual",
        requested_by="ops",
        asked=asked,
        at=datetime(2026, 11, 25, tzinfo=UTC),
    )


def test_all_lanes_are_meant_only_where_nothing_is_said() -> None:
    assert asked_for(mode="implement").environments == LANES
    assert request_faults(PLAN, {"mode": "implement"}) == ()
    assert asked_for(environments="production").environments == ("production",)


def test_an_empty_list_means_none_and_is_refused() -> None:
    for mode in ("implement", "analyse", "back-out"):
        assert asked_for(mode=mode, environments=[]).environments == ()
        assert request_faults(PLAN, {"mode": mode, "environments": []}) == (
            "environments: names none; name one or more of training, production",
        )


def test_a_back_out_names_its_environments() -> None:
    fault = "environments: a back-out names the environments it is for"
    assert request_faults(PLAN, {"mode": "back-out"}) == (fault,)
    assert request_faults(PLAN, {"mode": "back-out", "environments": ["production"]}) == ()


@pytest.mark.parametrize("value", [5, True, None, {"production": True}, [5], [["production"]], ""])
def test_environments_that_are_no_names_are_refused_and_open_no_lane(value: Any) -> None:
    """The run is opened before anything is judged, so that the refusal is on record."""
    assert asked_for(environments=value).environments == ()
    faults = request_faults(PLAN, {"environments": value})
    assert len(faults) == 1
    assert "is not a lane of this plan; lanes are training, production" in faults[0]


@pytest.mark.parametrize("value", [5, True, "all", {"a": 1}])
def test_findings_that_are_no_list_are_refused(value: Any) -> None:
    assert asked_for(mode="fix", findings=value).findings == ()
    assert request_faults(PLAN, {"mode": "fix", "findings": value}) == (
        "findings: must be a list of keys, each KEY or KEY=SUBJECT",
    )
