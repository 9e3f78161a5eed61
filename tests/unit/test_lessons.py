"""What one client taught: what went wrong on a release there holds the others' upgrades to it, without a name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.analysis import analyse
from changeover.domain.finding import Finding
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.lesson import Elsewhere, Lesson, Taught, candidates_told, lessons
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.plan import Plan
from changeover.domain.record import Mark, MarkKind
from changeover.domain.waiver import Waiver
from changeover.usecases.check_readiness import readiness_gate
from changeover.usecases.client_analysis import analyse_client
from changeover.usecases.elsewhere import learnt, learnt_since
from changeover.usecases.tools import Reply, Upgrade
from tests.support.analysed import CATALOGUE, PLAN, facts
from tests.support.estate import Estate
from tests.support.world import NEW, START


def acceptance(*failed: str, gate: str = "acceptance", state: CheckState = CheckState.FAILED) -> GateResult:
    results = tuple(CheckResult(key, "h", state) for key in failed)
    return GateResult(gate, "production", tuple((key, "h") for key in failed), results, ("h",), ("h",))


def inhibited(*keys: str, hosts: tuple[str, ...] = ("h",)) -> GateResult:
    results = tuple(CheckResult(key, "", CheckState.ADVISED) for key in keys)
    findings = tuple(Finding(key, "somebody's", "text") for key in keys)
    declared = tuple((key, "") for key in keys)
    return GateResult("client_analysis", "", declared, results, hosts, hosts, findings)


def elsewhere(outcome: Outcome | None, *gates: GateResult, day: int = 0, who: str = "other", **more: Any) -> Elsewhere:
    return Elsewhere(who, START + timedelta(days=day), outcome, more.pop("target", NEW), gates, **more)


def taught(*runs: Elsewhere, wanted: tuple[str, ...] = (NEW,), scheme: str = "pep440") -> tuple[Lesson, ...]:
    return lessons(runs, wanted=wanted, scheme=scheme, catalogue=CATALOGUE)


def failing(key: str, release: str = NEW) -> Lesson:
    return Lesson(key, Taught.ACCEPTANCE, release)


MOVED = Lesson("impact-endpoint-moved", Taught.INHIBITOR, NEW)


def test_a_failed_acceptance_an_inhibitor_and_an_incident_are_lessons() -> None:
    run = elsewhere(
        Outcome.BACKED_OUT, acceptance("test_round"), inhibited("impact-endpoint-moved"), incidents=(("incident-1", 2),)
    )
    assert taught(run) == (MOVED, Lesson("incident-1", Taught.INCIDENT, NEW, 2), failing("test_round"))


@pytest.mark.parametrize("state", [CheckState.ERROR, CheckState.SKIPPED])
def test_a_check_that_came_to_no_answer_did_not_pass(state: CheckState) -> None:
    assert taught(elsewhere(Outcome.BACKED_OUT, acceptance("test_round", state=state))) == (failing("test_round"),)


def test_neither_did_one_that_never_ran_nor_a_host_that_nobody_looked_at() -> None:
    never = replace(acceptance("test_round"), results=())
    assert taught(elsewhere(None, never)) == (failing("test_round"),)
    lost = replace(acceptance(), hosts_planned=("h", "other"))
    assert taught(elsewhere(None, lost)) == (failing("hosts-seen"),)


def test_how_a_gate_was_run_there_is_none() -> None:
    run = elsewhere(Outcome.BACKED_OUT, acceptance("hosts-read", "retest-integration", "suites"))
    assert taught(run) == ()


def test_what_a_back_outs_own_acceptance_said_is_none() -> None:
    assert taught(elsewhere(Outcome.BACKED_OUT, acceptance("x", gate="back_out_acceptance"))) == ()


@pytest.mark.parametrize(
    "key", ["release-hold", "analysis-check-broken", "discovery-version-planned", "artefacts-missing", "no-such-check"]
)
def test_what_says_nothing_of_the_release_is_none(key: str) -> None:
    """A hold that held somebody must not hold the next one for that reason alone."""
    assert taught(elsewhere(None, inhibited(key))) == ()


def test_a_client_that_succeeded_since_taught_how_it_is_cured() -> None:
    failed = elsewhere(Outcome.BACKED_OUT, acceptance("test_round"))
    assert taught(failed, elsewhere(Outcome.SUCCESSFUL, day=1)) == ()
    assert taught(failed, elsewhere(Outcome.SUCCESSFUL, day=-1)) == (failing("test_round"),)
    assert taught(failed, elsewhere(Outcome.SUCCESSFUL, day=1, who="third")) == (failing("test_round"),)


def test_a_success_in_training_cures_nothing_of_production() -> None:
    """A baseline is no lane: any success after it shows that what failed there was cured."""
    lanes = ("training", "production")
    rehearsed = replace(acceptance("test_rehearsed"), environment="baseline")
    gates = (acceptance("test_round"), rehearsed, inhibited("impact-endpoint-moved"))
    failed = elsewhere(Outcome.BACKED_OUT, *gates, incidents=(("incident-1", 2),), environments=lanes)
    training = elsewhere(Outcome.SUCCESSFUL, day=1, environments=("training",), upgraded=("training",))
    incident = Lesson("incident-1", Taught.INCIDENT, NEW, 2)
    assert taught(failed, training) == (MOVED, incident, failing("test_round"))
    production = elsewhere(Outcome.SUCCESSFUL, day=2, environments=("production",), upgraded=("production",))
    assert taught(failed, training, production) == ()


def test_an_inhibitor_is_cured_where_as_many_hosts_do_not_show_it_any_more() -> None:
    before = elsewhere(None, inhibited("impact-endpoint-moved", hosts=("a", "b")))
    assert taught(before, elsewhere(None, inhibited(hosts=("a",)), day=1)) == (MOVED,)
    assert taught(before, elsewhere(None, inhibited(hosts=("a", "b", "c")), day=1)) == ()


def test_a_version_written_otherwise_is_the_same_release() -> None:
    run = elsewhere(Outcome.BACKED_OUT, acceptance("test_round"), target="2.6")
    assert taught(run) == (failing("test_round"),)
    assert taught(run, scheme="semver") == ()


def test_a_failure_at_a_stop_is_one_of_the_stops_release() -> None:
    there = acceptance("test_round", gate="acceptance_leg1")
    run = elsewhere(Outcome.BACKED_OUT, there, target="3.0", stops={1: NEW})
    assert taught(run) == (failing("test_round"),)
    assert taught(run, wanted=("3.0",)) == ()
    assert taught(run, wanted=("3.0", NEW)) == (failing("test_round"),)


def test_each_holds_and_names_the_check_to_look_at() -> None:
    learnt = [failing("test_round"), MOVED, Lesson("incident-1", Taught.INCIDENT, NEW, 2)]
    found = analyse(facts(), CATALOGUE, learnt=learnt).findings
    assert {(f.key, f.subject, f.inhibits) for f in found} == {
        (key, one.key, key == "release-hold") for one in learnt for key in ("release-hold", "release-candidate-check")
    }
    told = {f.subject: f.summary for f in found if f.key == "release-candidate-check"}
    assert told["test_round"] == "Look at what the acceptance test test_round says here, in a rehearsal."
    assert told["impact-endpoint-moved"] == "Look at what the check impact-endpoint-moved said here."
    assert "add an acceptance test that would have seen it" in told["incident-1"]


def test_a_candidate_check_is_known_to_pass_once_this_run_asked_it() -> None:
    rehearsed = replace(acceptance("test_round", state=CheckState.PASSED), environment="baseline")
    asked = inhibited("impact-endpoint-moved")
    assert candidates_told([failing("test_round")], [rehearsed]) == (("test_round: passed here (baseline)", True),)
    assert candidates_told([MOVED], [replace(asked, findings=())]) == (
        ("impact-endpoint-moved: passed here (the analysis)", True),
    )
    assert [ok for _, ok in candidates_told([MOVED, failing("test_round")], [asked, acceptance("test_round")])] == [
        False,
        False,
    ]
    ((told, ok),) = candidates_told([failing("test_round")], [])
    assert (told[:32], ok) == ("test_round: not asked here yet. ", False)


# From the ledger


def other_run(estate: Estate, of: Upgrade, *, key: str = "secretive.run", client: str = "secretive") -> str:
    run = replace(of.run, key=key, client=client, dag_id=f"{client}.x", dag_run_id=key, plan_text=key, plan_digest=key)
    estate.ledger.open_run(run)
    return key


def test_the_hold_of_another_clients_run_carries_no_name(tmp_path: Path) -> None:
    """The same release, another client; the client's own earlier runs hold nothing."""
    estate = Estate(tmp_path)
    own = estate.upgrade(of=PLAN)
    estate.ledger.record_gate(own.run.key, acceptance("own_test"), estate.now)
    other = other_run(estate, own)
    estate.ledger.record_gate(other, acceptance("test_round"), estate.now)
    seen = {"number": "INC-SECRETIVE-7", "severity": 1, "summary": "secretive cannot print"}
    estate.ledger.mark(Mark(other, MarkKind.INCIDENT_SEEN, estate.now, data=seen))
    assert learnt(own, estate.tools()) == (failing("test_round"),)
    estate.ledger.mark(Mark(other, MarkKind.CHANGE_OPENED, estate.now))
    estate.ledger.record_outcome(other, "", Verdict(Outcome.BACKED_OUT), estate.now)
    upgrade = estate.asked()
    answer = analyse_client(upgrade, estate.tools())
    assert answer.reply is Reply.NO
    assert "release-hold (test_round)" in answer.text
    assert "an incident of severity 1 was put down to tracker 2.6.0 at another client" in answer.text
    assert "own_test" not in answer.text
    kept = [gate for _, gate in estate.ledger.gates(upgrade.run.key) if gate.gate == "client_analysis"]
    assert "secretive" not in repr(kept).lower()


