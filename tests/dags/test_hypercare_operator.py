"""The watch's task between its looks: it gives its worker back, and says in a request what people need to know."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput, TaskDeferred

from changeover.domain.hypercare import asked_rows
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import MarkKind
from changeover.orchestration import hypercare, run_context
from changeover.orchestration.hypercare import HypercareOperator
from changeover.orchestration.pinned import PinnedPlan
from changeover.usecases.tools import Upgrade
from tests.support.world import NEW, World, plan

CONTEXT = {"task_instance": SimpleNamespace(id="ti-1"), "dag_run": SimpleNamespace(run_id="manual__1+00:00")}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the task would have Airflow ask people."""
    put: list[dict[str, Any]] = []
    monkeypatch.setattr(hypercare, "upsert_hitl_detail", lambda **request: put.append(request))
    monkeypatch.setattr(run_context, "deliver_quietly", lambda tools: None)
    return put


def a_watch(
    world: World, monkeypatch: pytest.MonkeyPatch, *, upgraded: bool = True, **hypercare: Any
) -> tuple[Upgrade, HypercareOperator]:
    watched = {"length": "1m", "interval": "20s"} | hypercare
    of = plan(support={"hypercare": watched, "accepted_by": {"by": ["support"]}})
    upgrade, tools = world.upgrade(of=of), world.tools()
    found = [world.cmdb.environment("acme", "tracker", name) for name in ("training", "production")]
    world.ledger.freeze_hosts(upgrade.run.key, {each.name: each.hosts for each in found if each})
    for lane in upgrade.lanes if upgraded else ():
        world.ledger.record_outcome(upgrade.run.key, lane.name, Verdict(Outcome.SUCCESSFUL), world.now)
    monkeypatch.setattr(run_context, "running", lambda pinned, context: (upgrade, tools))
    return upgrade, HypercareOperator(task_id="hypercare", pinned=PinnedPlan(of, "d" * 64, "text"))


def test_it_waits_in_the_triggerer_and_ends_when_it_is_clean(
    world: World, monkeypatch: pytest.MonkeyPatch, requests: list[dict[str, Any]]
) -> None:
    world.versions = dict.fromkeys(world.versions, NEW)
    _, task = a_watch(world, monkeypatch)
    with pytest.raises(TaskDeferred) as deferred:
        task.execute(CONTEXT)
    assert (deferred.value.method_name, deferred.value.timeout) == ("look", None)
    world.now += timedelta(minutes=1)
    assert task.look(CONTEXT) == {"text": "the watch ended well: 2 clean looks in a row"}
    assert requests == []


def test_nothing_is_watched_when_a_lane_did_not_end_upgraded(
    world: World, monkeypatch: pytest.MonkeyPatch, requests: list[dict[str, Any]]
) -> None:
    _, task = a_watch(world, monkeypatch, upgraded=False)
    with pytest.raises(AirflowSkipException, match="not upgraded: training, production"):
        task.execute(CONTEXT)


def test_a_reopened_decision_is_asked_and_answered(
    world: World, monkeypatch: pytest.MonkeyPatch, requests: list[dict[str, Any]]
) -> None:
    """Hosts at the old version: asked at once, kept, asked again at the next look, and backed out."""
    asked = {"by": ["owner"], "wait": "3h"}
    upgrade, task = a_watch(world, monkeypatch, reopens={"failed_looks": 1}, decided_by=asked)
    with pytest.raises(TaskAwaitingInput) as waits:
        task.execute(CONTEXT)
    assert (waits.value.method_name, waits.value.timeout) == ("decided", timedelta(hours=3))
    (request,) = requests
    assert request["ti_id"] == "ti-1"
    assert request["subject"] == "Keep tracker 2.6.0 of acme, or back it out?"
    assert [user["id"] for user in request["assigned_users"]] == ["owner"]
    assert "(/changeover/record/acme.tracker-2.6?run=manual__1%2B00%3A00)" in request["body"]
    rows = dict(asked_rows(world.ledger.marks(upgrade.run.key)))
    assert rows["why"].startswith("1 look in a row found a host unwell")
    assert "Asked: **Owner (owner)**" in request["body"]
    with pytest.raises(TaskDeferred):
        task.decided(CONTEXT, {"chosen_options": ["Approve"], "responded_by_user": {"id": "owner"}})
    world.now += timedelta(seconds=20)
    with pytest.raises(TaskAwaitingInput):
        task.look(CONTEXT)
    with pytest.raises(AirflowFailException, match=r"owner decided to back out; start it: changeover run .*back-out"):
        task.decided(CONTEXT, {"chosen_options": ["Reject"], "responded_by_user": {"id": "owner"}})
    assert len(requests) == 2
    assert requests[0]["body"] == requests[1]["body"], "Airflow would keep the first one's text"
    assert "2 looks" in dict(asked_rows(world.ledger.marks(upgrade.run.key)))["the watch"]
    assert len(world.ledger.marks(upgrade.run.key, kind=MarkKind.HYPERCARE_KEPT)) == 1


def test_the_same_request_is_put_again_until_enough_people_answered(
    world: World, monkeypatch: pytest.MonkeyPatch, requests: list[dict[str, Any]]
) -> None:
    asked = {"by": ["owner", "support"], "quorum": 2}
    upgrade, task = a_watch(world, monkeypatch, reopens={"failed_looks": 1}, decided_by=asked)
    with pytest.raises(TaskAwaitingInput):
        task.execute(CONTEXT)
    with pytest.raises(TaskAwaitingInput):
        task.decided(CONTEXT, {"chosen_options": ["Approve"], "responded_by_user": {"id": "owner"}})
    with pytest.raises(TaskDeferred):
        task.decided(CONTEXT, {"chosen_options": ["Approve"], "responded_by_user": {"id": "support"}})
    asked_marks = world.ledger.marks(upgrade.run.key, kind=MarkKind.ASKED)
    assert len(asked_marks) == 1, "one request, put twice"


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ({"error": "time", "error_type": "timeout"}, "no answer in time from owner"),
        ({"error": "broken", "error_type": "unknown"}, "Airflow could not wait for an answer: broken"),
        ({"chosen_options": ["Approve"], "responded_by_user": {"id": "stranger"}}, "answered by stranger"),
    ],
)
def test_silence_a_broken_wait_and_a_stranger_keep_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, requests: list[dict[str, Any]], event: dict[str, Any], told: str
) -> None:
    upgrade, task = a_watch(world, monkeypatch, reopens={"failed_looks": 1})
    with pytest.raises(TaskAwaitingInput):
        task.execute(CONTEXT)
    with pytest.raises(AirflowFailException, match=told):
        task.decided(CONTEXT, event)
    assert world.ledger.marks(upgrade.run.key, kind=MarkKind.HYPERCARE_KEPT) == ()
