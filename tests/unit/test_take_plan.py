"""Waiting until Airflow would start a run by an edited text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from changeover.orchestration.airflow_client import AirflowError
from changeover.orchestration.plan_store import Manifest, PlanStore, StoredPlan
from changeover.orchestration.take_plan import wait_until_taken

DAG = "acme.app-2"


@dataclass
class Standing:
    """Where Airflow's DAG stands at each look; the last one stays."""

    versions: list[str | None]
    errors: dict[str, str] = field(default_factory=dict)
    looks: int = 0

    def bundle_version(self, dag_id: str) -> str | None:
        self.looks += 1
        return self.versions[min(self.looks, len(self.versions)) - 1]

    def import_errors(self) -> dict[str, str]:
        return self.errors


@pytest.fixture
def store(tmp_path: Path) -> PlanStore:
    return PlanStore(tmp_path)


def kept(store: PlanStore, text: bytes) -> tuple[str, str]:
    """Version and digest of this text."""
    digest = store.add(text)
    manifest = Manifest({DAG: StoredPlan(digest, "a.yaml")})
    store.keep(manifest)
    return manifest.version(), digest


def wait(airflow: Any, store: PlanStore, digest: str, timeout: float = 5.0) -> None:
    wait_until_taken(airflow, store, DAG, digest, timeout=timeout)


def test_that_the_store_has_the_text_is_not_enough(store: PlanStore) -> None:
    old, _ = kept(store, b"old")
    new, digest = kept(store, b"new")
    airflow = Standing([None, "of another store", old, old, new])
    wait(airflow, store, digest)
    assert airflow.looks == 5


def test_going_back_to_an_earlier_text_is_waited_for_too(store: PlanStore) -> None:
    old, digest = kept(store, b"old")
    new, _ = kept(store, b"new")
    airflow = Standing([new, old])
    wait(airflow, store, digest)
    assert airflow.looks == 2


@pytest.mark.parametrize("made", [lambda store: None, lambda store: kept(store, b"old")[0]])
def test_a_text_that_does_not_come_is_told_with_the_import_errors(
    store: PlanStore, made: Callable[[PlanStore], str | None]
) -> None:
    airflow = Standing([made(store)], {"acme/app-2.yaml": "hosts: none is given"})
    with pytest.raises(AirflowError, match=r"did not take this text of acme.app-2 within 0 s: hosts: none is given"):
        wait(airflow, store, "0" * 64, timeout=0)
