"""Secrets are taken out of what is kept, in each form in which they get there."""

from __future__ import annotations

import html
import json
from urllib.parse import quote

import pytest

from changeover.adapters.scrub import Scrubber

SECRET = 'p"ä&<ss/\\w\n2nd line'


@pytest.mark.parametrize(
    "look",
    [
        str,
        json.dumps,
        lambda s: json.dumps(s, ensure_ascii=False),
        repr,
        html.escape,
        quote,
        lambda s: s.split("\n")[1],
    ],
)
def test_each_look_is_hidden(look: object) -> None:
    assert callable(look)
    shown = Scrubber([SECRET])(f"before {look(SECRET)} after")
    assert "(hidden)" in shown
    assert "ss" not in shown.replace("pass", "")
    assert "2nd" not in shown


def test_longer_secrets_go_first_and_short_ones_are_none() -> None:
    scrub = Scrubber(["geheim", "geheimnis", "abc", ""])
    assert scrub("geheimnis geheim abc") == "(hidden) (hidden) abc"


def test_of_a_key_each_line_is_hidden_and_its_frame_is_not() -> None:
    key = "-----BEGIN KEY-----\nAAAABBBB\nCCCCDDDD\n-----END KEY-----\n"
    assert Scrubber([key])("x CCCCDDDD y -----BEGIN KEY-----") == "x (hidden) y -----BEGIN KEY-----"
