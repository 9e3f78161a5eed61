"""The client's estate as the CMDB records it: people, environments, hosts, customisations, integrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""Lower-case name usable in paths, ids and addresses."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\n\r]*$")]


IMPORT = "import the client's estate (./changeover cmdb import FILE)"
"""What brings into the CMDB what it does not know of a client."""


class Document(BaseModel):
    """Base of everything read from a file: frozen, and no unknown key passes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Person(Document):
    """Somebody who takes part; `id` is the login under which Airflow knows them."""

    id: Name
    """Login under which Airflow and the CMDB know them."""
    name: Line
    """Name as people write it."""
    role: Line
    """What they do in this upgrade, such as upgrade_manager or client_approver."""
    side: Literal["provider", "client"]
    """Whose person they are: the provider's people may also run and repair upgrades in Airflow, the client's answer."""
    email: str = ""
    """Address for notices."""


class Host(Document):
    """A configuration item of class host: how it is reached, and what Ansible is told about it."""

    name: Name
    """Name of the machine, one per client: another environment may name it again, at the same address and port."""
    address: Line
    """Address or DNS name that SSH goes to."""
    port: int = Field(default=22, ge=1, le=65535)
    """Port of its SSH server."""
    user: Line
    """Login there; with `host_become` among the variables, roles become root by sudo."""
    connection: Line
    """Airflow connection id that holds the SSH key."""
    host_keys: tuple[str, ...] = ()
    """known_hosts lines of this host; no other key is accepted."""
    variables: Mapping[str, Any] = Field(default_factory=dict)
    """What the roles are told about it: `app_root`, `host_state_dir`, `host_become`, and what the application's role
    asks for in `playbooks/roles/<application>/meta/argument_specs.yml`. Never a secret."""


class Customisation(Document):
    """Something of the client's own inside the application."""

    name: Line
    """Name as the application's `discover` reports it."""
    kind: str = "module"
    """What it is, such as module, schema or template."""


class Integration(Document):
    """Another system that speaks with the application."""

    name: Line
    """Name as the application's `discover` reports it."""
    kind: str
    """How they speak, such as rest or json-rpc."""
    endpoint: str = ""
    """Address it calls, where it is the same on every host."""


class EstateEnvironment(Document):
    """One environment of one application, with the hosts it runs on and the version on record."""

    name: Name
    """Name under which plans speak of it."""
    kind: Name
    """baseline, training, staging, production…"""
    application: Name
    """Application that runs there, the name of its role."""
    version: str | None = None
    """Version that runs, as long as no run has recorded another."""
    hosts: tuple[Host, ...]
    """Its hosts, in their order."""
    customisations: tuple[Customisation, ...] = ()
    """What the client changed or added; readiness refuses any other."""
    integrations: tuple[Integration, ...] = ()
    """Other systems that speak with it; readiness refuses any other."""


class ClientRecord(Document):
    """Whose estate it is."""

    slug: Name
    """Short name, as plans and their directory say it."""
    name: Line
    """Name as people write it."""


class ApplicationRecord(Document):
    """An application that this estate speaks for."""

    slug: Name
    """Short name, that of its role."""
    vendor: str = ""
    """Who makes it."""


class Estate(Document):
    """What is imported into the embedded CMDB for one client."""

    schema_version: int = Field(default=1, ge=1, le=1)
    """Version of this format: 1."""
    client: ClientRecord
    """Whose estate it is."""
    people: tuple[Person, ...] = ()
    """Who takes part in this client's upgrades. Whom an earlier import of this estate brought and this one leaves out
    is retired."""
    applications: tuple[ApplicationRecord, ...] = ()
    """Applications that the estate speaks for beside those of its environments: what it no longer names of them is
    retired."""
    environments: tuple[EstateEnvironment, ...]
    """The environments with their hosts."""
    known_hosts: str = ""
    """Lines as `ssh-keyscan` writes them, for hosts without `host_keys`; each host takes those of its address and
    port."""

    def scope(self) -> frozenset[str]:
        """The applications it speaks for: what it no longer names of these is retired."""
        return frozenset((*(a.slug for a in self.applications), *(e.application for e in self.environments)))
