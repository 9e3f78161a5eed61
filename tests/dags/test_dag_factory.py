"""The DAG of a plan: its shape, its determinism, its cost in size."""

from __future__ import annotations

import hashlib
import json
import runpy
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import pytest

from changeover.adapters.plan_files import parse_plan
from changeover.settings import PROJECT, load
from changeover.usecases.tell_people import page_of_request

PLAN = load({}).plans / "lindgren" / "roundup-2.6.yaml"


def build() -> Any:
    from changeover.orchestration.dag_factory import build_dag

    raw = PLAN.read_bytes()
    plan = parse_plan(raw, name=str(PLAN))
    return build_dag(plan, plan_digest=hashlib.sha256(raw).hexdigest(), plan_text=raw.decode())


def serialised() -> dict[str, Any]:
    from airflow.serialization.serialized_objects import DagSerialization

    return dict(DagSerialization.to_dict(build()))


@pytest.fixture(scope="module")
def dag() -> Any:
    return build()


def test_the_eleven_sub_processes_are_the_top_level(dag: Any) -> None:
    groups = [name for name in dag.task_group.children if name.startswith("s")]
    assert groups == [
        "s01_transition",
        "s02_kickoff",
        "s03_release_analysis",
        "s04_client_analysis",
        "s05_baseline",
        "s06_planning",
        "s07_preparations",
        "s08_s09_training",
        "s08_s09_production",
        "s10_support",
        "s11_closeout",
    ]


def test_two_parses_give_the_same_serialised_dag() -> None:
    assert json.dumps(serialised(), sort_keys=True) == json.dumps(serialised(), sort_keys=True)


def test_operators_do_not_carry_the_trigger_form() -> None:
    """Only a request to people has a field of its own: the comment."""
    tasks = [task["__var"] for task in serialised()["dag"]["tasks"] if task["__var"].get("params")]
    assert {name for task in tasks for name, _ in task["params"]} == {"comment"}
    assert {task["task_type"] for task in tasks} == {"GateApprovalOperator"}


def test_the_form_takes_no_empty_list_of_environments(dag: Any) -> None:
    """An empty list is not "all of them"."""
    schema = dag.params.get_param("environments").schema
    jsonschema.validate(["production"], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([], schema)


def test_the_last_task_is_a_teardown_that_fails_the_run(dag: Any) -> None:
    """C01: a run whose back-out went well is still a failed upgrade."""
    last = dag.get_task("record_outcome")
    assert last.is_teardown
    assert last.on_failure_fail_dagrun
    assert last.decides


def test_a_lane_starts_only_from_the_settle_of_the_one_before(dag: Any) -> None:
    window = dag.get_task("s08_s09_production.window")
    assert window.upstream_task_ids == {"s08_s09_training.settle"}
    assert window.trigger_rule == "all_done"


def test_the_back_out_hangs_on_the_verdict_alone(dag: Any) -> None:
    """C02: nothing but the verdict, which waits for work in progress, can start it."""
    assert dag.get_task("s08_s09_training.back_out").upstream_task_ids == {"s08_s09_training.verdict"}


def test_everybody_who_is_asked_is_named(dag: Any) -> None:
    """C03: the core checks respondents only when a list is set."""
    asked = [task for task in dag.tasks if hasattr(task, "assigned_users")]
    assert asked
    assert all(task.assigned_users and task.fail_on_reject and task.response_timeout for task in asked)


def test_a_notice_leads_to_the_task_that_asks(dag: Any) -> None:
    run = SimpleNamespace(dag_id=dag.dag_id, dag_run_id="scheduled__2026-08-14T13:00:00+00:00")
    gates = (("plan", ""), ("support", ""), ("go_no_go", "production"), ("sign_off", "training"))
    for gate, environment in gates:
        link = page_of_request(cast("Any", run), gate, environment, "https://here.example")
        assert link.startswith("https://here.example/dags/lindgren.roundup-2.6/runs/scheduled__2026-08-14T13%3A00")
        assert dag.has_task(link.split("/")[-2])


def test_every_task_and_group_tells_the_operator_what_it_does(dag: Any) -> None:
    assert all(task.doc_md for task in dag.tasks)
    assert all(group.tooltip for group in dag.task_group.children.values() if hasattr(group, "tooltip"))
    assert "Plan digest" in dag.doc_md


def test_no_dag_of_ours_has_a_callback(dag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dag-processor is told to run none: one of them, in a version, has it parse that file without an end."""
    from airflow.sdk.definitions._internal.contextmanager import DagContext

    monkeypatch.setattr(DagContext, "current_autoregister_module_name", __name__)  # as the dag-processor reads a file
    monkeypatch.setattr(DagContext, "autoregistered_dags", set())
    runpy.run_path(str(PROJECT / "dags/housekeeping.py"))
    ours = [each for each, _ in DagContext.autoregistered_dags]
    assert len(ours) == 3
    for each in (dag, *ours):
        assert not each.has_on_success_callback
        assert not each.has_on_failure_callback
        for task in each.tasks:
            names = [name for name in dir(task) if name.startswith("on_") and name.endswith("_callback")]
            assert len(names) >= 4
            assert not [name for name in names if getattr(task, name)], task.task_id


def test_the_verdict_alone_chooses_its_way(dag: Any) -> None:
    """Airflow skips what was not chosen, also when somebody clears it; what is skipped holds nothing up."""
    verdicts = [task for task in dag.tasks if task.task_id.endswith(".verdict")]
    assert len(verdicts) == 2
    for verdict in verdicts:
        assert verdict.task_type == "VerdictOperator"
        assert verdict.inherits_from_skipmixin
        group = verdict.task_id.removesuffix("verdict")
        assert verdict.downstream_task_ids == {f"{group}{name}" for name in ("commit", "back_out", "stand_down")}
        assert dag.get_task(f"{group}settle").trigger_rule == "all_done"


def test_a_standard_change_asks_nobody_for_the_plan() -> None:
    """It was approved beforehand; the rule that says so is a stage like the others, at the same place."""
    from changeover.orchestration.dag_factory import build_dag

    pre = "change:\n  model: standard\n  pre_approval: {reference: STD-1, by: petra.lang, until: 2035-12-31}\n"
    text = PLAN.read_text(encoding="utf-8") + pre
    asked: Any = build_dag(parse_plan(text.encode(), name="p"), plan_digest="d" * 64, plan_text=text).get_task(
        "s06_planning.approve_plan"
    )
    assert (asked.task_type, asked.stage) == ("StageOperator", "approve_plan")
    assert asked.downstream_task_ids == {"s06_planning.bind_approval"}
