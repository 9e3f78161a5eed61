"""Every ledger keeps what happened: once, in order, and as it was written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import CheckState
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import Evidence, MarkKind, StepStatus
from changeover.errors import LedgerError
from changeover.ports import Ledger
from tests.support.records import KEY, NOW, a_gate, a_host, a_mark, a_run, a_step, a_write, later, opened


def test_a_run_is_opened_once_and_read_back_as_it_was(ledger: Ledger) -> None:
    run = a_run()
    assert ledger.open_run(run) == run
    assert ledger.open_run(replace(run, requested_by="somebody.else", opened_at=later(hours=1))) == run
    assert ledger.run(KEY) == run
    assert ledger.run("another") is None


def test_a_run_never_changes_its_plan(ledger: Ledger) -> None:
    ledger.open_run(a_run())
    with pytest.raises(LedgerError, match=r"d1d1d1d1d1d1.*now it is e2e2e2"):
        ledger.open_run(a_run(plan_digest="e2" * 32))
    assert ledger.run(KEY) == a_run()


def test_runs_come_newest_first(ledger: Ledger) -> None:
    for key, minutes in (("b", 2), ("a", 1), ("c", 3), ("twin", 3)):
        ledger.open_run(a_run(key, opened_at=later(minutes=minutes)))
    assert [run.key for run in ledger.runs()] == ["twin", "c", "b", "a"]
    assert [run.key for run in ledger.runs(limit=2)] == ["twin", "c"]


def test_the_runs_of_one_application_are_not_hidden_by_newer_ones_of_others(ledger: Ledger) -> None:
    """What stands in a plan's text or a reason is no application."""
    ledger.open_run(a_run("old", application="tracker_x", opened_at=later(minutes=1)))
    for minutes in range(2, 6):
        told = '"application":"tracker_x"'
        run = a_run(
            f"r{minutes}", application="tracker-x", plan_text=told, reason=told, opened_at=later(minutes=minutes)
        )
        ledger.open_run(run)
    assert [run.key for run in ledger.runs(limit=1, application="tracker_x")] == ["old"]
    assert ledger.runs(application="tracker") == ()


def test_nothing_is_recorded_of_a_run_that_was_not_opened(ledger: Ledger) -> None:
    records: tuple[Callable[[], object], ...] = (
        lambda: ledger.mark(a_mark()),
        lambda: ledger.begin_step(a_step()),
        lambda: ledger.record_gate(KEY, a_gate(), NOW),
        lambda: ledger.freeze_hosts(KEY, {}),
        lambda: ledger.record_outcome(KEY, "", Verdict(Outcome.UNKNOWN), NOW),
        lambda: ledger.enqueue(a_write("note")),
    )
    for record in records:
        with pytest.raises(LedgerError, match=f"no run {KEY}"):
            record()
    assert (ledger.marks(KEY), ledger.steps(KEY), ledger.outbox()) == ((), (), ())


def test_marks_come_oldest_first_by_environment_and_kind(ledger: Ledger) -> None:
    opened(ledger)
    marks = (
        a_mark(at=later(minutes=9)),
        a_mark(MarkKind.IMPLEMENTED, data={"version": "8.0.3", "at": NOW, "took": timedelta(minutes=7)}),
        a_mark(MarkKind.IMPLEMENTING, environment="training", host="train1"),
        a_mark(MarkKind.CHANGE_OPENED, environment="", host=""),
    )
    for mark in marks:
        ledger.mark(mark)
    assert ledger.marks(KEY) == marks
    assert ledger.marks(KEY, environment="production") == marks[:2]
    assert ledger.marks(KEY, environment="") == marks[3:]
    assert ledger.marks(KEY, kind=MarkKind.IMPLEMENTING) == (marks[0], marks[2])
    assert ledger.marks(KEY, environment="training", kind=MarkKind.IMPLEMENTED) == ()


