"""A gate has passed when every declared check ran on every planned host and none says no (C17)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import CheckResult, CheckState, GateResult

HOSTS = ("app01", "app02", "app03")
PAIRS = tuple(("alive", host) for host in HOSTS)
WHOLE = GateResult(
    "acceptance", "production", PAIRS, tuple(CheckResult(*p, CheckState.PASSED) for p in PAIRS), HOSTS, HOSTS
)


def test_all_run_and_none_says_no() -> None:
    assert WHOLE.passed
    assert WHOLE.checks_run == 3


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"declared": (), "results": ()}, "nothing checked: the gate declares no check"),
        ({"hosts_planned": (), "hosts_seen": ()}, "nothing checked: no host is planned"),
        ({"results": ()}, "alive on app01: declared and not run"),
        ({"results": WHOLE.results[:2]}, "alive on app03: declared and not run"),
        ({"hosts_seen": HOSTS[:2]}, "host app03 was planned and not seen"),
        (
            {"declared": PAIRS[:2], "results": WHOLE.results[:2]},
            "host app03 was planned and no check is declared for it",
        ),
        ({"hosts_seen": (*HOSTS, "app04")}, "host app04 was not planned"),
        ({"hosts_planned": HOSTS[:2], "hosts_seen": HOSTS[:2]}, "host app03 was not planned"),
        ({"declared": PAIRS[:2]}, "alive on app03: run and not declared"),
        ({"declared": (*PAIRS, PAIRS[0])}, "alive on app01: declared and not run"),
    ],
)
def test_fewer_or_other_checks_or_hosts_are_a_no(changes: dict[str, object], reason: str) -> None:
    """Each gap has a reason that names it."""
    gate = replace(WHOLE, **changes)  # type: ignore[arg-type]  # one field at a time, each of its own type
    assert not gate.passed
    assert reason in gate.reasons()


@pytest.mark.parametrize("state", [CheckState.FAILED, CheckState.SKIPPED, CheckState.ERROR])
def test_anything_but_passed_is_a_no(state: CheckState) -> None:
    gate = replace(WHOLE, results=(*WHOLE.results[:2], CheckResult("alive", "app03", state, "no answer")))
    assert gate.reasons() == (f"alive on app03: {state}: no answer",)


def test_a_pass_beside_a_fail_of_the_same_check_does_not_hide_it() -> None:
    again = CheckResult("alive", "app03", CheckState.FAILED)
    assert "alive on app03: failed" in replace(WHOLE, results=(*WHOLE.results, again)).reasons()


def test_a_skipped_check_did_not_run() -> None:
    skipped = tuple(replace(result, state=CheckState.SKIPPED) for result in WHOLE.results)
    assert replace(WHOLE, results=skipped).checks_run == 0


def test_an_advisory_no_is_told_and_does_not_block() -> None:
    """It has run, and its finding stays with the gate."""
    advised = replace(
        WHOLE,
        results=(*WHOLE.results[:2], CheckResult("alive", "app03", CheckState.ADVISED, "slow")),
        findings=(Finding("alive", "app03", "slow", Severity.ADVISORY),),
    )
    assert advised.passed
    assert advised.checks_run == 3


def test_an_inhibitor_blocks_whatever_the_checks_say() -> None:
    gate = replace(WHOLE, findings=(Finding("release-path", "shop", "not supported"),))
    assert gate.reasons() == ("release-path (shop): not supported",)


def test_checks_of_the_whole_environment_need_no_check_per_host() -> None:
    """Without any check per host, hosts seen alone say whether the planned ones were covered."""
    gate = GateResult("data", "e", (("rows", ""),), (CheckResult("rows", "", CheckState.PASSED),), HOSTS, HOSTS)
    assert gate.passed
    assert not replace(gate, hosts_seen=HOSTS[:1]).passed


def test_reasons_come_in_a_fixed_order() -> None:
    gate = replace(WHOLE, results=(), hosts_seen=())
    assert gate.reasons() == replace(gate, declared=PAIRS).reasons()
    assert gate.reasons()[:3] == tuple(f"host {host} was planned and not seen" for host in HOSTS)
