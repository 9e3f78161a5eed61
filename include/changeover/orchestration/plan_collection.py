"""What the plan files on disk make up right now: plans that can be presented, and faults that have to be shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from changeover.adapters.plan_files import plan_texts
from changeover.domain.fault import Reading
from changeover.errors import ChangeoverError, PlanError
from changeover.orchestration.plan_store import Manifest, PlanStore, StoredPlan


class Checker(Protocol):
    """Says whether a DAG can be made of a plan."""

    @property
    def version(self) -> str:
        """Another one may judge differently; a text passes only for the version that judged it."""

    def check(self, text: bytes, *, file: str) -> str:
        """DAG id of the plan; raise `PlanError` with everything that is wrong."""


Unfinished = Callable[[Iterable[str]], set[str]]
"""Those of these DAGs that have a run which has not ended."""


@dataclass
class PlanCollection:
    """Collects the plans below a directory into a manifest; remembers what it judged, as long as it lives."""

    plans: Path
    store: PlanStore
    checker: Checker
    unfinished: Unfinished
    refused: dict[str, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)

    def collect(self, last: Manifest) -> Manifest:
        """The next manifest; a broken plan keeps what it had in `last`, a removed one while a run is unfinished."""
        if not self.plans.is_dir():  # not mounted is not the same as empty
            raise PlanError("The directory of plans is not there", where=str(self.plans), then="mount it")
        owned = {plan.file: dag_id for dag_id, plan in last.plans.items()}
        files = {Path(found.file).relative_to(self.plans).as_posix(): found for found in plan_texts(self.plans)}
        plans: dict[str, StoredPlan] = {}
        faults: dict[str, str] = {}
        # Who presented a DAG before comes first: a copy of its plan must not take it over.
        for file in sorted(files, key=lambda name: (name not in owned, name)):
            try:
                dag_id, digest = self._checked(files[file], file)
                if dag_id in plans:
                    raise PlanError(f"{plans[dag_id].file} already is the plan of {dag_id}", then="rename one upgrade")
                plans[dag_id] = StoredPlan(digest, file)
            except (ChangeoverError, OSError) as exc:
                faults[file] = str(exc)
        broken = {owned[file] for file in faults if file in owned} - set(plans)
        removed = set(last.plans) - set(plans) - broken
        for dag_id in broken | self.unfinished(removed):
            if self._still_builds(last.plans[dag_id]):
                plans[dag_id] = last.plans[dag_id]
        return Manifest(dict(sorted(plans.items())), dict(sorted(faults.items())))

    def _checked(self, found: Reading[bytes], file: str) -> tuple[str, str]:
        """DAG id and digest of a plan that a DAG can be made of; its text is in the store then."""
        if found.document is None:
            raise PlanError("; ".join(fault.message for fault in found.faults), where=file)
        dag_id = self._judged(found.document, file)
        return dag_id, self.store.add(found.document)

    def _judged(self, text: bytes, file: str) -> str:
        # The file's name is judged with the text: a plan says the same as its path.
        case = hashlib.sha256(file.encode() + b"\0" + text).hexdigest()
        if case in self.refused:
            raise PlanError(self.refused[case])
        if case not in self.passed:
            self.passed[case] = self.store.verdict(self.checker.version, case) or self._check(text, file, case)
        return self.passed[case]

    def _check(self, text: bytes, file: str, case: str) -> str:
        try:
            dag_id = self.checker.check(text, file=file)
        except PlanError as exc:
            self.refused[case] = str(exc)
            raise
        self.store.record_pass(self.checker.version, case, dag_id)
        return dag_id

    def _still_builds(self, plan: StoredPlan) -> bool:
        """A text that was good for an older release of ours may not be now; a DAG file of it would only fail."""
        try:
            self._judged(self.store.text(plan.digest), plan.file)
        except PlanError:
            return False
        return True
