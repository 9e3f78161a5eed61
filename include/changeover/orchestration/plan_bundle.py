"""The DAG bundle that presents plans to Airflow: one small DAG file per plan, versions, and the last good plan kept."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

import changeover
from changeover.adapters.plan_files import parse_plan
from changeover.errors import PlanError
from changeover.orchestration.plan_collection import PlanCollection
from changeover.orchestration.plan_store import Manifest, PlanStore, write_whole

BUILDER = "changeover.orchestration.dag_factory.build_dag"
STUB = '''"""An upgrade as an Airflow dag. Written by the plan bundle from the plan named below: edit that instead."""

from pathlib import Path

from {module} import {function}
from changeover.orchestration.plan_store import PlanStore

plan, text = PlanStore(Path({store!r})).plan({digest!r}, name={file!r})
dag = {function}(plan, plan_digest={digest!r}, plan_text=text)
'''
FAULT = '''"""What is wrong with a plan, for Airflow's list of dag import errors."""

from changeover.errors import PlanError

raise PlanError({message!r})
'''
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,200}(/[A-Za-z0-9._-]{1,200}){0,9}")


class PlanBundle(BaseDagBundle):
    """Plans in, DAG files out; each version stays available from the plan store.

    A DAG file that breaks or disappears makes its DAG stale, and Airflow then schedules nothing more of its running
    runs, in silence. So a broken plan keeps its last good text, and a removed one stays until its runs have ended.
    """

    supports_versioning = True

    def __init__(self, *, plans: str, store: str, builder: str = BUILDER, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._store, self._builder = PlanStore(Path(store).absolute()), builder
        self._collection = PlanCollection(Path(plans), self._store, BuildChecker(builder), unfinished)
        self._current: str | None = None

    @property
    def path(self) -> Path:
        return self.versions_dir / self.version if self.version else self.base_dir / "current"

    def get_current_version(self) -> BundleVersion | None:
        version = self.version or self._current
        return BundleVersion(version) if version else None

    def initialize(self) -> None:
        if self.version is None:
            self.refresh()
        elif not self.path.exists():
            with self._store.lock():
                self._restore(self.version)
        super().initialize()

    def refresh(self) -> None:
        if self.version is not None:
            raise PlanError(f"Version {self.version} of the plans is pinned and cannot be refreshed", where=self.name)
        with self._store.lock():
            last = self._store.current()
            manifest = self._collection.collect(last)
            if manifest != last:
                self._store.keep(manifest)
            if manifest.version() != self._current or not self.path.exists():
                render(self.path, manifest, store=self._store.root, builder=self._builder)
                self._current = manifest.version()

    def _restore(self, version: str) -> None:
        """Write a version's files again; the folder appears complete."""
        if self.path.exists():
            return
        manifest = self._store.manifest(version)
        for plan in manifest.plans.values():
            self._store.text(plan.digest)
        self.versions_dir.mkdir(parents=True, exist_ok=True)
        incomplete = Path(tempfile.mkdtemp(dir=self.versions_dir, prefix="."))
        render(incomplete, Manifest(manifest.plans), store=self._store.root, builder=self._builder)
        incomplete.chmod(0o755)
        incomplete.rename(self.path)


@dataclass(frozen=True)
class BuildChecker:
    """Passes a plan only when its DAG really can be built and serialised, by the code that Airflow will run."""

    builder: str = BUILDER

    @property
    def version(self) -> str:
        return code_version(self.builder)

    def check(self, text: bytes, *, file: str) -> str:
        from airflow.serialization.serialized_objects import DagSerialization

        try:
            plan = parse_plan(text, name=file)
            dag = load_builder(self.builder)(
                plan, plan_digest=hashlib.sha256(text).hexdigest(), plan_text=text.decode("utf-8-sig")
            )
            dag.check_cycle()
            DagSerialization.to_dict(dag)
        except PlanError:
            raise
        except Exception as exc:  # whatever the build trips over must reach this plan's author, and no other plan
            raise PlanError(f"no dag can be built from it: {type(exc).__name__}: {exc}", where=file) from exc
        return str(dag.dag_id)


def render(root: Path, manifest: Manifest, *, store: Path, builder: str) -> None:
    """Make the folder hold exactly the DAG files of the manifest."""
    module, _, function = builder.rpartition(".")
    names = {"module": module, "function": function, "store": str(store)}
    # Named after the DAG, not after the plan's file: a task looks for this name in every version.
    wanted = {
        root / f"{dag_id}.py": STUB.format(file=plan.file, digest=plan.digest, **names)
        for dag_id, plan in manifest.plans.items()
    }
    faults = {root / _fault_file(file): FAULT.format(message=text) for file, text in manifest.faults.items()}
    wanted = faults | wanted  # whatever a faulty file is called, it takes no plan's place
    root.mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        _present(path, text.encode())
    for stray in set(root.rglob("*.py")) - set(wanted):
        stray.unlink()


def _fault_file(file: str) -> str:
    """Where a plan's fault is shown: under the plan's own name where that makes a file that Airflow can list."""
    *folders, _ = file.split("/")
    if _PLAIN.fullmatch(file) and not any(folder.endswith(".py") for folder in folders):
        return f"{file}.py"
    return f"faults/{hashlib.sha256(os.fsencode(file)).hexdigest()[:16]}.yaml.py"


def _present(path: Path, content: bytes) -> None:
    """Write a DAG file if it differs.

    An edited one is dated a little ahead: a parse of its old text under way would otherwise count as one of the new.
    """
    existed = path.exists()
    if existed and path.read_bytes() == content:
        return
    write_whole(path, content, durable=False)  # written again whenever it is missing
    if existed:
        ahead = time.time() + 5
        os.utime(path, (ahead, ahead))


def load_builder(path: str) -> Callable[..., Any]:
    """The function that makes a DAG of a plan."""
    module, _, function = path.rpartition(".")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return loaded


def unfinished(dag_ids: Iterable[str]) -> set[str]:
    """Those of these DAGs that have a run which is queued or running; all of them when that cannot be found out."""
    wanted = set(dag_ids)
    if not wanted:
        return set()
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from airflow.utils.state import State
    from sqlalchemy import select

    try:
        with create_session() as session:
            query = select(DagRun.dag_id).where(DagRun.dag_id.in_(wanted), DagRun.state.in_(State.unfinished_dr_states))
            return set(session.scalars(query))
    except Exception:  # noqa: BLE001  # an outage, or a process without the database: removing a plan can wait
        return wanted


@cache
def code_version(builder: str = BUILDER) -> str:
    """Digest of the code that judges plans and builds DAGs: when it changes, every text is judged again."""
    import airflow

    module = importlib.import_module(builder.rpartition(".")[0])
    files = {*Path(changeover.__file__).parent.rglob("*.py"), Path(str(module.__file__))}
    digest = hashlib.sha256(airflow.__version__.encode())
    for path in sorted(files):
        digest.update(path.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
