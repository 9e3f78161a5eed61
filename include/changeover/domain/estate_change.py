"""What an import made of a client's estate in the CMDB: held before against held now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from changeover.domain.estate import Estate

Thing = tuple[str, str]
"""Kind and name, such as ("host", "production1")."""


class Fate(StrEnum):
    ADDED = "added"
    CHANGED = "changed"
    RETIRED = "retired"
    LEFT = "left"
    """As it was."""


@dataclass(frozen=True)
class Difference:
    fate: Fate
    kind: str
    name: str
    keys: tuple[str, ...] = ()
    """What of it is another than before."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" + (f" ({', '.join(self.keys)})" if self.keys else "")


def differences(before: Estate | None, after: Estate, named: Estate) -> tuple[Difference, ...]:
    """`named` is the file: what another estate of the client brought and nothing touched is not told."""
    old, new, own = dict(_things(before)) if before else {}, dict(_things(after)), dict(_things(named))
    found = [Difference(_fate(thing, old, new), *thing, keys=_keys(thing, old, new)) for thing in {**old, **new}]
    order = list(Fate)
    told = (one for one in found if one.fate is not Fate.LEFT or (one.kind, one.name) in own)
    return tuple(sorted(told, key=lambda one: order.index(one.fate)))


def standing_versions(after: Estate, named: Estate) -> tuple[str, ...]:
    """Versions that runs recorded and the import therefore left, where the file says another."""
    held = {(environment.application, environment.name): environment.version for environment in after.environments}
    return tuple(
        f"environment {one.application}/{one.name}: the CMDB keeps "
        f"{held.get((one.application, one.name)) or 'differing versions of its hosts'}, which runs recorded; "
        f"the file says {one.version} (--reset-versions takes that)"
        for one in named.environments
        if one.version is not None and held.get((one.application, one.name)) != one.version
    )


def _things(estate: Estate) -> Iterator[tuple[Thing, Mapping[str, Any]]]:
    yield ("client", estate.client.slug), estate.client.model_dump()
    for person in estate.people:
        yield ("person", person.id), person.model_dump()
    for application in estate.applications:
        yield ("application", application.slug), application.model_dump()
    for environment in estate.environments:
        place = f"{environment.application}/{environment.name}"
        parts = environment.model_dump(exclude={"hosts", "customisations", "integrations"})
        yield ("environment", place), parts | {"hosts": [host.name for host in environment.hosts]}
        for host in environment.hosts:
            yield ("host", f"{place}/{host.name}"), host.model_dump()
        for kind, held in (("customisation", environment.customisations), ("integration", environment.integrations)):
            for part in held:
                yield (kind, f"{place}/{part.name}"), part.model_dump()


def _fate(thing: Thing, old: Mapping[Thing, Any], new: Mapping[Thing, Any]) -> Fate:
    if thing not in old:
        return Fate.ADDED
    if thing not in new:
        return Fate.RETIRED
    return Fate.LEFT if old[thing] == new[thing] else Fate.CHANGED


def _keys(thing: Thing, old: Mapping[Thing, Any], new: Mapping[Thing, Any]) -> tuple[str, ...]:
    before, after = old.get(thing), new.get(thing)
    if before is None or after is None:
        return ()
    return tuple(key for key in after if before.get(key) != after[key])
