"""Room on a host's file systems: what an upgrade writes to each of them, held against what is free there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from changeover.domain.facts import HostFacts, Report


@dataclass(frozen=True)
class HostSpace:
    """What probe and report saw of a host's paths. `named` are those that the CMDB names."""

    probe: HostFacts
    report: Report
    named: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """Every path that is named or was measured: what one side forgot is a fact that could not be read."""
        return sorted({*self.named, *self.probe.free_bytes, *self._reported})

    @property
    def _reported(self) -> Mapping[str, Mapping[str, object]]:
        return self.report.get("free") or {}

    @property
    def leftovers(self) -> Mapping[str, int]:
        """Path → bytes there that the next try clears before it copies anything."""
        return {**(self.report.get("leftovers") or {}), **self.probe.leftovers}

    def measure(self, path: str, what: str) -> int | None:
        """The smaller of what the probe and the report saw."""
        probed = {
            "bytes": self.probe.free_bytes, "total_bytes": self.probe.total_bytes,
            "inodes": self.probe.free_inodes, "total_inodes": self.probe.total_inodes,
        }[what].get(path)  # fmt: skip
        reported = (self._reported.get(path) or {}).get(what)
        return min((size for size in (whole(probed), whole(reported)) if size is not None), default=None)

    def file_system(self, path: str) -> int | str:
        """The device it lies on; the longest path around it, or itself, where no device is known."""
        device = self.probe.devices.get(path, whole((self._reported.get(path) or {}).get("device")))
        if device is not None:
            return device
        around = [known for known in self.paths if known != path and under(path, known)]
        return self.file_system(max(around, key=len)) if around and path not in self.paths else path


@dataclass(frozen=True)
class Room:
    """One file system, by the paths that were looked at."""

    paths: tuple[str, ...]
    free: int | None
    total: int | None
    ours: int
    """Held by left-overs of our own failed tries."""
    wanted: int

    def enough(self, keep_percent: int) -> tuple[bool, str]:
        """Whether it is, with every number that was compared."""
        place = ", ".join(self.paths)
        if self.free is None or self.total is None:
            return False, f"{place}: free space could not be read"
        keep = ceil(self.total * keep_percent / 100)
        ours = f" and {gib(self.ours)} held by left-overs of our own tries" if self.ours else ""
        need = f"{gib(self.wanted + keep)} wanted ({gib(self.wanted)} for the upgrade, {gib(keep)} kept free)"
        return self.free + self.ours >= self.wanted + keep, f"{place}: {gib(self.free)} free{ours}, {need}"


def needs(report: Report, database: int, *, app_root: str, factor: Fraction, legs: int) -> dict[str, Fraction] | str:
    """Path → bytes that the upgrade writes there, or why that is not known.

    A restore point of each leg lies below `app_root`; the rest of the release's factor (its proof, a back-out, the
    migration) goes where the role says that it copies whole databases to, by its weights.
    """
    sizes = report.get("sizes") or {}
    copies = sizes.get("copies")
    if not database:
        return {app_root: Fraction(0)}
    if not isinstance(copies, Mapping):
        return str(sizes.get("copies_fault") or "the role did not say where it copies whole databases to")
    wanted = {app_root: Fraction(database * legs)}
    rest, weights = max(factor - 1, Fraction(0)), sum(copies.values())
    for path, weight in copies.items():
        wanted[path] = wanted.get(path, Fraction(0)) + database * rest * Fraction(weight, weights)
    return wanted


def rooms(space: HostSpace, wanted: Mapping[str, Fraction], *, other: int) -> Iterator[Room]:
    """Each file system once: writing to several of its paths adds up. `other` is wanted where anything else lies."""
    groups: dict[int | str, list[str]] = {}
    for path in sorted({*space.paths, *wanted}):
        groups.setdefault(space.file_system(path), []).append(path)
    for key, paths in groups.items():
        free = [space.measure(path, "bytes") for path in paths]
        total = [space.measure(path, "total_bytes") for path in paths]
        yield Room(
            tuple(paths),
            None if None in free else min(size for size in free if size is not None),
            None if None in total else max(size for size in total if size is not None),
            sum(size for place, size in space.leftovers.items() if space.file_system(place) == key),
            max(
                ceil(sum((wanted.get(path, Fraction(0)) for path in paths), Fraction(0))),
                0 if wanted.keys() >= set(paths) else other,
            ),
        )


def under(place: str, path: str) -> bool:
    return place == path or place.startswith(path.rstrip("/") + "/")


def whole(value: object) -> int | None:
    """A number of bytes or inodes; anything else counts as not read."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def gib(size: int) -> str:
    if size and size < 1 << 27:
        return f"{size / (1 << 20):.2f} MiB"
    return f"{size / (1 << 30):.3f} GiB"
