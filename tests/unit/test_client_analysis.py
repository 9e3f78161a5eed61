"""The client analysis as a use case: one run of Ansible, two looks, everything on record; and what is told of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.adapters.analysis_html import analysis_html
from changeover.domain.analysis_report import AnalysisReport, diff, rollup_json, together
from changeover.domain.check import Catalogue
from changeover.domain.finding import Finding
from changeover.domain.gate import CheckState
from changeover.domain.record import MarkKind
from changeover.domain.waiver import Waiver
from changeover.usecases.analyse_local import analyse_here
from changeover.usecases.check_readiness import readiness_gate
from changeover.usecases.client_analysis import analyse_client
from changeover.usecases.retests import retests
from changeover.usecases.show_analysis import analysis_of
from changeover.usecases.tools import Reply, Upgrade
from tests.support.analysed import ARTEFACTS, CATALOGUE, PLAN, RELEASE, without
from tests.support.estate import Estate
from tests.support.windows import at, third_saturday


@pytest.fixture
def estate(tmp_path: Path) -> Estate:
    return Estate(tmp_path)


def report_of(estate: Estate, upgrade: Upgrade) -> AnalysisReport:
    found = analysis_of(estate.ledger, upgrade.run, read_plan=lambda text: PLAN)
    assert found is not None
    return found


def test_a_clean_estate_is_analysed_in_one_run_of_ansible_and_two_looks(estate: Estate) -> None:
    answer = estate.analyse(estate.asked())
    assert (answer.reply, answer.text) == (Reply.YES, "4 of 4 hosts discovered, 0 advisories")
    assert [playbook for _, playbook, _ in estate.played] == ["discover.yml"]
    assert estate.looks == [("base1", "train1", "prod1", "prod2")] * 2


def test_the_role_is_told_to_read_everything(estate: Estate) -> None:
    estate.analyse(estate.asked())
    assert [variables["changeover_analysis"] for variables in estate.variables] == [True]


def test_a_finding_stops_the_run_and_is_on_record_with_its_remediation(estate: Estate) -> None:
    estate.artefact_set = without("own-module")
    upgrade = estate.asked()
    answer = estate.analyse(upgrade)
    assert answer.reply is Reply.NO
    assert answer.text.startswith("customisation-unported (own_module)")
    (kept,) = report_of(estate, upgrade).inhibitors
    assert kept.actions[1].text.startswith("cp own_module-2.6")


def test_a_waived_finding_lets_the_run_go_on_and_is_told(estate: Estate) -> None:
    estate.artefact_set = without("own-module")
    estate.given = (
        Waiver.model_validate(
            {
                "id": "W-1",
                "key": "customisation-unported",
                "subject": "own_module",
                "reason": "it is retired with the upgrade",
                "by": "owner",
                "given_on": "2026-08-01",
                "expires_on": "2026-08-31",
            }
        ),
    )
    upgrade = estate.asked()
    answer = estate.analyse(upgrade)
    assert (answer.reply, answer.text) == (Reply.YES, "4 of 4 hosts discovered, 0 advisories, 1 inhibitors waived")
    found = report_of(estate, upgrade)
    assert not found.inhibited
    assert [f.waived.waiver for f in found.waived if f.waived] == ["W-1"]


@pytest.mark.parametrize("waivable", [False, True])
def test_without_artefacts_no_waiver_lets_an_analysis_pass(estate: Estate, waivable: bool) -> None:
    """Whatever a catalogue says of the check itself: six others were not judged."""
    estate.artefact_set = replace(ARTEFACTS, there=False)
    about = {"key": "artefacts-missing", "subject": "tracker 2.6.0", "reason": "they come by courier", "by": "owner"}
    dates = {"given_on": "2026-08-01", "expires_on": "2026-08-31"}
    estate.given = (Waiver.model_validate({"id": "W-1", **about, **dates}),)
    checks = tuple(
        check.model_copy(update={"waivable": waivable}) if check.key == "artefacts-missing" else check
        for check in CATALOGUE.checks
    )
    tools = replace(estate.tools(), catalogue=Catalogue(checks=checks))
    answer = analyse_client(estate.asked(), tools)
    assert answer.reply is Reply.NO
    assert "customisation-unported: error: not judged: there are no artefacts of 2.6.0" in answer.text
    assert ("artefacts-missing (tracker 2.6.0)" in answer.text) is not waivable
    assert CATALOGUE["artefacts-missing"].waivable is False


def test_a_host_that_says_nothing_is_a_no(estate: Estate) -> None:
    estate.silent = {"prod2"}
    upgrade = estate.asked()
    assert estate.analyse(upgrade).reply is Reply.NO
    assert "host prod2 was planned and not seen" in report_of(estate, upgrade).reasons


def test_something_written_meanwhile_is_a_no(estate: Estate) -> None:
    estate.written = {"train1"}
    answer = estate.analyse(estate.asked())
    assert answer.reply is Reply.NO
    assert "analysis-host-unchanged (train1)" in answer.text


def test_an_analysis_of_one_environment_reads_that_one_alone(estate: Estate) -> None:
    upgrade = estate.asked(environments=["training"])
    assert estate.analyse(upgrade).reply is Reply.YES
    assert [hosts for _, _, hosts in estate.played] == [("train1",)]
    found = report_of(estate, upgrade)
    assert found.environments == ("training",)
    assert found.fidelity == ()


def test_a_run_that_implements_some_environments_still_reads_all(estate: Estate) -> None:
    """What is wrong in production is to be known before training is touched."""
    estate.analyse(estate.asked(mode="implement", environments=["training"]))
    assert estate.looks[0] == ("base1", "train1", "prod1", "prod2")


def test_without_watch_and_content_nothing_is_proven(estate: Estate) -> None:
    tools = replace(estate.tools(), content=None, watch=None)
    answer = analyse_client(estate.asked(), tools)
    assert answer.reply is Reply.NO
    assert "analysis-host-unchanged (prod1)" in answer.text
    assert "artefacts-missing" in answer.text


def test_certificates_are_held_against_the_window_and_asked_again_in_it(estate: Estate) -> None:
    """The analysis on 14 August reads them; production's night is four weeks later."""
    after = at("2026-10-01 00:00")
    estate.differing = {"prod1": {"certificates": [{"path": "/a.pem", "not_after": int(after.timestamp())}]}}
    environments = [e.model_dump(exclude_unset=True) for e in PLAN.environments]
    environments[2]["window"] = third_saturday().model_dump()
    of = PLAN.model_validate(PLAN.model_dump() | {"environments": environments})
    estate.now = at("2026-08-20 12:00")
    upgrade = estate.asked(of=of, mode="implement")
    assert estate.analyse(upgrade).reply is Reply.YES
    (told,) = (f for f in report_of(estate, upgrade).advisories if f.key == "certificate-expiry")
    assert told.subject == "prod1/a.pem"
    assert "12 days after the window of production closes (2026-09-18 13:00Z" in told.summary
    gate = readiness_gate(upgrade, estate.tools(), of.environment("production"))
    found = {r.host: (r.state, r.message) for r in gate.results if r.key == "certificate-expiry"}
    assert found["prod1"] == (CheckState.ADVISED, f"{told.summary}; as the analysis read it")
    assert found["prod2"][0] is CheckState.PASSED


