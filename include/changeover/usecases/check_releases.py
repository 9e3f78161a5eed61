"""Check release records: each on its own and against the others of its product, every fault at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from changeover.domain.fault import Reading
from changeover.domain.path import Product
from changeover.domain.release import ReleaseRecord


class Records(Protocol):
    """Where release records are read from. Nothing on the disk makes it raise."""

    def releases(self, paths: Sequence[Path]) -> tuple[Reading[ReleaseRecord], ...]:
        """Every file named, and every record below every directory named, held against the others of its product."""

    def product(self, name: str) -> Product: ...


@dataclass(frozen=True)
class ReleaseReport:
    readings: tuple[Reading[ReleaseRecord], ...]

    @property
    def ok(self) -> bool:
        """Nothing checked is not "all right"."""
        return bool(self.readings) and all(reading.document is not None for reading in self.readings)

    def as_json(self) -> dict[str, Any]:
        """Stable: keys are added, never changed, under one `schema_version`."""
        return {
            "schema_version": 1,
            "ok": self.ok,
            "records": [
                {
                    "file": reading.file,
                    "ok": reading.document is not None,
                    "digest": reading.digest or None,
                    "product": reading.document.product if reading.document else None,
                    "release": reading.document.release if reading.document else None,
                    "version": reading.document.version if reading.document else None,
                    "faults": [fault.as_json() for fault in reading.faults],
                }
                for reading in self.readings
            ],
        }


def check_releases(paths: Sequence[Path], records: Records) -> ReleaseReport:
    return ReleaseReport(records.releases(paths))