def test_what_happens_elsewhere_after_the_analysis_holds_at_the_start(tmp_path: Path) -> None:
    estate = Estate(tmp_path)
    upgrade = estate.asked()
    assert estate.analyse(upgrade).reply is Reply.YES
    before = learnt_since(upgrade, estate.tools())
    assert before is not None
    assert (before.holds, before.candidates) == ((), ())
    estate.ledger.record_gate(other_run(estate, upgrade), acceptance("test_round"), estate.now)
    tonight = learnt_since(upgrade, estate.tools())
    assert tonight is not None
    assert tonight.holds == ("test_round: test_round failed at acceptance of tracker 2.6.0 for another client",)
    assert [ok for _, ok in tonight.candidates] == [False]
    gate = readiness_gate(upgrade, estate.tools(), upgrade.lanes[0])
    assert f"release-hold: failed: {tonight.holds[0]}" in gate.reasons()
    estate.given = (
        Waiver.model_validate(
            {
                "id": "W-1",
                "key": "release-hold",
                "subject": "test_round",
                "reason": "rehearsed twice without it",
                "by": "owner",
                "given_on": "2026-08-01",
                "expires_on": "2026-08-31",
            }
        ),
    )
    waived = learnt_since(upgrade, estate.tools())
    assert waived is not None
    assert (waived.holds, waived.waived) == ((), ("W-1",))


