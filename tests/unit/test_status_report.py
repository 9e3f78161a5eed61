"""What is said of a run: its status, and its report as JSON and as a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from changeover import wiring
from changeover.adapters.memory import MemoryLedger
from changeover.adapters.report_files import report_text, write_report
from changeover.cli_run import did_what_was_asked
from changeover.cli_status import print_view
from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import MarkKind
from changeover.domain.report import Report
from changeover.errors import LedgerError
from changeover.usecases.run_view import view_run
from changeover.usecases.show_status import NoSuchRun, find_run, status
from tests.support.records import a_run, later
from tests.support.story import Story, opened, upgraded

FAULT = "order-feed-reads-orders"


def report(story: Story) -> Report:
    return wiring.report(story.ledger, story.cmdb, story.run.key)


def page(story: Story) -> str:
    return report_text(report(story), "html")


# ---- status


def runs() -> MemoryLedger:
    ledger = MemoryLedger()
    for number, key in enumerate(("a.20261125-11", "a.20261126-22", "b.20261127-33")):
        ledger.open_run(a_run(key, dag_run_id=f"manual__{number}", opened_at=later(days=number)))
    return ledger


def test_without_a_name_the_newest_run_is_meant() -> None:
    assert find_run(runs()).key == "b.20261127-33"


@pytest.mark.parametrize("name", ["a.20261126-22", "a.20261126", "manual__1"])
def test_a_run_is_found_by_its_key_the_beginning_of_it_or_its_airflow_id(name: str) -> None:
    assert find_run(runs(), name).key == "a.20261126-22"


def test_a_beginning_that_fits_several_names_them() -> None:
    with pytest.raises(NoSuchRun, match=r"2 runs begin with 'a\.': a\.20261126-22, a\.20261125-11"):
        find_run(runs(), "a.")


def test_an_unknown_run_is_told_with_those_that_exist() -> None:
    with pytest.raises(NoSuchRun, match=r"there is no run 'c'; the newest are b\.20261127-33, a\.20261126-22"):
        find_run(runs(), "c")


def test_no_run_at_all_is_told() -> None:
    with pytest.raises(NoSuchRun, match="there is no run yet"):
        status(MemoryLedger())


def test_the_status_of_a_run_that_was_backed_out(tmp_path: Path) -> None:
    story = upgraded(tmp_path, failed=FAULT)
    document = json.loads(json.dumps(status(story.ledger).as_json()))
    assert document["schema_version"] == 1
    assert (document["state"], document["outcome"]) == ("ended", "backed_out")
    environments = {environment["name"]: environment for environment in document["environments"]}
    assert list(environments) == ["baseline", "training", "production"]
    production = environments["production"]
    assert production["outcome"] == "backed_out"
    assert production["hosts"] == ["prod-app1", "prod-app2"]
    assert [(step["step"], step["status"]) for step in production["steps"]] == [
        ("restore_point", "successful"),
        ("implement", "successful"),
        ("back_out", "successful"),
    ]
    assert production["steps"][1]["seconds"] == 21.3
    gates = {gate["gate"]: gate for gate in production["gates"]}
    assert gates["acceptance"]["passed"] is False
    assert gates["acceptance"]["reasons"][0].startswith(f"{FAULT} on prod-app1: failed: ")
    assert (gates["acceptance"]["checks_run"], gates["acceptance"]["checks_declared"]) == (8, 8)


def test_a_run_without_outcome_is_open(tmp_path: Path) -> None:
    document = status(opened(tmp_path).ledger).as_json()
    assert (document["state"], document["outcome"]) == ("open", None)


def test_the_status_is_printed_with_its_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_view(status(upgraded(tmp_path, failed=FAULT).ledger))
    out = capsys.readouterr().out
    for text in (
        "backed out",
        "production: backed out",
        "gate acceptance",
        "not passed",
        FAULT,
        "21.3 s",
        "prod-app1 ok",
    ):
        assert text in out


def test_markup_in_what_was_recorded_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = opened(tmp_path)
    story.ledger.record_outcome(story.run.key, "", Verdict(Outcome.REFUSED, ("[bold]not markup[/]",)), story.later())
    story.ledger.record_outcome(story.run.key, "training", Verdict(Outcome.REFUSED, ("[/nor this]",)), story.later())
    print_view(status(story.ledger))
    out = capsys.readouterr().out
    assert "[bold]not markup[/]" in out
    assert "[/nor this]" in out


@pytest.mark.parametrize(
    ("mode", "outcome", "wanted"),
    [
        ("implement", Outcome.SUCCESSFUL, True),
        ("implement", Outcome.SUCCESSFUL_WITH_ISSUES, True),
        ("implement", Outcome.BACKED_OUT, False),
        ("back-out", Outcome.BACKED_OUT, True),
        ("back-out", Outcome.BACK_OUT_FAILED, False),
        ("implement", Outcome.UNKNOWN, False),
    ],
)
def test_whether_a_run_did_what_was_asked(tmp_path: Path, mode: str, outcome: Outcome, *, wanted: bool) -> None:
    story = opened(tmp_path, mode=mode)
    story.ledger.record_outcome(story.run.key, "", Verdict(outcome), story.later())
    assert did_what_was_asked(view_run(story.ledger, story.run)) is wanted


# ---- report as JSON


def test_the_report_says_what_was_discovered_and_what_the_cmdb_has(tmp_path: Path) -> None:
    versions = report(upgraded(tmp_path)).as_json()["versions"]
    assert [(v["host"], v["discovered"], v["recorded"], v["agree"]) for v in versions] == [
        ("baseline", "8.0.12", "8.0.12", True),
        ("training", "8.0.12", "8.0.12", True),
        ("prod-app1", "8.0.12", "8.0.12", True),
        ("prod-app2", "8.0.12", "8.0.12", True),
    ]


def test_a_version_that_the_cmdb_has_otherwise_does_not_agree(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    story.mark(MarkKind.VERSION_DISCOVERED, "production", "prod-app2", version="7.0.59")
    by_host = {version.host: version for version in report(story).versions}
    assert not by_host["prod-app2"].agree
    assert "differs" in page(story)


def test_the_report_counts_business_data_before_and_after(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    assert {
        "environment": "production",
        "host": "prod-app2",
        "dataset": "sales",
        "rows_before": 1312,
        "rows_after": 1312,
    } in report(story).as_json()["data"]


def test_the_report_says_who_approved_what(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    approvals = report(story).as_json()["approvals"]
    assert [(a["question"], a["environment"], a["answer"], a["by"]) for a in approvals] == [
        ("plan", "", "approved", "anna.berg"),
        ("sign_off", "training", "signed off", "anna.berg"),
        ("sign_off", "production", "signed off", "anna.berg"),
        ("support", "", "accepted", "mira.schulz"),
    ]
    assert approvals[0]["plan_digest"] == story.run.plan_digest


def test_the_report_keeps_the_newest_entry_of_the_ledger(tmp_path: Path) -> None:
    """A chain whose end was cut off is whole in itself; the report that was kept elsewhere shows what it lacks."""
    story = upgraded(tmp_path)
    before = report(story)
    assert before.as_json()["ledger_head"] == story.ledger.chain_head(story.run.key)
    assert f"<code>{before.ledger_head}</code>" in report_text(before, "html")
    story.mark(MarkKind.VERSION_DISCOVERED, "production", "prod-app2", version="8.0.12")
    assert report(story).ledger_head != before.ledger_head


def test_an_answer_that_is_marked_twice_is_told_once(tmp_path: Path) -> None:
    """Support's yes is marked as an answer, with the plan's digest, and as what follows from it."""
    story = opened(tmp_path)
    story.mark(MarkKind.APPROVED, gate="support", by="mira.schulz", plan_digest=story.run.plan_digest)
    story.mark(MarkKind.SUPPORT_ACCEPTED, by="mira.schulz")
    (answer,) = report(story).answers
    assert (answer.question, answer.plan_digest) == ("support", story.run.plan_digest)


def test_business_data_that_cannot_be_read_is_not_counted(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    for path in tmp_path.rglob("business-data-*.json"):
        path.write_text('["something else"]')
    assert report(story).datasets == ()


def test_evidence_is_read_again_when_the_report_is_written(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    assert {kept.state for kept in report(story).evidence} == {"intact"}
    (tmp_path / "training/business-data-before.json").write_text("{}")
    (tmp_path / "production/business-data-before.json").unlink()
    states = {(kept.evidence.environment, kept.evidence.name): kept.state for kept in report(story).evidence}
    assert states["training", "business-data-before.json"] == "changed"
    assert states["production", "business-data-before.json"] == "missing"


def test_the_change_is_reported_with_its_history(tmp_path: Path) -> None:
    change = report(upgraded(tmp_path, failed=FAULT)).as_json()["change"]
    assert (change["state"], change["close_code"]) == ("closed", "unsuccessful")
    assert [entry["state"] for entry in change["history"]][:2] == ["new", "assess"]


def test_a_cmdb_that_does_not_answer_is_said_and_hides_nothing(tmp_path: Path) -> None:
    story = upgraded(tmp_path)
    story.cmdb.unavailable = True
    document = report(story).as_json()
    assert "the CMDB did not answer" in document["cmdb_error"]
    assert document["outcome"] == "successful"
    assert "the CMDB did not answer" in page(story)


def test_a_run_on_a_plan_that_can_no_longer_be_read_is_reported(tmp_path: Path) -> None:
    story = opened(tmp_path)
    old = replace(
        story.run, key="old.20250101-1", plan_text="schema_version: 0\n", opened_at=story.clock + timedelta(days=1)
    )
    story.ledger.open_run(old)
    gathered = wiring.report(story.ledger, story.cmdb, old.key)
    assert gathered.plan is None
    assert "nordwind.tryton-8.0" in report_text(gathered, "html")


def test_a_run_that_is_not_in_the_ledger_cannot_be_reported(tmp_path: Path) -> None:
    story = opened(tmp_path)
    with pytest.raises(LedgerError, match="this run is not in the ledger"):
        wiring.report(story.ledger, story.cmdb, "nothing")


# ---- report as a page


class Outline(HTMLParser):
    """Checks that what is opened is closed, and collects what a page asks of the network."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.asked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.asked += [f"{tag} {name}" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        if tag not in ("meta", "br", "link", "img", "input", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("failed", ["", FAULT])
