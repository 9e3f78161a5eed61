"""A lab of their own for the playbook tests."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from changeover import lab


@pytest.fixture(scope="session")
def lab_root() -> Iterator[Path]:
    """A lab root of this test run: short (Unix sockets), and readable for the account the lab runs as."""
    root = Path(f"/var/tmp/co-{secrets.token_hex(4)}")
    yield root
    for site in lab.SITES:
        lab.down(site, root=root)
    shutil.rmtree(root, ignore_errors=True)
