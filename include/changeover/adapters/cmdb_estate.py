"""The estate in the embedded CMDB's tables: imported, retired, and read back as it was."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from changeover.adapters import cmdb_rules as rules
from changeover.adapters.cmdb_tables import DEPENDS_ON, RUNS_ON, application, ci, ci_rel, client, person
from changeover.adapters.codec import from_json, to_json
from changeover.domain.estate import (
    IMPORT,
    ApplicationRecord,
    ClientRecord,
    Customisation,
    Estate,
    EstateEnvironment,
    Host,
    Integration,
    Person,
)
from changeover.errors import CmdbError

NAMESPACE = uuid.UUID("6d1c1a52-6f0e-5b0e-9f0b-8a1f4f1b7c11")
IN_USE = {"lifecycle_stage": "Operational", "lifecycle_status": "In Use"}
RETIRED = {"lifecycle_stage": "End of Life", "lifecycle_status": "Retired"}
_LIVE = ci.c.lifecycle_status != RETIRED["lifecycle_status"]


def stable_id(*parts: str) -> str:
    """The same thing has the same id in every import."""
    return str(uuid.uuid5(NAMESPACE, "/".join(parts)))


def find_client(connection: sa.Connection, text: str) -> str | None:
    """Id of a client by its slug, else by its name; raise `CmdbError` when several bear the name."""
    by_slug = connection.execute(sa.select(client.c.id).where(client.c.slug == text)).scalar()
    if by_slug is not None:
        return str(by_slug)
    rows = connection.execute(sa.select(client).where(client.c.name == text).order_by(client.c.slug)).all()
    if len(rows) > 1:
        raise rules.ambiguous(f"client {text}", (f"{row.slug} ({row.name})" for row in rows))
    return str(rows[0].id) if rows else None


def find_application(connection: sa.Connection, slug: str) -> str | None:
    return connection.execute(sa.select(application.c.id).where(application.c.slug == slug)).scalar()


def runs_at(connection: sa.Connection, client_name: str, slug: str) -> bool:
    """Whether a client has a live environment of an application."""
    client_id, application_id = find_client(connection, client_name), find_application(connection, slug)
    where = (ci.c["class"] == "environment", ci.c.client_id == client_id, ci.c.application_id == application_id)
    return connection.execute(sa.select(ci.c.id).where(*where, _LIVE)).first() is not None


def find_environment(connection: sa.Connection, client_name: str, slug: str, name: str) -> Any | None:
    """The live CI of an environment."""
    client_id, application_id = find_client(connection, client_name), find_application(connection, slug)
    where = (ci.c["class"] == "environment", ci.c.client_id == client_id, ci.c.application_id == application_id)
    rows = connection.execute(sa.select(ci).where(*where, ci.c.name == name, _LIVE)).all()
    if len(rows) > 1:
        raise rules.ambiguous(f"environment {client_name}/{slug}/{name}", (f"CI {row.id}" for row in rows))
    return rows[0] if rows else None


def instances(connection: sa.Connection, environment: Any) -> list[tuple[Any, Any]]:
    """(app instance, host) CIs of an environment in order; raise `CmdbError` when a host's name is not its own."""
    instance, host, uses, runs = ci.alias("instance"), ci.alias("host"), ci_rel.alias("uses"), ci_rel.alias("runs")
    query = (
        sa.select(*(c.label(f"instance_{c.name}") for c in instance.c), *(c.label(f"host_{c.name}") for c in host.c))
        .join_from(uses, instance, uses.c.child_id == instance.c.id)
        .join(runs, runs.c.parent_id == instance.c.id)
        .join(host, runs.c.child_id == host.c.id)
        .where(uses.c.parent_id == environment.id, uses.c.type == DEPENDS_ON, uses.c.ended_at.is_(None))
        .where(instance.c["class"] == "app_instance", runs.c.type == RUNS_ON, runs.c.ended_at.is_(None))
        .order_by(instance.c.position, instance.c.id)
    )
    rows = connection.execute(query).mappings().all()
    found = [(_part(row, "instance_"), _part(row, "host_")) for row in rows]
    _one_host_each(connection, environment.client_id, [str(host["name"]) for _, host in found])
    return found


def read_person(row: Any) -> Person:
    """A record from before sides were checked may hold any word: such a person is the client's, who may do less."""
    return Person(
        id=row.login,
        name=row.name or row.login,
        role=row.role or "participant",
        side="provider" if row.side == "provider" else "client",
        email=row.email,
    )


def read_environment(connection: sa.Connection, client_name: str, slug: str, name: str) -> EstateEnvironment | None:
    environment = find_environment(connection, client_name, slug, name)
    if environment is None:
        return None
    running = instances(connection, environment)
    return EstateEnvironment(
        name=environment.name,
        kind=environment.kind,
        application=slug,
        version=rules.common_version(i["version"] for i, _ in running) if running else environment.version,
        hosts=tuple(
            Host(**{**from_json(i["attrs"]), **from_json(host["attrs"]), "name": host["name"]}) for i, host in running
        ),
        customisations=tuple(
            Customisation(name=row.name, kind=row.kind)
            for row in _children(connection, environment.id, "customisation")
        ),
        integrations=tuple(
            Integration(name=row.name, kind=row.kind, **from_json(row.attrs))
            for row in _children(connection, environment.id, "integration")
        ),
    )


