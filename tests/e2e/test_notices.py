"""People are told under a real scheduler: Airflow's connection, a mail server on loopback, each notice once."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator

import pytest

from changeover import wiring
from changeover.settings import PROJECT
from tests.support.airflow import TestAirflow, airflow, settings_at
from tests.support.mail import MailServer, mail_server

pytestmark = pytest.mark.e2e
DAG = "lindgren.roundup-2.6"


@pytest.fixture(scope="module")
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, mail: MailServer) -> Iterator[TestAirflow]:
    root = tmp_path_factory.mktemp("notices")
    shutil.copytree(PROJECT / "include" / "plans" / "lindgren", root / "plans" / "lindgren")
    settings = dataclasses.replace(settings_at(root / "home", plans=root / "plans"), notices_email="post")
    with airflow(settings) as running:
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "changeover@provider.example"}
        fields = {"conn_type": "smtp", "host": "127.0.0.1", "port": mail.port, "extra": extra}
        running.client().put_connection("post", fields)
        yield running


def test_the_end_of_a_run_is_told_once(started: TestAirflow, mail: MailServer) -> None:
    """The CMDB is empty, so the run is refused; the DAG looks every minute, and a second look sends nothing more."""
    client = started.client()
    client.wait_for_dag("changeover.notices")
    client.wait_for_dag(DAG)
    assert client.wait(client.trigger(DAG), timeout=180).state == "failed"
    for _ in range(2):
        told = client.wait(client.trigger("changeover.notices"), timeout=180)
        assert told.state == "success", client.log(told, "tell")
    assert [post.recipients for post in mail.taken] == [["erik.lindgren@lindgren.example"]]
    assert "Not upgraded" in str(mail.taken[0].message["Subject"])
    assert "was not touched" in mail.taken[0].text
    states = {d.to: (str(d.state), d.why) for d in wiring.notice_book(started.settings).deliveries()}
    assert states.pop("erik.lindgren") == ("sent", "")
    assert set(states.values()) == {("not_sent", "no address")}


def test_it_goes_out_by_itself(started: TestAirflow, mail: MailServer) -> None:
    """Nobody starts the DAG here: its own clock does, within a minute or so."""
    client, before = started.client(), len(mail.taken)
    assert client.wait(client.trigger(DAG), timeout=180).state == "failed"
    deadline = time.monotonic() + 150
    while len(mail.taken) == before:
        assert time.monotonic() < deadline, started.logs()
        time.sleep(1)
    assert len(mail.taken) == before + 1
