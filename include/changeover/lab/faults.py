"""Faults made on a rootless lab host as they happen in life; each can be mended again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from changeover.errors import LabError
from changeover.lab import hosts
from changeover.lab.account import Account, Entry
from changeover.lab.environment import LabHost

FAKETIME = "*-linux-gnu*/faketime/libfaketime.so.1"
DISK = "200m"
_FILLER = ".filler"


def kill_host(host: LabHost) -> None:
    """As a power cut: SIGKILL to its sshd, every session, every service, at once. `lab.up` brings it back."""
    hosts.kill([host])


def change_host_key(account: Account, host: LabHost, root: Path) -> None:
    """Another machine under the host's name: sshd starts again with a key that nobody has on record."""
    key = host.etc / "ssh_host_ed25519_key"
    account.run(["mv", key, host.etc / "kept_key"])
    account.run(["mv", f"{key}.pub", host.etc / "kept_key.pub"])
    account.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "somebody-else", "-f", key])
    _restart_sshd(account, host, root)


def put_host_key_back(account: Account, host: LabHost, root: Path) -> None:
    key = host.etc / "ssh_host_ed25519_key"
    if (host.etc / "kept_key").exists():
        account.run(["mv", host.etc / "kept_key", key])
        account.run(["mv", host.etc / "kept_key.pub", f"{key}.pub"])
        _restart_sshd(account, host, root)


def _restart_sshd(account: Account, host: LabHost, root: Path) -> None:
    """Connections that stand would outlive a change of the key: a machine that was replaced has none."""
    hosts.end_connections(host)
    hosts.start(account, host, hosts.find_sshd(account, root))


def own_disk(account: Account, host: LabHost) -> None:
    """Give the application's directory a small file system of its own; needs root, and an empty directory."""
    if os.geteuid() != 0:
        raise LabError("a disk of its own needs root", where=host.name, then="run it as root")
    options = f"size={DISK},uid={account.uid},gid={account.gid},mode=0755"
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", options, "changeover-lab", str(host.app)], check=True)


def take_disk_away(host: LabHost) -> None:
    if os.path.ismount(host.app):
        subprocess.run(["/bin/umount", "--lazy", str(host.app)], check=True)


def fill_disk(host: LabHost) -> None:
    """Until nothing more can be written."""
    with (host.app / _FILLER).open("wb", buffering=0) as stream:
        block = bytes(1 << 20)
        while block:
            try:
                stream.write(block)
            except OSError:
                block = block[: len(block) // 2]


def free_disk(host: LabHost) -> None:
    (host.app / _FILLER).unlink(missing_ok=True)


def faketime_library() -> Path | None:
    """The library that shows a process another clock; None where the package is missing."""
    return next(Path("/usr/lib").glob(FAKETIME), None)


def own_clock(account: Account, host: LabHost, root: Path) -> None:
    """From now on everything started over SSH on the host reads its clock from a file, which says the right time."""
    library = faketime_library()
    if library is None:
        raise LabError("libfaketime is not installed", then="apt-get install faketime")
    set_clock(account, host, 0)
    config = host.etc / "sshd_config"
    settings = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(_clock(host)),
        # A process keeps the clock it began with: the library cannot step one clock of a process and not the others.
        "FAKETIME_CACHE_DURATION": "86400",
    }
    added = " ".join(f'"{name}={value}"' for name, value in settings.items())
    account.run(["sed", "-i", f"s#^SetEnv .*#& {added}#", config])
    _restart_sshd(account, host, root)


def right_clock(account: Account, host: LabHost, root: Path) -> None:
    """The machine's own clock again, for everything that is started from now on."""
    account.run(["sed", "-i", 's# "LD_PRELOAD=.*##', host.etc / "sshd_config"])
    _restart_sshd(account, host, root)


def set_clock(account: Account, host: LabHost, seconds: int) -> None:
    """The host's clock is ahead by so much."""
    account.write(host.etc, {_clock(host).name: Entry(f"+{seconds}\n")})


def _clock(host: LabHost) -> Path:
    return host.etc / "clock"