def test_a_mark_with_a_key_is_written_once_per_run(ledger: Ledger) -> None:
    opened(opened(ledger), "other")
    ledger.mark(a_mark(key="approved-plan", data={"by": "anna.berg"}))
    ledger.mark(a_mark(MarkKind.APPROVED, key="approved-plan", at=later(days=1)))
    ledger.mark(a_mark(run="other", key="approved-plan"))
    ledger.mark(a_mark(key="k" * 5000))
    ledger.mark(a_mark(key="k" * 5000))
    assert [mark.data for mark in ledger.marks(KEY)] == [{"by": "anna.berg"}, {}]
    assert len(ledger.marks("other")) == 1


def test_marks_without_a_key_are_written_each_time(ledger: Ledger) -> None:
    opened(ledger)
    for _ in range(2):
        ledger.mark(a_mark())
    assert ledger.marks(KEY) == (a_mark(), a_mark())


def test_a_step_is_begun_once_and_ends_once(ledger: Ledger) -> None:
    opened(ledger)
    ledger.begin_step(a_step())
    ledger.begin_step(a_step(token="t1", started_at=later(hours=1)))
    assert ledger.steps(KEY) == (a_step(),)
    end = a_step(ended_at=later(minutes=5), status=StepStatus.SUCCESSFUL, hosts={"prod-app1": "ok"}, reasons=("a", "b"))
    ledger.end_step(end)
    ledger.end_step(replace(end, status=StepStatus.FAILED, ended_at=later(minutes=6)))
    assert ledger.steps(KEY) == (end,)
    assert ledger.steps(KEY)[0].duration == timedelta(minutes=5)


def test_a_step_keeps_the_time_it_began(ledger: Ledger) -> None:
    """A task that attaches again does not know when the step began; the ledger does."""
    opened(ledger)
    ledger.begin_step(a_step())
    ledger.end_step(a_step(started_at=later(hours=1), ended_at=later(hours=2)))
    assert ledger.steps(KEY)[0].started_at == NOW


def test_a_step_must_have_begun_and_have_an_end(ledger: Ledger) -> None:
    opened(ledger)
    with pytest.raises(LedgerError, match="never begun"):
        ledger.end_step(a_step(ended_at=NOW))
    ledger.begin_step(a_step())
    with pytest.raises(LedgerError, match="has no end"):
        ledger.end_step(a_step())
    assert ledger.steps(KEY) == (a_step(),)


def test_generations_and_environments_are_steps_of_their_own(ledger: Ledger) -> None:
    opened(ledger)
    steps = (a_step(), a_step(generation=2), a_step(environment="training"), a_step(step="verify"))
    for step in steps:
        ledger.begin_step(step)
    ledger.end_step(replace(steps[1], ended_at=NOW, status=StepStatus.FAILED))
    assert [step.status for step in ledger.steps(KEY)] == ["running", "failed", "running", "running"]
    assert ledger.steps(KEY, environment="training") == (steps[2],)


def test_a_gate_run_again_appears_again(ledger: Ledger) -> None:
    opened(ledger)
    first, second = a_gate(CheckState.FAILED), a_gate()
    ledger.record_gate(KEY, first, NOW)
    ledger.record_gate(KEY, first, NOW)  # the same record again: a task that was retried just after it wrote
    ledger.record_gate(KEY, second, later(minutes=1))
    ledger.record_gate(KEY, second, later(minutes=2))
    ledger.record_gate(KEY, a_gate(environment="training"), later(minutes=3))
    assert ledger.gates(KEY, environment="production") == (
        (NOW, first),
        (later(minutes=1), second),
        (later(minutes=2), second),
    )
    assert len(ledger.gates(KEY)) == 4
    assert ledger.gates(KEY)[0][1].reasons() == first.reasons()


def test_hosts_are_frozen_once(ledger: Ledger) -> None:
    opened(ledger)
    frozen = {"production": (a_host("b", variables={"x": 1, "y": [1, {"z": None}]}), a_host("a")), "training": ()}
    ledger.freeze_hosts(KEY, frozen)
    ledger.freeze_hosts(KEY, {"production": (a_host("b", variables={"y": [1, {"z": None}], "x": 1}), a_host("a"))})
    assert ledger.frozen_hosts(KEY) == frozen
    assert [host.name for host in ledger.frozen_hosts(KEY)["production"]] == ["b", "a"]