def read_people(connection: sa.Connection, client_id: str | None) -> tuple[Person, ...]:
    where = (person.c.client_id == client_id, person.c.retired_at.is_(None))
    rows = connection.execute(sa.select(person).where(*where).order_by(person.c.position, person.c.login)).all()
    return tuple(read_person(row) for row in rows)


def read_estate(connection: sa.Connection, text: str) -> Estate | None:
    """Everything that is live of a client, whichever estates brought it; None for an unknown client."""
    client_id = find_client(connection, text)
    if client_id is None:
        return None
    known = connection.execute(sa.select(client).where(client.c.id == client_id)).one()
    where = (ci.c["class"] == "environment", ci.c.client_id == client_id, _LIVE)
    order = (application.c.slug, ci.c.position, ci.c.name)
    query = sa.select(ci.c.name, application.c.slug, application.c.vendor).join(
        application, ci.c.application_id == application.c.id
    )
    rows = connection.execute(query.where(*where).order_by(*order)).all()
    environments = (read_environment(connection, known.slug, row.slug, row.name) for row in rows)
    return Estate(
        client=ClientRecord(slug=known.slug, name=known.name),
        people=read_people(connection, client_id),
        applications=tuple(
            ApplicationRecord(slug=slug, vendor=vendor)
            for slug, vendor in dict.fromkeys((row.slug, row.vendor) for row in rows)
        ),
        environments=tuple(one for one in environments if one is not None),
    )


class Importer:
    """One import in one transaction."""

    def __init__(self, connection: sa.Connection, estate: Estate, *, reset: bool, at: datetime) -> None:
        self._connection, self._estate, self._reset, self._at = connection, estate, reset, at
        self._client_id = stable_id("client", estate.client.slug)
        self._kept: set[str] = set()

    def run(self) -> None:
        estate = self._estate
        self._put(client, self._client_id, slug=estate.client.slug, name=estate.client.name)
        vendors = {a.slug: a.vendor for a in estate.applications}
        for slug in sorted(estate.scope()):
            known = find_application(self._connection, slug)
            if known is None or slug in vendors:
                self._put(application, stable_id("application", slug), slug=slug, vendor=vendors.get(slug, ""))
        self._people()
        for position, environment in enumerate(estate.environments):
            self._environment(environment, position)
        self._retire()

    def _people(self) -> None:
        source, logins = rules.source(self._estate), [p.id for p in self._estate.people]
        gone = (person.c.client_id == self._client_id, person.c.source == source, person.c.login.not_in(logins))
        self._connection.execute(sa.update(person).where(*gone).values(retired_at=self._at))
        for position, one in enumerate(self._estate.people):
            values = {"login": one.id, "client_id": self._client_id, "source": source, "position": position}
            values |= one.model_dump(include={"name", "role", "side", "email"}) | {"retired_at": None}
            self._put(person, stable_id("person", self._estate.client.slug, one.id), **values)

    def _environment(self, environment: EstateEnvironment, number: int) -> None:
        path = (self._estate.client.slug, environment.application, environment.name)
        about = {"kind": environment.kind, "version": environment.version, "position": number}
        top = self._ci("environment", path, environment, **about)
        for position, host in enumerate(environment.hosts):
            host_id = self._host(host, environment)
            attrs = to_json(
                {**host.model_dump(include={"user", "connection", "variables"}), "host_keys": list(host.host_keys)}
            )
            instance = (*path, host.name)
            instance_id = self._ci(
                "app_instance", instance, environment, name=f"{environment.application}@{host.name}",
                position=position, attrs=attrs, **self._version(stable_id("app_instance", *instance), environment),
            )  # fmt: skip
            self._relate(top, instance_id, DEPENDS_ON)
            self._relate(instance_id, host_id, RUNS_ON)
        for position, module in enumerate(environment.customisations):
            child = (*path, module.name)
            self._relate(
                top, self._ci("customisation", child, environment, position=position, kind=module.kind), DEPENDS_ON
            )
        for position, other in enumerate(environment.integrations):
            child, attrs = (*path, other.name), {"endpoint": other.endpoint}
            own = self._ci("integration", child, environment, position=position, kind=other.kind, attrs=attrs)
            self._relate(top, own, DEPENDS_ON)

    def _host(self, host: Host, environment: EstateEnvironment) -> str:
        """One CI per host name of a client; refused when another application has the name at another address."""
        own = stable_id("host", self._estate.client.slug, host.name)
        known = self._connection.execute(sa.select(ci).where(ci.c.id == own, _LIVE)).first()
        if known is not None:
            others = _environments_on(self._connection, own) - self._estate.scope()
            if others:
                address = from_json(known.attrs)
                rules.same_host(
                    host, ", ".join(sorted(others)), address["address"], address["port"], environment.application
                )
        attrs = {"address": host.address, "port": host.port}
        return self._ci("host", (self._estate.client.slug, host.name), None, attrs=attrs)

    def _version(self, instance_id: str, environment: EstateEnvironment) -> dict[str, Any]:
        """The version a run recorded stands; the estate's own counts while there is none, or on a reset."""
        known = self._connection.execute(sa.select(ci.c.version_run).where(ci.c.id == instance_id)).scalar()
        if known is not None and not self._reset:
            return {}
        return {"version": environment.version, "version_run": None, "version_at": self._at}

    def _ci(self, kind_of: str, path: tuple[str, ...], environment: EstateEnvironment | None, **values: Any) -> str:
        own = stable_id(kind_of, *path)
        app = None if environment is None else stable_id("application", environment.application)
        defaults = {"name": path[-1], "kind": "", "position": 0, "attrs": {}, "application_id": app}
        fixed = {"class": kind_of, "client_id": self._client_id, "updated_at": self._at, **IN_USE}
        self._put(ci, own, **{**defaults, **values, **fixed})
        self._kept.add(own)
        return own

    def _relate(self, parent: str, child: str, kind: str) -> None:
        live = (
            ci_rel.c.parent_id == parent,
            ci_rel.c.child_id == child,
            ci_rel.c.type == kind,
            ci_rel.c.ended_at.is_(None),
        )
        if self._connection.execute(sa.select(ci_rel.c.id).where(*live)).first() is None:
            values = {"parent_id": parent, "child_id": child, "type": kind, "since": self._at}
            self._connection.execute(sa.insert(ci_rel).values(**values))

    def _put(self, table: sa.Table, own: str, **values: Any) -> None:
        if not self._connection.execute(sa.update(table).where(table.c.id == own).values(**values)).rowcount:
            self._connection.execute(sa.insert(table).values(id=own, **values))

    def _retire(self) -> None:
        """CIs the estate no longer names, and hosts nothing runs on any more; no row is deleted."""
        apps = [stable_id("application", slug) for slug in self._estate.scope()]
        mine = (ci.c.client_id == self._client_id, ci.c.application_id.in_(apps), ci.c.id.not_in(self._kept), _LIVE)
        gone = [row.id for row in self._connection.execute(sa.select(ci.c.id).where(*mine))]
        self._end(gone)
        used = sa.select(ci_rel.c.child_id).where(ci_rel.c.type == RUNS_ON, ci_rel.c.ended_at.is_(None))
        idle = (ci.c.client_id == self._client_id, ci.c["class"] == "host", ci.c.id.not_in(used), _LIVE)
        self._end([row.id for row in self._connection.execute(sa.select(ci.c.id).where(*idle))])

    def _end(self, gone: list[str]) -> None:
        ends = sa.or_(ci_rel.c.parent_id.in_(gone), ci_rel.c.child_id.in_(gone))
        self._connection.execute(sa.update(ci_rel).where(ends, ci_rel.c.ended_at.is_(None)).values(ended_at=self._at))
        self._connection.execute(sa.update(ci).where(ci.c.id.in_(gone)).values(updated_at=self._at, **RETIRED))


