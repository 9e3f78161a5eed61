"""What a schema cannot see wrong with an estate: a name for two things, a secret, a line that is no host key."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from changeover.domain.estate import Estate, EstateEnvironment, Host

_SECRET_NAME = re.compile(r"(^|_)(password|passwd|passphrase|secret|token|api_key|private_key)$", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://[^/@:\s]*:[^/@\s]+@", re.IGNORECASE)
_KEY_TYPE = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+")


@dataclass(frozen=True)
class Twice:
    """One name that would mean two things; `path` is where the second of them stands."""

    path: str
    what: str
    candidates: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.what} is ambiguous: {' and '.join(self.candidates)}"


def estate_faults(estate: Estate) -> tuple[str, ...]:
    """Every one of them, as `path: message`."""
    return (
        *(f"{one.path}: {one}" for one in twice(estate)),
        *_keys_of(estate),
        *(f"{path}: {message}" for path, message in _secrets(estate)),
    )


def unreachable(estate: Estate) -> tuple[str, ...]:
    """Hosts of an estate with its known hosts spread over them that still have no key: nobody logs in there."""
    return tuple(dict.fromkeys(host.name for _, host in _hosts(estate) if not host.host_keys))


def twice(estate: Estate) -> Iterator[Twice]:
    places = [f"{environment.application}/{environment.name}" for environment in estate.environments]
    for number in _again(places):
        what = f"environment {places[number]} of {estate.client.slug}"
        yield Twice(f"environments.{number}.name", what, ("its first entry", "another one"))
    logins = [person.id for person in estate.people]
    for number in _again(logins):
        named = tuple(person.name for person in estate.people if person.id == logins[number])
        yield Twice(f"people.{number}.id", f"person {logins[number]}", named)
    slugs = [application.slug for application in estate.applications]
    for number in _again(slugs):
        yield Twice(f"applications.{number}.slug", f"application {slugs[number]}", ("its first entry", "another one"))
    for number, environment in enumerate(estate.environments):
        yield from _parts_twice(f"environments.{number}", places[number], environment)
    yield from _hosts_twice(estate, places)


def _parts_twice(path: str, place: str, environment: EstateEnvironment) -> Iterator[Twice]:
    """Customisations and integrations share one space of names."""
    where = [(f"{path}.customisations.{n}.name", part.name) for n, part in enumerate(environment.customisations)]
    where += [(f"{path}.integrations.{n}.name", part.name) for n, part in enumerate(environment.integrations)]
    for number in _again([name for _, name in where]):
        yield Twice(where[number][0], f"{where[number][1]} of {place}", ("its first entry", "another one"))


def _hosts_twice(estate: Estate, places: list[str]) -> Iterator[Twice]:
    seen: dict[str, tuple[Host, str]] = {}
    for path, host in _hosts(estate):
        place = places[int(path.split(".")[1])]
        first, where = seen.setdefault(host.name, (host, place))
        if first is host:
            continue
        if (host.address, host.port) != (first.address, first.port):
            yield Twice(
                f"{path}.name", f"host {host.name}", tuple(_at(h, p) for h, p in ((first, where), (host, place)))
            )
        elif where == place:
            yield Twice(f"{path}.name", f"host {host.name}", (f"its first entry in {place}", "another one there"))


def _at(host: Host, place: str) -> str:
    return f"{host.address}:{host.port} ({place})"


def _again(names: list[str]) -> Iterator[int]:
    """Positions of names that stood before."""
    return (number for number, name in enumerate(names) if name in names[:number])


def _hosts(estate: Estate) -> Iterator[tuple[str, Host]]:
    for number, environment in enumerate(estate.environments):
        for position, host in enumerate(environment.hosts):
            yield f"environments.{number}.hosts.{position}", host


def _keys_of(estate: Estate) -> Iterator[str]:
    named = [(f"{path}.host_keys.{n}", line) for path, host in _hosts(estate) for n, line in enumerate(host.host_keys)]
    listed = [("known_hosts", line) for line in estate.known_hosts.splitlines() if line.strip()]
    for path, line in (*named, *listed):
        if not line.startswith("#") and not _is_known_host(line.split()):
            yield f"{path}: {line[:60]!r} is no line of known_hosts, which has a name, a key type and a key"


def _is_known_host(fields: list[str]) -> bool:
    names, kind, key, *_ = (*(fields[1:] if fields and fields[0].startswith("@") else fields), "", "", "")
    if not _KEY_TYPE.fullmatch(kind) or not key:
        return False
    return not names.startswith("|") or _is_hashed(names.split("|"))


def _is_hashed(parts: list[str]) -> bool:
    try:
        return parts[:2] == ["", "1"] and len(parts) == 4 and all(b64decode(part, validate=True) for part in parts[2:])
    except binascii.Error:
        return False


def _secrets(estate: Estate) -> Iterator[tuple[str, str]]:
    """A record that everybody reads holds none: roles get theirs from the Airflow connection that the host names."""
    for path, host in _hosts(estate):
        for where, name, value in _texts(f"{path}.variables", "", host.variables):
            if value and _SECRET_NAME.search(name):
                yield where, _SECRET.format("looks like a secret by its name")
            elif _IN_ADDRESS.search(value):
                yield where, _SECRET.format("has a password in its address")
            elif "PRIVATE KEY-----" in value:
                yield where, _SECRET.format("holds a private key")
    for number, environment in enumerate(estate.environments):
        for position, integration in enumerate(environment.integrations):
            if _IN_ADDRESS.search(integration.endpoint):
                place = f"environments.{number}.integrations.{position}.endpoint"
                yield place, _SECRET.format("has a password in its address")


_SECRET = "{}; secrets live in the host's Airflow connection (extra.secrets), never in an estate"  # noqa: S105


def _texts(path: str, name: str, value: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(f"{path}.{key}", str(key), inner)
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for number, inner in enumerate(value):
            yield from _texts(f"{path}.{number}", name, inner)
    elif isinstance(value, str):
        yield path, name, value
