"""A lane in batches: one after another, each proven before the next, and stopped by anything that is not proven."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.batch import Batch, standings
from changeover.domain.estate import Host
from changeover.domain.execution import ExecutionResult
from changeover.domain.outcome import Outcome
from changeover.domain.record import Mark, MarkKind
from changeover.domain.taken import outstanding
from changeover.ports import Credentials, ExecutionSpec
from changeover.usecases import lane
from changeover.usecases.answers import record_answer
from changeover.usecases.ask import open_request
from changeover.usecases.batch_work import carry_out
from changeover.usecases.open_run import requested_run
from changeover.usecases.put_back import back_out_rollout
from changeover.usecases.tools import Answer, Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.support.world import ENVIRONMENTS, NEW, OLD, World, estate, plan
from tests.unit.test_lane import go_through

WEB = ("web1", "web2", "web3", "web4")


class Farm(World):
    """Production has four hosts; `at` is called before each playbook, to break things at that moment."""

    at: Callable[[ExecutionSpec], None] = staticmethod(lambda spec: None)

    def __post_init__(self) -> None:
        super().__post_init__()
        wide = estate()
        model = wide.environments[2].hosts[0]
        hosts = tuple(Host(**{**model.model_dump(), "name": n, "address": f"127.0.9.9{i}"}) for i, n in enumerate(WEB))
        production = wide.environments[2].model_copy(update={"hosts": hosts})
        self.cmdb.import_estate(
            wide.model_copy(update={"environments": (*wide.environments[:2], production)}), reset=True
        )
        self.versions |= dict.fromkeys(WEB, OLD)
        self.rows |= {host: [{"id": 1, "total": "10.00"}] for host in WEB}

    def run(self, spec: ExecutionSpec, credentials: Credentials, **how: Any) -> ExecutionResult:
        self.at(spec)
        return super().run(spec, credentials, **how)

    def batched(self, **batches: Any) -> tuple[Upgrade, Tools]:
        assert "production" in ENVIRONMENTS
        wanted = plan().model_dump()
        wanted["environments"][2]["batches"] = {"sizes": [1]} | batches
        upgrade = self.upgrade(of=plan(environments=wanted["environments"]), environments=["production"])
        tools = self.tools()
        assert check_entry(upgrade, tools).reply is Reply.YES
        self.approve(upgrade)
        return upgrade, tools

    def changed(self) -> list[tuple[str, ...]]:
        return [hosts for _, playbook, hosts in self.played if playbook == "implement_batch.yml"]

    def where(self, upgrade: Upgrade) -> dict[str, str]:
        return {k: str(v) for k, v in standings(WEB, self.ledger.marks(upgrade.run.key)).items()}

    def outcome(self, upgrade: Upgrade) -> Outcome:
        return self.ledger.outcomes(upgrade.run.key)["production"].outcome


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


def through(upgrade: Upgrade, tools: Tools) -> dict[str, Answer]:
    return go_through(upgrade, tools, upgrade.lanes[0])


def resume(farm: Farm, upgrade: Upgrade, tools: Tools) -> None:
    """As `settle --do resume` has Airflow do it."""
    data = {"action": "resume", "by": "owner"}
    farm.ledger.mark(Mark(upgrade.run.key, MarkKind.SETTLED, farm.now, "production", "", data))
    environment = upgrade.lanes[0]
    for stage in ("implement", "acceptance", "sign_off"):
        if getattr(lane, stage)(upgrade, tools, environment).reply is not Reply.YES:
            break
    lane.verdict(upgrade, tools, environment)
    for stage in ("commit", "back_out", "stand_down"):
        getattr(lane, stage)(upgrade, tools, environment)
    lane.settle(upgrade, tools, environment)


def test_each_batch_is_closed_changed_accepted_and_opened_before_the_next_begins(farm: Farm) -> None:
    upgrade, tools = farm.batched(sizes=[1, "50%"])
    answers = through(upgrade, tools)
    assert answers["settle"].reply is Reply.YES, answers
    assert farm.outcome(upgrade) is Outcome.SUCCESSFUL
    assert farm.changed() == [("web1",), ("web2",), ("web3", "web4")]
    one = ["discover.yml", "restore_point.yml", "implement_batch.yml", "verify.yml", "reopen.yml"]
    assert farm.playbooks("production") == ["readiness.yml", "lock.yml", *one * 3, "discover.yml", "commit.yml"]
    assert set(farm.where(upgrade).values()) == {"done"}


def test_hosts_outside_the_batch_are_never_closed(farm: Farm) -> None:
    upgrade, tools = farm.batched()
    through(upgrade, tools)
    closed = [hosts for _, playbook, hosts in farm.played if playbook == "restore_point.yml"]
    assert closed == [("web1",), ("web2",), ("web3",), ("web4",)]


def test_a_failed_canary_is_backed_out_and_no_other_host_is_touched(farm: Farm) -> None:
    farm.breaks["production", "implement_batch.yml"] = ("web1",)
    upgrade, tools = farm.batched()
    answers = through(upgrade, tools)
    assert answers["implement"].reply is Reply.NO
    assert farm.changed() == [("web1",)]
    assert farm.outcome(upgrade) is Outcome.BACKED_OUT
    assert farm.where(upgrade) == {"web1": "backed_out"} | dict.fromkeys(WEB[1:], "not_attempted")
    assert [hosts for _, p, hosts in farm.played if p == "back_out.yml"] == [("web1",)]


def test_a_host_that_users_are_on_is_not_backed_out_by_itself(farm: Farm) -> None:
    """C18 in a rollout: the failed host goes back, the one that serves waits for people, and that is told."""
    farm.breaks["production", "implement_batch.yml"] = ("web2",)
    upgrade, tools = farm.batched()
    through(upgrade, tools)
    assert farm.where(upgrade) == {
        "web1": "back_out_pending",
        "web2": "backed_out",
        "web3": "not_attempted",
        "web4": "not_attempted",
    }
    assert farm.versions["web1"] == NEW
    assert farm.versions["web2"] == OLD
    assert farm.outcome(upgrade) is Outcome.UNKNOWN


def test_a_rollout_goes_on_with_failed_and_never_attempted_hosts_only(farm: Farm) -> None:
    farm.breaks["production", "implement_batch.yml"] = ("web2",)
    upgrade, tools = farm.batched()
    through(upgrade, tools)
    farm.breaks.clear()
    before = len(farm.changed())
    resume(farm, upgrade, tools)
    assert farm.changed()[before:] == [("web2",), ("web3",), ("web4",)]
    assert farm.outcome(upgrade) is Outcome.SUCCESSFUL_WITH_ISSUES
    labels = {m.data["label"] for m in farm.ledger.marks(upgrade.run.key, kind=MarkKind.RESTORE_POINT_TAKEN)}
    assert len(labels) == 5, "a second try takes a restore point of its own"


def test_a_cleared_task_does_not_try_a_failed_host_again(farm: Farm) -> None:
    """Only a person's word does: `settle RUN --do resume`."""
    farm.breaks["production", "implement_batch.yml"] = ("web2",)
    upgrade, tools = farm.batched()
    through(upgrade, tools)
    farm.breaks.clear()
    before = list(farm.changed())
    assert lane.implement(upgrade, tools, upgrade.lanes[0]).reply is Reply.NO
    assert farm.changed() == before


