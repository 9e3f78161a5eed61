"""The analysis: each thing that stands in the way is one finding, and a check that cannot look is one itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from changeover.domain import analysis
from changeover.domain.analysis_facts import AnalysisFacts, Stop
from changeover.domain.artefacts import ArtefactSet, Wheel
from changeover.domain.check import Catalogue, CheckStage
from changeover.domain.gate import CheckState
from changeover.domain.watch import Watched
from changeover.domain.window import Occurrence
from tests.support.analysed import (
    ARTEFACTS,
    CATALOGUE,
    LOOK,
    NAMES,
    PLAN,
    RELEASE,
    analysed,
    facts,
    inhibitors,
    keys,
    reported,
    without,
)


def wheel(of: ArtefactSet, **changes: Any) -> ArtefactSet:
    """The client's own wheel, changed."""
    return replace(of, wheels=(*of.wheels[:-1], replace(of.wheels[-1], **changes)))


def test_where_nothing_is_wrong_nothing_inhibits() -> None:
    found = analysed(facts())
    assert [f for f in found.findings if f.inhibits] == []
    assert {result.state for result in found.results} == {CheckState.PASSED}
    assert len({result.key for result in found.results}) == len(found.results) >= 35


def test_every_check_of_the_catalogue_is_asked() -> None:
    asked = {result.key for result in analysed(facts()).results} | {analysis.BROKEN}
    assert asked == {check.key for check in CATALOGUE.at(CheckStage.ANALYSIS)}


def test_a_driver_that_the_artefacts_lack_is_found_with_the_command_that_adds_it() -> None:
    found = {f.key: f for f in inhibitors(facts(artefacts=without("psycopg")))}
    assert set(found) == {"artefact-driver", "artefact-requirement", "artefact-dependency"}
    driver = found["artefact-driver"]
    assert driver.related == NAMES
    assert driver.actions[0].text == (
        "cd /artefacts && python3 -m pip download --no-deps --dest . psycopg==3.3.9"
        " && echo 'psycopg==3.3.9' >> requirements.txt && sha256sum *.whl requirements.txt > SHA256SUMS"
    )


def test_a_driver_that_nobody_uses_is_no_matter() -> None:
    other = reported(lambda report: report["runtime"]["packages"].pop("psycopg2-binary"))
    assert ("artefact-driver", "psycopg") not in keys(replace(other, artefacts=without("psycopg")))


def test_a_module_that_was_not_ported_is_found_with_the_hosts_that_run_it() -> None:
    (found,) = inhibitors(facts(artefacts=without("own-module")))
    assert (found.key, found.subject, found.audience) == ("customisation-unported", "own_module", "client")
    assert found.related == NAMES
    assert "cp own_module-2.6.*.whl /artefacts/" in found.actions[1].text


def test_a_module_of_the_old_series_is_not_ported() -> None:
    """A wheel is there; what it says of itself is what the application goes by."""
    old = wheel(ARTEFACTS, plug_ins={"own_module": "2.0.9"})
    assert keys(facts(artefacts=old)) == [("customisation-series", "own_module")]


@pytest.mark.parametrize(
    ("about", "key", "subject"),
    [
        ({"hashes": {"applies": True, "choice": "choose", "why": "3 rows"}}, "vendor-step-choice", "production/hashes"),
        ({"other": {"applies": False}}, "vendor-step-uncovered", "production/hashes"),
    ],
)
def test_a_step_of_the_vendors_that_waits_for_somebody_is_found(about: dict[str, Any], key: str, subject: str) -> None:
    changed = reported(lambda report: report.update(manual_steps=about), "prod1", "prod2")
    (found,) = inhibitors(changed)
    assert (found.key, found.subject, found.environment) == (key, subject, "production")
    assert found.evidence["source"] == "notes, 2.6"


def test_a_step_that_the_role_does_is_no_finding() -> None:
    done = {"hashes": {"applies": True, "choice": "", "why": ""}}
    assert keys(reported(lambda report: report.update(manual_steps=done))) == []


def test_a_choice_that_a_module_of_the_artefacts_takes_is_no_finding() -> None:
    step = {"hashes": {"applies": True, "choice": "choose", "unless": "own_module"}}
    assert keys(reported(lambda report: report.update(manual_steps=step))) == []
    step = {"hashes": {"applies": True, "choice": "choose", "unless": "another"}}
    assert [key for key, _ in keys(reported(lambda report: report.update(manual_steps=step)))] == [
        "vendor-step-choice",
        "vendor-step-choice",
    ]


