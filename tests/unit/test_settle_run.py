"""The controller died half-way: what is told of the run, and what each way of settling it does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from changeover.cli_settle import next_commands
from changeover.domain.change import ChangeState, CloseCode
from changeover.domain.execution import ExecutionResult, execution_token
from changeover.domain.given_back import not_given_back, traffic
from changeover.domain.host_lock import HostHold, LiveProcess, Lock, Marker
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Mark, MarkKind, Run, StepRecord, StepStatus
from changeover.domain.settlement import Driver, Truth, Way
from changeover.errors import ChangeoverError, ExecutionError
from changeover.ports import ExecutionSpec
from changeover.usecases.closeout import close
from changeover.usecases.run_on_hosts import HostWork, run_on_hosts
from changeover.usecases.run_view import view_run
from changeover.usecases.settle_run import Case, Order, RunSettlement, carry_out, faults_of, look
from changeover.usecases.step_end import ELSEWHERE
from changeover.usecases.tools import Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.world import NEW, OLD, START, World


@dataclass
class PlayedWorkflow:
    """Airflow as far as it is asked; `says` None: it does not know the run."""

    says: str | None = "failed"
    answers: bool = True
    is_paused: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def state(self, run: Run) -> str | None:
        if not self.answers:
            raise ChangeoverError("Airflow's API does not answer")
        return self.says

    def paused(self, run: Run) -> bool:
        return self.is_paused

    def again(self, run: Run, environment: str, stage: str) -> tuple[str, ...]:
        self.asked.append((environment, stage))
        return ("verdict", "settle")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@dataclass
class Half:
    """A run whose controller died in the migration of production: prod1 changed, prod2 half, both locked."""

    world: World
    upgrade: Upgrade
    tools: Tools
    workflow: PlayedWorkflow = field(default_factory=PlayedWorkflow)

    @property
    def key(self) -> str:
        return self.upgrade.run.key

    @property
    def case(self) -> Case:
        return Case(self.upgrade, self.tools, self.world, self.workflow)

    def look(self) -> RunSettlement:
        return look(self.case)

    def mark(self, kind: MarkKind, host: str = "", **data: Any) -> None:
        self.world.ledger.mark(Mark(self.key, kind, self.world.now, "production", host, data))

    def held(self, host: str, phase: str) -> None:
        lock = Lock(self.key, "restore_point", "production", "t0", self.world.now)
        marker = Marker(self.key, "implement", "t1", phase, self.world.now)
        self.world.held[host] = HostHold(host, True, lock=lock, marker=marker)


@pytest.fixture
def half(world: World) -> Half:
    upgrade, tools = world.upgrade(), world.tools()
    check_entry(upgrade, tools)
    world.approve(upgrade)
    made = Half(world, upgrade, tools)
    made.mark(MarkKind.LANE_STARTED)
    gone = world.directory / "executions"
    gone.mkdir()
    for step, status in (("restore_point", StepStatus.SUCCESSFUL), ("implement", StepStatus.UNKNOWN)):
        begun = StepRecord(made.key, "production", step, 1, world.now, directory=str(gone))
        world.ledger.begin_step(begun)
        world.ledger.end_step(replace(begun, status=status, ended_at=world.now))
    made.mark(MarkKind.IMPLEMENTING, "prod1")
    made.mark(MarkKind.IMPLEMENTING, "prod2")
    world.versions["prod1"] = NEW
    made.held("prod1", "implemented")
    made.held("prod2", "implementing")
    return made


def of(found: RunSettlement, name: str) -> Any:
    return next(one for one in found.environments if one.environment == name)


def order(way: Way = Way.CLOSE, **changes: Any) -> Order:
    return replace(Order(way, "owner", "the machine burnt"), **changes)


def test_one_question_tells_what_is_true_of_every_host(half: Half) -> None:
    found = half.look()
    production = of(found, "production")
    assert {host.host: host.truth for host in production.hosts} == {"prod1": Truth.NEW, "prod2": Truth.BETWEEN}
    assert production.truth is Truth.BETWEEN
    assert of(found, "training").truth is Truth.UNTOUCHED
    assert (found.nothing, found.driver) == (False, Driver.ENDED)
    assert json.loads(json.dumps(found.as_json()))["environments"]


def test_looking_changes_no_host_and_reads_only_where_the_run_was(half: Half) -> None:
    half.look()
    assert half.world.played == [("production", "discover.yml", ("prod1", "prod2"))]
    assert half.world.ledger.outcomes(half.key) == {}


def test_a_host_that_does_not_answer_is_unknown_and_hides_no_other(half: Half) -> None:
    half.world.unreachable.add("prod1")
    hosts = {host.host: host.truth for host in of(half.look(), "production").hosts}
    assert hosts == {"prod1": Truth.UNKNOWN, "prod2": Truth.BETWEEN}


def test_a_host_whose_version_cannot_be_read_is_asked_alone_and_hides_no_other(half: Half) -> None:
    """Ansible stops all hosts of a play at the first failure."""
    half.world.versions["prod2"] = None
    production = of(half.look(), "production")
    assert {host.host: host.version for host in production.hosts} == {"prod1": NEW, "prod2": None}
    assert half.world.played[-1] == ("production", "discover.yml", ("prod2",))


def test_broken_ansible_leaves_the_markers_to_tell(half: Half) -> None:
    class Broken(World):
        def run(self, spec: ExecutionSpec, *_: Any, **__: Any) -> ExecutionResult:
            raise ExecutionError("there is no such playbook")

    broken = replace(half.tools, executor=Broken(half.world.directory))
    found = look(replace(half.case, tools=broken))
    assert "there is no such playbook" in found.broken[0]
    assert of(found, "production").truth is Truth.BETWEEN


def test_without_airflow_it_is_told_all_the_same(half: Half) -> None:
    half.workflow.answers = False
    found = half.look()
    assert found.driver is Driver.NO_ANSWER
    assert of(found, "production").option(Way.BACK_OUT).possible
    came = carry_out(half.case, found, order(Way.BACK_OUT))
    assert came.done == ()
    assert f"changeover settle {half.key} --do back-out --by owner" in came.refused[0]
    assert look(replace(half.case, workflow=None)).driver is Driver.NO_ANSWER


def test_a_back_out_goes_on_in_airflow_from_the_verdict_and_who_decided_is_kept(half: Half) -> None:
    came = carry_out(half.case, half.look(), order(Way.BACK_OUT))
    assert half.workflow.asked == [("production", "verdict")]
    assert came.refused == ()
    (kept,) = half.world.ledger.marks(half.key, kind=MarkKind.SETTLED)
    assert (kept.data["action"], kept.data["by"], kept.data["stage"]) == ("back-out", "owner", "verdict")


def test_a_resume_that_would_do_something_twice_is_refused(half: Half) -> None:
    came = carry_out(half.case, half.look(), order(Way.RESUME))
    assert half.workflow.asked == []
    assert "run twice" in came.refused[0]


def test_closing_keeps_who_why_and_what_was_found_and_gives_the_locks_back(half: Half) -> None:
    came = carry_out(half.case, half.look(), order())
    assert came.refused == ()
    verdict = half.world.ledger.outcomes(half.key)["production"]
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.reasons[0] == "closed by owner: the machine burnt"
    assert any("prod2: in between" in reason for reason in verdict.reasons)
    assert half.world.ledger.outcomes(half.key)[""].outcome is Outcome.UNKNOWN
    (evidence,) = [e for e in half.world.ledger.evidence(half.key) if e.name.startswith("settlement")]
    assert json.loads(Path(evidence.path).read_text())["reason"] == "the machine burnt"
    assert half.world.held["prod1"].lock is None
    assert half.world.ledger.verify_chain(half.key) == ()
    again = half.look()
    assert again.nothing
    assert "closed by owner" in of(again, "production").why


def test_what_was_closed_is_opened_where_the_old_release_stands_and_told_where_not(half: Half) -> None:
    """Users come back to what is whole; what stands half-way stays shut, and is told by name until it is opened."""
    half.world.versions["prod1"] = OLD
    half.held("prod1", "")
    for host in ("prod1", "prod2"):
        half.mark(MarkKind.TAKEN, host, names=["tracker"])
    came = carry_out(half.case, half.look(), order())
    assert "prod1: lock given back, traffic opened" in came.done
    assert "prod2: lock given back" in came.done
    assert any(text.startswith("prod2: tracker stays closed") for text in came.refused)
    played = [(playbook, hosts) for name, playbook, hosts in half.world.played if name == "production"]
    assert played[-2:] == [("stand_down.yml", ("prod1",)), ("release.yml", ("prod2",))]
    (view,) = [e for e in view_run(half.world.ledger, half.upgrade.run).environments if e.name == "production"]
    (taken,) = traffic([view])
    assert (taken.open, taken.fate) == (True, "not given back; closed by owner")
    assert "prod2" in not_given_back([view])


@pytest.mark.parametrize("way", ["resume", "back-out"])
def test_an_order_to_go_on_gives_nothing_back(half: Half, way: str) -> None:
    half.mark(MarkKind.TAKEN, "prod1", names=["tracker"])
    half.mark(MarkKind.SETTLED, action=way, by="owner")
    (view,) = [e for e in view_run(half.world.ledger, half.upgrade.run).environments if e.name == "production"]
    assert [(one.open, one.fate) for one in traffic([view])] == [(True, "not given back")]


def test_what_cannot_be_opened_keeps_its_lock_and_is_told_again(half: Half) -> None:
    half.world.versions |= {"prod1": OLD, "prod2": OLD}
    half.held("prod1", "")
    half.held("prod2", "")
    half.world.breaks["production", "stand_down.yml"] = ("prod2",)
    came = carry_out(half.case, half.look(), order())
    assert "production: not given back: prod2: it broke" in came.refused
    del half.world.breaks["production", "stand_down.yml"]
    found = half.look()
    assert "prod2 is still locked by the run" in of(found, "production").needs
    carry_out(half.case, found, order())
    assert half.look().nothing


def test_a_failed_back_out_stays_one_when_it_is_closed(half: Half) -> None:
    half.world.ledger.record_outcome(half.key, "production", Verdict(Outcome.BACK_OUT_FAILED), half.world.now)
    carry_out(half.case, half.look(), order())
    assert half.world.ledger.outcomes(half.key)["production"].outcome is Outcome.BACK_OUT_FAILED


def test_a_closed_run_changes_nothing_any_more(half: Half) -> None:
    """Airflow may come back later and go on."""
    carry_out(half.case, half.look(), order())
    with pytest.raises(ExecutionError, match="closed in production by owner"):
        run_on_hosts(half.upgrade, half.tools, HostWork("commit", "commit.yml", "production", NEW, changes=True))
    reading = HostWork("discover", "discover.yml", "production", NEW, changes=False)
    assert run_on_hosts(half.upgrade, half.tools, reading).successful


def test_beside_a_living_process_nothing_is_closed(half: Half) -> None:
    token = execution_token(half.key, "production", "implement", 1)
    busy = replace(half.world.held["prod2"], processes=(LiveProcess(9, token, "migrate"),))
    half.world.held["prod2"] = busy
    came = carry_out(half.case, half.look(), order())
    assert came.done == ()
    assert "process 9: migrate still lives" in came.refused[0]
    assert half.world.ledger.outcomes(half.key) == {}


def test_the_lock_of_an_unreachable_host_stays_and_is_told_again(half: Half) -> None:
    half.world.unreachable.add("prod2")
    came = carry_out(half.case, half.look(), order())
    assert any("prod1: lock given back" in text for text in came.done)
    assert half.world.held["prod2"].lock is not None
    half.world.unreachable.clear()
    found = half.look()
    assert "prod2 is still locked by the run" in of(found, "production").needs
    carry_out(half.case, found, order())
    assert half.look().nothing


def test_a_lane_that_had_not_begun_its_change_is_closed_as_refused(world: World) -> None:
    upgrade, tools = world.upgrade(), world.tools()
    check_entry(upgrade, tools)
    early = Half(world, upgrade, tools)
    early.mark(MarkKind.LANE_STARTED)
    found = early.look()
    assert of(found, "production").truth is Truth.OLD
    assert of(found, "production").option(Way.RESUME).stage == "window"
    carry_out(early.case, found, order())
    assert world.ledger.outcomes(early.key)["production"].outcome is Outcome.REFUSED
    assert world.versions["prod1"] == OLD


@pytest.fixture
def in_review(world: World) -> Half:
    """Every environment upgraded and settled; its change waits for what its exit lacks."""
    upgrade, tools = world.upgrade(), world.tools()
    check_entry(upgrade, tools)
    world.approve(upgrade)
    world.versions = dict.fromkeys(world.versions, NEW)
    for lane in upgrade.lanes:
        world.ledger.record_outcome(upgrade.run.key, lane.name, Verdict(Outcome.SUCCESSFUL), world.now)
    assert close(upgrade, tools).outcome is Outcome.UNKNOWN
    return Half(world, upgrade, tools)


def test_a_change_that_was_left_open_is_told_and_closed_by_a_person(in_review: Half) -> None:
    found = in_review.look()
    assert found.needs[0].startswith("its change is open: exit: watch-ended: the hypercare watch has not ended")
    carry_out(in_review.case, found, order())
    change = in_review.world.cmdb.change(in_review.key)
    assert change is not None
    assert (change.state, change.close_code) == (ChangeState.CLOSED, CloseCode.UNSUCCESSFUL)
    assert "closed by owner" in change.close_notes
    assert in_review.look().nothing


def test_once_it_is_put_right_the_outcome_is_recorded_again(in_review: Half) -> None:
    carry_out(in_review.case, in_review.look(), order(Way.RESUME))
    assert in_review.workflow.asked == [("", "")]
    in_review.workflow.says = "running"
    assert in_review.look().nothing


def test_a_run_that_goes_on_is_left_alone(half: Half) -> None:
    half.workflow.says = "running"
    assert half.look().nothing


def test_a_run_that_goes_on_and_does_not_get_on_says_why_and_what_ends_that(half: Half) -> None:
    """Held, paused, the scheduler dead, a step lost: "nothing to settle" would be the wrong answer."""
    half.workflow.says, half.workflow.is_paused = "running", True
    half.world.ledger.mark(Mark(half.key, MarkKind.HELD, START, "", "", {"by": "owner", "reason": "the band plays"}))
    half.world.ledger.mark(Mark(half.key, MarkKind.AIRFLOW_PAUSED, START))
    gone = half.world.directory / "executions/production.commit.1"
    half.world.ledger.begin_step(StepRecord(half.key, "production", "commit", 1, START, directory=str(gone)))
    half.world.gone.add(gone)
    found = look(replace(half.case, dead=("scheduler",)))
    assert not found.nothing
    assert found.needs == (
        "the scheduler of Airflow does not work: `changeover serve` starts it again",
        "acme.tracker-2.6 is paused in Airflow since 2026-08-14T13:00:00Z: switch it on again there",
        f"held by owner since 2026-08-14T13:00:00Z: the band plays; `changeover resume {half.key}` ends that",
    )
    assert of(found, "production").needs == (f"commit was lost: {ELSEWHERE}",)
    assert carry_out(half.case, found, order()).refused
    assert half.key in next_commands(found)[0]


def test_a_faulty_request_is_told_with_all_its_faults(half: Half) -> None:
    faults = faults_of(half.case, Order(Way.CLOSE, "stranger", " ", ("moon",)))
    assert [fault.split(":")[0] for fault in faults] == ["--by", "--reason", "--environment"]
    assert faults_of(half.case, order(environments=("production",))) == ()
