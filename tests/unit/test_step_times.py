"""How long a step takes: P50 and P90 over rehearsal and earlier runs, for as much data as there is, with the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from changeover.domain.plan import Plan
from changeover.domain.record import Mark, MarkKind, Run, StepRecord, StepStatus
from changeover.domain.step_times import MeasuredRun, step_times
from changeover.usecases.planning_facts import durations, times_of, volumes
from changeover.usecases.tools import Upgrade
from tests.support.world import START, World, plan


def minutes(value: float) -> timedelta:
    return timedelta(minutes=value)


def step(name: str, took: float, environment: str = "baseline", **other: Any) -> StepRecord:
    fields: dict[str, Any] = {"run": "r", "generation": 1, "status": StepStatus.SUCCESSFUL} | other
    return StepRecord(environment=environment, step=name, started_at=START, ended_at=START + minutes(took), **fields)


def run(name: str, *steps: StepRecord, **other: Any) -> MeasuredRun:
    return MeasuredRun(name, steps, "baseline", **({"volumes": {}} | other))


def test_one_rehearsal_is_told_as_one() -> None:
    found = step_times([run("a", step("implement", 10), step("back_out", 4), step("acceptance", 2))])
    assert (found.implement, found.way_back) == (minutes(10), minutes(6))
    assert found.told() == "implement 0:10:00 (rehearsal), acceptance 0:02:00 (rehearsal), back out 0:04:00 (rehearsal)"


def test_of_several_runs_the_careful_time_counts() -> None:
    runs = [run(name, step("implement", took)) for name, took in zip("abcde", (10, 12, 9, 30, 11), strict=True)]
    found = step_times(runs)
    assert found.estimates["implement"].typical == minutes(11)
    assert found.told() == "implement 0:30:00 (P90 of 5 runs)"


def test_more_data_takes_longer_and_it_is_said() -> None:
    runs = [run(n, step("implement", 10), step("acceptance", 2), volumes={"baseline": 100}) for n in "abcde"]
    found = step_times(runs, volume=140)
    assert found.implement == minutes(14)
    assert found.told() == "implement 0:14:00 (P90 of 5 runs, ×1.4 for volume), acceptance 0:02:00 (P90 of 5 runs)"
    assert step_times(runs, volume=50).implement == minutes(10), "less data is not trusted to be quicker"


def test_each_time_grows_from_the_data_it_was_measured_on() -> None:
    """The run on the small copy is the longer one for us, although it took less."""
    small = run("a", step("implement", 8), volumes={"baseline": 10})
    big = run("b", step("implement", 20), volumes={"baseline": 100})
    found = step_times([small, big], volume=100)
    assert found.implement == minutes(80)
    assert "×10.0 for volume" in found.told()


def test_a_step_that_failed_says_nothing_and_a_test_that_said_no_does() -> None:
    failed = {"status": StepStatus.FAILED}
    found = step_times([run("a", step("implement", 1, **failed), step("acceptance", 3, **failed))])
    assert (found.implement, found.acceptance) == (timedelta(0), minutes(3))


def test_another_way_tells_of_restore_points_and_tests_but_not_of_this_change() -> None:
    other = run("a", step("implement", 90), step("restore_point", 5), step("back_out", 40), same_way=False)
    found = step_times([run("b", step("implement", 10)), other])
    assert (found.implement, found.restore_point, found.back_out) == (minutes(10), minutes(5), timedelta(0))


def test_old_measurements_make_room_for_new_ones() -> None:
    runs = [run(f"{n}", step("implement", 10)) for n in range(20)] + [run("old", step("implement", 500))]
    assert step_times(runs).implement == minutes(10)


# from the ledger


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def with_volumes(**sizes: str) -> Plan:
    environments = [environment.model_dump(exclude_unset=True) for environment in plan().environments]
    for environment in environments:
        if environment["name"] in sizes:
            environment["data_volume"] = sizes[environment["name"]]
    return plan(environments=environments)


def took(world: World, of: Run, name: str, minutes_: float, environment: str = "baseline") -> None:
    done = step(name, minutes_, environment, run=of.key)
    world.ledger.begin_step(done)
    world.ledger.end_step(done)


def earlier(world: World, name: str, at: datetime = START, **changes: Any) -> Run:
    found = replace(world.upgrade().run, key=name, opened_at=at, **changes)
    return world.ledger.open_run(found)


def reading(world: World, of: Callable[[str], Plan | None]) -> Any:
    content: Any = SimpleNamespace(plan=of)
    return replace(world.tools(), content=content)


def test_earlier_runs_of_the_same_application_count_with_the_rehearsal(world: World) -> None:
    upgrade = world.upgrade()
    took(world, upgrade.run, "implement", 10)
    for n, minutes_ in enumerate((12, 20, 11)):
        took(world, earlier(world, f"e{n}", dag_id="acme.before"), "implement", minutes_)
    took(world, earlier(world, "other", client="zenith", dag_id="zenith.x"), "implement", 300)
    tools = reading(world, lambda text: plan())
    assert durations(upgrade, tools).told() == "implement 0:20:00 (P90 of 4 runs)"
    assert durations(upgrade, world.tools()).told() == "implement 0:10:00 (rehearsal)", "their plans cannot be read"


def test_runs_between_other_versions_lend_their_restore_points_only(world: World) -> None:
    upgrade = world.upgrade()
    before = earlier(world, "before", dag_id="acme.before")
    took(world, before, "implement", 90)
    took(world, before, "restore_point", 7)
    tools = reading(world, lambda text: plan(from_version="1.0.0", to_version="2.0.0"))
    found = durations(upgrade, tools)
    assert (found.implement, found.restore_point) == (timedelta(0), minutes(7))


def test_the_plan_declares_volumes_and_the_baseline_has_what_it_was_copied_from(world: World) -> None:
    of = with_volumes(training="10GB", production="1.5TB")
    upgrade = world.upgrade(of=of)
    assert volumes(world.ledger, of, upgrade.run) == {
        "training": 10 * 10**9, "production": 1_500 * 10**9, "baseline": 1_500 * 10**9,
    }  # fmt: skip


def test_where_nothing_is_declared_the_analysis_has_measured(world: World) -> None:
    of = with_volumes(training="10GB")
    upgrade = world.upgrade(of=of)
    read = [("training", 5), ("production", 70), ("production", 100), ("baseline", None)]
    found = [{"environment": name, "host": "h", "data_bytes": size} for name, size in read]
    world.ledger.mark(Mark(upgrade.run.key, MarkKind.ANALYSED, START, data={"inventory": found}))
    assert volumes(world.ledger, of, upgrade.run) == {"training": 10 * 10**9, "production": 100, "baseline": 100}


def test_a_lane_with_more_data_than_the_rehearsal_had_needs_more_time(world: World) -> None:
    of = with_volumes(baseline="100GB", production="250GB", training="50GB")
    upgrade = world.upgrade(of=of)
    took(world, upgrade.run, "implement", 10)
    training, production = of.lanes
    tools = world.tools()
    assert durations(upgrade, tools, training).implement == minutes(10)
    assert durations(upgrade, tools, production).implement == minutes(25)
    assert durations(upgrade, tools, production).told() == "implement 0:25:00 (rehearsal, ×2.5 for volume)"


def test_without_a_run_the_ledger_says_what_the_next_may_expect(world: World) -> None:
    took(world, world.upgrade().run, "implement", 10, "production")
    of = plan()
    assert times_of(world.ledger, of, of.lanes[0]).told() == "implement 0:10:00 (this upgrade)"


def test_the_run_sheet_says_where_its_times_come_from(world: World) -> None:
    from changeover.usecases.planning import write_run_sheet
    from changeover.usecases.transition import check_entry

    of = with_volumes(baseline="100GB", production="250GB", training="50GB")
    upgrade: Upgrade = world.upgrade(of=of)
    check_entry(upgrade, world.tools())
    took(world, upgrade.run, "implement", 10)
    text = write_run_sheet(upgrade, world.tools()).data["run_sheet"]
    assert "Times of training: implement 0:10:00 (rehearsal)." in text
    assert "Times of production: implement 0:25:00 (rehearsal, ×2.5 for volume)." in text


@pytest.mark.parametrize("written", ["10", "10 GB", "0GB", "-1GB", "1PB", 0, True, "10gb", 120])
def test_a_volume_is_written_with_its_unit(written: Any) -> None:
    with pytest.raises(ValidationError, match="data_volume"):
        with_volumes(production=written)