def test_a_step_that_a_person_has_to_judge_is_an_advisory() -> None:
    step = {"hashes": {"applies": None, "why": "look at the mail server"}}
    found = analysed(reported(lambda report: report.update(manual_steps=step), "train1")).findings
    assert [(f.key, f.inhibits) for f in found] == [("vendor-step-by-hand", False)]


@pytest.mark.parametrize("kind", ["edited", "missing", "added"])
def test_files_of_the_vendor_that_were_changed_in_place_are_found(kind: str) -> None:
    changed = reported(lambda report: report["vendor_files"].update({kind: ["tracker/sale.py"]}), "prod1")
    assert keys(changed) == [("customisation-edited", f"prod1/{kind}")]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda report: report["host"].update(python="3.9.2"), "runtime-python"),
        (lambda report: report["host"].update(python=""), "runtime-python"),
        (lambda report: report["database"].update(version="11.4"), "runtime-database"),
    ],
)
def test_a_host_that_does_not_fit_the_release_is_found(change: Any, key: str) -> None:
    assert (key, "prod1") in keys(reported(change, "prod1"))


def test_artefacts_that_are_not_there_stop_and_are_told_once() -> None:
    found = analysed(facts(artefacts=ArtefactSet("/artefacts", there=False)))
    assert [f.key for f in found.findings if f.inhibits] == ["artefacts-missing"]
    unjudged = {r.key for r in found.results if r.message.startswith("not judged")}
    assert unjudged == {
        "artefact-requirement",
        "artefact-driver",
        "artefact-dependency",
        "artefact-platform",
        "customisation-unported",
        "customisation-series",
    }
    assert {r.state for r in found.results if r.key in unjudged} == {CheckState.ERROR}


def test_a_stop_without_artefacts_leaves_their_checks_unjudged_too() -> None:
    stop = RELEASE.model_copy(update={"version": "2.3.0"})
    found = analysed(facts(stops=(Stop(stop, ArtefactSet("/artefacts/2.3.0", there=False)),)))
    driver = next(r for r in found.results if r.key == "artefact-driver")
    assert (driver.state, driver.message) == (CheckState.ERROR, "not judged: there are no artefacts of 2.3.0")


def test_an_artefact_that_is_not_as_its_manifest_says_can_not_be_waived() -> None:
    assert keys(facts(artefacts=replace(ARTEFACTS, differing=("x.whl",)))) == [("artefact-digest", "x.whl")]
    check = CATALOGUE.find("artefact-digest")
    assert check is not None
    assert not check.waivable


def test_a_manifest_without_a_wheel_is_a_check_that_looked_at_nothing() -> None:
    empty = facts(artefacts=replace(ARTEFACTS, wheels=()))
    assert (analysis.BROKEN, "platforms") in keys(empty)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("a-1-cp312-cp312-manylinux2014_x86_64.whl", "is for cp312, the host has Python 3.11.2"),
        ("a-1-cp311-cp311-manylinux2014_aarch64.whl", "is for manylinux2014_aarch64, the host is x86_64"),
        ("a-1-cp39-abi3-manylinux_2_39_x86_64.whl", "needs glibc 2.39, the host has glibc 2.36"),
    ],
)
def test_a_wheel_for_another_host_is_found(file: str, why: str) -> None:
    odd = replace(ARTEFACTS, wheels=(*ARTEFACTS.wheels, Wheel(file, "a", "1")))
    found = inhibitors(facts(artefacts=odd))
    assert {(f.key, f.subject) for f in found} == {("artefact-platform", f"{name}/a") for name in NAMES}
    assert why in found[0].summary


