"""The plan store: every plan text that was ever presented, by digest, and which of them made up each version."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from changeover.adapters.plan_files import parse_plan
from changeover.domain.plan import Plan
from changeover.errors import PlanError


@dataclass(frozen=True)
class StoredPlan:
    """One plan of a version: the digest of its text, and the file it came from."""

    digest: str
    file: str


@dataclass(frozen=True)
class Manifest:
    """What one version presents: plans by DAG id, and faults by file."""

    plans: Mapping[str, StoredPlan] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def version(self) -> str:
        """Faults count too: Airflow looks at the files again only when the version is another."""
        return hashlib.sha256(self.text().encode()).hexdigest()[:40]

    def text(self) -> str:
        plans = {dag_id: asdict(plan) for dag_id, plan in self.plans.items()}
        return json.dumps({"plans": plans, "faults": dict(self.faults)}, sort_keys=True)

    @classmethod
    def parse(cls, text: str) -> Manifest:
        document = json.loads(text)
        return cls(
            {dag_id: StoredPlan(**plan) for dag_id, plan in document["plans"].items()},
            document["faults"],
        )


@dataclass(frozen=True)
class PlanStore:
    """`<root>/{texts/<digest>.yaml,manifests/<version>.json,checked/<checker>/<case>,current.json}`.

    Nothing but `current.json` is ever changed, and nothing is pruned: a run cleared years later needs its text.
    """

    root: Path

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time, on every machine that shares the store."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / ".lock", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def add(self, text: bytes) -> str:
        """Keep a text; the answer is its digest."""
        digest = hashlib.sha256(text).hexdigest()
        if not (path := self._text_path(digest)).exists():
            write_whole(path, text)
        return digest

    def text(self, digest: str) -> bytes:
        """The text, proven to be the one that was kept."""
        path = self._text_path(digest)
        try:
            text = path.read_bytes()
        except OSError as exc:
            raise PlanError(
                f"The plan store has no text with digest {digest} ({exc.strerror})",
                where=str(path),
                then="mount the store or restore it from backup, then clear the task",
            ) from exc
        if hashlib.sha256(text).hexdigest() != digest:
            raise PlanError(
                "A text of the plan store was changed after it was kept",
                where=str(path),
                then="restore it from backup; the run must not go on with another plan than the approved one",
            )
        return text

    def kept_since(self, digest: str) -> datetime | None:
        """When a text was first presented; None for one that was not."""
        try:
            return datetime.fromtimestamp(self._text_path(digest).stat().st_mtime, UTC)
        except OSError:
            return None

    def plan(self, digest: str, *, name: str) -> tuple[Plan, str]:
        """The plan and the exact text it was read from."""
        text = self.text(digest)
        return parse_plan(text, name=name), text.decode("utf-8-sig")

    def keep(self, manifest: Manifest) -> None:
        """Keep a manifest under its version and make it the current one."""
        path = self._manifest_path(manifest.version())
        if not path.exists():
            write_whole(path, manifest.text().encode())
        write_whole(self.root / "current.json", manifest.text().encode())

    def current(self) -> Manifest:
        """What was presented last; nothing in a new store."""
        path = self.root / "current.json"
        return Manifest.parse(path.read_text()) if path.exists() else Manifest()

    def manifest(self, version: str) -> Manifest:
        path = self._manifest_path(version)
        try:
            return Manifest.parse(path.read_text())
        except OSError as exc:
            raise PlanError(
                f"The plan store has no version {version} ({exc.strerror})",
                where=str(path),
                then="mount the store or restore it from backup, then clear the task",
            ) from exc

    def verdict(self, checker: str, case: str) -> str | None:
        """The DAG id found when this case passed this checker; None when it did not pass yet."""
        path = self._verdict_path(checker, case)
        return path.read_text() if path.exists() else None

    def record_pass(self, checker: str, case: str, dag_id: str) -> None:
        """A verdict lost with the power is found again; it need not wait for the disk."""
        write_whole(self._verdict_path(checker, case), dag_id.encode(), durable=False)

    def _text_path(self, digest: str) -> Path:
        return self.root / "texts" / f"{digest}.yaml"

    def _manifest_path(self, version: str) -> Path:
        return self.root / "manifests" / f"{version}.json"

    def _verdict_path(self, checker: str, case: str) -> Path:
        return self.root / "checked" / checker / case


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """The file appears with all of its content or not at all, also for a reader on another machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    unfinished = Path(name)
    try:
        with open(handle, "wb") as target:
            target.write(content)
            if durable:
                target.flush()
                os.fsync(target.fileno())
        unfinished.chmod(0o644)
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise
