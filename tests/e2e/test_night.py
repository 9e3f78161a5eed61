"""A night under a real scheduler, on real SSH hosts: started by its window, nobody answers; and a run that is held."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from changeover import lab, wiring
from changeover.domain.outcome import Outcome
from changeover.domain.record import Mark, MarkKind, run_key
from changeover.domain.steering import paused_since
from changeover.orchestration import introduce_site
from changeover.orchestration.airflow_client import DagRun
from changeover.settings import PROJECT
from changeover.usecases.steer_run import hold, resume
from tests.support.airflow import TestAirflow, settings_at
from tests.support.content import put
from tests.support.site_airflow import introduced, own_lab

pytestmark = [pytest.mark.e2e, pytest.mark.lab, pytest.mark.slow]
TEXT = (PROJECT / "include/plans/lindgren/roundup-2.6.yaml").read_text(encoding="utf-8")
ANY_TIME = "    window:\n      kind: any_time\n      reason: The lab is nobody's production\n"
HELD, BY_ITSELF, HANGS = "lindgren.roundup-2.6", "lindgren.alone", "lindgren.hangs"
NIGHT = """
unattended: {window_of: production}
night:
  plan_approval: hold
  go_no_go: proceed
  sign_off: proceed
  support: hold
  readiness_refused: skip_environment
  implement_failed: back_out
  acceptance_failed: back_out
  execution_unknown: hold
  decide_by_passed: back_out
  window_end_passed: proceed
  hypercare_failed: hold
"""
GATES = """\
    go_no_go: {by: [petra.lang], wait: 3s}
    sign_off: {by: [erik.lindgren], wait: 3s}
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with own_lab("roundup") as root:
        yield root


@pytest.fixture(scope="module")
def running(place: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestAirflow]:
    home = tmp_path_factory.mktemp("night")
    plans = home / "plans"
    put(plans / "lindgren/roundup-2.6.yaml", TEXT)
    state = lab.up("roundup", root=place, port=0)
    settings = settings_at(home / "home", plans=plans, artefacts=state.artefacts_path)
    with introduced(settings, state) as started:
        yield started


def marks(running: TestAirflow, run: DagRun, kind: MarkKind | None = None) -> tuple[Mark, ...]:
    return wiring.ledger(running.settings).marks(run_key(run.dag_id, run.run_id), kind=kind)


def answering(running: TestAirflow, run: DagRun, *gates: str) -> Callable[[DagRun], None]:
    """Answers yes at these gates and at no other."""

    def look(_now: DagRun) -> None:
        with running.client() as client:
            waiting = [r for r in client.requests(run) if r.waits and r.task_id.rpartition(".")[2] in gates]
        for request in waiting:
            with running.client(request.asked[0]) as person:
                person.answer(request, "Approve")

    return look


def until(done: Callable[[], bool], *, within: float, what: str) -> None:
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def test_a_held_run_keeps_its_place_and_a_paused_one_is_told(running: TestAirflow) -> None:
    """Held while the baseline is built: what runs ends, the next task waits without a worker, then goes on."""
    ledger = wiring.ledger(running.settings)
    with running.client() as client:
        client.wait_for_dag(HELD, timeout=150)
        run = client.trigger(HELD, {"mode": "implement", "reason": "test"})
        key = run_key(HELD, run.run_id)
        until(lambda: bool(ledger.steps(key)), within=120, what="the baseline was never built")
        recorded = ledger.run(key)
        assert recorded is not None
        assert hold(ledger, recorded, by="jonas.weber", reason="a look", at=datetime.now(UTC)).refused == ()

        def waits() -> list[str]:
            return [task for task, about in client.tasks(run).items() if about.state == "deferred"]

        until(lambda: bool(waits()), within=120, what=f"nothing waits\n{running.logs()}")
        steps = ledger.steps(key)
        assert {str(step.status) for step in steps} == {"successful"}
        client.pause(HELD, paused=True)
        until(
            lambda: paused_since(ledger.marks(key)) is not None,
            within=150,
            what=f"the sweep is blind\n{running.logs()}",
        )
        assert ledger.steps(key) == steps
        client.pause(HELD, paused=False)
        resume(ledger, recorded, by="jonas.weber", reason="looked", at=datetime.now(UTC))
        ended = client.wait(
            run, timeout=600, on_poll=answering(running, run, "approve_plan", "support_accepts"), interval=1.0
        )
    assert ended.state == "success", running.logs()
    assert ledger.outcomes(key)[""].outcome is Outcome.SUCCESSFUL
    assert [
        (mark.kind, mark.data["by"]) for mark in ledger.marks(key) if mark.kind in (MarkKind.HELD, MarkKind.RESUMED)
    ] == [
        (MarkKind.HELD, "jonas.weber"),
        (MarkKind.RESUMED, "jonas.weber"),
    ]


