"""Acceptance: the wanted release runs on every planned host, and every suite ran in full and said yes (C17)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from changeover.domain.acceptance import SuiteRun, acceptance_gate
from changeover.domain.gate import CheckResult, CheckState, GateResult

HOSTS = ("app1", "app2")
TESTS = SuiteRun(
    tuple(("test_login", host) for host in HOSTS),
    tuple(CheckResult("test_login", host, CheckState.PASSED) for host in HOSTS),
    HOSTS,
    {"acceptance.xml": Path("/e/acceptance.xml")},
)
DATA = SuiteRun((("sales.rows", ""),), (CheckResult("sales.rows", "", CheckState.PASSED),), (), {})
EMPTY = SuiteRun((), (), (), {})


def decide(**changes: Any) -> GateResult:
    given: dict[str, Any] = {
        "target_version": "8.0.12",
        "hosts_planned": HOSTS,
        "reports": {host: {"version": "8.0.12"} for host in HOSTS},
        "suites": {"tests": TESTS, "data": DATA},
    }
    return acceptance_gate("acceptance", "production", **(given | changes))


def test_both_suites_whole_and_the_release_on_every_host() -> None:
    gate = decide()
    assert gate.passed, gate.reasons()
    assert gate.evidence == {"tests/acceptance.xml": "/e/acceptance.xml"}


def test_the_old_release_on_one_host_is_a_no() -> None:
    gate = decide(reports={"app1": {"version": "8.0.12"}, "app2": {"version": "7.0.59"}})
    assert gate.reasons() == ("version-running on app2: failed: 7.0.59 found, 8.0.12 wanted",)


def test_a_version_that_was_not_read_is_a_no() -> None:
    """No report at all: the host was not seen either, whatever the tests say."""
    assert (
        "version-running on app2: failed: the running version could not be read"
        in decide(reports={"app1": {"version": "8.0.12"}, "app2": {"version": None}}).reasons()
    )
    assert "host app2 was planned and not seen" in decide(reports={"app1": {"version": "8.0.12"}}).reasons()


def test_a_version_written_otherwise_is_the_same_release() -> None:
    """V14: equality of text would fail an equal version."""
    assert decide(reports={"app1": {"version": "8.0.12.0"}, "app2": {"version": "8.0.12"}}).passed


def test_no_suite_or_an_empty_one_is_a_no() -> None:
    assert "suites: failed: nothing checked: no suite was run" in decide(suites={}).reasons()
    assert (
        "suite-data: failed: nothing checked: the suite declares no check"
        in decide(suites={"tests": TESTS, "data": EMPTY}).reasons()
    )
    assert not decide(suites={"tests": EMPTY, "data": DATA}).passed


def test_a_host_that_no_suite_covers_is_named() -> None:
    """The gate covers 2 of 3 hosts."""
    hosts = (*HOSTS, "app3")
    gate = decide(hosts_planned=hosts, reports={host: {"version": "8.0.12"} for host in hosts})
    assert "suites on app3: failed: no suite declares a check for this host" in gate.reasons()
    assert "host app3 was planned and not seen" in gate.reasons()


def test_a_declared_test_that_did_not_run_is_named() -> None:
    cut = replace(TESTS, results=TESTS.results[:1], hosts_seen=HOSTS[:1])
    assert "test_login on app2: declared and not run" in decide(suites={"tests": cut, "data": DATA}).reasons()


def test_data_that_is_not_whole_is_a_no_though_every_test_passed() -> None:
    lost = replace(DATA, results=(CheckResult("sales.rows", "", CheckState.FAILED, "30 before, 0 after"),))
    assert decide(suites={"tests": TESTS, "data": lost}).reasons() == ("sales.rows: failed: 30 before, 0 after",)


def test_a_reading_that_is_not_whole_is_a_no() -> None:
    reasons = decide(reading_reasons=("app2 unreachable",)).reasons()
    assert reasons == ("hosts-read: failed: app2 unreachable",)
