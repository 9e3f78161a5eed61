"""The client's estate as the CMDB records it: people, environments, hosts, customisations, integrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
"""Lower-case name usable in paths, ids and addresses."""

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\n\r]*$")]


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
    address: str
    port: int = Field(default=22, ge=1, le=65535)
    user: str
    connection: str
    """Airflow connection id that holds the SSH key."""
    host_keys: tuple[str, ...] = ()
    """known_hosts lines of this host; no other key is accepted."""
    variables: Mapping[str, Any] = Field(default_factory=dict)


class Customisation(Document):
    """Something of the client's own inside the application."""

    name: str
    kind: str = "module"


class Integration(Document):
    """Another system that speaks with the application."""

    name: str
    kind: str
    endpoint: str = ""


class EstateEnvironment(Document):
    """One environment of one application, with the hosts it runs on and the version on record."""

    name: Name
    kind: Name
    application: Name
    version: str | None = None
    hosts: tuple[Host, ...]
    customisations: tuple[Customisation, ...] = ()
    integrations: tuple[Integration, ...] = ()


class ClientRecord(Document):
    slug: Name
    name: str


class ApplicationRecord(Document):
    slug: Name
    vendor: str = ""


class Estate(Document):
    """What is imported into the embedded CMDB for one client (`estate.yaml`)."""

    schema_version: int = Field(default=1, ge=1, le=1)
    client: ClientRecord
    people: tuple[Person, ...] = ()
    applications: tuple[ApplicationRecord, ...] = ()
    environments: tuple[EstateEnvironment, ...]
    known_hosts: str = ""
