"""The task that closes the change: green only when it did, and the run's last word is another task's."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import MarkKind
from changeover.orchestration import run_context
from changeover.orchestration.operators import CloseOperator
from changeover.orchestration.pinned import PinnedPlan
from changeover.usecases.tools import Upgrade
from tests.support.world import World, plan

CONTEXT = {"dag_run": SimpleNamespace(run_id="manual__1+00:00")}


@pytest.fixture
def upgrade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upgrade:
    """Every environment upgraded, and nothing of what an exit needs."""
    world = World(tmp_path)
    upgrade, tools = world.upgrade(), world.tools()
    world.open_change(upgrade)
    for lane in upgrade.lanes:
        world.ledger.record_outcome(upgrade.run.key, lane.name, Verdict(Outcome.SUCCESSFUL), world.now)
    monkeypatch.setattr(run_context, "opened", lambda pinned, context: (upgrade, tools))
    monkeypatch.setattr(run_context, "write_reports", lambda upgrade, tools: [])
    return upgrade


def closing(*, decides: bool) -> CloseOperator:
    return CloseOperator(task_id="close", pinned=PinnedPlan(plan(), "d" * 64, "text"), decides=decides)


def test_a_change_that_stays_open_is_not_shown_as_closed(upgrade: Upgrade) -> None:
    with pytest.raises(AirflowSkipException, match="the change stays open: exit: watch-ended"):
        closing(decides=False).execute(CONTEXT)


def test_the_last_task_fails_the_run_all_the_same(upgrade: Upgrade) -> None:
    with pytest.raises(AirflowFailException, match="outcome: unknown: exit: watch-ended"):
        closing(decides=True).execute(CONTEXT)


def test_once_it_is_closed_the_task_is_green(upgrade: Upgrade) -> None:
    _, tools = run_context.opened(closing(decides=False).pinned, CONTEXT)
    tools.ledger.record_outcome(upgrade.run.key, "production", Verdict(Outcome.BACKED_OUT), tools.clock())
    assert closing(decides=False).execute(CONTEXT)["outcome"] == "backed_out"
    assert tools.ledger.marks(upgrade.run.key, kind=MarkKind.CHANGE_CLOSED)
