"""The hand-over pack is filed with the run before support is asked; nobody has to write it in the evening."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators.hitl import ApprovalOperator

from changeover.orchestration import run_context
from changeover.orchestration.operators import GateApprovalOperator
from changeover.orchestration.pinned import PinnedPlan
from changeover.ports import Ledger
from changeover.usecases.tools import Tools, Upgrade
from tests.support import papers
from tests.support.story import upgraded
from tests.support.world import World


@pytest.fixture
def run(tmp_path: Path) -> tuple[Upgrade, Tools]:
    story, given = upgraded(tmp_path), papers.given()
    tools = replace(World(tmp_path / "world").tools(), ledger=story.ledger, cmdb=story.cmdb)
    return Upgrade(story.run, given.plan, given.release), tools


def filed(ledger: Ledger, upgrade: Upgrade) -> list[Path]:
    kept = [each for each in ledger.evidence(upgrade.run.key) if each.name.startswith("hand-over-pack")]
    assert all(hashlib.sha256(Path(each.path).read_bytes()).hexdigest() == each.sha256 for each in kept)
    return [Path(each.path) for each in kept]


def test_it_is_kept_as_evidence_with_the_runs_own_values(run: tuple[Upgrade, Tools]) -> None:
    """Asked again, it is filed beside the one that was read before."""
    upgrade, tools = run
    for number in (1, 2):
        assert run_context.file_hand_over(upgrade, tools).endswith(f"hand-over-pack-{number}.html")
    first, _ = filed(tools.ledger, upgrade)
    page = first.read_text()
    assert "8.0.12" in page
    assert "Going back loses what was entered since." in page


def test_one_that_cannot_be_made_is_told_and_keeps_nobody_from_being_asked(
    run: tuple[Upgrade, Tools], tmp_path: Path
) -> None:
    upgrade, tools = run
    tools = replace(tools, settings=replace(tools.settings, branding=tmp_path / "none"))
    assert run_context.file_hand_over(upgrade, tools).startswith("**No hand-over pack could be filed** (")
    assert filed(tools.ledger, upgrade) == []


@pytest.mark.parametrize("gate", ["support", "plan"])
def test_whoever_accepts_reads_where_it_lies(
    run: tuple[Upgrade, Tools], monkeypatch: pytest.MonkeyPatch, gate: str
) -> None:
    upgrade, tools = run
    monkeypatch.setattr(run_context, "running", lambda pinned, context: (upgrade, tools))
    monkeypatch.setattr(ApprovalOperator, "execute", lambda self, context: self.body)
    pinned = PinnedPlan(upgrade.plan, upgrade.run.plan_digest, upgrade.run.plan_text)
    asks = GateApprovalOperator(
        task_id="asks",
        pinned=pinned,
        gate=gate,
        approval=upgrade.plan.support.accepted_by,
        subject="it is asked",
        body="read this",
    )
    context: Any = {"dag_run": SimpleNamespace(run_id=upgrade.run.dag_run_id)}
    body = asks.execute(context)
    found = filed(tools.ledger, upgrade)
    assert [str(path) in body for path in found] == ([True] if gate == "support" else [])
