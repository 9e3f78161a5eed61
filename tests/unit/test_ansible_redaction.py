"""A secret does not get through, whatever it is dressed in."""

from __future__ import annotations

import base64
import json
import shlex
import urllib.parse

from hypothesis import given
from hypothesis import strategies as st

from changeover.adapters.redaction import Redactor

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=8, max_size=40).filter(
    lambda text: text == text.strip()
)


@given(SECRETS, st.sampled_from(["", "user:", "a", "ab"]))
def test_no_disguise_gets_through(secret: str, before: str) -> None:
    redactor = Redactor([secret])
    for dressed in (
        secret,
        json.dumps({"x": secret}),
        json.dumps(json.dumps({"x": secret})),
        urllib.parse.quote(secret),
        urllib.parse.quote_plus(secret),
        shlex.quote(secret),
        repr(secret),
    ):
        assert secret not in redactor.text(dressed)
        assert "***" in redactor.text(dressed)
    assert "***" in redactor.text(base64.b64encode((before + secret).encode()).decode())


def test_every_line_of_a_key_is_taken_out() -> None:
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\nQyNTUxOQAAACB\n-----END OPENSSH PRIVATE KEY-----\n"
    assert Redactor([key]).text("line: QyNTUxOQAAACB") == "line: ***"
    assert Redactor([key]).text("-----BEGIN OPENSSH PRIVATE KEY-----") == "-----BEGIN OPENSSH PRIVATE KEY-----"


def test_values_are_redacted_inside_and_otherwise_unchanged() -> None:
    redactor = Redactor(["hunter2-hunter2"])
    value = {"a": ["x hunter2-hunter2", 1, None, True], "hunter2-hunter2": {"b": 1.5}}
    assert redactor.value(value) == {"a": ["x ***", 1, None, True], "***": {"b": 1.5}}


def test_without_secrets_and_for_trifles_nothing_is_masked() -> None:
    assert Redactor([]).text("as it is") == "as it is"
    assert Redactor(["", "a", "1234"]).text("a 1234") == "a 1234"
