"""Files that show something: kept under the run, with their digests in the ledger."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from changeover.domain.record import Evidence
from changeover.ports import Datasets
from changeover.usecases.tools import Tools, Upgrade


def keep_text(upgrade: Upgrade, tools: Tools, environment: str, name: str, text: str) -> Path:
    """Write `name` below the run's evidence of that environment, whole or not at all, and record its digest."""
    path = evidence_path(upgrade, tools, environment, name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    record_file(upgrade, tools, environment, name, path)
    return path


def record_file(upgrade: Upgrade, tools: Tools, environment: str, name: str, path: Path) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    tools.ledger.add_evidence(Evidence(upgrade.run.key, environment, name, str(path), digest, tools.clock()))


def evidence_path(upgrade: Upgrade, tools: Tools, environment: str, name: str) -> Path:
    return tools.settings.evidence_directory(upgrade.run.key) / (environment or "run") / name


def keep_business_data(upgrade: Upgrade, tools: Tools, environment: str, data: Mapping[str, Datasets]) -> Path:
    """Host → its business data as read before the change; what is compared against afterwards."""
    return keep_text(
        upgrade,
        tools,
        environment,
        "business-data-before.json",
        json.dumps(data, indent=1, sort_keys=True, default=str),
    )


def business_data_before(path: Path) -> dict[str, Datasets]:
    loaded: dict[str, Datasets] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def rows_read(data: Mapping[str, Datasets]) -> str:
    """How much was read where, for people."""
    return "; ".join(
        f"{host}: " + ", ".join(f"{name} {len(rows)} rows" for name, rows in sorted(datasets.items()))
        for host, datasets in sorted(data.items())
    )
