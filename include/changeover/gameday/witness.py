"""What is really so on the lab's hosts: read from their disks and processes, by no way that an upgrade uses."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from changeover.adapters.redaction import forms_of
from changeover.domain.gameday import Runs, Sight
from changeover.lab.environment import LabHost

_TABLES = ("_issue", "_user", "_msg")
_TOKENS = ("CHANGEOVER_TOKEN", "CHANGEOVER_EXECUTION")
Rows = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Before:
    """What a host held before the upgrade."""

    schema: int
    rows: Rows


def before(host: LabHost) -> Before:
    database = host.app / "tracker/db/db"
    return Before(schema(database), rows(database))


def schema(database: Path) -> int:
    """The version that Roundup keeps in its own database; 0 where it cannot be read."""
    with contextlib.suppress(sqlite3.Error), _open(database) as connection:
        text = str(connection.execute("select schema from schema").fetchone()[0])
        if found := re.search(r"'version':\s*\(?(\d+)", text):
            return int(found.group(1))
    return 0


def rows(database: Path) -> Rows:
    """Table and id of everything people entered."""
    with contextlib.suppress(sqlite3.Error), _open(database) as connection:
        return frozenset(
            (table, str(row[0]))
            for table in _TABLES
            for row in connection.execute(f"select id from {table}")  # noqa: S608
        )
    return frozenset()


def sight(host: LabHost, was: Before, *, old: str, new: str, run: str, tries: int) -> Sight:
    """One host, read from its files and asked as its users ask it."""
    database = host.app / "tracker/db/db"
    release, version = _current(host), schema(database)
    missing = was.rows - rows(database)
    kept = [rows(point / "tracker/db/db") for point in (host.app / "restore_points").glob(f"{run}*")]
    lost = missing.difference(*kept) if kept else missing
    runs = Runs.BETWEEN
    if release == old and version == was.schema:
        runs = Runs.OLD
    elif release == new and version > was.schema:
        runs = Runs.NEW
    return Sight(host.name, runs, _answering(host) == release != "", len(lost), len(missing), _changes(host), tries)


def leaks(secrets: Mapping[str, str], places: Iterable[Path], *, allowed: Iterable[Path] = ()) -> tuple[str, ...]:
    """Files that hold a secret, in whatever form: its name and the file, never the secret."""
    known = _patterns(secrets)
    spared = set(allowed)
    found = []
    for place in places:
        for path in place.rglob("*") if place.is_dir() else ():
            if path in spared or path.is_symlink() or not path.is_file():
                continue
            with contextlib.suppress(OSError):
                content = path.read_bytes()
                found += [f"{name} in {path}" for name, pattern in known.items() if pattern.search(content)]
    return tuple(found)


def _patterns(secrets: Mapping[str, str]) -> dict[str, re.Pattern[bytes]]:
    """Name → what finds it: plain, base64 at any place, and as URL, JSON, Python or a shell would write it."""
    return {
        name: re.compile(b"|".join(re.escape(form.encode()) for form in forms_of(value)))
        for name, value in secrets.items()
        if len(value) >= 8
    }


class Listening:
    """Reads the command lines of all processes again and again, as anybody on the machine may; until it is heard."""

    def __init__(self, secrets: Mapping[str, str], *, every: float = 0.25) -> None:
        self._known, self._every = _patterns(secrets), every
        self._found: dict[str, None] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def heard(self) -> tuple[str, ...]:
        """Which secret was seen in whose command line."""
        self._over.set()
        self._thread.join(30)
        return tuple(self._found)

    def _listen(self) -> None:
        while not self._over.wait(self._every):
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error, OSError):
                    line = "\0".join(process.cmdline()).encode(errors="surrogateescape")
                    for name, pattern in self._known.items():
                        if pattern.search(line):
                            self._found[f"{name} in the command line of {process.name()}"] = None


def orphans(tokens: Iterable[str], *, patience: float = 15.0) -> tuple[str, ...]:
    """Processes that carry a token of the run when it has ended; shared SSH connections end by themselves."""
    wanted, until = set(tokens), time.monotonic() + patience
    while (found := _carrying(wanted)) and time.monotonic() < until:
        time.sleep(0.5)
    return found


def _carrying(tokens: set[str]) -> tuple[str, ...]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid():
                continue
            environment = process.environ()
            if tokens.isdisjoint(environment.get(name) for name in _TOKENS):
                continue
            command = " ".join(process.cmdline())
            if "[mux]" not in command:
                found.append(f"{process.pid} {command[:100]}")
    return tuple(found)


def _current(host: LabHost) -> str:
    with contextlib.suppress(OSError):
        return (host.app / "current").readlink().name
    return ""


def _answering(host: LabHost) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with (
        contextlib.suppress(OSError),
        opener.open(f"http://{host.address}:{host.service_port()}/@@file/style.css", timeout=10) as answer,
    ):
        return str(answer.headers.get("Server", "")).removeprefix("Roundup/")
    return ""


def _changes(host: LabHost) -> int:
    with contextlib.suppress(OSError):
        return len((host.home / "migrations.log").read_text(encoding="utf-8").splitlines())
    return 0


def _open(database: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=5))
