"""What a run has at work on hosts ends by order, or where Airflow has ended its task; a lost worker ends nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from changeover.domain.execution import ExecutionResult, execution_token
from changeover.domain.lane import in_doubt
from changeover.domain.outcome import Outcome
from changeover.domain.record import Mark, MarkKind, Run, StepRecord, StepStatus
from changeover.domain.stopping import ordered_stop, stopped_since, why_over
from changeover.orchestration.task_end import TaskEnd
from changeover.ports import Credentials, ExecutionSpec
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.steer import before_next_part
from changeover.usecases.step_end import ELSEWHERE, PATIENCE, StopOrders, record_what_ended
from changeover.usecases.stop_work import RULE, at_work, stop_what_is_over, stop_work
from changeover.usecases.tools import Reply, Tools, Upgrade, mark
from tests.support.world import START, World
from tests.unit.test_lane import go_through, prepared


@pytest.mark.parametrize(
    ("task", "run", "why"),
    [
        ("failed", "running", "its task is failed in Airflow"),
        ("failed", "failed", "its task is failed in Airflow"),
        ("success", "running", "its task is success in Airflow"),
        ("skipped", "running", "its task is skipped in Airflow"),
        ("restarting", "running", "its task was cleared in Airflow"),
        (None, "failed", "its run has ended in Airflow (failed)"),
    ],
)
def test_what_people_end_in_airflow_ends_on_the_hosts(task: str | None, run: str, why: str) -> None:
    assert why_over(task, run) == why


@pytest.mark.parametrize("task", ["running", "queued", "scheduled", "up_for_retry", "deferred", None])
def test_a_task_that_is_or_will_be_done_has_only_lost_its_worker(task: str | None) -> None:
    assert why_over(task, "running") == ""


@dataclass
class PlayedTask:
    """What a task process may ask of Airflow."""

    state: str | None = "running"
    answers: bool = True
    asked: int = 0
    dag_id: str = "acme.tracker-2.6"
    run_id: str = "manual__1"
    task_id: str = "s08_s09_training.implement"

    def get_task_states(self, **which: Any) -> dict[str, Any]:
        self.asked += 1
        if not self.answers:
            raise ConnectionError("the API server is away")
        assert which == {"dag_id": self.dag_id, "run_ids": [self.run_id], "task_ids": [self.task_id]}
        return {self.run_id: {self.task_id: self.state}} if self.state else {}


def test_nobody_asks_airflow_before_the_process_is_told_to_end() -> None:
    task = PlayedTask("failed")
    end = TaskEnd(task)
    assert (end.why(), task.asked) == ("", 0)
    end.tell()
    assert end.why() == "its task is failed in Airflow"
    assert (end.why(), task.asked) == ("its task is failed in Airflow", 1)


@pytest.mark.parametrize("task", [PlayedTask("running"), PlayedTask("up_for_retry"), PlayedTask(answers=False)])
def test_a_signal_alone_is_no_order_to_stop(task: PlayedTask) -> None:
    """A worker that is restarted, and an Airflow that does not answer: the work on hosts is only let go of."""
    end = TaskEnd(task)
    end.tell()
    assert (end.why(), task.asked) == ("", 1)


def test_an_order_concerns_what_was_at_work_when_it_was_given() -> None:
    def order(at: int, environment: str = "training") -> Mark:
        data = {"by": "anna", "reason": "the wrong night"}
        return Mark("r1", MarkKind.STOPPING, START + timedelta(minutes=at), environment, "", data)

    begun = START + timedelta(minutes=5)
    assert ordered_stop([order(6)], "training", since=begun) == "by anna: the wrong night"
    assert ordered_stop([order(4), order(6, "production")], "training", since=begun) == ""
    settled = Mark("r1", MarkKind.SETTLED, begun, "training")
    assert stopped_since([order(6)]) == "by anna: the wrong night"
    assert stopped_since([order(4), settled]) == ""


@dataclass
class AtWork(World):
    """Steps in `left_running` go on when the task that follows them is gone."""

    left_running: set[str] = field(default_factory=set)
    meanwhile: Callable[[ExecutionSpec], None] = lambda spec: None

    def run(self, spec: ExecutionSpec, credentials: Credentials, **how: Any) -> ExecutionResult:
        if spec.step in self.left_running:
            self.left_running.remove(spec.step)
            self.alive.add(str(spec.directory))
            raise ConnectionError("the caller is gone")
        self.meanwhile(spec)
        return super().run(spec, credentials, **how)


@pytest.fixture
def world(tmp_path: Path) -> AtWork:
    return AtWork(tmp_path)


def at_its_change(world: AtWork) -> tuple[Upgrade, Tools]:
    """The change of training goes on, and nobody follows it."""
    upgrade, tools = prepared(world, environments=["training"])
    tools = replace(tools, task="s08_s09_training.implement")
    world.left_running.add("implement")
    with pytest.raises(ConnectionError):
        go_through(upgrade, tools, upgrade.lanes[0])
    assert [step.step for step in at_work(world.ledger, upgrade.run.key)] == ["implement"]
    return upgrade, tools


def newest(world: World, upgrade: Upgrade, name: str = "implement") -> StepRecord:
    return [step for step in world.ledger.steps(upgrade.run.key, environment="training") if step.step == name][-1]


def marks(world: World, upgrade: Upgrade, kind: MarkKind) -> list[Mark]:
    return list(world.ledger.marks(upgrade.run.key, environment="training", kind=kind))


def test_a_person_stops_what_is_at_work_and_that_is_on_record(world: AtWork) -> None:
    upgrade, tools = at_its_change(world)
    steps = at_work(world.ledger, upgrade.run.key, ["training"])
    (done,) = stop_work(upgrade, tools, steps, by="owner", reason="the wrong night")
    assert str(done) == "implement of training: stopped: no process left"
    ((execution, why),) = world.stopped
    assert execution.token == execution_token(upgrade.run.key, "training", "implement", 1)
    assert [host.name for host in execution.hosts] == ["train1"]
    assert why == "stopped by owner: the wrong night"
    assert (newest(world, upgrade).status, newest(world, upgrade).reasons) == (StepStatus.FAILED, (why,))
    (order,) = marks(world, upgrade, MarkKind.STOPPING)
    assert dict(order.data) == {"by": "owner", "reason": "the wrong night", "steps": ["implement"]}
    assert marks(world, upgrade, MarkKind.STOPPED)[0].data["confirmed"] is True
    assert at_work(world.ledger, upgrade.run.key) == ()


def test_after_a_stop_the_lane_goes_on_to_its_verdict_and_backs_out(world: AtWork) -> None:
    upgrade, tools = at_its_change(world)
    stop_work(upgrade, tools, at_work(world.ledger, upgrade.run.key), by="owner", reason="the wrong night")
    go_through(upgrade, tools, upgrade.lanes[0])
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT
    assert "implement.yml" not in world.playbooks("training")


def test_a_stop_that_is_not_confirmed_leaves_everything_as_it_is(world: AtWork) -> None:
    """C05: the host does not answer. Nothing starts beside what may still run there, the lock stays."""
    upgrade, tools = at_its_change(world)
    world.unreachable.add("train1")
    (done,) = stop_work(upgrade, tools, at_work(world.ledger, upgrade.run.key), by="owner", reason="the wrong night")
    assert str(done) == "implement of training: NOT confirmed to be stopped: train1: no connection"
    assert in_doubt(world.ledger.marks(upgrade.run.key, environment="training")) == (
        "what is true is not known: a stop was not confirmed: train1: no connection",
    )


def test_who_follows_a_step_elsewhere_finds_the_order_in_the_ledger(world: AtWork) -> None:
    """The task is on another machine than the person who stops: it looks while it follows, and the step fails."""
    upgrade, tools = prepared(world, environments=["training"])

    def order(spec: ExecutionSpec) -> None:
        if spec.step == "implement":
            world.now += timedelta(seconds=1)
            mark(upgrade, tools, MarkKind.STOPPING, "training", by="owner", reason="the wrong night")

    world.meanwhile = order
    go_through(upgrade, tools, upgrade.lanes[0])
    assert newest(world, upgrade).reasons == ("stopped: stopped by owner: the wrong night",)
    assert world.ledger.outcomes(upgrade.run.key)["training"].outcome is Outcome.BACKED_OUT


def test_a_ledger_that_does_not_answer_orders_nothing(world: AtWork) -> None:
    """Its database is restarted: the work is followed on, as the task would not come back often enough."""
    upgrade, tools = at_its_change(world)

    class Away:
        def marks(self, *_: Any, **__: Any) -> Any:
            raise ConnectionError("the database is starting up")

    told: list[str] = []
    deaf = replace(tools, ledger=Away(), tell=told.append)  # type: ignore[arg-type]  # nothing else of it is asked
    assert StopOrders(upgrade, deaf, newest(world, upgrade)).why() == ""
    assert "the database is starting up" in told[0]


def test_after_a_stop_no_next_batch_or_leg_begins_until_a_person_decides(world: AtWork) -> None:
    upgrade, tools = at_its_change(world)
    lane = upgrade.lanes[0]
    assert before_next_part(upgrade, tools, lane) is None
    stop_work(upgrade, tools, at_work(world.ledger, upgrade.run.key), by="owner", reason="the wrong night")
    answer = before_next_part(upgrade, tools, lane)
    assert answer is not None
    assert (answer.reply, answer.text) == (Reply.NO, "stopped by owner: the wrong night")
    mark(upgrade, tools, MarkKind.SETTLED, "training", action="resume", by="owner", reason="go on")
    assert before_next_part(upgrade, tools, lane) is None


def test_a_stop_from_another_machine_waits_for_the_word_of_who_follows_it(world: AtWork) -> None:
    upgrade, tools = at_its_change(world)
    (step,) = at_work(world.ledger, upgrade.run.key)
    world.gone.add(Path(step.directory))
    ended = replace(step, status=StepStatus.FAILED, ended_at=world.now, reasons=("stopped by owner: told",))
    slow = replace(tools, wait=lambda length: world.ledger.end_step(ended))
    (done,) = stop_work(upgrade, slow, (step,), by="owner", reason="told")
    assert (done.confirmed, done.seen) == (True, "it ended on another machine: failed; stopped by owner: told")


def test_a_stop_that_nobody_takes_up_on_the_other_machine_is_not_confirmed(world: AtWork) -> None:
    upgrade, tools = at_its_change(world)
    (step,) = at_work(world.ledger, upgrade.run.key)
    world.gone.add(Path(step.directory))
    before = world.now
    (done,) = stop_work(upgrade, tools, (step,), by="owner", reason="told")
    assert not done.confirmed
    assert world.now - before >= PATIENCE
    assert in_doubt(world.ledger.marks(upgrade.run.key, environment="training"))


@dataclass
class PlayedAirflow:
    run: str | None = "running"
    task: str | None = "running"

    def state(self, run: Run) -> str | None:
        return self.run

    def task_state(self, run: Run, task: str) -> str | None:
        assert task == "s08_s09_training.implement"
        return self.task


def swept(world: AtWork, upgrade: Upgrade, tools: Tools, airflow: PlayedAirflow) -> list[str]:
    broken: list[str] = []
    done = stop_what_is_over(
        world.ledger, airflow, lambda run: (upgrade, tools), runs=world.ledger.runs(limit=9), broken=broken
    )
    assert broken == []
    return [one.step for one in done]


@pytest.mark.parametrize("airflow", [PlayedAirflow(task="failed"), PlayedAirflow(run="failed", task=None)])
def test_the_sweep_ends_work_whose_task_or_run_airflow_ended(world: AtWork, airflow: PlayedAirflow) -> None:
    upgrade, tools = at_its_change(world)
    assert swept(world, upgrade, tools, airflow) == ["implement"]
    (order,) = marks(world, upgrade, MarkKind.STOPPING)
    assert order.data["by"] == RULE
    assert newest(world, upgrade).status is StepStatus.FAILED
    assert swept(world, upgrade, tools, airflow) == []


def test_the_sweep_leaves_work_alone_whose_worker_was_lost(world: AtWork) -> None:
    upgrade, tools = at_its_change(world)
    assert swept(world, upgrade, tools, PlayedAirflow(task="up_for_retry")) == []
    assert world.stopped == []
    assert newest(world, upgrade).status is StepStatus.RUNNING


def test_the_sweep_leaves_alone_what_a_person_does_without_airflow(world: AtWork) -> None:
    upgrade, tools = at_its_change(world)
    step = replace(newest(world, upgrade), step="release_closed_1", task="")
    world.ledger.begin_step(step)
    assert swept(world, upgrade, tools, PlayedAirflow(run="failed", task="running")) == ["implement"]
    assert [one.step for one in at_work(world.ledger, upgrade.run.key)] == ["release_closed_1"]


def test_what_ended_after_its_task_was_killed_is_written_down_before_anything_is_decided(world: AtWork) -> None:
    """The task cannot tell any more; that nobody knows what is true keeps the verdict from starting a back-out."""
    upgrade, tools = at_its_change(world)
    step = newest(world, upgrade)
    world.alive.clear()
    unknown = ExecutionResult(StepStatus.UNKNOWN, (), ("process 4711 is left",), step.token, START, None, "")
    world.ended[Path(step.directory)] = unknown
    assert [one.step for one in record_what_ended(upgrade, tools, "training")] == ["implement"]
    assert newest(world, upgrade).status is StepStatus.UNKNOWN
    assert in_doubt(world.ledger.marks(upgrade.run.key, environment="training"))


def test_nothing_is_decided_beside_work_that_is_on_another_machine(world: AtWork) -> None:
    upgrade, tools = at_its_change(world)
    world.gone.add(Path(newest(world, upgrade).directory))
    before = world.now
    assert record_what_ended(upgrade, tools, "training") == ()
    assert world.now - before >= PATIENCE
    assert in_doubt(world.ledger.marks(upgrade.run.key, environment="training")) == (
        f"what is true is not known: implement: {ELSEWHERE}",
    )


def test_work_that_ends_on_another_machine_within_a_moment_is_no_doubt(world: AtWork) -> None:
    """Its task was marked failed there: it ends the work and writes that, while the verdict begins here."""
    upgrade, tools = at_its_change(world)
    step = newest(world, upgrade)
    world.gone.add(Path(step.directory))
    ended = replace(step, status=StepStatus.FAILED, ended_at=world.now)
    record_what_ended(upgrade, replace(tools, wait=lambda length: world.ledger.end_step(ended)), "training")
    assert in_doubt(world.ledger.marks(upgrade.run.key, environment="training")) == ()


def test_a_step_that_was_begun_on_another_machine_is_not_begun_again(world: AtWork) -> None:
    """The ledger says it began, and its directory is not here: an ordinary retry could do it a second time."""
    upgrade, tools = at_its_change(world)
    world.gone.add(Path(newest(world, upgrade).directory))
    work = HostWork("implement", "implement.yml", "training", "2.6.0", changes=True)
    result = run_on_hosts(upgrade, tools, work)
    assert (result.status, result.reasons) == (StepStatus.UNKNOWN, (ELSEWHERE,))
    assert "implement.yml" not in world.playbooks("training")
    assert in_doubt(world.ledger.marks(upgrade.run.key, environment="training"))


def test_a_reading_that_was_begun_on_another_machine_is_read_again(world: AtWork) -> None:
    upgrade, tools = prepared(world, environments=["training"])
    work = HostWork("look", "discover.yml", "training", "2.6.0", changes=False)
    directory = tools.settings.executions_directory(upgrade.run.key) / "training.look.1"
    begun = StepRecord(upgrade.run.key, "training", "look", 1, world.now, directory=str(directory))
    world.ledger.begin_step(begun)
    world.gone.add(directory)
    assert run_on_hosts(upgrade, tools, work).successful
    assert [step.generation for step in world.ledger.steps(upgrade.run.key) if step.step == "look"] == [1, 2]


def test_the_task_that_began_a_step_is_on_record(world: AtWork) -> None:
    upgrade, _ = at_its_change(world)
    assert (newest(world, upgrade).task, newest(world, upgrade).changes) == ("s08_s09_training.implement", True)


def test_a_stage_tells_its_process_of_the_signal() -> None:
    from changeover.orchestration.operators import StageOperator

    end = TaskEnd(PlayedTask("failed"))
    stage = SimpleNamespace(_end=end)
    StageOperator.on_kill(stage)  # type: ignore[arg-type]  # what Airflow calls, without a DAG around it
    assert end.why() == "its task is failed in Airflow"
