"""Whose session an order came from: a login that was named proves nothing by itself, so both are kept."""

from __future__ import annotations

import os
import pwd


def os_user() -> str:
    """As the system knows it: no variable of the environment has a say in that."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def witnessed(said: str, here: str = "") -> str:
    """A comment or a reason as it is kept: with the session it came from, by default this one."""
    return f"[at a terminal of {here or os_user()}] {said}".strip()
