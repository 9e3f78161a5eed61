"""What plans share, as a file: `include/fleet/caps.yaml`."""

from __future__ import annotations

from pathlib import Path

from changeover.adapters.document_files import demand, read_document
from changeover.domain.cap import Caps


def load_caps(path: Path) -> Caps:
    """No caps where there is no file; raise `DocumentFaults` (a `PlanError`) for one that cannot be read."""
    if not path.exists() and not path.is_symlink():
        return Caps()
    return demand(read_document(path, Caps), then="correct the caps, then clear this task")
