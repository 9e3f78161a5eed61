"""Documents of one kind among files and directories: nothing that was named is passed over in silence."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from changeover.adapters.document_files import unusable
from changeover.domain.fault import Reading

Found = TypeVar("Found")


@dataclass(frozen=True)
class Kind(Generic[Found]):
    """`home` is where the product keeps them: there, one lies exactly at `form`, such as `<client>/<upgrade>.yaml`."""

    what: str
    form: str
    home: Path
    read: Callable[..., Reading[Found]]
    """With `root`, the directory that a symbolic link may not leave."""

    def find(self, paths: Iterable[Path]) -> tuple[Reading[Found], ...]:
        """Read every file named, and every one below every directory named; a path that yields none is a fault."""
        readings: dict[Path, Reading[Found]] = {}
        for path in paths:
            for reading in self._all_below(path) if path.is_dir() else (self._read(path),):
                readings.setdefault(placed(Path(reading.file)), reading)
        return tuple(readings.values())

    def _all_below(self, directory: Path) -> tuple[Reading[Found], ...]:
        return tuple(self.below(directory)) or (unusable(directory, f"holds no {self.what} ({self.form})"),)

    def below(self, directory: Path) -> Iterator[Reading[Found]]:
        """Every one below the directory, and every file that looks like one; hidden files are an editor's own."""
        for folder, below, files in os.walk(directory):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(files):
                path = Path(folder, name)
                if name.startswith("."):
                    continue
                if path.suffix in (".yml", ".YAML", ".YML"):
                    wanted = self.form.rpartition("/")[2]
                    yield unusable(shown(path), f"is not read as a {self.what}; name it {wanted}")
                elif path.suffix == ".yaml":
                    yield self._read(path, walked=directory)

    def _read(self, path: Path, *, walked: Path | None = None) -> Reading[Found]:
        if shown(path) != path:
            return unusable(shown(path), "has a name that is not UTF-8 text; rename it")
        place = placed(path)
        if not place.is_relative_to(self.home):
            return self.read(path, root=walked)
        if len(place.relative_to(self.home).parts) != 2:
            return unusable(path, f"lies in the wrong place; a {self.what} is {self.home}/{self.form}")
        return self.read(path, root=self.home)


def placed(path: Path) -> Path:
    """Absolute and without `..`, yet not followed: a symbolic link stands where it stands."""
    return Path(os.path.abspath(path))  # noqa: PTH100 -- Path.resolve() follows links


def shown(path: Path) -> Path:
    """The path as text that can be printed and kept: a byte that is not UTF-8 is written out in hexadecimal."""
    return Path(os.fsencode(path).decode(errors="backslashreplace"))