def _environments_on(connection: sa.Connection, host_id: str) -> set[str]:
    """Slugs of the applications that run on a host."""
    query = (
        sa.select(application.c.slug)
        .join(ci, ci.c.application_id == application.c.id)
        .join(ci_rel, ci_rel.c.parent_id == ci.c.id)
        .where(ci_rel.c.child_id == host_id, ci_rel.c.type == RUNS_ON, ci_rel.c.ended_at.is_(None))
    )
    return set(connection.execute(query).scalars())


def _children(connection: sa.Connection, environment_id: str, kind: str) -> Iterable[Any]:
    query = (
        sa.select(ci)
        .join(ci_rel, ci_rel.c.child_id == ci.c.id)
        .where(ci_rel.c.parent_id == environment_id, ci_rel.c.ended_at.is_(None), ci.c["class"] == kind)
        .order_by(ci.c.position)
    )
    return connection.execute(query).all()


def _one_host_each(connection: sa.Connection, client_id: str, names: list[str]) -> None:
    where = (ci.c.client_id == client_id, ci.c["class"] == "host", ci.c.name.in_(names), _LIVE)
    seen: dict[str, list[str]] = {}
    for row in connection.execute(sa.select(ci).where(*where).order_by(ci.c.id)):
        seen.setdefault(row.name, []).append(f"CI {row.id} ({_address(row.attrs)})")
    for name, candidates in seen.items():
        if len(candidates) > 1:
            raise rules.ambiguous(f"host {name}", candidates)


def _address(attrs: Mapping[str, Any]) -> str:
    return f"{attrs.get('address', 'no address')}:{attrs.get('port', '?')}"


def _part(row: Mapping[Any, Any], prefix: str) -> dict[str, Any]:
    return {str(key).removeprefix(prefix): value for key, value in row.items() if str(key).startswith(prefix)}


def need(found: str | None, what: str, name: str) -> str:
    if found is None:
        raise CmdbError(f"the CMDB has no {what} {name}", then=f"{IMPORT}, or mend the name")
    return found
