"""Channels to people through Airflow's notifiers: mail by the SMTP provider's, a signed webhook by ours.

Connections hold everything that is secret: smtp (host, login, password, `extra.from_email`), and for a webhook http
(schema, host, port, `extra.path`, `extra.headers`) with the key that signs as its password.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import smtplib
import time
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import formataddr
from typing import Any

import httpx
from airflow.sdk import BaseHook
from airflow.sdk.bases.notifier import BaseNotifier
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from changeover.domain.notice import Message
from changeover.errors import NoticeError, NoticeRefused

PATIENCE = 10.0
"""Seconds that a webhook may take."""
LATER = (408, 425, 429)
"""Client errors that mean "not now"."""


class EmailChannel:
    """One message to one person; its id lets a mail server drop what a lost try had delivered already."""

    def send(self, connection: str, message: Message) -> None:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        if message.to is None or not message.to.email:
            raise NoticeRefused("mail needs an address", where=connection)
        try:
            notifier = SmtpNotifier(
                to=[_address(message.to.name, message.to.email)],  # a text would be split at its commas
                subject=" ".join(message.subject.split()),
                html_content=_page(message.text),
                smtp_conn_id=connection,
                custom_headers={"Message-ID": f"<{message.id}@changeover>", "Auto-Submitted": "auto-generated"},
            )
            # Not called as Airflow calls it: that would take what people wrote in plans for templates.
            notifier.notify({})
        except (smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as exc:
            raise _refusal(exc, connection) from exc
        except (OSError, smtplib.SMTPException, AirflowException, ValueError) as exc:
            raise NoticeError(f"mail could not be sent: {_plain(exc)}", where=connection) from exc


class WebhookNotifier(BaseNotifier):
    """Posts one message as JSON, signed over time and body with the connection's password."""

    template_fields = ()

    def __init__(self, *, connection: str, message: Message) -> None:
        super().__init__()
        self.connection, self.message = connection, message

    def notify(self, context: Any) -> None:
        url, key, extra_headers = _endpoint(self.connection)
        body = json.dumps(payload(self.message), sort_keys=True, ensure_ascii=False).encode()
        stamp = str(int(time.time()))
        headers = {
            **extra_headers,
            "Content-Type": "application/json",
            "Idempotency-Key": self.message.id,
            "X-Changeover-Timestamp": stamp,
            "X-Changeover-Signature": signature(key, stamp, body),
        }
        answer = httpx.post(url, content=body, headers=headers, timeout=PATIENCE, follow_redirects=False)
        if answer.is_success:
            return
        said = f"the webhook answered {answer.status_code}"
        if answer.is_client_error and answer.status_code not in LATER:
            raise NoticeRefused(said, where=self.connection, then="correct the connection or the receiver")
        raise NoticeError(said, where=self.connection)


class WebhookChannel:
    def send(self, connection: str, message: Message) -> None:
        try:
            WebhookNotifier(connection=connection, message=message).notify({})
        except (httpx.HTTPError, httpx.InvalidURL, AirflowNotFoundException) as exc:
            raise NoticeError(f"the webhook could not be reached: {_plain(exc)}", where=connection) from exc


def payload(message: Message) -> dict[str, Any]:
    """`text` alone is what chat systems show; the rest is for programs."""
    return {
        "schema_version": 1,
        "id": message.id,
        "kind": str(message.kind),
        "subject": message.subject,
        "text": f"{message.subject}\n\n{message.text}",
        **message.facts,
    }


def signature(key: str, stamp: str, body: bytes) -> str:
    """HMAC-SHA256 over `timestamp.body`, so that an old post cannot be replayed as a new one."""
    return "sha256=" + hmac.new(key.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _endpoint(name: str) -> tuple[str, str, dict[str, str]]:
    connection = BaseHook.get_connection(name)
    extra = connection.extra_dejson
    if not connection.password:
        raise NoticeError("the webhook has no key to sign with", where=name, then="set the connection's password")
    host = connection.host or ""
    base = host if "://" in host else f"{connection.schema or 'https'}://{host}"
    port = f":{connection.port}" if connection.port else ""
    path = str(extra.get("path") or "/")
    headers = {str(key): str(value) for key, value in (extra.get("headers") or {}).items()}
    return f"{base.rstrip('/')}{port}/{path.lstrip('/')}", connection.password, headers


def _address(name: str, email: str) -> str:
    """With the name where both can stand in a header; never more than one address."""
    try:
        return formataddr((" ".join(name.split()), Address(addr_spec=email).addr_spec))
    except (ValueError, HeaderParseError) as exc:
        raise NoticeRefused(f"{email!r} is no address", where="participant", then="correct it in the plan") from exc


def _page(text: str) -> str:
    paragraphs = (html.escape(part).replace("\n", "<br>\n") for part in text.split("\n\n"))
    return "<html><body>\n" + "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs) + "</body></html>\n"


def _refusal(exc: smtplib.SMTPException, connection: str) -> NoticeError:
    """Permanent codes (5xx) are a "no"; 4xx (greylisting, full mailbox) are tried again."""
    codes = (
        [code for code, _ in exc.recipients.values()]
        if isinstance(exc, smtplib.SMTPRecipientsRefused)
        else [getattr(exc, "smtp_code", 0)]
    )
    said = f"the mail server answered {', '.join(map(str, codes))}"
    if codes and all(code >= 500 for code in codes):
        return NoticeRefused(said, where=connection, then="correct the address or the connection")
    return NoticeError(said, where=connection)


def _plain(exc: Exception) -> str:
    """Kind and first line: what a library prints beyond that may hold an address book or a login."""
    first = str(exc).splitlines()[0][:200] if str(exc) else ""
    return f"{type(exc).__name__}: {first}" if first else type(exc).__name__