def test_a_rehearsal_is_told_and_not_held(tmp_path: Path) -> None:
    """It is how one shows that it cannot happen here; nothing of the client's is touched."""
    estate = Estate(tmp_path)
    upgrade = estate.asked(mode="rehearse")
    estate.ledger.record_gate(other_run(estate, upgrade), acceptance("test_round"), estate.now)
    assert estate.analyse(upgrade).reply is Reply.YES
    (gate,) = (gate for _, gate in estate.ledger.gates(upgrade.run.key) if gate.gate == "client_analysis")
    assert [(f.key, f.severity) for f in gate.findings] == [
        ("release-hold", "advisory"),
        ("release-candidate-check", "advisory"),
    ]


def test_runs_of_other_applications_do_not_hide_what_was_learnt(tmp_path: Path) -> None:
    """However many of them are newer."""
    estate = Estate(tmp_path)
    upgrade = estate.asked()
    estate.ledger.record_gate(other_run(estate, upgrade), acceptance("test_round"), estate.now)
    for number in range(600):
        run = replace(upgrade.run, key=f"n{number}", client="big", application="another", dag_run_id=f"n{number}")
        estate.ledger.open_run(replace(run, opened_at=estate.now + timedelta(minutes=number)))
    assert learnt(upgrade, estate.tools()) == (failing("test_round"),)


class Stopping(Estate):
    """Another client's plan goes on to 3.0, with a stop at the release that this one goes to."""

    def plan(self, text: str) -> Plan | None:
        return PLAN.model_copy(update={"to_version": "3.0"}) if text == "secretive.run" else PLAN


def test_a_stop_is_known_by_the_legs_that_the_run_was_pinned_to(tmp_path: Path) -> None:
    estate = Stopping(tmp_path)
    upgrade = estate.asked()
    other = other_run(estate, upgrade)
    legs = [{"from": "2.0.0", "to": "2.6", "conditions": []}, {"from": "2.6", "to": "3.0", "conditions": []}]
    estate.ledger.record_gate(other, acceptance("test_round", gate="acceptance_leg1"), estate.now)
    estate.ledger.record_gate(other, acceptance("test_later"), estate.now)
    assert learnt(upgrade, estate.tools()) == ()
    estate.ledger.mark(Mark(other, MarkKind.PATH_PLANNED, estate.now, data={"legs": legs}, key="path"))
    assert learnt(upgrade, estate.tools()) == (failing("test_round"),)
