"""`plan new`: a whole intake becomes a plan that passes `plan check`; otherwise exactly what is missing is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from changeover import cli_plan, wiring
from changeover.adapters.memory import MemoryCmdb
from changeover.cli import app
from changeover.domain.estate import Estate
from changeover.domain.intake import Intake, Known, plan_document
from changeover.settings import Settings
from tests.support.content import make, put

INTAKE = """\
client: acme
application: app
to_version: "1.10"
trigger: {kind: client_request, reference: REQ-1, dated: 2025-10-01, reason: They asked}
statement_of_work: {id: SOW-1, signed_on: 2025-10-02, valid_from: 2025-11-01, valid_until: 2035-03-31}
support_contract: {id: SUP-1, valid_from: 2025-01-01, valid_until: 2035-12-31}
requested_by: jo
approvers: [ann]
support: [jo]
any_time: agreed by phone
windows:
  production:
    {kind: recurring, zone: Europe/Berlin, rule: FREQ=WEEKLY;BYDAY=SA, since: 2026-01-03, start: "22:00", end: "04:00"}
"""
EVERYTHING = (
    "client", "application", "upgrade", "title", "from_version", "to_version", "release", "trigger.kind",
    "trigger.reference", "trigger.dated", "trigger.reason", "statement_of_work.id", "statement_of_work.signed_on",
    "statement_of_work.valid_from", "statement_of_work.valid_until", "support_contract.id",
    "support_contract.valid_from", "support_contract.valid_until", "requested_by", "approval.by",
    "support.accepted_by.by", "participants", "environments",
)  # fmt: skip


def estate() -> Estate:
    def environment(name: str, number: int) -> dict[str, Any]:
        host = {"name": f"{name}1", "address": f"127.0.8.{number}", "user": "ops", "connection": "ssh"}
        return {"name": name, "kind": name, "application": "app", "version": "1.9", "hosts": [host]}

    return Estate.model_validate({
        "client": {"slug": "acme", "name": "Acme"},
        "people": [
            {"id": "jo", "name": "Jo Day", "role": "upgrade_manager", "side": "provider"},
            {"id": "ann", "name": "Ann Berg", "role": "client_approver", "side": "client"},
        ],
        "applications": [{"slug": "app"}],
        "environments": [environment(name, n) for n, name in enumerate(("production", "training", "baseline"), 1)],
    })  # fmt: skip


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings = make(tmp_path)
    cmdb = MemoryCmdb()
    cmdb.import_estate(estate())
    monkeypatch.setattr(wiring, "load_settings", lambda: settings)
    monkeypatch.setattr(cli_plan, "known_cmdb", lambda settings: cmdb)
    put(tmp_path / "intake.yaml", INTAKE)
    return settings


def new(content: Settings, *words: str, text: str | None = None) -> tuple[int, str]:
    if text is not None:
        put(content.project / "intake.yaml", text)
    done = CliRunner().invoke(app, ["plan", "new", "--from", str(content.project / "intake.yaml"), *words])
    return done.exit_code, done.output


def test_a_whole_intake_becomes_a_plan_that_passes(content: Settings) -> None:
    code, out = new(content)
    assert code == 0, out
    path = content.plans / "acme/app-1.10.yaml"
    done = CliRunner().invoke(app, ["plan", "check", str(path)])
    assert done.exit_code == 0, done.output
    text = path.read_text()
    assert 'from_version: "1.9"' in text, "the CMDB's"
    assert [text.index(f"name: {name}") for name in ("baseline", "training", "production")] == sorted(
        text.index(f"name: {name}") for name in ("baseline", "training", "production")
    )


def test_nothing_is_ever_overwritten(content: Settings) -> None:
    path = put(content.plans / "acme/app-1.10.yaml", "mine")
    code, out = new(content)
    assert (code, "never overwritten" in out) == (1, True)
    assert path.read_text() == "mine"
    assert new(content, "--upgrade", "another")[0] == 0


def test_options_go_before_the_file(content: Settings) -> None:
    assert new(content, "--title", "Another title", "--sow", "SOW-2", "--contract", "SUP-2", "--upgrade", "b")[0] == 0
    text = (content.plans / "acme/b.yaml").read_text()
    assert "title: Another title" in text
    assert "id: SOW-2" in text
    assert "id: SUP-2" in text


def test_of_nothing_everything_is_missing() -> None:
    _, missing = plan_document(Intake(), Known(no_cmdb="there is none"))
    assert tuple(line.split(": ")[0] for line in missing) == EVERYTHING


@pytest.mark.parametrize(
    ("old", "line"),
    [
        ("requested_by: jo\n", "requested_by: who asks for the change, by login (--requester)"),
        ("approvers: [ann]\n", "approval.by: who approves, by login; never the requester (--approver)"),
        (
            ", valid_until: 2035-03-31",
            "statement_of_work.valid_until: last day of work under the order (--valid-until)",
        ),
        (
            ", valid_until: 2035-12-31",
            "support_contract.valid_until: last day of the contract (--contract-until)",
        ),
        ('to_version: "1.10"\n', "to_version: the exact version that is to run (--to-version)"),
        ("any_time: agreed by phone\n", "environments.training.window: when it may be worked on"),
    ],
)
def test_exactly_what_is_missing_is_told_and_nothing_written(content: Settings, old: str, line: str) -> None:
    assert old in INTAKE
    code, out = new(content, "--upgrade", "x", "--title", "t", "--release", "app/1.10", text=INTAKE.replace(old, ""))
    assert (code, line in out) == (1, True), out
    expected = 2 if old.startswith("any_time") else 1
    assert f"{expected} missing, and nothing was written" in out
    assert not (content.plans / "acme/x.yaml").exists()


def test_what_the_cmdb_does_not_know_is_told(content: Settings) -> None:
    code, out = new(content, "--environment", "baseline", "--environment", "prod", "--approver", "eve")
    assert code == 1
    assert "environments.prod: the CMDB has no environment 'prod' of acme/app" in out
    assert "participants: 'eve' is named, and neither the intake nor the CMDB says who that is" in out


def test_a_plan_that_would_not_pass_is_not_written(content: Settings) -> None:
    code, out = new(content, "--approver", "jo")
    assert code == 1
    assert "approval.by: 'jo' requested the upgrade and cannot approve it" in out
    assert not (content.plans / "acme/app-1.10.yaml").exists()


def test_a_wrong_intake_tells_its_faults(content: Settings) -> None:
    code, out = new(content, text=INTAKE + "colour: red\n")
    assert code == 1
    assert "colour: is not a known key" in out


def test_what_is_missing_is_asked_for(content: Settings) -> None:
    put(content.project / "intake.yaml", INTAKE.replace("approvers: [ann]\n", ""))
    words = ["plan", "new", "--ask", "--from", str(content.project / "intake.yaml")]
    done = CliRunner().invoke(app, words, input="ann\n")
    assert done.exit_code == 0, done.output