@pytest.mark.parametrize("lost", ["web1", "web3", "web4"])
def test_an_unreachable_host_anywhere_stops_the_rollout(farm: Farm, lost: str) -> None:
    """C12: whether it is done, in a later batch or the last one of all; a failure budget does not help."""

    def break_it(spec: ExecutionSpec) -> None:
        if spec.playbook == "reopen.yml" and spec.step == "reopen_b1":
            farm.unreachable.add(lost)

    farm.at = break_it
    upgrade, tools = farm.batched(failure_budget="100%", keep_serving=0)
    answers = through(upgrade, tools)
    assert farm.changed() == [("web1",)]
    assert f"{lost} is unreachable" in answers["implement"].text or lost == "web1"
    assert farm.outcome(upgrade) is Outcome.UNKNOWN


def test_a_host_that_goes_away_in_its_batch_is_not_backed_out_blindly(farm: Farm) -> None:
    def break_it(spec: ExecutionSpec) -> None:
        if spec.step == "implement_b2":
            farm.unreachable.add("web2")

    farm.at = break_it
    upgrade, tools = farm.batched(failure_budget=3)
    through(upgrade, tools)
    assert farm.where(upgrade)["web2"] == "unreachable"
    assert not [hosts for _, p, hosts in farm.played if p == "back_out.yml"]
    assert farm.outcome(upgrade) is Outcome.UNKNOWN