def test_the_page_is_whole_and_needs_nothing_else(tmp_path: Path, failed: str) -> None:
    text = page(upgraded(tmp_path, failed=failed))
    outline = Outline()
    outline.feed(text)
    assert (outline.open, outline.asked) == ([], [])
    assert "url(" not in text
    assert "<script" not in text
    assert "@import" not in text


HEADLINES = {
    Outcome.SUCCESSFUL: "Upgraded, accepted, and proven on every host.",
    Outcome.BACKED_OUT: "Not upgraded. What had begun was backed out, and the old release is proven to run.",
    Outcome.REFUSED: "Not upgraded. A gate said no before any environment in use was touched.",
    Outcome.MISSED: "Not upgraded. The maintenance window was missed, and nothing was touched.",
    Outcome.UNKNOWN: "A person must look: what is true is not proven.",
    Outcome.BACK_OUT_FAILED: "A person must look: the back-out is not proven.",
}


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_its_words(tmp_path: Path, outcome: Outcome) -> None:
    story = opened(tmp_path)
    story.ledger.record_outcome(story.run.key, "", Verdict(outcome, ("because",)), story.later())
    assert HEADLINES.get(outcome, "issues that want attention") in page(story)


@pytest.mark.parametrize(
    ("mode", "outcome", "words"),
    [
        ("analyse", Outcome.SUCCESSFUL, "Analysed."),
        ("rehearse", Outcome.SUCCESSFUL, "Rehearsed on the baseline"),
        ("back-out", Outcome.BACKED_OUT, "Backed out as asked."),
    ],
)
def test_a_run_that_was_asked_for_less_is_judged_by_that(
    tmp_path: Path, mode: str, outcome: Outcome, words: str
) -> None:
    story = opened(tmp_path, mode=mode)
    story.ledger.record_outcome(story.run.key, "", Verdict(outcome), story.later())
    assert words in page(story)