@pytest.mark.parametrize(
    "file",
    [
        "a-1-py3-none-any.whl",
        "a-1-py2.py3-none-any.whl",
        "a-1-cp39-abi3-manylinux_2_34_x86_64.whl",
        "a-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    ],
)
def test_a_wheel_that_fits_is_no_finding(file: str) -> None:
    assert keys(facts(artefacts=replace(ARTEFACTS, wheels=(*ARTEFACTS.wheels, Wheel(file, "a", "1"))))) == []


def test_what_another_artefact_asks_for_by_an_extra_is_needed_too() -> None:
    asking = Wheel("b-1-py3-none-any.whl", "b", "1", requires=("tracker[mail]>=2",))
    tracker = replace(ARTEFACTS.wheels[0], requires=("smtp>=1; extra == 'mail'", "old>=1; python_version < '3.9'"))
    assert keys(facts(artefacts=replace(ARTEFACTS, wheels=(tracker, *ARTEFACTS.wheels[1:])))) == []
    more = replace(ARTEFACTS, wheels=(tracker, *ARTEFACTS.wheels[1:], asking))
    assert keys(facts(artefacts=more)) == [("artefact-dependency", "tracker/smtp")]


def test_a_check_that_crashes_is_an_inhibitor_and_the_others_are_asked() -> None:
    """A report of another shape than agreed, on one host."""
    found = analysed(reported(lambda report: report.update(certificates=["no mapping"]), "prod1"))
    told = [f for f in found.findings if f.key == analysis.BROKEN]
    assert [(f.subject, f.inhibits) for f in told] == [("certificates", True)]
    assert "crashed: AttributeError" in told[0].summary
    states = {result.key: result.state for result in found.results}
    assert states["certificate-expiry"] is CheckState.ERROR
    assert states["customisation-edited"] is CheckState.PASSED


@pytest.mark.parametrize(
    ("section", "examiner"), [("vendor_files", "vendor-files"), ("programs", "impact"), ("host", "runtime")]
)
def test_a_host_that_does_not_say_what_a_check_looks_at_is_an_inhibitor(section: str, examiner: str) -> None:
    """An empty answer must not pass as "nothing found"."""
    found = keys(reported(lambda report: report.update({section: None}), "prod2"))
    assert (analysis.BROKEN, f"prod2/{examiner}") in found


def test_an_environment_of_which_no_host_read_the_data_is_an_inhibitor() -> None:
    one = reported(lambda report: report.pop("manual_steps"), "prod2")
    assert keys(one) == []
    both = reported(lambda report: report.pop("manual_steps"), "prod1", "prod2")
    assert keys(both) == [(analysis.BROKEN, "production/vendor-steps")]


def test_no_host_at_all_is_an_inhibitor() -> None:
    assert (analysis.BROKEN, "vendor-files") in keys(facts(reports={}))


def test_a_check_of_the_catalogue_that_nobody_implements_is_an_inhibitor() -> None:
    odd = CATALOGUE["environment-fidelity"].model_copy(update={"key": "not-there"})
    found = analysed(facts(), Catalogue(checks=(*CATALOGUE.checks, odd))).findings
    assert [(f.key, f.subject) for f in found if f.inhibits] == [(analysis.BROKEN, "not-there")]


def test_a_host_on_which_something_changed_meanwhile_is_an_inhibitor() -> None:
    after = {**LOOK, "prod1": Watched("prod1", {"/srv/app": "d1", "/srv/app/new": "d2"}, 6)}
    (found,) = inhibitors(facts(after=after))
    assert (found.key, found.subject) == ("analysis-host-unchanged", "prod1")
    assert found.evidence["directories"] == ["/srv/app/new"]


@pytest.mark.parametrize(
    "after", [{}, {**LOOK, "prod1": Watched("prod1", fault="hung")}, {**LOOK, "prod1": Watched("prod1")}]
)
def test_a_host_that_could_not_be_looked_at_twice_proves_nothing(after: dict[str, Watched]) -> None:
    assert ("analysis-host-unchanged", "prod1") in keys(facts(after=after))


def certified(*ends: datetime | None, of: AnalysisFacts | None = None) -> list[tuple[str, str]]:
    """Of prod1, whose certificates end then."""
    many = [
        {"path": f"/{number}", "not_after": None if end is None else int(end.timestamp())}
        for number, end in enumerate(ends)
    ]
    told = reported(lambda report: report.update(certificates=many), "prod1")
    found = analysed(replace(told, nights=of.nights if of else {})).findings
    return [(f.subject, f.summary) for f in found if f.key == "certificate-expiry"]


def test_a_certificate_that_ends_soon_and_one_that_cannot_be_read_are_told() -> None:
    now, day = facts().at, timedelta(days=1)
    assert certified(now + day, None, now + 30 * day, now - day) == [
        ("prod1/0", "/0 is valid until 2026-08-15, 1 days after today (2026-08-14); 30 days after it are wanted"),
        ("prod1/1", "/1 could not be read"),
        ("prod1/3", "/3 is valid until 2026-08-13, and has ended; 30 days after it are wanted"),
    ]


def test_a_certificate_has_to_last_a_month_past_the_window_of_its_environment() -> None:
    """The window, not the day of the analysis: what lasts for 40 days may end in the night itself."""
    now, day = facts().at, timedelta(days=1)
    closes = now + 40 * day
    night = Occurrence(closes.date(), closes - timedelta(hours=4), closes, "Europe/Berlin")
    planned = facts(nights={"production": night})
    told = certified(closes - day, closes + 29 * day, closes + 30 * day, of=planned)
    assert [subject for subject, _ in told] == ["prod1/0", "prod1/1"]
    where = "the window of production closes (2026-09-23 09:00Z to 2026-09-23 13:00Z)"
    assert told[0][1] == f"/0 is valid until 2026-09-22, before {where}; 30 days after it are wanted"
    assert f"29 days after {where}" in told[1][1]
    assert [subject for subject, _ in certified(now + 30 * day, of=facts(nights={"training": night}))] == []


def test_who_is_connected_and_on_no_record_is_told() -> None:
    def change(report: dict[str, Any]) -> None:
        report["connections"].append({"peer": "10.9.9.9", "count": 2})
        report["database_clients"].append({"account": "bi", "program": "reporting"})

    found = [f for f in analysed(reported(change, "train1")).findings if f.key == "integration-unrecorded"]
    assert [f.subject for f in found] == ["train1/10.9.9.9", "train1/reporting"]


STRANGERS: list[dict[str, Any]] = [
    {"program": "trackerd-bi"},
    {"program": "my tracker"},
    {"program": ""},
    {"own": False, "account": "bi"},
    {"own": None},
    {"address": "10.9.9.9"},
]


@pytest.mark.parametrize("change", STRANGERS)
def test_a_program_that_only_resembles_the_application_is_on_no_record(change: dict[str, Any]) -> None:
    own = {"account": "tracker", "own": True, "program": "trackerd", "address": None}
    many = reported(lambda report: report.update(database_clients=[own, own | change]), "train1")
    (found,) = (f for f in analysed(many).findings if f.key == "integration-unrecorded")
    assert found.subject == f"train1/{(own | change)['program'] or 'tracker'}"
    assert ("10.9.9.9" in found.summary) is ("address" in change)


@pytest.mark.parametrize("address", [None, "127.0.0.1", "::1", "127.0.9.30", "127.0.9.30/32"])
def test_the_application_itself_on_a_host_of_the_estate_is_none(address: str | None) -> None:
    own = {"account": "tracker", "own": True, "program": "trackerd-cron", "address": address}
    assert analysed(reported(lambda report: report.update(database_clients=[own]), "prod1")).findings == ()


def test_one_host_of_each_environment_tells_who_is_connected_to_the_database() -> None:
    assert keys(reported(lambda report: report.pop("database_clients"), "prod2")) == []
    nobody = reported(lambda report: report.pop("database_clients"), "prod1", "prod2")
    assert keys(nobody) == [(analysis.BROKEN, "production/strangers")]
    assert keys(reported(lambda report: report.update(database_clients=[]))) == []


def test_findings_come_in_the_same_order_and_each_once() -> None:
    both: AnalysisFacts = facts(artefacts=without("psycopg"))
    first, second = analysed(both).findings, analysed(both).findings
    assert first == second
    assert len({finding.identity for finding in first}) == len(first)
    assert [f.inhibits for f in first] == sorted((f.inhibits for f in first), reverse=True)


def test_a_record_that_pins_another_version_is_not_met() -> None:
    pinned = RELEASE.artefacts.model_copy(update={"requirements": ("tracker==2.6.1",)})
    other = RELEASE.model_copy(update={"artefacts": pinned})
    assert ("artefact-requirement", "tracker") in keys(facts(release=other))


def test_an_advisory_that_the_plan_leaves_out_is_not_asked() -> None:
    off = PLAN.model_copy(update={"checks_off": {"environment-fidelity": "agreed"}})
    assert "environment-fidelity" not in {result.key for result in analysed(facts(plan=off)).results}
