"""What one client taught: a failed acceptance of a release holds the others' upgrades to it, without a name."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from changeover.domain.analysis import analyse
from changeover.domain.finding import Finding
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.lesson import Elsewhere, Lesson, lessons
from changeover.domain.outcome import Outcome, Verdict
from changeover.usecases.client_analysis import analyse_client
from changeover.usecases.tools import Reply
from tests.support.analysed import CATALOGUE, PLAN, facts
from tests.support.estate import Estate
from tests.support.world import START


def acceptance(*failed: str, gate: str = "acceptance") -> GateResult:
    results = tuple(CheckResult(key, "h", CheckState.FAILED) for key in failed)
    return GateResult(gate, "production", tuple((key, "h") for key in failed), results, ("h",), ("h",))


def inhibited(key: str) -> GateResult:
    return GateResult("client_analysis", "", (), (), ("h",), ("h",), (Finding(key, "somebody's", "text"),))


def elsewhere(outcome: Outcome | None, *gates: GateResult, day: int = 0, who: str = "other") -> Elsewhere:
    return Elsewhere(who, START + timedelta(days=day), outcome, gates)


def test_a_failed_acceptance_and_an_inhibitor_are_lessons() -> None:
    run = elsewhere(Outcome.BACKED_OUT, acceptance("test_round"), inhibited("impact-endpoint-moved"))
    assert lessons([run]) == (Lesson("impact-endpoint-moved", failed=False), Lesson("test_round", failed=True))


def test_how_a_gate_was_run_there_is_none() -> None:
    run = elsewhere(Outcome.BACKED_OUT, acceptance("hosts-read", "retest-integration", "suites"))
    assert lessons([run]) == ()


def test_what_a_back_outs_own_acceptance_said_is_none() -> None:
    assert lessons([elsewhere(Outcome.BACKED_OUT, acceptance("x", gate="back_out_acceptance"))]) == ()


def test_a_client_that_succeeded_since_taught_how_it_is_cured() -> None:
    failed = elsewhere(Outcome.BACKED_OUT, acceptance("test_round"))
    assert lessons([failed, elsewhere(Outcome.SUCCESSFUL, day=1)]) == ()
    assert lessons([failed, elsewhere(Outcome.SUCCESSFUL, day=-1)]) == (Lesson("test_round", failed=True),)
    assert lessons([failed, elsewhere(Outcome.SUCCESSFUL, day=1, who="third")]) == (Lesson("test_round", failed=True),)


def test_a_hold_inhibits_and_what_inhibited_elsewhere_is_told() -> None:
    learnt = [Lesson("test_round", failed=True), Lesson("impact-endpoint-moved", failed=False)]
    found = analyse(facts(), CATALOGUE, learnt=learnt).findings
    assert [(f.key, f.subject, f.inhibits) for f in found] == [
        ("release-hold", "test_round", True),
        ("release-met-elsewhere", "impact-endpoint-moved", False),
    ]


def test_the_hold_of_another_clients_run_carries_no_name(tmp_path: Path) -> None:
    """From the ledger: the same release, another client; the client's own earlier runs hold nothing."""
    estate = Estate(tmp_path)
    own = estate.upgrade(of=PLAN)
    estate.ledger.record_gate(own.run.key, acceptance("own_test"), estate.now)
    other = replace(own.run, key="secretive.run", client="secretive", dag_id="secretive.x", dag_run_id="other")
    estate.ledger.open_run(other)
    estate.ledger.record_gate(other.key, acceptance("test_round"), estate.now)
    estate.ledger.record_outcome(other.key, "", Verdict(Outcome.BACKED_OUT), estate.now)
    upgrade = estate.asked()
    answer = analyse_client(upgrade, estate.tools())
    assert answer.reply is Reply.NO
    assert "release-hold (test_round)" in answer.text
    assert "own_test" not in answer.text
    kept = [gate for _, gate in estate.ledger.gates(upgrade.run.key) if gate.gate == "client_analysis"]
    assert "secretive" not in repr(kept)