def test_failures_within_the_budget_let_the_others_go_on_and_are_no_success(farm: Farm) -> None:
    farm.breaks["production", "implement_batch.yml"] = ("web2",)
    upgrade, tools = farm.batched(failure_budget=1, keep_serving=1)
    answers = through(upgrade, tools)
    assert farm.changed() == [("web1",), ("web2",), ("web3",), ("web4",)]
    assert answers["implement"].reply is Reply.NO
    assert farm.where(upgrade)["web2"] == "backed_out"
    assert farm.outcome(upgrade) is Outcome.UNKNOWN


def test_of_a_batch_only_the_host_that_failed_is_backed_out(farm: Farm) -> None:
    """C02: its neighbour in the same play, which went well, has no back-out event."""
    farm.breaks["production", "implement_batch.yml"] = ("web3",)
    upgrade, tools = farm.batched(sizes=["75%"], keep_serving=1)
    through(upgrade, tools)
    assert [hosts for _, p, hosts in farm.played if p == "back_out.yml"] == [("web3",)]
    assert {farm.where(upgrade)[host] for host in ("web2", "web4")} == {"back_out_pending"}


def test_without_a_proven_restore_point_nothing_in_the_batch_is_changed(farm: Farm) -> None:
    """C19: it is opened again, and no later batch begins."""
    farm.points["web1"] = {"readable": False}
    upgrade, tools = farm.batched()
    answers = through(upgrade, tools)
    assert farm.changed() == []
    assert "no restore into scratch proved it" in str(
        [m.data for m in farm.ledger.marks(upgrade.run.key, kind=MarkKind.HOST_STANDING)]
    )
    assert ("production", "reopen.yml", ("web1",)) in farm.played
    assert answers["verdict"].data["decision"] == "stand_down"
    assert farm.outcome(upgrade) is Outcome.REFUSED


def test_what_could_not_be_opened_again_is_told_and_opened_with_the_back_out(farm: Farm) -> None:
    """web2 was closed and never changed; that it stayed shut is no reason to leave its users out."""
    farm.break_step["production", "restore_point_b2"] = ("web2",)
    farm.break_step["production", "reopen_b2"] = ("web2",)
    upgrade, tools = farm.batched()
    through(upgrade, tools)
    told = [m.data["why"] for m in farm.ledger.marks(upgrade.run.key, kind=MarkKind.HOST_STANDING) if m.host == "web2"]
    assert "what was closed could not be opened again: web2: it broke" in told[0]
    opened = [hosts for _, playbook, hosts in farm.played if playbook == "reopen.yml"]
    assert opened[-1] == ("web2",)
    assert "web2" not in outstanding(farm.ledger.marks(upgrade.run.key, environment="production"))


def test_hosts_of_a_batch_that_were_accepted_stay_so_when_the_task_is_lost_between_their_marks(farm: Farm) -> None:
    """The first is written down as open, the second not yet: both had passed."""

    class Gone(Exception):
        """The worker died."""

    upgrade, tools = farm.batched(sizes=["75%"], keep_serving=1)
    real = farm.ledger.mark

    def die(mark: Mark) -> None:
        if mark.kind is MarkKind.TRAFFIC_OPENED and mark.host == "web3":
            farm.ledger.mark = real  # type: ignore[method-assign]
            raise Gone
        real(mark)

    farm.ledger.mark = die  # type: ignore[method-assign]
    environment = upgrade.lanes[0]
    for stage in ("window", "readiness", "go_no_go", "restore_point"):
        assert getattr(lane, stage)(upgrade, tools, environment).reply is Reply.YES
    with pytest.raises(Gone):
        lane.implement(upgrade, tools, environment)
    assert lane.implement(upgrade, tools, environment).reply is Reply.YES
    assert set(farm.where(upgrade).values()) == {"done"}