def test_the_retests_of_an_environment_and_of_the_baseline_made_from_it(estate: Estate) -> None:
    upgrade = estate.asked()
    estate.analyse(upgrade)
    wanted = {one.key: one for one in retests(upgrade, estate.tools(), "production")}
    assert wanted["endpoint:calls"].subjects == ("prod1/feed", "prod2/feed")
    assert wanted["integration"].tests == ("test_round",)
    assert not [key for key in wanted if key.startswith("setting")]
    assert set(wanted) == {one.key for one in retests(upgrade, estate.tools(), "baseline")}


# Two analyses, and several clients


def test_what_is_new_same_and_gone_since_the_analysis_before(estate: Estate) -> None:
    estate.artefact_set = without("own-module")
    upgrade = estate.asked()
    estate.analyse(upgrade)
    assert report_of(estate, upgrade).changes is None
    estate.now += timedelta(hours=1)
    estate.artefact_set = replace(without("own-module"), differing=("x.whl",))
    estate.analyse(upgrade)
    second = report_of(estate, upgrade)
    assert second.changes is not None
    assert [i[0] for i in second.changes.new] == ["artefact-digest"]
    assert [i[0] for i in second.changes.same] == ["customisation-unported"]
    estate.now += timedelta(hours=1)
    estate.artefact_set = ARTEFACTS
    estate.analyse(upgrade)
    third = report_of(estate, upgrade)
    assert third.changes is not None
    assert {f.key for f in third.changes.gone} == {"artefact-digest", "customisation-unported"}
    assert third.compared_with == upgrade.run.key


