"""The release records of a run as they were when its plan was approved: what happens to the files later is not its."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def pin_releases(product: str, *, releases: Path, place: Path) -> None:
    """Copy every record of a product, once; of two processes that do it the first one's copy stays."""
    if place.is_dir():
        return
    part = place.with_name(f"{place.name}.part-{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    shutil.copytree(releases / product, part / product, ignore_dangling_symlinks=True)
    try:
        part.rename(place)
    except OSError:
        shutil.rmtree(part)
        if not place.is_dir():
            raise
