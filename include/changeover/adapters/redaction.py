"""Takes secrets out of text before it is written anywhere."""

from __future__ import annotations

import base64
import json
import re
import shlex
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
_SHORTEST = 5
"""Shorter values would mask ordinary words; the vault refuses to carry them."""


class Redactor:
    """Knows the usual disguises of a value: base64, URL-, JSON- and shell-escaped; of a key, every line."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in forms_of(secret)}
        ordered = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        return self._pattern.sub(MASK, text) if self._pattern else text

    def value(self, value: Any) -> Any:
        """The same for every text inside mappings and lists."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value


def forms_of(secret: str) -> frozenset[str]:
    """Every text under which a secret may be found; nothing for one that is too short to be told from other text."""
    return frozenset(form for part in _parts(secret) for form in _forms(part))


def _parts(secret: str) -> Iterable[str]:
    yield secret
    stripped = secret.strip()
    yield stripped
    if "\n" in stripped:
        yield from (line for line in stripped.splitlines() if not line.startswith("-----"))


def _forms(value: str) -> Iterable[str]:
    candidates = (
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(value)[1:-1])[1:-1],
        repr(value)[1:-1],
        urllib.parse.quote(value),
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote_plus(value),
        shlex.quote(value).strip("'"),
        base64.b64encode(value.encode()).decode(),
        *_base64(value.encode()),
    )
    return (form for form in candidates if len(form) >= _SHORTEST)


def _base64(data: bytes) -> Iterable[str]:
    """The characters that depend on `data` alone, for each of the three places it may begin at in a longer text."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
        start = (offset * 8 + 5) // 6
        whole = len(data) * 8 + offset * 8
        core = encoded[start : whole // 6]
        if len(core) >= 8:
            yield core
            yield core.replace("+", "-").replace("/", "_")
