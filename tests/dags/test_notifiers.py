"""Mail and webhook through Airflow's notifiers and connections, against servers that really listen."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
from collections.abc import Iterator

import pytest

from changeover.domain.estate import Person
from changeover.domain.notice import Message, NoticeKind
from changeover.errors import NoticeError, NoticeRefused
from changeover.orchestration.notifiers import EmailChannel, WebhookChannel
from tests.support.mail import Hook, MailServer, hook_server, mail_server

JO = Person(id="jo", name="Jürgen, Weiß", role="owner", side="client", email="jo@client.example")


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with mail_server() as server:
        connect(monkeypatch, server.port)
        yield server


def connect(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    extra = {"disable_ssl": True, "disable_tls": True, "from_email": "changeover@provider.example", "timeout": 5}
    value = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_POST", json.dumps(value))


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hook_server() as server:
        extra = {"path": "/hooks/a?b=c", "headers": {"X-Room": "ops"}}
        value = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": server.port, "extra": extra}
        value["password"] = "the key that signs"
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(value))
        yield server


def message(to: Person | None = JO, text: str = "Work on production has begun.\n\nSee {{ conf }} <b>") -> Message:
    facts = {"plan": "acme.tracker-2.6", "client": "acme", "run": "", "environment": "production"}
    return Message("a1b2", NoticeKind.STARTED, "Started: Größer & schöner", text, to, facts)


def test_a_mail_goes_to_one_person_and_reads_as_it_was_written(mail: MailServer) -> None:
    EmailChannel().send("post", message())
    (post,) = mail.taken
    assert post.sender == "changeover@provider.example"
    assert post.recipients == ["jo@client.example"]
    assert post.message["Subject"] == "Started: Größer & schöner"
    assert [a.addr_spec for a in post.message["To"].addresses] == ["jo@client.example"]
    assert post.message["To"].addresses[0].display_name == JO.name
    assert "See {{ conf }} &lt;b&gt;" in post.text  # neither a template nor markup


def test_a_mail_keeps_its_id_however_often_it_is_tried(mail: MailServer) -> None:
    for _ in range(2):
        EmailChannel().send("post", message())
    assert {post.message["Message-ID"] for post in mail.taken} == {"<a1b2@changeover>"}


def test_an_address_that_the_server_does_not_know_is_refused_for_good(mail: MailServer) -> None:
    mail.answers["jo@client.example"] = "550 unknown"
    with pytest.raises(NoticeRefused, match="550"):
        EmailChannel().send("post", message())


def test_a_full_mailbox_is_tried_again(mail: MailServer) -> None:
    mail.answers["jo@client.example"] = "452 full"
    with pytest.raises(NoticeError) as refused:
        EmailChannel().send("post", message())
    assert not isinstance(refused.value, NoticeRefused)


@pytest.mark.parametrize("email", ["", "nobody", "a@b.example, c@d.example", "a@b.example\nBcc: c@d.example"])
def test_what_is_no_single_address_is_never_sent(mail: MailServer, email: str) -> None:
    with pytest.raises(NoticeRefused):
        EmailChannel().send("post", message(JO.model_copy(update={"email": email})))
    assert mail.taken == []


def test_a_mail_server_that_is_down_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        connect(monkeypatch, taken.getsockname()[1])
        with pytest.raises(NoticeError, match="could not be sent"):
            EmailChannel().send("post", message())


def test_a_connection_that_airflow_does_not_have_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for channel in (EmailChannel(), WebhookChannel()):
        with pytest.raises(NoticeError):
            channel.send("not_there", message())


def test_a_webhook_can_prove_who_sent_what_and_when(hook: Hook) -> None:
    WebhookChannel().send("hook", message(None))
    ((headers, body),) = hook.taken
    signed = hmac.new(b"the key that signs", headers["x-changeover-timestamp"].encode() + b"." + body, hashlib.sha256)
    assert headers["x-changeover-signature"] == f"sha256={signed.hexdigest()}"
    assert (headers[""], headers["x-room"], headers["idempotency-key"]) == ("/hooks/a?b=c", "ops", "a1b2")
    assert hook.last["kind"] == "started"
    assert hook.last["environment"] == "production"
    assert hook.last["text"].startswith("Started: Größer & schöner\n\nWork on")


@pytest.mark.parametrize(("status", "for_good"), [(404, True), (401, True), (429, False), (503, False), (302, False)])
def test_what_a_webhook_answers_says_whether_to_try_again(hook: Hook, status: int, for_good: bool) -> None:
    hook.status = status
    with pytest.raises(NoticeError) as refused:
        WebhookChannel().send("hook", message(None))
    assert isinstance(refused.value, NoticeRefused) is for_good


def test_a_webhook_without_a_key_is_not_used(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"conn_type": "http", "schema": "http", "host": "127.0.0.1", "port": hook.port}
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", json.dumps(value))
    with pytest.raises(NoticeError, match="no key"):
        WebhookChannel().send("hook", message(None))
    assert hook.taken == []
