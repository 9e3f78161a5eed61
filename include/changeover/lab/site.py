"""What a site of the lab is: one client's estate, seeded with the old release."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from changeover.lab.environment import Lab


@dataclass(frozen=True)
class HostSpec:
    """A host a site wants: its name and the loopback address it answers on."""

    name: str
    address: str


class Site(Protocol):
    """A client's estate. A module of `changeover.lab.sites` offers one as `SITE`."""

    @property
    def name(self) -> str:
        """The site's name, as in `lab up --site NAME`."""

    @property
    def needs_postgres(self) -> bool:
        """Whether the lab starts a PostgreSQL server for this site."""

    def hosts(self) -> tuple[HostSpec, ...]:
        """The hosts, in the order in which they are shown."""

    def seed(self, lab: Lab) -> None:
        """Make everything that is made once for a lab root: artefacts, the old release, the data to copy from."""

    def reset(self, lab: Lab) -> None:
        """Put every host to the seeded old release and start its services; called after `seed`, must be fast."""

    def apply_fault(self, lab: Lab, fault: str) -> None:
        """Make a named, real fault on the hosts after a reset; raises LabError for a name it does not know."""

    def estate(self, lab: Lab) -> Mapping[str, Any]:
        """The CMDB import document (estate.yaml) without `known_hosts`, which the lab adds."""

    def secrets(self, lab: Lab) -> Mapping[str, Mapping[str, Any]]:
        """Connections: id -> {conn_type, host, login, password, extra}.

        The application's secrets belong to the SSH connection of its hosts: {"ssh_x": {"extra": {"secrets": {…}}}}.
        """


@runtime_checkable
class KeepsData(Protocol):
    """A site whose data takes long to make, and is therefore kept in the project."""

    def keep_data(self, lab: Lab) -> Path:
        """Make the data anew and keep it; the file. Called after `seed`."""
