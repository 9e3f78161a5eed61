"""How much data an environment holds, as people write it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}
_WRITTEN = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(MB|GB|TB)")


def _volume(value: Any) -> Any:
    """Bytes, from text such as 120GB or 1.5TB."""
    if isinstance(value, int) and value >= 10**6:  # a bare 120 is not 120 bytes, it lacks its unit
        return value
    found = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    size = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size <= 0:
        raise ValueError("write how much data it is as 800MB, 120GB or 1.5TB")
    return size


Volume = Annotated[
    int,
    BeforeValidator(_volume),
    WithJsonSchema({"type": "string", "pattern": _WRITTEN.pattern, "examples": ["800MB", "120GB", "1.5TB"]}),
]
