"""Taking secrets out of text before it is kept."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from urllib.parse import quote

HIDDEN = "(hidden)"
SHORTEST = 4
"""Shorter than this nothing is a secret, and to hide it would blot out the text."""


class Scrubber:
    """Hides values as they are and as they look in JSON, XML, URLs and Python's own quotes; of keys, every line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        parts = {part.strip() for secret in secrets for part in (secret, *secret.splitlines())}
        parts = {part for part in parts if len(part) >= SHORTEST and not part.startswith("-----")}
        looks = {look for part in parts for look in _looks(part)}
        self._looks = sorted(looks, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for look in self._looks:
            text = text.replace(look, HIDDEN)
        return text


def _looks(secret: str) -> Iterable[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield html.escape(secret)
    yield html.escape(secret, quote=False)
    yield quote(secret, safe="")
    yield quote(secret)
