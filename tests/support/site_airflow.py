"""A lab of a test's own under a real Airflow that knows its estate, its keys and its people."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from changeover import lab, wiring
from changeover.orchestration import introduce_site
from changeover.settings import PROJECT, Settings
from tests.support.airflow import TestAirflow, airflow

_WITH_TESTS = {"PYTHONPATH": os.pathsep.join((str(PROJECT / "include"), str(PROJECT)))}
"""Where a DAG builder of the tests is found, too."""


@contextmanager
def own_lab(site: str) -> Iterator[Path]:
    """A lab root, short for Unix sockets; the site that was brought up below it goes with it."""
    root = Path(f"/var/tmp/co-{uuid.uuid4().hex[:8]}")
    try:
        yield root
    finally:
        lab.down(site, root=root, remove=True)
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def introduced(settings: Settings, state: lab.LabState, *, plan_builder: str | None = None) -> Iterator[TestAirflow]:
    """Airflow with the estate in the CMDB, its connections, and a login for everybody whom the plans name."""
    readings = wiring.shelf(settings).plans([settings.plans])
    people = introduce_site.logins([reading.document for reading in readings if reading.document])
    with airflow(settings, people=people, plan_builder=plan_builder, environment=_WITH_TESTS) as started:
        introduce_site.import_estate(settings, state.estate_path, reset=True)
        with started.client() as client:
            introduce_site.store_connections(client, state.secrets_path)
        yield started