def test_a_window_opens_and_the_night_goes_by_its_policy(running: TestAirflow, place: Path) -> None:
    """Opened in two minutes, started by itself; after the plan's approval nobody answers until the morning.

    Support is asked again until somebody is awake.
    """
    state = lab.reset("roundup", root=place)
    introduce_site.import_estate(running.settings, state.estate_path, reset=True)
    opens = (datetime.now(UTC) + timedelta(minutes=2)).replace(second=0, microsecond=0)
    end = opens + timedelta(hours=4)
    window = (
        f'    window: {{kind: dated, zone: UTC, on: {opens:%Y-%m-%d}, start: "{opens:%H:%M}", end: "{end:%H:%M}"}}\n'
    )
    head, _, tail = TEXT.rpartition(ANY_TIME)
    text = f"{head}{window}{GATES}{tail}".replace("upgrade: roundup-2.6\n", "upgrade: alone\n")
    day, _, night = text.rpartition("1h")
    put(running.settings.plans / "lindgren/alone.yaml", f"{day}4s{night}{NIGHT}")
    with running.client() as client:
        client.wait_for_dag(BY_ITSELF, timeout=60)
        until(lambda: bool(client.runs(BY_ITSELF)), within=180, what=f"it did not start\n{running.logs()}")
        (run,) = client.runs(BY_ITSELF)
        approve, morning = answering(running, run, "approve_plan"), answering(running, run, "support_accepts")

        def look(now: DagRun) -> None:
            approve(now)
            if any(mark.data["case"] == "support" for mark in marks(running, run, MarkKind.NIGHT_ACTED)):
                morning(now)

        ended = client.wait(run, timeout=600, on_poll=look, interval=1.0)
    assert run.run_id == f"scheduled__{opens.isoformat()}"
    assert run.started_at is not None
    assert timedelta(0) <= run.started_at - opens < timedelta(seconds=15)
    assert ended.state == "success", running.logs()
    outcomes = wiring.ledger(running.settings).outcomes(run_key(run.dag_id, run.run_id))
    assert {name: verdict.outcome for name, verdict in outcomes.items()} == dict.fromkeys(
        ("training", "production", ""), Outcome.SUCCESSFUL
    )
    acted = [(m.environment, m.data["case"], m.data["action"]) for m in marks(running, run, MarkKind.NIGHT_ACTED)]
    assert acted == [
        ("production", "go_no_go", "proceed"),
        ("production", "sign_off", "proceed"),
        ("", "support", "hold"),
    ]
    signed = [mark for mark in marks(running, run, MarkKind.SIGNED_OFF) if mark.environment == "production"]
    assert [str(mark.data["by"]) for mark in signed] == ["rule: no answer in time, and the plan goes on without"]


@pytest.mark.timeout(1100)
def test_a_change_that_does_not_end_is_ended_at_decide_by_and_backed_out(running: TestAirflow, place: Path) -> None:
    """Started and approved before the window opens: the lane waits for it; the migration hangs; the clock acts."""
    state = lab.reset("roundup", root=place)
    introduce_site.import_estate(running.settings, state.estate_path, reset=True)
    opens = (datetime.now(UTC) + timedelta(minutes=6)).replace(second=0, microsecond=0)
    window = f'    window: {{kind: dated, zone: UTC, on: {opens:%Y-%m-%d}, start: "{opens:%H:%M}", duration: 4m}}\n'
    hangs = "    variables: {roundup_implement_pause: 900}\n"
    head, _, tail = TEXT.rpartition(ANY_TIME)
    text = f"{head}{window}{hangs}{tail}".replace("upgrade: roundup-2.6\n", "upgrade: hangs\n")
    put(running.settings.plans / "lindgren/hangs.yaml", f"{text}\nnight: {{decide_by_passed: back_out}}\n")
    with running.client() as client:
        client.wait_for_dag(HANGS, timeout=60)
        run = client.trigger(HANGS, {"mode": "implement", "environments": ["production"], "reason": "test"})
        ended = client.wait(run, timeout=1000, on_poll=answering(running, run, "approve_plan"), interval=1.0)
    assert ended.state == "failed"
    ledger, key = wiring.ledger(running.settings), run_key(run.dag_id, run.run_id)
    assert ledger.outcomes(key)["production"].outcome is Outcome.BACKED_OUT, running.logs()
    (waited,), (agreed,) = marks(running, run, MarkKind.WAITING_FOR_WINDOW), marks(running, run, MarkKind.WINDOW_AGREED)
    decide_by = datetime.fromisoformat(str(agreed.data["decide_by"]))
    steps = {step.step: step for step in ledger.steps(key, environment="production")}
    assert waited.at < opens <= steps["readiness"].started_at < opens + timedelta(seconds=30)
    ended_at = steps["implement"].ended_at
    assert ended_at is not None
    assert decide_by <= ended_at < decide_by + timedelta(seconds=30)
    assert [mark.kind for mark in marks(running, run) if "decide_by" in mark.kind] == [
        MarkKind.DECIDE_BY_NEAR,
        MarkKind.DECIDE_BY_PASSED,
    ]
    acted = [(mark.data["case"], mark.data["action"]) for mark in marks(running, run, MarkKind.NIGHT_ACTED)]
    assert acted[0] == ("decide_by_passed", "back_out")
