"""What every acceptance test of packages needs: what is planned for the host under test.

`host` and `changeover_host` (its record) are offered by the product's own plugin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Wanted:
    """What has to be so on one host; the first package's version is the environment's."""

    packages: tuple[str, ...]
    services: tuple[str, ...]
    version: str


@pytest.fixture(scope="module")
def wanted(changeover_host: Mapping[str, Any]) -> Wanted:
    """Of the host under test."""
    variables = changeover_host["variables"]
    services = tuple(variables.get("debian_packages_services", ()))
    return Wanted(tuple(variables["debian_packages_names"]), services, changeover_host["target_version"])
