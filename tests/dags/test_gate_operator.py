"""The task that asks people: what was approved ahead is not asked again, anything else is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import TaskAwaitingInput

from changeover.domain.plan import Approval
from changeover.orchestration import operators, run_context
from changeover.orchestration.operators import GateApprovalOperator
from changeover.orchestration.pinned import PinnedPlan
from changeover.usecases import ask
from changeover.usecases.tools import Answer, yes
from tests.support.world import plan

CONTEXT: Any = {"task_instance": SimpleNamespace(id="ti-1"), "dag_run": SimpleNamespace(run_id="scheduled__1")}


def a_gate(monkeypatch: pytest.MonkeyPatch, answer: Answer) -> GateApprovalOperator:
    monkeypatch.setattr(run_context, "running", lambda pinned, context: (None, None))
    monkeypatch.setattr(ask, "open_request", lambda upgrade, tools, **of: answer)
    return GateApprovalOperator(
        task_id="approve_plan",
        subject="Approve?",
        pinned=PinnedPlan(plan(), "d" * 64, "text"),
        gate="plan",
        approval=Approval(by=("owner",)),
    )


def test_what_was_approved_ahead_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    task = a_gate(monkeypatch, yes("plan: approved ahead", decided=True))
    assert task.execute(CONTEXT) == {"text": "plan: approved ahead", "decided": True}


def test_anything_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    put: list[dict[str, Any]] = []
    for module in (operators, hitl):
        monkeypatch.setattr(module, "upsert_hitl_detail", lambda **request: put.append(request))
    task = a_gate(monkeypatch, yes("asked", asked=["owner"], seconds=60.0, facts="| a | b |"))
    with pytest.raises(TaskAwaitingInput):
        task.execute(CONTEXT)
    assert [user["id"] for user in put[0]["assigned_users"]] == ["owner"]
