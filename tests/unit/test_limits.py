"""A step that would be stopped half-way by the plan's own limit is found before the approval, not at night."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from changeover.domain.limits import limit_findings
from changeover.domain.no_return import Estimate
from changeover.domain.plan import Environment
from changeover.domain.runsheet import Durations
from changeover.usecases.run_on_hosts import PLAYBOOK_LIMIT, HostWork, playbook_limit
from tests.support.world import World, plan


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def lane(**limits: str) -> Environment:
    return Environment.model_validate(plan().environment("training").model_dump() | limits)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def test_what_fits_is_no_finding() -> None:
    """Neither at the very limit, nor where nothing was measured."""
    measured = Durations(restore_point=minutes(30), implement=minutes(60), back_out=minutes(30))
    assert not list(limit_findings(lane(implement_within="1h", restore_within="30m"), measured))
    assert not list(limit_findings(lane(implement_within="1s", restore_within="1s"), Durations()))


@pytest.mark.parametrize(
    ("measured", "key", "says"),
    [
        pytest.param(
            Durations(implement=minutes(61)),
            "limit-too-short-implement",
            "implement takes 1:01:00 (not measured), and the plan has it stopped after 1h",
            id="the change",
        ),
        pytest.param(
            Durations(restore_point=minutes(31)), "limit-too-short-restore-point", "after 30m", id="the restore point"
        ),
        pytest.param(
            Durations(
                back_out=minutes(5),
                estimates={"back_out": Estimate(minutes(5), minutes(50), samples=3, runs=3, growth=10)},
            ),
            "limit-too-short-back-out",
            "back_out takes 0:50:00 (P90 of 3 runs, ×10.0 for volume)",
            id="the back-out of more data than the rehearsal had",
        ),
        pytest.param(
            Durations(
                implement=minutes(40),
                between=(
                    ("restore_point_leg2", Estimate(minutes(1), minutes(1))),
                    ("implement_leg2", Estimate(minutes(21), minutes(21))),
                ),
            ),
            "limit-too-short-implement",
            "implement takes 1:01:00 (2 legs together)",
            id="the change of all legs has one limit",
        ),
        pytest.param(
            Durations(between=(("restore_point_leg2", Estimate(minutes(31), minutes(31))),)),
            "limit-too-short-restore-point-leg2",
            "restore_point_leg2 takes 0:31:00",
            id="the restore point of a leg",
        ),
    ],
)
def test_what_takes_longer_is_one(measured: Durations, key: str, says: str) -> None:
    found = list(limit_findings(lane(implement_within="1h", restore_within="30m"), measured))
    assert [finding.key for finding in found] == [key]
    assert says in found[0].summary
    assert found[0].inhibits
    assert "training" in found[0].remediation


@pytest.mark.parametrize(
    ("playbook", "limit"),
    [
        ("build.yml", minutes(90)),
        ("restore_point.yml", minutes(90)),
        ("back_out.yml", minutes(90)),
        ("discover.yml", PLAYBOOK_LIMIT),
        ("reopen.yml", PLAYBOOK_LIMIT),
    ],
)
def test_what_copies_data_has_the_time_that_the_plan_gives_it(world: World, playbook: str, limit: timedelta) -> None:
    """Half an hour ended a back-out of more data than that, which then counted as failed."""
    environments = [each.model_dump() | {"restore_within": "90m"} for each in plan().environments]
    upgrade = world.upgrade(of=plan(environments=environments))
    assert playbook_limit(upgrade, HostWork("step", playbook, "training", "2", changes=True)) == limit
