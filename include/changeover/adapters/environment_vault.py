"""Credentials without Airflow: its connections from the environment, as Airflow reads them, or a secrets file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from changeover.errors import ChangeoverError
from changeover.ports import Credentials

PREFIX = "AIRFLOW_CONN_"


@dataclass(frozen=True)
class EnvironmentVault:
    """`environ` may have AIRFLOW_CONN_<ID> (JSON or URI); `files` are secrets files (0600, id → fields)."""

    environ: Mapping[str, str]
    files: tuple[Path, ...] = ()

    def credentials(self, connections: Sequence[str]) -> Credentials:
        """Raise `ChangeoverError` naming every connection that is missing."""
        known = [_read(path) for path in self.files]
        keys: dict[str, str] = {}
        secrets: dict[str, str] = {}
        missing = []
        for name in connections:
            extra = self._extra(name, known)
            if not extra.get("private_key"):
                missing.append(name)
                continue
            keys[name] = str(extra["private_key"])
            secrets |= {key: str(value) for key, value in (extra.get("secrets") or {}).items()}
        if missing:
            raise ChangeoverError(
                f"no SSH key is known for {', '.join(missing)}",
                where="environment",
                then=f"set {PREFIX}{missing[0].upper()} to the connection as JSON with extra.private_key,"
                " or CHANGEOVER_CONNECTIONS to a file of connections (mode 0600)",
            )
        return Credentials(keys, secrets)

    def names(self, connection: str) -> bool:
        """Whether the environment itself gives this connection."""
        return f"{PREFIX}{connection.upper()}" in self.environ

    def _extra(self, name: str, known: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        if text := self.environ.get(f"{PREFIX}{name.upper()}"):
            return _mapping(_parsed(text, name).get("extra"))
        return next((_mapping(file[name].get("extra")) for file in known if name in file), {})


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_mode & 0o077:
            raise ChangeoverError("a file of secrets can be read by others", where=str(path), then=f"chmod 600 {path}")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ChangeoverError(f"the secrets cannot be read: {exc}", where=str(path), then="correct the file") from exc
    return found if isinstance(found, dict) else {}


def _parsed(text: str, name: str) -> Mapping[str, Any]:
    """JSON, or a URI whose query is the extra (`__extra__` holds it as JSON where it has one)."""
    if text.lstrip().startswith("{"):
        try:
            return _mapping(json.loads(text))
        except ValueError as exc:
            raise ChangeoverError(
                f"{PREFIX}{name.upper()} is not JSON",
                where="environment",
                then="write it as Airflow's documentation says",
            ) from exc
    query = {key: values[0] for key, values in parse_qs(urlsplit(text).query).items()}
    return {"extra": query.get("__extra__", query)}


def _mapping(value: Any) -> Mapping[str, Any]:
    """Airflow takes extra as an object and as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
