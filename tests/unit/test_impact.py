"""Impact: what the release changes beside what the client has, and how like production an environment is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from changeover.domain.acceptance import Retest, SuiteRun, acceptance_gate
from changeover.domain.fidelity import WEIGHTS, Fidelity, fidelity
from changeover.domain.gate import CheckResult, CheckState
from changeover.domain.impact import ImpactItem, Weight, impact
from tests.support.analysed import analysed, facts, inhibitors, reported

OLD_PROGRAM = {"path": "/opt/feed.py", "digest": "f0", "mentions": ["/", "common.login"]}


def items(change: Any = None, *on: str) -> dict[tuple[str, str, str], ImpactItem]:
    """Key, environment and subject → item."""
    found = impact(reported(change, *on) if change else facts())
    return {(item.key, item.environment, item.subject): item for item in found}


def program(mentions: list[str] | None) -> Any:
    def change(report: dict[str, Any]) -> None:
        report["programs"]["feed"]["program"] = {**OLD_PROGRAM, "mentions": mentions} if mentions is not None else None

    return change


def test_a_program_that_knows_the_new_place_is_tested_again() -> None:
    item = items()["endpoint:calls", "production", "prod1/feed"]
    assert (item.weight, item.owner, item.checks) == (Weight.RETEST, "client", ("test_round",))
    assert "feed calls /db/, and its program names rpc too" in item.summary


def test_a_program_that_calls_what_moves_and_knows_nothing_else_is_an_inhibitor_before_any_change() -> None:
    """In production alone: training's own program says nothing about it."""
    found = inhibitors(reported(program(["/", "common.login"]), "prod1"))
    assert [(f.key, f.subject, f.environment) for f in found] == [("impact-endpoint-moved", "prod1/feed", "production")]
    assert found[0].audience == "client"
    assert "calls /<database>/rpc/ and, until the upgrade, the place of today" in found[0].actions[0].text


def test_a_program_that_cannot_be_read_is_an_inhibitor() -> None:
    assert [f.key for f in inhibitors(reported(program(None), "prod1"))] == ["impact-program-unread"]


def test_a_program_that_calls_another_place_is_not_concerned() -> None:
    def change(report: dict[str, Any]) -> None:
        report["programs"]["feed"]["address"] = "http://h:1/db/report/x"

    assert not [key for key in items(change) if key[0] == "endpoint:calls"]


@pytest.mark.parametrize(
    ("key", "subject", "weight"),
    [
        ("driver:driver", "production", Weight.RETEST),
        ("setting:web-chunk", "production", Weight.INFORM),
        ("setting:web-timeout", "production", Weight.INFORM),
        ("function:answer-of-common-login", "prod1/feed", Weight.RETEST),
        ("customisation", "own_module", Weight.RETEST),
        ("integration", "feed", Weight.RETEST),
    ],
)
def test_what_the_client_has_of_it_is_an_item(key: str, subject: str, weight: Weight) -> None:
    found = [item for (name, _, what), item in items().items() if (name, what) == (key, subject)]
    assert {item.weight for item in found} == {weight}


def test_what_the_client_does_not_have_is_no_item() -> None:
    names = {key for key, _, _ in items()}
    assert "module:maps" not in names
    assert "function:tracker-config-config" not in names


def test_a_module_that_goes_and_is_active_is_an_inhibitor() -> None:
    found = inhibitors(reported(lambda report: report["modules"].update(maps="2.0"), "train1"))
    assert [(f.key, f.subject) for f in found] == [("impact-module-removed", "training/maps")]


def test_a_module_of_the_clients_that_imports_what_changes_is_tested_again() -> None:
    def change(report: dict[str, Any]) -> None:
        report["own"]["own_module"]["imports"].append("tracker.config.config")

    item = items(change, "prod1")["function:tracker-config-config", "production", "own_module"]
    assert item.summary.endswith("own_module imports tracker.config.config")


def test_the_gravest_come_first() -> None:
    weights = [item.weight for item in impact(reported(program(["/"])))]
    assert weights == sorted(weights, key=list(Weight).index)
    assert weights[0] is Weight.INHIBITOR


# How like production


def test_the_weights_are_of_a_hundred() -> None:
    assert sum(WEIGHTS.values()) == 100


def test_the_same_on_both_sides_is_a_hundred() -> None:
    (one,) = fidelity(facts())
    assert (one.environment, one.production, one.percent, one.items) == ("training", "production", 100, ())


def test_each_trait_that_differs_is_told_and_weighs_by_its_group() -> None:
    def change(report: dict[str, Any]) -> None:
        report["version"] = "1.9"
        report["client_settings"]["web.chunk"] = {"value": "30", "default": None}

    (one,) = fidelity(reported(change, "train1"))
    assert [(i.group, i.trait, i.here, i.production) for i in one.items] == [
        ("version", "application", "1.9", "2.0.0"),
        ("settings", "web.chunk", "30", "20"),
    ]
    assert one.percent == 100 - WEIGHTS["version"] - WEIGHTS["settings"]


EMPTY: dict[str, Any] = {
    "modules": {},
    "customisations": {},
    "vendor_files": {},
    "integrations": {},
    "client_settings": {},
}