def test_what_was_not_looked_at_is_not_gone() -> None:
    before = [Finding("a", "prod1", "x", environment="production"), Finding("b", "train1", "x", environment="training")]
    found = diff([], before, common=["training"])
    assert [finding.key for finding in found.gone] == ["b"]


def of_client(report: AnalysisReport, client: str, *findings: Finding) -> AnalysisReport:
    run = replace(report.run, client=client)
    return replace(report, run=run, findings=findings, release_findings=(), reasons=tuple(f.key for f in findings))


def test_a_roll_up_says_which_clients_a_finding_concerns(estate: Estate) -> None:
    upgrade = estate.asked()
    estate.analyse(upgrade)
    one = report_of(estate, upgrade)
    moved = [Finding("moved", f"{name}/feed", "calls what moves") for name in ("a", "b", "c")]
    reports = [
        of_client(one, "acme", moved[0], moved[1]),
        of_client(one, "nordwind", moved[2], Finding("ported", "own", "is not")),
        of_client(one, "lindgren"),
    ]
    rows = together(reports)
    assert [(row.key, row.text) for row in rows] == [
        ("moved", "these 2 clients: acme, nordwind"),
        ("ported", "this client: nordwind"),
    ]
    assert rows[0].clients == {"acme": ("a/feed", "b/feed"), "nordwind": ("c/feed",)}
    told = rollup_json(reports, {"broken.yaml": "no CMDB"})
    assert (told["schema_version"], told["inhibited"]) == (1, True)
    assert told["clients"] == ["acme", "lindgren", "nordwind"]
    page = analysis_html(reports, {"broken.yaml": "no CMDB"})
    assert "these 2 clients: acme, nordwind" in page
    assert "broken.yaml was not analysed: no CMDB" in page


def test_json_and_page_say_the_same_and_nothing_is_markup(estate: Estate) -> None:
    estate.artefact_set = without("own-module")
    upgrade = estate.asked()
    estate.analyse(upgrade)
    report = report_of(estate, upgrade)
    told = json.loads(json.dumps(report.as_json()))
    assert told["schema_version"] == 1
    assert told["inhibited"] is True
    assert [f["key"] for f in told["findings"] if f["inhibits"]] == ["customisation-unported"]
    assert {item["weight"] for item in told["impact"]} == {"retest", "inform"}
    assert told["inventory"][0]["certificates"] == []
    page = analysis_html([report], {})
    assert "customisation-unported" in page
    assert "no certificate" in page
    assert "POST /&lt;database&gt;/" in page
    assert "/<database>/" not in page


# Without Airflow


def here(estate: Estate, **asked: Any) -> tuple[Upgrade, str]:
    upgrade = replace(estate.upgrade(of=PLAN, mode="analyse", **asked), record=RELEASE)
    analyse_here(upgrade, estate.tools())
    return upgrade, str(estate.ledger.outcomes(upgrade.run.key)[""].outcome)


def test_a_local_analysis_is_a_run_with_its_outcome(estate: Estate) -> None:
    upgrade, outcome = here(estate)
    assert outcome == "successful"
    assert estate.ledger.marks(upgrade.run.key, kind=MarkKind.ANALYSED)
    assert estate.cmdb.applied == []


def test_a_local_analysis_that_is_inhibited_was_refused(estate: Estate) -> None:
    estate.artefact_set = without("own-module")
    upgrade, outcome = here(estate)
    assert outcome == "refused"
    assert report_of(estate, upgrade).inhibited


def test_without_hosts_on_record_the_answer_is_no_and_no_host_is_read(estate: Estate) -> None:
    estate.cmdb.environments.clear()
    upgrade, outcome = here(estate)
    assert outcome == "refused"
    found = report_of(estate, upgrade)
    assert any("the CMDB has no host for acme/tracker/production" in reason for reason in found.reasons)
    assert found.hosts_planned == ()
    assert estate.played == []


def test_a_run_that_broke_off_before_its_analysis_has_none(estate: Estate) -> None:
    """A broken tool is not an answer."""
    assert analysis_of(estate.ledger, estate.asked().run, read_plan=lambda text: PLAN) is None
