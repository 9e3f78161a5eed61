"""The system account everything of the lab runs as, and the few things done in its name."""

from __future__ import annotations

import io
import os
import pwd
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from changeover.errors import LabError

LAB_ACCOUNT = "changeover-lab"
#: What a program of the lab inherits from the caller: where packages come from, and the time zone; nothing else.
INHERITED = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "TZ")


@dataclass(frozen=True)
class Entry:
    """One file to write: its content and its mode."""

    content: str | bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Account:
    """Who owns the lab. Root never writes into the lab itself: a tree owned by somebody else may hold links."""

    name: str
    uid: int
    gid: int
    home: Path
    switched: bool

    @classmethod
    def current(cls, home: Path) -> Account:
        """The calling user, or the lab's own system account when the caller is root."""
        if os.geteuid() != 0:
            entry = pwd.getpwuid(os.geteuid())
            return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, home, switched=False)
        try:
            entry = pwd.getpwnam(LAB_ACCOUNT)
        except KeyError:
            raise LabError(
                f"There is no system account {LAB_ACCOUNT}, and the lab does not run as root",
                then=f"useradd --system --create-home --shell /bin/bash {LAB_ACCOUNT}",
            ) from None
        return cls(entry.pw_name, entry.pw_uid, entry.pw_gid, home, switched=True)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """A small, known environment: the lab must not depend on the caller's shell."""
        passed = {key: value for key, value in os.environ.items() if key in INHERITED or key.startswith("PIP_")}
        base = {"HOME": str(self.home), "LOGNAME": self.name, "USER": self.name, "LANG": "C.UTF-8"}
        return {**passed, **base, "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", **(extra or {})}

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        data: str | bytes = b"",
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one program to its end as this account."""
        command = [str(part) for part in argv]
        try:
            done = subprocess.run(
                command,
                cwd=cwd or "/",
                env=self.environment(env),
                input=data.encode() if isinstance(data, str) else data,
                capture_output=True,
                check=False,
                umask=0o022,
                user=self.uid if self.switched else None,
                group=self.gid if self.switched else None,
                extra_groups=[] if self.switched else None,
            )
        except OSError as exc:
            raise LabError(f"{command[0]} could not be started: {exc.strerror}", where=f"account {self.name}") from exc
        if check and done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()[-2000:]
            raise LabError(
                f"{' '.join(command)} ended with code {done.returncode}: {said}", where=f"account {self.name}"
            )
        return done

    def write(self, directory: Path, files: Mapping[str, Entry]) -> None:
        """Write several files below `directory` (made when absent) in one go, owned by this account."""
        self.run(["mkdir", "-p", directory])
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for name, entry in files.items():
                content = entry.content.encode() if isinstance(entry.content, str) else entry.content
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(content), entry.mode
                archive.addfile(member, io.BytesIO(content))
        self.run(["tar", "-x", "-C", directory, "-p", "--no-same-owner", "-m", "-f", "-"], data=stream.getvalue())

    def directories(self, *paths: Path, mode: int = 0o755) -> None:
        """Make directories; the mode is set on the last part of each path."""
        self.run(["mkdir", "-p", *paths])
        self.run(["chmod", f"{mode:o}", *paths])

    def remove(self, *paths: Path) -> None:
        """Remove files and trees, absent ones included."""
        self.run(["rm", "-rf", "--", *paths])