def test_a_batch_soaks_before_the_next_begins(farm: Farm) -> None:
    upgrade, tools = farm.batched(soak="10m")
    through(upgrade, tools)
    begun = farm.ledger.marks(upgrade.run.key, kind=MarkKind.BATCH_BEGUN)
    ended = farm.ledger.marks(upgrade.run.key, kind=MarkKind.BATCH_ENDED)
    for one, following in zip(ended, begun[1:], strict=False):
        assert following.at - one.at >= timedelta(minutes=10)


def test_a_host_that_falls_ill_while_it_soaks_stops_the_rollout(farm: Farm) -> None:
    def roll_back_by_hand(spec: ExecutionSpec) -> None:
        if spec.playbook == "discover.yml" and len(farm.changed()) == 1:
            farm.versions["web1"] = OLD

    farm.at = roll_back_by_hand
    upgrade, tools = farm.batched(soak="1m")
    answers = through(upgrade, tools)
    assert f"web1: {OLD} found, {NEW} expected" in answers["implement"].text
    assert farm.changed() == [("web1",)]


def test_too_few_left_to_serve_lets_nobody_leave(farm: Farm) -> None:
    upgrade, tools = farm.batched(sizes=["100%"], keep_serving="50%")
    answers = through(upgrade, tools)
    assert farm.changed() == [("web1",)]
    assert "web2, web3, web4 may not leave: 1 of 4 hosts would serve, 2 have to" in answers["implement"].text


def test_a_lost_task_goes_on_with_the_batch_that_was_begun(farm: Farm) -> None:
    """Attach, not repeat: the same numbers, hosts and labels; nothing is begun a second time."""

    class Gone(Exception):
        """The worker died."""

    def die(spec: ExecutionSpec) -> None:
        if spec.step == "implement_b2":
            farm.at = lambda spec: None
            raise Gone

    farm.at = die
    upgrade, tools = farm.batched()
    environment = upgrade.lanes[0]
    for stage in ("window", "readiness", "go_no_go", "restore_point"):
        assert getattr(lane, stage)(upgrade, tools, environment).reply is Reply.YES
    with pytest.raises(Gone):
        lane.implement(upgrade, tools, environment)
    assert lane.implement(upgrade, tools, environment).reply is Reply.YES
    assert [m.data["hosts"] for m in farm.ledger.marks(upgrade.run.key, kind=MarkKind.BATCH_BEGUN)] == [
        ["web1"],
        ["web2"],
        ["web3"],
        ["web4"],
    ]
    generations = {s.generation for s in farm.ledger.steps(upgrade.run.key) if s.step.startswith("implement_b")}
    assert generations == {1}


def test_a_canary_that_does_not_exist_is_told_before_anything_is_touched(farm: Farm) -> None:
    wanted = plan().model_dump()
    wanted["environments"][2]["batches"] = {"sizes": [1], "canary": ["moon"]}
    upgrade = farm.upgrade(of=plan(environments=wanted["environments"]), environments=["production"])
    answer = check_entry(upgrade, farm.tools())
    assert answer.reply is Reply.NO
    assert "moon is not among the hosts" in answer.text


def test_settle_says_where_each_host_stands_and_lets_the_rollout_go_on(farm: Farm) -> None:
    from changeover.domain.settlement import Way
    from changeover.usecases.settle_run import Case, look
    from tests.unit.test_settle_run import PlayedWorkflow

    farm.breaks["production", "implement_batch.yml"] = ("web2",)
    upgrade, tools = farm.batched()
    through(upgrade, tools)
    found = look(Case(upgrade, tools, farm, PlayedWorkflow()))
    production = next(one for one in found.environments if one.environment == "production")
    option = production.option(Way.RESUME)
    assert (option.possible, option.stage) == (True, "implement"), option
    assert "web2 (backed out), web3 (not attempted), web4 (not attempted); web1 stays as it is" in option.reasons[0]
    farm.versions["web3"] = "2.3.0"
    found = look(Case(upgrade, tools, farm, PlayedWorkflow()))
    production = next(one for one in found.environments if one.environment == "production")
    assert not production.option(Way.RESUME).possible


