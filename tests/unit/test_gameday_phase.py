"""When a phase's work is in progress: told by files alone, so that neither controller nor host is disturbed."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from changeover import lab
from changeover.domain.gameday import Phase
from changeover.errors import ChangeoverError, LabError
from changeover.gameday.cell import Trap, reached
from changeover.gameday.faults import FAULTS, Fault
from changeover.gameday.ground import VICTIM, Ground, read_plan
from changeover.gameday.witness import Before
from changeover.lab.environment import LabHost
from changeover.settings import PROJECT, load
from tests.unit.test_witness import migrate

RUN = "run-1"
PLAN = PROJECT / "include/plans/lindgren/roundup-2.6.yaml"


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    host = LabHost(VICTIM, "127.0.0.1", 9, tmp_path / VICTIM)
    (host.app / "tracker/db").mkdir(parents=True)
    host.state.mkdir()
    migrate(host, 5)
    nowhere = tmp_path / "nowhere"
    state = lab.LabState("roundup", tmp_path, (host,), "lab", nowhere, nowhere, nowhere, nowhere, nowhere)
    settings = replace(load({}), home=tmp_path / "home")
    return Ground(settings, read_plan(PLAN), state, {}, {VICTIM: Before(5, frozenset())})


def started(ground: Ground, step: str) -> None:
    folder = ground.settings.executions_directory(RUN) / f"production.{step}.1"
    folder.mkdir(parents=True)
    (folder / "started.json").write_text("{}", encoding="utf-8")


def in_progress(ground: Ground) -> set[Phase]:
    return {phase for phase in Phase if reached(ground, phase, RUN)}


def test_nothing_is_in_progress_before_the_lane(ground: Ground) -> None:
    assert in_progress(ground) == set()


def test_each_phase_is_known_by_its_own_sign(ground: Ground) -> None:
    started(ground, "restore_point")
    assert in_progress(ground) == {Phase.BEFORE}
    migrate(ground.victim, 8)
    assert Phase.MID in in_progress(ground)
    started(ground, "acceptance_verify")
    assert Phase.ACCEPTANCE in in_progress(ground)
    (ground.victim.state / "marker.json").write_text(json.dumps({"phase": "backing_out"}), encoding="utf-8")
    assert in_progress(ground) == set(Phase)


def trap(ground: Ground, fault: Fault) -> Trap:
    set_one = Trap(ground, fault, Phase.BEFORE, RUN, lambda text: None)
    started(ground, "restore_point")
    watching = threading.Thread(target=set_one.watch)
    watching.start()
    watching.join(5)
    return set_one


def test_the_fault_is_made_once_when_its_phase_is_there(ground: Ground) -> None:
    made: list[str] = []
    fault = Fault("quake", "earth shaken", lambda where: made.append(where.victim.name), lambda where: None)
    assert trap(ground, fault).made
    assert made == [VICTIM]


def test_a_fault_that_could_not_be_made_is_told(ground: Ground) -> None:
    def fail(where: Ground) -> None:
        raise LabError("the earth stands still")

    sprung = trap(ground, Fault("quake", "earth shaken", fail, lambda where: None))
    assert not sprung.made
    assert sprung.broke == "the fault could not be made: the earth stands still"


def test_a_fault_of_airflow_needs_one(ground: Ground) -> None:
    kill = next(fault for fault in FAULTS if fault.key == "kill-scheduler")
    with pytest.raises(ChangeoverError, match="this cell has no Airflow"):
        kill.make(ground)


def test_a_plan_of_another_site_is_refused() -> None:
    with pytest.raises(ChangeoverError, match="is played on the lab's site roundup"):
        read_plan(PROJECT / "include/plans/nordwind/tryton-8.0.yaml")