def test_other_hosts_are_refused_and_nothing_of_the_call_is_kept(ledger: Ledger) -> None:
    opened(ledger)
    ledger.freeze_hosts(KEY, {"production": (a_host(),)})
    with pytest.raises(LedgerError, match=r"127\.0\.77\.3:22203.* cannot become .*10\.0\.0\.9"):
        ledger.freeze_hosts(KEY, {"training": (a_host("t"),), "production": (a_host(address="10.0.0.9"),)})
    assert ledger.frozen_hosts(KEY) == {"production": (a_host(),)}


def test_evidence_is_kept_once_per_content(ledger: Ledger) -> None:
    opened(ledger)
    one = Evidence(KEY, "production", "readiness", "/runs/x/evidence/readiness.json", "a" * 64, NOW)
    ledger.add_evidence(one)
    ledger.add_evidence(replace(one, at=later(hours=1)))
    again = replace(one, sha256="b" * 64, at=later(hours=2))
    ledger.add_evidence(again)
    assert ledger.evidence(KEY) == (one, again)


def test_the_newest_outcome_counts(ledger: Ledger) -> None:
    opened(ledger)
    unknown, back = Verdict(Outcome.UNKNOWN, ("a", "b")), Verdict(Outcome.BACKED_OUT)
    ledger.record_outcome(KEY, "production", unknown, NOW)
    ledger.record_outcome(KEY, "production", back, later(minutes=1))
    ledger.record_outcome(KEY, "production", unknown, NOW)  # replayed
    ledger.record_outcome(KEY, "", unknown, NOW)
    assert ledger.outcomes(KEY) == {"production": back, "": unknown}


def test_times_are_instants(ledger: Ledger) -> None:
    opened(ledger)
    berlin = timezone(timedelta(hours=1))
    ledger.mark(a_mark(at=NOW.astimezone(berlin)))
    (mark,) = ledger.marks(KEY)
    assert mark.at == NOW
    assert mark.at.utcoffset() == timedelta(0)
    with pytest.raises(LedgerError, match=r"without a zone|with a zone"):
        ledger.mark(a_mark(at=datetime(2026, 11, 25, 22, 30)))  # noqa: DTZ001  # that is the point
    assert len(ledger.marks(KEY)) == 1


def test_free_data_comes_back_as_it_was(ledger: Ledger) -> None:
    opened(ledger)
    data = {
        "tuple": (1, (2.5, None)),
        "list": [True, "x"],
        "when": NOW,
        "day": NOW.date(),
        "took": timedelta(days=2, microseconds=1),
        "path": Path("/srv/x"),
        "money": Decimal("10.10"),
        "bytes": b"\x00\xff",
        "kind": MarkKind.APPROVED,
        "by number": {1: "one", (2, 3): "pair"},
        "$": {"$": "not a tag"},
        "nul and half a surrogate": "\x00 \ud800",
        "endless": float("-inf"),
    }
    ledger.mark(a_mark(data=data))
    assert ledger.marks(KEY)[0].data == data


def test_what_cannot_be_recorded_exactly_is_refused(ledger: Ledger) -> None:
    opened(ledger)
    with pytest.raises(LedgerError, match="a complex cannot be recorded"):
        ledger.mark(a_mark(data={"z": 1j}))
    with pytest.raises(LedgerError, match="is not of type str"):
        ledger.mark(a_mark(host=7))
    assert ledger.marks(KEY) == ()


def test_findings_keep_their_evidence(ledger: Ledger) -> None:
    opened(ledger)
    finding = Finding("disk", "prod-app1", "too full", Severity.ADVISORY, "clean up", {"free": 10, "paths": ["/srv"]})
    gate = replace(a_gate(), findings=(finding,), evidence={"disk": "/runs/x/disk.json"})
    ledger.record_gate(KEY, gate, NOW)
    assert ledger.gates(KEY) == ((NOW, gate),)


def test_a_whole_chain_has_no_fault(ledger: Ledger) -> None:
    opened(ledger)
    ledger.mark(a_mark())
    ledger.begin_step(a_step())
    ledger.enqueue(a_write("note"))
    ledger.write_delivered(a_write("note").op_key, NOW)
    assert ledger.verify_chain(KEY) == ()
    assert ledger.verify_chain("another") == ("no run another is recorded",)
