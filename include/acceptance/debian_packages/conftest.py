"""What every acceptance test of packages needs: the host over SSH (testinfra's `host`), and what is planned for it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Wanted:
    """What has to be so on one host; the first package's version is the environment's."""

    packages: tuple[str, ...]
    services: tuple[str, ...]
    version: str


@pytest.fixture(scope="session")
def planned() -> dict[str, Any]:
    """The hosts that are to be accepted."""
    return dict(json.loads(Path(os.environ["CHANGEOVER_ACCEPTANCE"]).read_text(encoding="utf-8"))["hosts"])


@pytest.fixture
def wanted(host: Any, planned: dict[str, Any]) -> Wanted:
    """Of the host under test."""
    about = planned[_name(host, planned)]
    variables = about["variables"]
    services = tuple(variables.get("debian_packages_services", ()))
    return Wanted(tuple(variables["debian_packages_names"]), services, about["target_version"])


def _name(host: Any, planned: dict[str, Any]) -> str:
    """The name of a host in the plan; testinfra knows it by how it is reached."""
    backend = host.backend
    reached = getattr(backend, "host", None)
    for name, about in planned.items():
        if reached and (reached.name, str(reached.port)) in {(about["address"], str(about["port"])), (name, "None")}:
            return name
    raise LookupError(f"{backend.get_pytest_id()} is none of the planned hosts: {', '.join(planned)}")
