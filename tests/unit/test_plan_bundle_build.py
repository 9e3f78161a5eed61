"""The bundle with the real factory, in a process of its own: Airflow's home must be set before it is imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from changeover.settings import PROJECT

BUILD = """
import json, os, runpy, sys
from pathlib import Path
from airflow.models.serialized_dag import SerializedDagModel
from airflow.serialization.serialized_objects import DagSerialization
from changeover.orchestration.plan_bundle import PlanBundle

plans, store = sys.argv[1:3]
bundle = PlanBundle(name="plans", plans=plans, store=store)
bundle.initialize()
files = sorted(bundle.path.rglob("*.py"))
digests, faults = {}, {}
for file in files:
    if file.parent == bundle.path:
        dag = runpy.run_path(str(file))["dag"]
        digests[dag.dag_id] = SerializedDagModel.hash(DagSerialization.to_dict(dag))
        continue
    try:
        runpy.run_path(str(file))
    except Exception as exc:
        faults[file.relative_to(bundle.path).as_posix()] = f"{type(exc).__name__}: {exc}"
version = bundle.get_current_version().version
pinned = PlanBundle(name="plans", plans=plans, store=store, version=version)
pinned.initialize()
print(json.dumps({
    "version": version,
    "digests": digests,
    "faults": faults,
    "injected": os.environ.get("INJECTED"),
    "files": [file.relative_to(bundle.path).as_posix() for file in files],
    "pinned": sorted(file.relative_to(pinned.path).as_posix() for file in pinned.path.rglob("*.py")),
    "stub": (bundle.path / "nordwind.tryton-8.0.py").read_text(),
}))
"""

INJECTED = """a\"\"\"+str(__import__("os").environ.setdefault("INJECTED","1"))+\"\"\".yaml"""
ODD = (INJECTED, "a\\N.yaml", "two\nlines.yaml", f"{'n' * 249}.yaml")
"""Names of files that are legal on Linux."""


def present(root: Path, plans: Path, *, seed: int) -> dict[str, Any]:
    """Present the plans in a fresh process with its own hash seed."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "CHANGEOVER"))},
        "AIRFLOW_HOME": str(root / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(root / "home" / "bundles"),
        "PYTHONHASHSEED": str(seed),
        "PYTHONPATH": str(PROJECT / "include"),
    }
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(plans), str(root / "store")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def presented(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The product's own plans and a broken one, presented twice."""
    root = tmp_path_factory.mktemp("build")
    plans = root / "plans"
    shutil.copytree(PROJECT / "include" / "plans", plans)
    (plans / "nordwind" / "broken.yaml").write_text("title: [never closed")
    (plans / "nordwind.tryton-8.0.py").mkdir()
    for path in (*(plans / "nordwind" / name for name in ODD), plans / "nordwind.tryton-8.0.py" / "x.yaml"):
        path.write_text("title: [never closed")
    return present(root, plans, seed=1), present(root, plans, seed=2)


def test_two_parses_give_the_same_dags_and_the_same_version(
    presented: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    """Otherwise Airflow would make a new DAG version with every parse."""
    first, second = presented
    assert first["digests"] == second["digests"]
    assert first["version"] == second["version"]


def test_every_plan_has_one_file_and_every_fault_its_own(presented: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A pinned version holds the plans alone."""
    first, _ = presented
    named = [file for file in first["files"] if not file.startswith("faults/")]
    assert named == ["lindgren.roundup-2.6.py", "nordwind/broken.yaml.py", "nordwind.tryton-8.0.py"]
    assert first["pinned"] == ["lindgren.roundup-2.6.py", "nordwind.tryton-8.0.py"]


def test_a_dag_file_is_small_and_is_not_skipped(presented: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Airflow skips files without the words dag and airflow, in silence."""
    stub = presented[0]["stub"]
    assert len(stub.splitlines()) < 15
    assert "dag" in stub.lower()
    assert "airflow" in stub.lower()


def test_a_files_name_is_never_run(presented: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A name is data to the DAG file that shows its fault: quotes, escapes and lengths included."""
    first, _ = presented
    assert first["injected"] is None
    assert len(first["faults"]) == len(ODD) + 2
    for told in first["faults"].values():
        assert told.startswith(("DocumentFaults: ", "PlanError: "))
        assert "cannot be read as YAML" in told
    for name in ODD:
        assert any(f"nordwind/{name}" in told for told in first["faults"].values()), name
