"""Events are counted by host, kept short, bounded and free of secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from changeover.adapters.ansible_events import EventLog, EventTally, told
from changeover.adapters.redaction import Redactor
from changeover.domain.execution import Failure, HostSummary

if TYPE_CHECKING:
    from pathlib import Path


def event(
    kind: str, host: str = "app01", task: str = "Install", action: str = "command", **more: Any
) -> dict[str, Any]:
    result = more.pop("res", {})
    data = {"host": host, "task": task, "task_action": action, "res": result, **more}
    return {"event": kind, "uuid": "u", "stdout": "", "event_data": data}


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "events.jsonl", tmp_path / "ansible.log", max_events=5, max_output=100)


@pytest.fixture
def tally(log: EventLog) -> EventTally:
    return EventTally(Redactor(["hunter2-hunter2"]), log)


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]


def test_includes_and_fact_gathering_are_no_work(tally: EventTally) -> None:
    for action in ("ansible.builtin.include_role", "include_tasks", "ansible.builtin.setup", "meta"):
        tally.take(event("runner_on_start", action=action))
        tally.take(event("runner_on_ok", action=action))
    tally.take(event("runner_on_ok", action="ansible.builtin.debug"))
    tally.take(event("runner_on_ok", action="ansible.builtin.copy", res={"changed": True}))
    seen = tally.tallies["app01"]
    assert (seen.started, seen.ran, seen.reached, seen.changed) == (4, 2, 1, 1)


def test_the_last_report_counts_and_a_loop_counts_too(tally: EventTally) -> None:
    def report(number: int) -> dict[str, Any]:
        return {"ansible_facts": {"changeover_report": {"number": number, "password": "hunter2-hunter2"}}}

    tally.take(event("runner_on_ok", action="set_fact", res=report(1)))
    assert tally.tallies["app01"].report == {"number": 1, "password": "***"}
    tally.take(event("runner_on_ok", action="set_fact", res={"results": [report(2), report(3)]}))
    tally.take(event("runner_on_ok", action="set_fact", res={"ansible_facts": {"other": 1}}))
    assert tally.tallies["app01"].report["number"] == 3


def test_a_failure_tells_what_the_command_said(tally: EventTally, tmp_path: Path) -> None:
    result = {"msg": "non-zero return code", "rc": 3, "stderr": "no space left for hunter2-hunter2"}
    tally.take(event("runner_on_failed", res=result))
    message = "non-zero return code (rc 3): no space left for ***"
    assert tally.tallies["app01"].failures == (Failure("Install", message),)
    assert told(lines(tmp_path)[0]) == f"app01 | failed | Install: {message}"


def test_the_failed_item_of_a_loop_speaks_for_the_task(tally: EventTally) -> None:
    tally.take(event("runner_item_on_failed", res={"msg": "two is missing"}))
    tally.take(event("runner_on_failed", res={"msg": "One or more items failed"}))
    assert tally.tallies["app01"].failures == (Failure("Install", "two is missing"),)


def test_ignored_unreachable_and_hidden_are_told_apart(tally: EventTally) -> None:
    tally.take(event("runner_on_failed", ignore_errors=True, res={"msg": "never mind"}))
    tally.take(event("runner_on_unreachable", "app02", res={"msg": "no route", "unreachable": True}))
    tally.take(event("runner_on_failed", "app03", res={"censored": "hidden"}))
    assert (tally.tallies["app01"].failures, len(tally.tallies["app01"].ignored)) == ((), 1)
    assert tally.tallies["app02"].unreachable == Failure("Install", "no route")
    assert tally.tallies["app03"].failures[0].message == "hidden: the task is marked no_log"


def test_the_closing_count_is_read_also_when_it_is_empty(tally: EventTally) -> None:
    tally.take(
        {"event": "playbook_on_stats", "event_data": {"ok": {"app01": 3}, "dark": {"app02": 1}, "rescued": None}}
    )
    assert tally.summary == {"app01": HostSummary(ok=3), "app02": HostSummary(unreachable=1)}
    tally.take({"event": "playbook_on_stats", "event_data": {}})
    assert tally.summary == {}


@pytest.mark.parametrize(
    "damaged",
    [
        {"uuid": "the file of the event could not be read", "stdout": "x"},
        {"event": "runner_on_ok", "event_data": {}},
        {"event": "runner_on_failed"},
        {"event": "playbook_on_stats", "event_data": {"ok": {"app01": "many"}}},
        {"event": None},
    ],
)
def test_what_cannot_be_understood_is_counted(tally: EventTally, damaged: dict[str, Any]) -> None:
    tally.take(damaged)
    assert tally.damaged == 1


def test_records_are_bounded_and_failures_are_kept(tally: EventTally, tmp_path: Path) -> None:
    for number in range(20):
        tally.take({**event("runner_on_ok", task=f"Task {number}"), "stdout": "x" * 40})
    tally.take(event("runner_on_failed", task="Last", res={"msg": "m" * 5000}))
    kept = lines(tmp_path)
    assert [line["task"] for line in kept] == ["Task 0", "Task 1", "Task 2", "Task 3", "Task 4", "Last"]
    assert len(kept[-1]["message"]) == 300
    assert len((tmp_path / "ansible.log").read_text()) < 300
    assert tally.tallies["app01"].ran == 21


def test_a_record_that_cannot_be_written_is_damage(tmp_path: Path) -> None:
    """As on a full disk: /dev/full takes nothing."""
    (tmp_path / "events").symlink_to("/dev/full")
    log = EventLog(tmp_path / "events", tmp_path / "output")
    tally = EventTally(Redactor([]), log)
    tally.take(event("runner_on_ok"))
    assert tally.damaged == 1
    log.close()


def test_what_ansible_complains_of_is_kept_for_the_reason(tally: EventTally) -> None:
    tally.take({"event": "verbose", "uuid": "u", "stdout": "Using /etc/ansible.cfg"})
    tally.take({"event": "verbose", "uuid": "u", "stdout": "[ERROR]: conflicting action\nOrigin: x.yml"})
    assert tally.errors == "[ERROR]: conflicting action Origin: x.yml"
