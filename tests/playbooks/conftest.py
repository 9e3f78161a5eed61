"""A lab of their own for the playbook tests."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover import lab
from tests.playbooks.bench import Bench


@pytest.fixture(scope="session")
def lab_root() -> Iterator[Path]:
    """A lab root of this test run: short (Unix sockets), and readable for the account the lab runs as."""
    root = Path(f"/var/tmp/co-{secrets.token_hex(4)}")
    yield root
    for site in lab.SITES:
        lab.down(site, root=root)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def roundup_lab(lab_root: Path) -> Bench:
    """The site roundup, up and seeded; what was fetched for it is kept between test runs."""
    state = lab.up("roundup", root=lab_root, port=0, artefacts=lab.default_root() / "artefacts")
    return Bench(state, "roundup", "2.0.0", "2.6.0")


@pytest.fixture
def fresh_roundup(roundup_lab: Bench) -> Bench:
    """Every host back at the seeded old release, without locks or markers."""
    lab.reset("roundup", root=roundup_lab.state.root)
    return roundup_lab