def test_status_shows_where_each_host_stands(farm: Farm) -> None:
    from changeover.usecases.run_view import view_run

    farm.breaks["production", "implement_batch.yml"] = ("web2",)
    upgrade, tools = farm.batched()
    through(upgrade, tools)
    shown = view_run(farm.ledger, upgrade.run).as_json()
    production = next(one for one in shown["environments"] if one["name"] == "production")
    assert production["host_standings"] == farm.where(upgrade)
    training = next(one for one in shown["environments"] if one["name"] == "training")
    assert training["host_standings"] == {}


def test_a_rollout_that_users_are_on_goes_back_host_by_host_to_its_own_restore_points(farm: Farm) -> None:
    """C18: by a run of its own, with two people; the label of each host's batch, not one for all."""
    first, tools = farm.batched(sizes=["50%"])
    through(first, tools)
    upgrade = people_back_out(farm, first, tools)
    assert farm.outcome(upgrade) is Outcome.BACKED_OUT
    back = [hosts for _, playbook, hosts in farm.played if playbook == "back_out.yml"]
    assert back == [("web1",), ("web2", "web3"), ("web4",)]
    assert {farm.versions[host] for host in WEB} == {OLD}


def test_of_a_stopped_rollout_only_hosts_on_the_new_release_are_put_back(farm: Farm) -> None:
    """The host that was put back by itself serves the old release since: its copy of that night is not used again."""
    farm.breaks["production", "implement_batch.yml"] = ("web2",)
    first, tools = farm.batched()
    through(first, tools)
    upgrade = people_back_out(farm, first, tools)
    back = [hosts for _, playbook, hosts in farm.played if playbook == "back_out.yml"]
    assert back == [("web2",), ("web1",)]
    assert farm.outcome(upgrade) is Outcome.BACKED_OUT


def people_back_out(farm: Farm, first: Upgrade, tools: Tools) -> Upgrade:
    farm.now += timedelta(minutes=30)
    asked = {"mode": "back-out", "environments": ["production"], "reason": "orders are wrong"}
    run = requested_run(
        first.plan,
        plan_digest="d" * 64,
        plan_text="text",
        dag_run_id="manual__2",
        requested_by="ops",
        asked=asked,
        at=farm.now,
    )
    upgrade = Upgrade(farm.ledger.open_run(run), first.plan, first.record)
    assert check_entry(upgrade, tools).reply is Reply.YES
    open_request(upgrade, tools, gate="plan")
    for who in ("owner", "support"):
        record_answer(upgrade, tools, gate="plan", environment="", option="Approve", responder={"id": who})
    for stage in ("window", "verdict", "back_out", "settle"):
        getattr(lane, stage)(upgrade, tools, upgrade.lanes[0])
    return upgrade


def test_a_host_that_serves_the_old_release_again_is_not_put_back_to_an_older_copy(farm: Farm) -> None:
    """Its second restore point could not be proven, so it was not changed: what users entered since stays."""
    farm.breaks["production", "implement_batch.yml"] = ("web1",)
    upgrade, tools = farm.batched(sizes=["100%"], keep_serving=0)
    environment = upgrade.lanes[0]
    for stage in ("window", "readiness", "go_no_go", "restore_point", "implement"):
        getattr(lane, stage)(upgrade, tools, environment)
    back_out_rollout(upgrade, tools, environment)
    assert [hosts for _, p, hosts in farm.played if p == "back_out.yml"] == [("web1",)]
    farm.points["web1"] = {"readable": False}
    data = {"number": 2, "hosts": ["web1"], "label": "second"}
    farm.ledger.mark(Mark(upgrade.run.key, MarkKind.BATCH_BEGUN, farm.now, "production", "", data))
    carry_out(upgrade, tools, environment, Batch(2, ("web1",), "second"))
    assert farm.where(upgrade)["web1"] == "failed"
    back_out_rollout(upgrade, tools, environment)
    assert [hosts for _, p, hosts in farm.played if p == "back_out.yml"] == [("web1",)], "once, and not again"
