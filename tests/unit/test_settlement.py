"""What is true of an environment that stopped half-way, and what a person may do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from changeover.domain.batch import Standing
from changeover.domain.host_lock import Controller, HostHold, LiveProcess, Lock, Marker
from changeover.domain.settlement import (
    Driver,
    EnvironmentFacts,
    HostEvidence,
    HostTruth,
    Truth,
    Wanted,
    Way,
    environment_truth,
    host_truth,
    settle,
)

WANTED = Wanted("r1", "2.0.0", "2.6.0")


def truth(phase: str = "", version: str | None = None, *, run: str = "r1", **changes: Any) -> Truth:
    hold = HostHold("prod1", True, lock=Lock("r1"), marker=Marker(run, phase=phase) if phase else None)
    return host_truth(replace(HostEvidence(hold, version=version), **changes), WANTED, touched=True).truth


@pytest.mark.parametrize(
    ("phase", "version", "expected"),
    [
        ("", "2.0.0", Truth.OLD),
        ("", "2.0", Truth.OLD),
        ("backed_out", "2.0.0", Truth.OLD),
        ("implemented", "2.6.0", Truth.NEW),
        ("committed", "2.6.0", Truth.NEW),
        ("", "2.6.0", Truth.NEW),
        ("implementing", "2.0.0", Truth.BETWEEN),
        ("implementing", "2.6.0", Truth.BETWEEN),
        ("implementing", None, Truth.BETWEEN),
        ("backing_out", "2.0.0", Truth.BETWEEN),
        ("implemented", "2.0.0", Truth.BETWEEN),
        ("committed", "2.0.0", Truth.BETWEEN),
        ("backed_out", "2.6.0", Truth.BETWEEN),
        ("", "2.5.0", Truth.BETWEEN),
        ("", "gibberish", Truth.BETWEEN),
        ("", None, Truth.UNKNOWN),
        ("implemented", None, Truth.BETWEEN),
    ],
)
def test_marker_and_version_together_tell_what_is_true(phase: str, version: str | None, expected: Truth) -> None:
    """A version alone never proves a change that the marker says has not ended."""
    assert truth(phase, version) is expected


def test_the_marker_of_another_run_says_nothing_of_this_one() -> None:
    assert truth("implementing", "2.0.0", run="another") is Truth.OLD


def test_beside_living_processes_nothing_is_settled() -> None:
    assert truth("implemented", "2.6.0", processes=(LiveProcess(4, "t", "migrate"),)) is Truth.BETWEEN


def test_a_host_that_cannot_be_asked_is_unknown_whatever_is_on_record() -> None:
    away = HostEvidence(HostHold("prod1", False, "no connection", processes=None), version="2.6.0")
    assert host_truth(away, WANTED, touched=True).truth is Truth.UNKNOWN
    assert host_truth(away, WANTED, touched=False).truth is Truth.UNKNOWN


def test_an_environment_is_what_all_its_hosts_are() -> None:
    def of(*truths: Truth) -> Truth:
        return environment_truth([HostTruth(str(n), one, "") for n, one in enumerate(truths)])

    assert of(Truth.NEW, Truth.NEW) is Truth.NEW
    assert of(Truth.NEW, Truth.OLD) is Truth.BETWEEN
    assert of(Truth.NEW, Truth.UNKNOWN) is Truth.UNKNOWN
    assert of() is Truth.UNKNOWN


def host(truth: Truth = Truth.BETWEEN, **changes: Any) -> HostTruth:
    return replace(HostTruth("prod1", truth, "because", "2.6.0", locked=True), **changes)


HALF_WAY = EnvironmentFacts(
    "production",
    (host(),),
    Driver.ENDED,
    started=True,
    outcome="unknown",
    change_began=True,
    restore_point="r1-production",
    tried={"restore_point": "successful", "implement": "unknown"},
)


def ways(facts: EnvironmentFacts) -> set[str]:
    return {str(option.way) for option in settle(facts).options if option.possible}


def why_not(facts: EnvironmentFacts, way: Way) -> str:
    option = settle(facts).option(way)
    assert not option.possible
    assert option.reasons
    return "; ".join(option.reasons)


def test_half_way_it_is_backed_out_or_closed_and_never_run_twice() -> None:
    assert ways(HALF_WAY) == {"back-out", "close"}
    assert "nothing that changes a host is run twice" in why_not(HALF_WAY, Way.RESUME)
    assert settle(HALF_WAY).option(Way.BACK_OUT).stage == "verdict"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"restore_point": None}, "no proven restore point"),
        ({"committed": True}, "committed"),
        (
            {"tried": {"back_out": "successful"}, "hosts": (host(Truth.OLD, phase="backed_out"),)},
            "prod1 may serve the old release again: close it, then start a run in mode back-out, which counts",
        ),
        ({"implements": False, "restore_point": None, "tried": {"back_out": "failed"}}, "start another one"),
        ({"implemented": True, "accepted": True, "signed_off": True}, "accepted and signed off"),
        ({"hosts": (host(Truth.UNKNOWN),)}, "could not be asked"),
        ({"hosts": (host(alive=("process 4: migrate",)),)}, "process 4: migrate still lives"),
        ({"controller": Controller.RUNS}, "still at work"),
        ({"controller": Controller.NOT_HERE}, "its controller process is not on this machine and may still be at work"),
        ({"driver": Driver.NOT_KNOWN}, "no longer knows the run"),
        ({"is_lane": False}, "baseline"),
    ],
)
def test_a_back_out_that_is_not_possible_says_why(changes: dict[str, Any], reason: str) -> None:
    assert reason in why_not(replace(HALF_WAY, **changes), Way.BACK_OUT)


@pytest.mark.parametrize("ended", ["failed", "unknown", "without a result"])
def test_a_back_out_that_failed_is_done_again_by_a_persons_order(ended: str) -> None:
    """As long as no host may have let its users in."""
    tried = {"implement": "failed", "back_out": ended}
    half = (host(phase="implemented"), host(phase="backing_out"), host(phase=""))
    option = settle(replace(HALF_WAY, outcome="back_out_failed", tried=tried, hosts=half)).option(Way.BACK_OUT)
    assert (option.possible, option.stage, option.again) == (True, "verdict", True)
    assert f"back_out ended {ended}: it is done once more by this order" in option.reasons


def test_a_first_back_out_is_not_one_again() -> None:
    assert not settle(HALF_WAY).option(Way.BACK_OUT).again


def test_a_rollout_takes_back_once_more_what_it_did_not_see_taken_back() -> None:
    """A host whose standing says that it was taken back is left alone; one that only says so itself may serve."""
    tried = {"implement": "failed", "back_out": "failed"}
    mixed = (host(Truth.OLD, host="web1", phase="backed_out"), host(host="web2", phase="backing_out"))
    rollout = replace(HALF_WAY, tried=tried, hosts=mixed)
    seen = {"web1": Standing.BACKED_OUT, "web2": Standing.FAILED}
    assert settle(replace(rollout, standings=seen)).option(Way.BACK_OUT).possible
    unseen = {"web1": Standing.FAILED, "web2": Standing.FAILED}
    assert "web1 may serve" in why_not(replace(rollout, standings=unseen), Way.BACK_OUT)


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({"change_began": False, "tried": {}}, "window"),
        ({"change_began": False, "tried": {"restore_point": "successful"}}, "window"),
        ({"implemented": True, "hosts": (host(Truth.NEW),), "tried": {"implement": "successful"}}, "acceptance"),
        ({"hosts": (host(Truth.NEW),), "tried": {"implement": "successful"}}, "implement"),
        ({"at_stop": "2.3.0", "tried": {"implement": "successful"}}, "implement"),
        ({"decision": "commit"}, "verdict"),
        ({"decision": "stand_down", "change_began": False}, "verdict"),
        (
            {"controller": Controller.RUNS, "tried": {"restore_point": "successful", "implement": "running"}},
            "implement",
        ),
    ],
)
def test_a_run_resumes_where_nothing_is_done_twice(changes: dict[str, Any], stage: str) -> None:
    option = settle(replace(HALF_WAY, **changes)).option(Way.RESUME)
    assert (option.possible, option.stage) == (True, stage)
    assert option.reasons[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"implemented": True, "tried": {"implement": "successful"}}, "not found on every host"),
        ({"change_began": False, "tried": {"restore_point": "failed"}}, "restore_point ended failed"),
        ({"decision": "commit", "tried": {"commit": "without a result"}}, "commit ended without a result"),
        ({"decision": "back_out"}, "to be backed out"),
        ({"implements": False}, "to be backed out"),
        ({"backed_out": True}, "start a new run"),
        ({"hosts": (host(Truth.UNKNOWN),), "decision": "commit"}, "could not be asked"),
    ],
)
def test_a_resume_that_is_not_possible_says_why(changes: dict[str, Any], reason: str) -> None:
    assert reason in why_not(replace(HALF_WAY, **changes), Way.RESUME)


def test_where_nothing_was_changed_a_back_out_gives_back_what_was_taken() -> None:
    early = replace(HALF_WAY, outcome=None, change_began=False, tried={"restore_point": "failed"})
    option = settle(early).option(Way.BACK_OUT)
    assert (option.possible, option.stage) == (True, "verdict")
    assert "opened again" in option.reasons[0]
    assert "stand_down ended failed" in why_not(replace(early, tried={"stand_down": "failed"}), Way.BACK_OUT)


def test_a_controller_that_cannot_be_seen_from_here_keeps_anything_from_beginning() -> None:
    """It may be at work on another machine; a person may still close, and is told what that means."""
    facts = replace(HALF_WAY, controller=Controller.NOT_HERE)
    assert ways(facts) == {"close"}
    assert "is not on this machine and may still be at work" in why_not(facts, Way.RESUME)
    (_, answers) = settle(facts).option(Way.CLOSE).reasons
    assert answers.startswith("who closes it answers for this: its controller process is not on this machine")


def test_beside_an_airflow_that_goes_on_what_is_lost_is_told_and_nothing_is_begun() -> None:
    lost = replace(HALF_WAY, driver=Driver.GOES_ON, lost=(("implement", "the controller is gone"),))
    assert settle(lost).needs == ("implement was lost: the controller is gone",)
    assert ways(lost) == set()
    assert "Airflow's run goes on" in why_not(lost, Way.CLOSE)
    left = replace(HALF_WAY, driver=Driver.GOES_ON, hosts=(host(alive=("process 4: migrate",)),))
    assert settle(left).needs == ("prod1: process 4: migrate, and nobody follows it",)
    assert settle(replace(left, controller=Controller.RUNS)).needs == ()


def test_a_person_may_close_beside_an_unreachable_host_and_not_beside_a_living_process() -> None:
    away = settle(replace(HALF_WAY, hosts=(host(Truth.UNKNOWN),))).option(Way.CLOSE)
    assert away.possible
    assert "prod1 stays unknown" in away.reasons[1]
    assert "still lives" in why_not(replace(HALF_WAY, hosts=(host(alive=("process 4: x",)),)), Way.CLOSE)
    assert "at work" in why_not(replace(HALF_WAY, controller=Controller.RUNS), Way.CLOSE)


FREE = host(Truth.NEW, locked=False)


@pytest.mark.parametrize(
    "changes",
    [
        {"driver": Driver.GOES_ON, "outcome": None},
        {"driver": Driver.NO_ANSWER, "controller": Controller.RUNS},
        {"outcome": "successful", "hosts": (FREE,)},
        {"outcome": "successful", "hosts": (replace(FREE, truth=Truth.UNKNOWN),)},
        {"outcome": None, "started": False, "hosts": (replace(FREE, truth=Truth.UNTOUCHED),)},
        {"closed_by": "anna.berg", "hosts": (replace(FREE, truth=Truth.BETWEEN),)},
    ],
)
def test_there_is_nothing_to_settle(changes: dict[str, Any]) -> None:
    found = settle(replace(HALF_WAY, **changes))
    assert found.needs == ()
    assert found.why
    assert not any(option.possible for option in found.options)


@pytest.mark.parametrize(
    ("changes", "need"),
    [
        ({"outcome": None}, "no outcome"),
        ({"outcome": None, "driver": Driver.NO_ANSWER}, "no outcome"),
        ({"outcome": "back_out_failed"}, "back out failed"),
        ({"outcome": "backed_out", "hosts": (replace(FREE, locked=True),)}, "still locked"),
        ({"outcome": "successful", "hosts": (replace(FREE, truth=Truth.BETWEEN),)}, "in between"),
        ({"closed_by": "anna.berg"}, "still locked"),
        ({"outcome": "successful", "hosts": (replace(FREE, alive=("process 4: x",)),)}, "process 4"),
    ],
)
def test_there_is_something_to_settle(changes: dict[str, Any], need: str) -> None:
    assert need in " ".join(settle(replace(HALF_WAY, **changes)).needs)
