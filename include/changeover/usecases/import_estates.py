"""Estates from files into the CMDB: all of them in order, or none is taken; and what became of what it held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from changeover.domain.estate import Estate
from changeover.domain.estate_change import Difference, Fate, differences, standing_versions
from changeover.domain.estate_check import unreachable
from changeover.domain.fault import Fault, Reading
from changeover.errors import CmdbAmbiguous
from changeover.ports import Cmdb


@dataclass(frozen=True)
class ImportedEstate:
    """One file; with faults it was not taken."""

    file: str
    client: str = ""
    faults: tuple[Fault, ...] = ()
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()
    taken: bool = False

    def of(self, fate: Fate) -> tuple[Difference, ...]:
        return tuple(one for one in self.differences if one.fate is fate)

    def as_json(self) -> dict[str, Any]:
        return {
            "file": self.file,
            "client": self.client,
            "imported": self.taken,
            "faults": [fault.as_json() for fault in self.faults],
            **{str(fate): [_as_json(one) for one in self.of(fate)] for fate in Fate},
            "notes": list(self.notes),
        }


def _as_json(one: Difference) -> dict[str, Any]:
    return {"kind": one.kind, "name": one.name, **({"keys": list(one.keys)} if one.keys else {})}


@dataclass(frozen=True)
class ImportReport:
    estates: tuple[ImportedEstate, ...]

    @property
    def ok(self) -> bool:
        return not any(estate.faults for estate in self.estates)

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "estates": [estate.as_json() for estate in self.estates]}


def check_estates(readings: Sequence[Reading[Estate]]) -> ImportReport:
    """Read only: every fault of every file, and of two files that speak for the same."""
    return ImportReport(
        tuple(
            ImportedEstate(
                reading.file,
                reading.document.client.slug if reading.document else "",
                (*reading.faults, *_spoken_for(reading, readings[:number])),
            )
            for number, reading in enumerate(readings)
        )
    )


def import_estates(readings: Sequence[Reading[Estate]], cmdb: Cmdb, *, reset: bool = False) -> ImportReport:
    """`reset` also takes the versions that the files say over those that runs recorded."""
    checked = check_estates(readings)
    if not checked.ok:
        return checked
    return ImportReport(tuple(_import(reading, cmdb, reset=reset) for reading in readings))


def _import(reading: Reading[Estate], cmdb: Cmdb, *, reset: bool) -> ImportedEstate:
    named = reading.document
    if named is None:  # only readings without faults come here
        raise TypeError(reading.file)
    told = ImportedEstate(reading.file, named.client.slug)
    before = cmdb.estate(named.client.slug)
    try:
        cmdb.import_estate(named, reset=reset)
    except CmdbAmbiguous as exc:
        return replace(told, faults=(Fault(reading.file, 0, "", f"{exc.what}; {exc.then}"),))
    after = cmdb.estate(named.client.slug)
    if after is None:
        return replace(told, faults=(Fault(reading.file, 0, "", "the CMDB does not hold it after the import"),))
    notes = (*standing_versions(after, named), *_keyless(after, named), *_connections(named))
    return replace(told, differences=differences(before, after, named), notes=notes, taken=True)


def _keyless(after: Estate, named: Estate) -> Iterable[str]:
    own = {host.name for environment in named.environments for host in environment.hosts}
    if missing := [name for name in unreachable(after) if name in own]:
        yield f"no key is known of {', '.join(missing)}: nobody logs in there until host_keys or known_hosts has one"


def _connections(named: Estate) -> Iterable[str]:
    wanted = dict.fromkeys(host.connection for environment in named.environments for host in environment.hosts)
    if wanted:
        yield f"Airflow needs the connection{'s' if len(wanted) > 1 else ''} {', '.join(wanted)} (README, write a plan)"


def _spoken_for(reading: Reading[Estate], earlier: Sequence[Reading[Estate]]) -> Iterable[Fault]:
    """The second of two files would retire what the first one brought."""
    for other in earlier:
        if reading.document is None or other.document is None:
            continue
        if reading.document.client.slug == other.document.client.slug and (
            both := reading.document.scope() & other.document.scope()
        ):
            message = f"{other.file} speaks for {', '.join(sorted(both))} of this client too; put both into one file"
            yield Fault(reading.file, reading.line_of(("client",)), "client", message)
