"""Whatever was taken for the night is written down before, and given back always, also after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from changeover.domain.record import Mark, MarkKind
from changeover.domain.taken import outstanding, told
from changeover.usecases.run_view import view_run
from tests.support.world import START, World
from tests.unit.test_lane import go_through, prepared


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def left(world: World, run: str) -> dict[str, tuple[str, ...]]:
    return outstanding(world.ledger.marks(run, environment="training"))


def test_what_is_taken_is_listed_by_name_and_given_back_at_the_commit(world: World) -> None:
    upgrade, tools = prepared(world)
    go_through(upgrade, tools, upgrade.lanes[0])
    taken = world.ledger.marks(upgrade.run.key, kind=MarkKind.TAKEN)
    assert [m.data["names"] for m in taken] == [[], ["tracker"]], "before anything is taken, and by name"
    (back,) = world.ledger.marks(upgrade.run.key, kind=MarkKind.GIVEN_BACK)
    assert back.data["by"] == "commit"
    assert left(world, upgrade.run.key) == {}


@pytest.mark.parametrize(
    ("broken", "by"),
    [
        (("training", "restore_point.yml"), "stand_down"),
        (("training", "implement.yml"), "back_out"),
        (("training", "verify.yml"), ""),
    ],
)
def test_it_is_given_back_after_a_failure_too(world: World, broken: tuple[str, str], by: str) -> None:
    world.breaks[broken] = ("train1",)
    upgrade, tools = prepared(world)
    go_through(upgrade, tools, upgrade.lanes[0])
    assert left(world, upgrade.run.key) == {}
    (back,) = world.ledger.marks(upgrade.run.key, kind=MarkKind.GIVEN_BACK)
    assert by in ("", back.data["by"])


def test_what_could_not_be_given_back_is_told_by_name(world: World) -> None:
    """In the outcome's reasons, and in `status`."""
    world.unwell.add("training")
    world.breaks["training", "back_out.yml"] = ("train1",)
    upgrade, tools = prepared(world)
    go_through(upgrade, tools, upgrade.lanes[0])
    assert left(world, upgrade.run.key) == {"train1": ("tracker",)}
    verdict = world.ledger.outcomes(upgrade.run.key)["training"]
    assert "train1: taken for the night and not given back: tracker" in verdict.reasons
    shown = next(e for e in view_run(world.ledger, upgrade.run).as_json()["environments"] if e["name"] == "training")
    assert shown["not_given_back"] == {"train1": ["tracker"]}


def test_a_host_that_could_not_say_what_it_closed_is_told_all_the_same() -> None:
    marks = [Mark("run", MarkKind.TAKEN, START, "training", "train1", {"names": []})]
    assert told(marks) == ("train1: taken for the night and not given back: traffic",)


def test_another_hosts_return_gives_nothing_back() -> None:
    marks = [
        Mark("run", MarkKind.TAKEN, START, "production", "prod1", {"names": ["feed"]}),
        Mark("run", MarkKind.TAKEN, START, "production", "prod2", {"names": ["feed"]}),
        Mark("run", MarkKind.GIVEN_BACK, START, "production", "prod2"),
    ]
    assert outstanding(marks) == {"prod1": ("feed",)}
