"""Starting a run from the command line and following it, with an Airflow that is played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from changeover import cli_run
from changeover.adapters import ledger_sql
from changeover.adapters.ledger_sql import SqlLedger
from changeover.cli_run import Asked, start_in
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import MarkKind, Run, run_key
from changeover.errors import ChangeoverError
from changeover.orchestration.airflow_client import DagRun, Request, Task
from changeover.orchestration.plan_store import Manifest, PlanStore, StoredPlan
from changeover.settings import Settings
from tests.support.content import PLAN, make
from tests.support.records import a_mark, a_run, later

RUN = DagRun("acme.app-2", "manual__1", "running", None, None, None)
KEY = run_key(RUN.dag_id, RUN.run_id)


@dataclass
class PlayedAirflow:
    """Takes one request, then does what the test wrote, one step at each look."""

    steps: list[Callable[[], object]] = field(default_factory=list)
    conf: dict[str, Any] = field(default_factory=dict)
    open_requests: tuple[Request, ...] = ()
    state: str = "success"

    version: str = ""

    def bundle_version(self, dag_id: str) -> str | None:
        return self.version

    def import_errors(self) -> dict[str, str]:
        return {}

    def trigger(self, dag_id: str, conf: dict[str, Any], *, note: str | None) -> DagRun:
        assert dag_id == RUN.dag_id
        self.conf = conf
        return RUN

    def wait(self, run: DagRun, *, timeout: float, on_poll: Callable[[DagRun], None], interval: float) -> DagRun:
        for step in self.steps:
            step()
            on_poll(run)
        return replace(run, state=self.state)

    def tasks(self, run: DagRun) -> dict[str, Task]:
        return {"settle": Task("settle", "failed", 1, later(), later(seconds=1))}

    def log(self, run: DagRun, task_id: str, *, try_number: int) -> str:
        return f"::group::x\n{task_id} broke\n"

    def requests(self, run: DagRun) -> tuple[Request, ...]:
        return self.open_requests


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = make(tmp_path)
    made.home.mkdir()
    ledger_sql.migrate(made.ledger_url)
    store = PlanStore(made.plan_store)
    digest = store.add(PLAN.encode())
    store.keep(Manifest({RUN.dag_id: StoredPlan(digest, "acme/app-2.yaml")}))
    return made


def digest(settings: Settings) -> str:
    return PlanStore(settings.plan_store).current().plans[RUN.dag_id].digest


def in_airflow(settings: Settings, airflow: PlayedAirflow) -> PlayedAirflow:
    """Airflow's DAG stands at what the store has."""
    airflow.version = PlanStore(settings.plan_store).current().version()
    return airflow


def the_run(settings: Settings, **other: Any) -> Run:
    known = {"dag_id": RUN.dag_id, "dag_run_id": RUN.run_id, "plan_digest": digest(settings), "plan_text": PLAN}
    return a_run(KEY, **{**known, **other})


def follow(settings: Settings, airflow: PlayedAirflow, asked: Asked | None = None) -> int:
    in_airflow(settings, airflow)
    return start_in(airflow, settings, RUN.dag_id, asked or Asked("implement"), digest=digest(settings), wait=True)  # type: ignore[arg-type]


def ending(settings: Settings, outcome: Outcome, **other: Any) -> PlayedAirflow:
    """A run that opens, implements, and ends so."""
    ledger = SqlLedger(settings.ledger_url)
    return PlayedAirflow([
        lambda: None,
        lambda: ledger.open_run(the_run(settings, **other)),
        lambda: ledger.mark(replace(a_mark(MarkKind.IMPLEMENTING), run=KEY)),
        lambda: ledger.record_outcome(KEY, "", Verdict(outcome, ("because",)), later(hours=1)),
    ])  # fmt: skip


def test_what_was_asked_reaches_airflow(settings: Settings) -> None:
    airflow = in_airflow(settings, PlayedAirflow())
    asked = Asked("analyse", ("training",), "a reason", "CR-1")
    assert start_in(airflow, settings, RUN.dag_id, asked, digest=digest(settings), wait=False) == 0  # type: ignore[arg-type]
    assert airflow.conf == {
        "mode": "analyse",
        "environments": ["training"],
        "reason": "a reason",
        "change_reference": "CR-1",
    }


def test_environments_that_are_left_out_are_left_to_the_plan() -> None:
    assert "environments" not in Asked("implement").conf()


def test_a_run_that_did_what_was_asked_is_0(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(settings, ending(settings, Outcome.SUCCESSFUL)) == 0
    out = capsys.readouterr().out
    assert f"run {KEY}" in out
    assert out.count("production prod-app1") == 1
    assert "implementing" in out


def test_a_run_that_did_not_is_1(settings: Settings) -> None:
    assert follow(settings, ending(settings, Outcome.BACKED_OUT)) == 1


def test_a_back_out_that_was_asked_for_is_0(settings: Settings) -> None:
    assert (
        follow(settings, ending(settings, Outcome.BACKED_OUT, mode="back-out"), Asked("back-out", ("production",))) == 0
    )


def test_airflows_colour_is_not_believed(settings: Settings) -> None:
    """A run that is green in Airflow and has no outcome is a broken tool."""
    ledger = SqlLedger(settings.ledger_url)
    airflow = PlayedAirflow([lambda: ledger.open_run(the_run(settings))])
    with pytest.raises(ChangeoverError, match="without an outcome: nobody can say what is true"):
        follow(settings, airflow)


def test_a_run_that_left_nothing_is_a_broken_tool(settings: Settings) -> None:
    with pytest.raises(
        ChangeoverError, match=r"left nothing in the ledger\. The first task that failed: settle: settle broke"
    ):
        follow(settings, PlayedAirflow(state="failed"))


def test_a_run_on_another_text_is_told(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    follow(settings, ending(settings, Outcome.SUCCESSFUL, plan_digest="ff" * 32))
    assert capsys.readouterr().err.count("opened on another text of the plan") == 1


def test_a_question_that_waits_for_people_is_told_once(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    airflow = ending(settings, Outcome.SUCCESSFUL)
    airflow.open_requests = (
        Request(RUN.dag_id, RUN.run_id, "t", "Approve?", "", ("Approve",), ("ann", "jo"), None, ()),
    )
    follow(settings, airflow)
    assert capsys.readouterr().out.count("waiting for ann or jo: Approve?") == 1


def test_a_text_that_airflow_does_not_take_is_not_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_run, "PATIENCE", 0.5)
    airflow = PlayedAirflow()
    with pytest.raises(ChangeoverError, match=r"Airflow did not take this text of acme\.app-2"):
        start_in(airflow, settings, RUN.dag_id, Asked("implement"), digest="other", wait=False)  # type: ignore[arg-type]
    assert airflow.conf == {}
