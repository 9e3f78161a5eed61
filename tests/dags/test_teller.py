"""The teller's task: plans and runs on disk, Airflow's connections, a mail server that listens; each notice once."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException

from changeover import cli_notices, wiring
from changeover.adapters import cmdb_sql, ledger_sql
from changeover.adapters.plan_files import parse_plan
from changeover.domain.record import Mark, MarkKind
from changeover.orchestration.teller import tell_now
from changeover.settings import PROJECT
from changeover.usecases.open_run import requested_run
from tests.support.mail import mail_server

PLAN = PROJECT / "include" / "plans" / "lindgren" / "roundup-2.6.yaml"


@pytest.fixture
def told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An open run of a shipped plan, whose participants have been resolved; the key of the run."""
    monkeypatch.setenv("CHANGEOVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHANGEOVER_PLANS", str(tmp_path / "plans"))
    monkeypatch.setenv("CHANGEOVER_NOTICES_EMAIL", "post")
    for name in ("CHANGEOVER_LEDGER_URL", "CHANGEOVER_CMDB_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "plans" / "lindgren").mkdir(parents=True)
    shutil.copy(PLAN, tmp_path / "plans" / "lindgren")
    settings = wiring.load_settings()
    ledger_sql.migrate(settings.ledger_url)
    cmdb_sql.migrate(settings.cmdb_url)
    ledger, now, text = wiring.ledger(settings), datetime.now(UTC), PLAN.read_bytes()
    run = ledger.open_run(
        requested_run(
            parse_plan(text, name="plan"),
            plan_digest="d" * 64,
            plan_text=text.decode(),
            dag_run_id="manual__1",
            requested_by="jonas.weber",
            asked={},
            at=now,
        )
    )
    ledger.mark(Mark(run.key, MarkKind.PARTICIPANTS_TOLD, now, key="participants"))
    return run.key


def connect(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "changeover@provider.example", "timeout": 5}
    value = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_POST", json.dumps(value))


def test_people_are_told_once_and_it_is_on_record(
    told_of: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The three of the provider's have no address, in the plan or in the CMDB: that is on record too."""
    with mail_server() as server:
        connect(monkeypatch, server.port)
        assert tell_now() == "1 sent, 0 failed, 3 not to be sent"
        assert tell_now() == "0 sent, 0 failed, 0 not to be sent"
        assert [post.recipients for post in server.taken] == [["erik.lindgren@lindgren.example"]]
        assert "Kickoff" in str(server.taken[0].message["Subject"])
    assert cli_notices.show(told_of, as_json=False) == 1
    printed = capsys.readouterr().out
    assert "sent by email to erik.lindgren" in printed
    assert "not sent by email to petra.lang: no address" in printed
    assert printed.endswith("1 sent, 3 not sent\n")
    assert cli_notices.show("another", as_json=True) == 0


def test_an_outage_fails_the_task_and_loses_nothing(told_of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server() as server:
        port = server.port
    connect(monkeypatch, port)
    with pytest.raises(AirflowFailException, match=r"erik\.lindgren"):
        tell_now()
    with mail_server(port) as server:
        assert tell_now() == "0 sent, 0 failed, 0 not to be sent"  # not before its time
        later = datetime.now(UTC) + timedelta(minutes=2)
        monkeypatch.setattr(wiring, "now", lambda: later)
        assert tell_now() == "1 sent, 0 failed, 0 not to be sent"
        assert len(server.taken) == 1
