"""A stage that has to wait gives its worker back, and is asked again afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from changeover.orchestration.operators import Staged, StageOperator
from changeover.orchestration.pinned import PinnedPlan
from changeover.orchestration.triggers import SteeringTrigger
from changeover.usecases.tools import no, wait, yes
from tests.support.world import START, plan


class Asked(Staged):
    """Answers as it is told to."""

    def execute(self, context: Any) -> Any:
        return self.settle(context, "run", context["answer"])


def test_a_wait_defers_to_the_triggerer_and_ends_in_the_same_question() -> None:
    until = START + timedelta(hours=1)
    with pytest.raises(TaskDeferred) as deferred:
        Asked(task_id="a").execute({"answer": wait("held", until=until, seen="held  now; goes on")})
    assert deferred.value.method_name == "again"
    trigger = deferred.value.trigger
    assert isinstance(trigger, SteeringTrigger)
    assert trigger.serialize()[1] == {
        "run_key": "run",
        "environment": "",
        "seen": "held  now; goes on",
        "until": until.isoformat(),
    }
    assert Asked(task_id="b").again({"answer": yes("on")}, {"time": "now"}) == {"text": "on"}
    with pytest.raises(AirflowFailException, match="too late"):
        Asked(task_id="c").again({"answer": no("too late")}, {"time": "now"})


def test_a_lanes_stage_waits_on_its_own_environments_steering() -> None:
    pinned = PinnedPlan(plan(), "d" * 64, "text")
    lane = StageOperator(task_id="a", pinned=pinned, stage="window", environment=plan().lanes[0])
    assert (lane.place, StageOperator(task_id="b", pinned=pinned, stage="prepare").place) == ("training", "")
