"""The DAG bundle that presents plans to Airflow: one small DAG file per plan, versions, and the last good plan kept."""

from __future__ import annotations

import hashlib
import importlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle, BundleVersion

import changeover
from changeover.adapters.plan_files import parse_plan
from changeover.errors import ChangeoverError, PlanError
from changeover.orchestration.plan_store import (
    Manifest,
    PlanStore,
    StoredPlan,
    write_whole,
)

BUILDER = "changeover.orchestration.dag_factory.build_dag"
LARGEST_PLAN = 5_000_000
STUB = '''"""The upgrade {dag_id} as an Airflow dag, from the plan {file}. Written by the plan bundle; edit the plan instead."""

from {module} import {function}
from changeover.orchestration.plan_store import PlanStore
from pathlib import Path

plan, text = PlanStore(Path({store!r})).plan({digest!r}, name={file!r})
dag = {function}(plan, plan_digest={digest!r}, plan_text=text)
'''
FAULT = '''"""What is wrong with the plan {file}, for Airflow's list of dag import errors."""

from changeover.errors import PlanError

raise PlanError({message!r}) from None
'''


class PlanBundle(BaseDagBundle):
    """Plans in, DAG files out.

    A DAG file that breaks or disappears makes its DAG stale, and Airflow then schedules nothing more of its running runs, in
    silence. So a plan that is broken keeps its last good text, and a removed one stays until its runs have ended.
    """

    supports_versioning = True

    def __init__(self, *, plans: str, store: str, builder: str = BUILDER, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._plans, self._store, self._builder = (
            Path(plans),
            PlanStore(Path(store)),
            builder,
        )
        self._current: str | None = None
        self._refused: dict[tuple[str, str], str] = {}

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
            raise PlanError(
                f"Version {self.version} of the plans is pinned and cannot be refreshed",
                where=self.name,
            )
        if not self._plans.is_dir():  # not mounted is not the same as empty
            raise PlanError(
                "The directory of plans is not there",
                where=str(self._plans),
                then="mount it",
            )
        with self._store.lock():
            manifest = self._collect(self._store.current())
            self._store.keep(manifest)
            self._render(self.path, manifest)
            self._current = manifest.version()

    def _collect(self, last: Manifest) -> Manifest:
        owned = {plan.file: dag_id for dag_id, plan in last.plans.items()}
        plans: dict[str, StoredPlan] = {}
        faults: dict[str, str] = {}
        files = {path.relative_to(self._plans).as_posix(): path for path in _plan_files(self._plans)}
        # Who presented a DAG before comes first: a copy of its plan must not take it over.
        for file in sorted(files, key=lambda name: (name not in owned, name)):
            try:
                dag_id, digest = self._checked(files[file], file)
                if dag_id in plans:
                    raise PlanError(
                        f"{plans[dag_id].file} already is the plan of {dag_id}",
                        then="rename one upgrade",
                    )
                plans[dag_id] = StoredPlan(digest, file)
            except (ChangeoverError, OSError) as exc:
                faults[file] = f"include/plans/{file}: {exc}"
        kept = {dag_id for file, dag_id in owned.items() if file in faults}
        gone = set(last.plans) - set(plans) - kept
        for dag_id in sorted((kept - set(plans)) | unfinished(gone)):
            if self._still_builds(last.plans[dag_id]):
                plans[dag_id] = last.plans[dag_id]
        return Manifest(dict(sorted(plans.items())), dict(sorted(faults.items())))

    def _checked(self, path: Path, file: str) -> tuple[str, str]:
        """DAG id and digest of a plan that is known to build; it is in the store then. Raises `PlanError` with every fault."""
        if path.suffix != ".yaml":
            raise PlanError("plans are read from files that end in .yaml", then="rename the file")
        with open(path, "rb") as source:
            text = source.read(LARGEST_PLAN + 1)
        digest = hashlib.sha256(text).hexdigest()
        checker = checker_version(self._builder)
        if known := self._store.verdict(checker, digest):
            self._store.add(text)  # a store that lost its texts gets them back
            return known, digest
        if refusal := self._refused.get((checker, digest)):
            raise PlanError(refusal)
        try:
            dag_id = check(text, file=file, builder=self._builder)
        except PlanError as exc:
            self._refused[checker, digest] = str(exc)
            raise
        self._store.add(text)
        self._store.passed(checker, digest, dag_id)
        return dag_id, digest

    def _still_builds(self, plan: StoredPlan) -> bool:
        """A text that was good for an older release of ours may not be now; its file would only make noise."""
        checker = checker_version(self._builder)
        if self._store.verdict(checker, plan.digest):
            return True
        try:
            dag_id = check(self._store.text(plan.digest), file=plan.file, builder=self._builder)
        except PlanError:
            return False
        self._store.passed(checker, plan.digest, dag_id)
        return True

    def _restore(self, version: str) -> None:
        """Write a version's files again; the folder appears complete."""
        if self.path.exists():
            return
        manifest = self._store.manifest(version)
        for plan in manifest.plans.values():
            self._store.text(plan.digest)
        self.versions_dir.mkdir(parents=True, exist_ok=True)
        unfinished_folder = Path(tempfile.mkdtemp(dir=self.versions_dir, prefix="."))
        self._render(unfinished_folder, Manifest(manifest.plans))
        unfinished_folder.chmod(0o755)
        unfinished_folder.rename(self.path)

    def _render(self, root: Path, manifest: Manifest) -> None:
        root.mkdir(parents=True, exist_ok=True)
        module, _, function = self._builder.rpartition(".")
        # Named after the DAG, not after the file: a task finds its file by this name in every version.
        wanted = {
            root / f"{dag_id}.py": STUB.format(
                dag_id=dag_id,
                file=plan.file,
                digest=plan.digest,
                module=module,
                function=function,
                store=str(self._store.root.absolute()),
            )
            for dag_id, plan in manifest.plans.items()
        }
        for file, message in manifest.faults.items():
            wanted[root / f"{file}.py"] = FAULT.format(file=file, message=message)
        for path, text in wanted.items():
            _present(path, text)
        for stray in set(root.rglob("*.py")) - set(wanted):
            stray.unlink()


def check(text: bytes, *, file: str, builder: str = BUILDER) -> str:
    """DAG id of a plan that really can be built and serialised; raises `PlanError` with what is wrong."""
    from airflow.serialization.serialized_objects import DagSerialization

    plan = parse_plan(text, name=file)
    try:
        dag = load_builder(builder)(
            plan,
            plan_digest=hashlib.sha256(text).hexdigest(),
            plan_text=text.decode("utf-8-sig"),
        )
        dag.check_cycle()
        DagSerialization.to_dict(dag)
    except PlanError:
        raise
    except Exception as exc:  # whatever the build trips over must reach the plan's author, and no other plan
        raise PlanError(f"no dag can be built from it: {type(exc).__name__}: {exc}", where=file) from exc
    return str(dag.dag_id)


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
            states = select(DagRun.dag_id).where(
                DagRun.dag_id.in_(wanted), DagRun.state.in_(State.unfinished_dr_states)
            )
            return set(session.scalars(states))
    except Exception:  # a process without database access, or an outage: removing a plan can wait
        return wanted


@cache
def checker_version(builder: str = BUILDER) -> str:
    """Digest of the code that judges plans: when it changes, every text is judged again."""
    import airflow

    module = importlib.import_module(builder.rpartition(".")[0])
    root = Path(changeover.__file__).parent
    files = {*root.rglob("*.py"), Path(str(module.__file__))}
    digest = hashlib.sha256(airflow.__version__.encode())
    for path in sorted(files):
        digest.update(path.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _plan_files(root: Path) -> list[Path]:
    found = [path for ending in ("*.yaml", "*.yml") for path in root.rglob(ending)]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(root).parts))


def _present(path: Path, text: str) -> None:
    """Write a DAG file if it differs.

    An edited one is dated a little ahead: a parse of its old text that is under way would otherwise count as one of the new.
    """
    content = text.encode()
    existed = path.exists()
    if existed and path.read_bytes() == content:
        return
    write_whole(path, content)
    if existed:
        ahead = time.time() + 5
        os.utime(path, (ahead, ahead))
