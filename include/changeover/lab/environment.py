"""The lab at work: its hosts, paths and the tools a site builds its estate with."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from changeover.errors import LabError
from changeover.lab import artefacts, services
from changeover.lab.account import Account
from changeover.lab.postgres import Postgres

#: Interpreters a host may offer; the first that runs for the lab's account and is new enough wins.
PYTHONS = ("/usr/bin/python3", "/usr/bin/python3.12", "/usr/bin/python3.11", "/usr/local/bin/python3")
OLDEST_PYTHON = (3, 10)
PORTS_PER_HOST = 10


@dataclass(frozen=True)
class LabHost:
    """One host of the lab: a directory with its own sshd, home, services and ports."""

    name: str
    address: str
    port: int
    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def app(self) -> Path:
        return self.root / "app"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def etc(self) -> Path:
        return self.root / "etc"

    @property
    def state(self) -> Path:
        """Where Changeover's lock and marker of this host live."""
        return self.root / "state"

    @property
    def directories(self) -> tuple[Path, ...]:
        return (self.home, self.run, self.tmp, self.app, self.log, self.etc, self.state)

    def service_port(self, number: int = 1) -> int:
        """The number-th port (1 to 9) on this host's address that is kept free for its services."""
        if not 1 <= number < PORTS_PER_HOST:
            raise ValueError(f"a lab host has service ports 1 to {PORTS_PER_HOST - 1}, not {number}")
        return self.port + number

    def environment(self) -> dict[str, str]:
        """What every process of this host carries: how `down` knows them."""
        return {"HOME": str(self.home), "LAB_HOST": self.name, "LAB_HOST_ROOT": str(self.root), "TMPDIR": str(self.tmp)}


@dataclass(frozen=True)
class Lab:
    """What a site is given to seed, reset and describe its estate."""

    site: str
    root: Path
    account: Account
    hosts: tuple[LabHost, ...]
    artefacts: Path
    python: Path
    postgres: Postgres | None = None

    @property
    def cache(self) -> Path:
        """Kept across resets: what a site seeds once."""
        return self.root / "cache" / self.site

    @property
    def tools(self) -> Path:
        """The lab's own small virtual environment (supervisor), readable for the lab's account."""
        return self.root / "venv"

    def host(self, name: str) -> LabHost:
        for host in self.hosts:
            if host.name == name:
                return host
        raise LabError(f"the site {self.site} has no host {name}")

    def each(self, work: Callable[[LabHost], object]) -> None:
        """Do the same on every host at the same time; the first failure is raised when all have ended."""
        with ThreadPoolExecutor(len(self.hosts)) as pool:
            running = [pool.submit(work, host) for host in self.hosts]
        for one in running:
            one.result()

    def fetch(self, application: str, version: str, requirements: Sequence[str]) -> Path:
        """The artefacts of a release, fetched once: <application>/<version>/{*.whl,requirements.txt,SHA256SUMS}."""
        return artefacts.fetch(self.account, self.artefacts, self.python, application, version, requirements)

    def make_venv(self, path: Path, release: Path) -> None:
        """A compiled virtual environment at `path` with everything of a fetched release, offline."""
        artefacts.make_venv(self.account, self.root, self.python, path, release)

    def password(self, name: str) -> str:
        """A password of this lab, made at first use and the same ever after."""
        path = self.root / "passwords" / name
        with contextlib.suppress(FileNotFoundError):
            return path.read_text(encoding="utf-8")
        self.account.directories(path.parent, mode=0o700)
        made = secrets.token_urlsafe(18)
        self.account.run(["/bin/sh", "-c", 'umask 077 && cat > "$0"', path], data=made)
        return made

    def install_services(self, host: LabHost, *wanted: services.Service) -> None:
        """Write definitions of services on a host, as the role app_service would, and have them taken up."""
        services.install(self.account, self.tools, host, wanted)

    def wait_for_services(self, host: LabHost) -> None:
        """Wait until every service of a host that starts by itself runs."""
        services.wait(self.account, self.tools, host)

    def remove_services(self, host: LabHost) -> None:
        """Stop and forget every service of a host."""
        services.remove_all(self.account, self.tools, host)


def find_python(account: Account) -> Path:
    """The interpreter of the hosts; the project's own may lie where the lab's account cannot read."""
    test = f"import sys, sqlite3, ssl, venv; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    found = [name for name in (*PYTHONS, shutil.which("python3") or "") if name and Path(name).exists()]
    for name in dict.fromkeys(found):
        with contextlib.suppress(LabError, subprocess.SubprocessError):
            if account.run([name, "-c", test], check=False).returncode == 0:
                return Path(name)
    raise LabError(
        f"{account.name} can run no Python of at least {'.'.join(map(str, OLDEST_PYTHON))}",
        where=f"tried {', '.join(found) or 'none'}",
        then="install the system's python3 package",
    )
