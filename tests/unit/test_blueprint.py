"""The blueprint's table and what a plan makes of it."""

from __future__ import annotations

import pytest

from changeover.domain.blueprint import Lane, Task, tasks_of
from changeover.domain.blueprint_table import KPIS, ROLES, SUB_PROCESSES, SYSTEMS, WORK_PRODUCTS
from changeover.domain.progress import TRACES, UNTRACED, progress
from changeover.orchestration.stages import PLAN_STAGES
from tests.support import papers
from tests.support.story import upgraded

FORMS = [(process, form) for process in SUB_PROCESSES for form in process.tasks]


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    return {task.id: task for task in papers.subject().tasks}


def test_there_are_eleven_sub_processes_in_order() -> None:
    assert [process.number for process in SUB_PROCESSES] == list(range(1, 12))


def test_every_stage_of_the_whole_upgrade_is_a_task_of_the_blueprint() -> None:
    named = {form.name for process, form in FORMS if not process.per_environment}
    assert set(PLAN_STAGES) <= named


def test_every_system_document_and_kpi_is_known_and_used() -> None:
    forms = [form for _, form in FORMS]
    assert {key for form in forms for key in form.systems} == set(SYSTEMS)
    assert {key for form in forms for key in (*form.inputs, *form.outputs)} == set(WORK_PRODUCTS)
    assert {key for form in forms for key in form.kpis} == set(KPIS)


def test_every_task_has_one_who_answers_and_somebody_who_does_it(tasks: dict[str, Task]) -> None:
    for task in tasks.values():
        parts = [task.part_of(role) for role in {*ROLES, *task.responsible}]
        assert sum("A" in part for part in parts) == 1, task.id
        assert sum("R" in part for part in parts) >= 1, task.id


def test_what_the_client_can_see_is_told_in_the_clients_words() -> None:
    for _, form in FORMS:
        assert bool(form.told) == bool(form.called) == (form.lane.is_seen or bool(form.asks)), form.name


def test_a_decision_of_the_clients_lies_in_the_clients_lane(tasks: dict[str, Task]) -> None:
    assert tasks["s08_s09_production.sign_off"].lane is Lane.CLIENT
    assert tasks["s08_s09_production.sign_off"].responsible == ("client_approver",)


def test_a_decision_that_nobody_is_asked_for_is_the_machines(tasks: dict[str, Task]) -> None:
    rule = tasks["s08_s09_training.sign_off"]
    assert rule.lane is Lane.SYSTEM
    assert rule.asked is None
    assert "Nobody is asked" in rule.effect


def test_a_decision_of_our_own_people_is_onstage(tasks: dict[str, Task]) -> None:
    assert tasks["s10_support.support_accepts"].lane is Lane.ONSTAGE


def test_the_three_ends_of_a_lane_lie_side_by_side(tasks: dict[str, Task]) -> None:
    ends = [f"s08_s09_production.{name}" for name in ("commit", "back_out", "stand_down")]
    assert {tasks[end].after for end in ends} == {("s08_s09_production.verdict",)}
    assert tasks["s08_s09_production.settle"].after == tuple(ends)


def test_the_rehearsed_back_out_is_no_alternative(tasks: dict[str, Task]) -> None:
    assert tasks["s05_baseline.accept_old"].after == ("s05_baseline.back_out",)
    assert tasks["s05_baseline.back_out"].after == ("s05_baseline.accept_new",)


def test_every_task_leaves_a_trace_that_is_looked_for() -> None:
    wanted = {
        form.name if process.per_environment or form.name == "record_outcome" else f"{process.group}.{form.name}"
        for process, form in FORMS
    }
    assert set(TRACES) | UNTRACED == wanted


def test_of_a_run_each_task_says_what_is_on_record(tmp_path_factory: pytest.TempPathFactory) -> None:
    story = upgraded(tmp_path_factory.mktemp("run"), failed="order-feed-reads-orders")
    subject = papers.subject(ledger=story.ledger, run=story.run)
    told = {task: actual.state for task, actual in subject.actuals.items()}
    assert told["s06_planning.approve_plan"] == "approved"
    assert subject.actuals["s06_planning.approve_plan"].by == ("anna.berg",)
    assert told["s08_s09_training.settle"] == "successful"
    assert told["s08_s09_production.acceptance"] == "not passed"
    assert told["s08_s09_production.verdict"] == "back out"
    assert told["record_outcome"] == "backed out"
    assert "s08_s09_production.commit" not in told
    assert "s08_s09_production.sign_off" not in told


def test_without_a_run_nothing_is_actual() -> None:
    subject = papers.subject()
    assert progress(subject.tasks, None) == {}
    assert tasks_of(subject.plan, SUB_PROCESSES, papers.WORDS) == subject.tasks