def only(production: dict[str, Any], training: dict[str, Any]) -> Fidelity:
    """Of two hosts that report this alone."""
    given = facts()
    reports = {"train1": training, "prod1": production, "prod2": production}
    (one,) = fidelity(replace(given, reports=reports))
    return one


def test_hosts_that_gave_nothing_are_not_alike() -> None:
    one = only({"lock": None}, {"lock": None})
    assert (one.percent, one.groups) == (0, {})
    assert one.left_out == dict.fromkeys(WEIGHTS, "read on neither side") | {"data": "neither side has any"}


def test_a_group_of_which_neither_side_gave_anything_is_left_out_and_told() -> None:
    """What is left counts for all of it."""
    one = only({**EMPTY, "version": "2.0.0"}, {**EMPTY, "version": "2.0.0"})
    assert (one.percent, one.groups) == (100, {"version": (1, 1)})
    assert one.left_out["runtime"] == "read on neither side"
    assert one.left_out["modules"] == "neither side has any"
    assert one.as_json()["not_compared"] == one.left_out
    same = {**EMPTY, "modules": {"a": "1"}}
    half = only({**same, "version": "2.0.0"}, {**same, "version": "1.9"})
    assert half.percent == 100 * WEIGHTS["modules"] // (WEIGHTS["modules"] + WEIGHTS["version"])


def test_unread_on_both_sides_is_never_alike() -> None:
    def change(report: dict[str, Any]) -> None:
        report["runtime"]["python"] = None
        report["customisations"]["own_module"]["digest"] = ""

    (one,) = fidelity(reported(change))
    assert [(i.group, i.trait, i.here, i.production) for i in one.items] == [("runtime", "python", "unread", "unread")]
    assert one.left_out == {"customisations": "read on neither side"}
    alike, of = one.groups["runtime"]
    assert of - alike == 1
    assert one.percent < 100


def test_what_one_host_of_several_did_not_tell_is_unread() -> None:
    def change(report: dict[str, Any]) -> None:
        report["integrations"] = None

    (one,) = fidelity(reported(change, "prod2"))
    assert [(i.trait, i.here, i.production) for i in one.items] == [("integrations (all of it)", "absent", "unread")]


def test_data_of_another_magnitude_is_told() -> None:
    (one,) = fidelity(reported(lambda report: report["volume"].update(bytes=290_000), "train1"))
    assert [(i.trait, i.here, i.production) for i in one.items] == [("volume", "under 1 MB", "10 to 100 MB")]


def test_below_the_threshold_is_a_finding() -> None:
    found = analysed(reported(lambda report: report.update(version="1.9"), "train1")).findings
    told = [f for f in found if f.key == "environment-fidelity"]
    assert [(f.subject, f.inhibits) for f in told] == [("training", False)]
    assert "75 % like production, 85 % are wanted" in told[0].summary


def test_addresses_are_no_traits() -> None:
    def change(report: dict[str, Any]) -> None:
        report["integrations"]["feed"]["endpoint"] = "https://elsewhere:9/"
        report["client_settings"]["tracker.web"] = {"value": "", "default": None}

    found = reported(change)
    for number, report in enumerate(found.reports.values()):
        report["client_settings"]["tracker.web"]["value"] = f"http://10.0.0.{number}/"
    (one,) = fidelity(found)
    assert one.items == ()


# What is to be tested again is asked of the acceptance gate


def gate_of(retest: Retest, *results: CheckResult) -> CheckResult:
    """What the acceptance gate says of one retest."""
    suite = SuiteRun(tuple((r.key, r.host) for r in results), results, ("h",), {})
    gate = acceptance_gate(
        "acceptance",
        "training",
        target_version="2.6.0",
        hosts_planned=("h",),
        reports={"h": {"version": "2.6.0"}},
        suites={"tests": suite},
        retests=(retest,),
    )
    (told,) = [result for result in gate.results if result.key.startswith("retest-")]
    assert (told.key, "") in gate.declared
    return told


ROUND = Retest("integration", ("feed",), "client", ("test_round",))


def test_a_retest_whose_tests_passed_has_passed() -> None:
    assert gate_of(ROUND, CheckResult("test_erp.py::test_round", "h", CheckState.PASSED)).state is CheckState.PASSED


def test_a_retest_that_was_not_run_blocks() -> None:
    """A test that was renamed must not leave its item untested in silence."""
    told = gate_of(ROUND, CheckResult("test_erp.py::test_other", "h", CheckState.PASSED))
    assert (told.state, told.message) == (CheckState.FAILED, "feed: not tested again, test_round did not run")


def test_a_retest_that_failed_is_blocked_by_its_test_and_told_here() -> None:
    told = gate_of(ROUND, CheckResult("test_erp.py::test_round", "h", CheckState.FAILED))
    assert told.state is CheckState.ADVISED
    assert "test_round did not pass" in told.message


def test_a_retest_without_a_test_is_for_a_person() -> None:
    told = gate_of(Retest("setting", ("web",), "client", ()), CheckResult("a", "h", CheckState.PASSED))
    assert told.state is CheckState.ADVISED
    assert "the client has to say that it works" in told.message