def test_an_open_run_is_said_to_be_open(tmp_path: Path) -> None:
    assert "Still open." in page(opened(tmp_path))


def test_what_was_recorded_cannot_write_into_the_page(tmp_path: Path) -> None:
    story = opened(tmp_path)
    evil = "<script>alert(1)</script>"
    story.mark(MarkKind.REJECTED, "training", evil, gate=evil, by=evil, plan_digest=evil)
    story.ledger.record_outcome(story.run.key, "", Verdict(Outcome.REFUSED, (evil,)), story.later())
    text = page(story)
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_every_check_of_every_gate_is_on_the_page(tmp_path: Path) -> None:
    story = upgraded(tmp_path, failed=FAULT)
    text = page(story)
    results = [result for _, gate in story.ledger.gates(story.run.key) for result in gate.results]
    assert text.count('<td class="mono">') >= len(results)
    for check in {result.key for result in results}:
        assert check in text


def test_people_are_named(tmp_path: Path) -> None:
    assert "Anna Berg (anna.berg)" in page(upgraded(tmp_path))


def test_both_forms_are_written_whole(tmp_path: Path) -> None:
    story = upgraded(tmp_path / "evidence")
    written = write_report(report(story), tmp_path / "reports")
    assert json.loads(written["json"].read_text())["outcome"] == "successful"
    assert written["html"].read_text().rstrip().endswith("</html>")
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == sorted(
        path.name for path in written.values()
    )


@pytest.mark.chromium
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium")
def test_the_page_is_printed_without_loss(tmp_path: Path) -> None:
    """A browser prints it on A4, in several pages."""
    written = write_report(report(upgraded(tmp_path / "evidence")), tmp_path)["html"]
    target = tmp_path / "report.pdf"
    subprocess.run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
         f"--print-to-pdf={target}", written.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert len(re.findall(rb"/Type\s*/Page\b", target.read_bytes())) > 1
