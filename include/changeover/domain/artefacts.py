"""Artefacts of a release as they lie beside the controller: what is listed, what is there, what each one needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Wheel:
    """One Python distribution. `plug_ins` are those it brings: name → version of its own description, "" unread."""

    file: str
    name: str
    version: str
    requires: tuple[str, ...] = ()
    requires_python: str = ""
    plug_ins: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    """Why the file cannot be read as one."""


@dataclass(frozen=True)
class ArtefactSet:
    """What lies in one release's directory."""

    place: str
    there: bool
    """Whether the directory and its manifest exist."""
    listed: Mapping[str, str] = field(default_factory=dict)
    """File → sha256 of the manifest."""
    differing: tuple[str, ...] = ()
    """Listed files that are missing or have another digest."""
    unlisted: tuple[str, ...] = ()
    """Wheels that no manifest names: they are not brought to any host."""
    wheels: tuple[Wheel, ...] = ()
    """The listed ones."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """Distribution → version that the release's environment is built from (requirements.txt)."""

    def wheel(self, name: str) -> Wheel | None:
        return next((wheel for wheel in self.wheels if wheel.name == plain(name)), None)

    def plug_in(self, name: str) -> Wheel | None:
        """The wheel that brings a plug-in of this name."""
        named = [wheel for wheel in self.wheels if name in wheel.plug_ins]
        return named[0] if named else self.wheel(name)


def plain(name: str) -> str:
    """A distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()
