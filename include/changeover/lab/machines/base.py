"""The base under every host of the integration lab: debootstrapped once, from the mirror that apt uses."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from changeover.errors import LabError

CACHE = Path("/var/cache/changeover-lab")
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "cron"),
    *("python3", "python3-apt", "python3-venv", "ca-certificates"),
    *("iproute2", "iputils-ping", "procps", "less", "rsync", "curl"),
)
USER = "ops"
_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
_SET_UP = f"""
set -eu
useradd --create-home --shell /bin/bash {USER}
echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER}
: >/etc/machine-id
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\\nStorage=volatile\\n' >/etc/systemd/journald.conf.d/lab.conf
# The root is an overlay and has no device: there is nothing to mount again.
systemctl mask systemd-remount-fs.service systemd-networkd.service systemd-resolved.service console-getty.service
systemctl enable ssh.service
apt-get clean
rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/locale/*
"""


def missing() -> str:
    """Why there can be no such hosts here; "" when there can."""
    if os.geteuid() != 0:
        return "not root: systemd hosts need namespaces, mounts and links"
    lacking = [name for name in ("systemd-nspawn", "ip", "nsenter", "mount") if shutil.which(name) is None]
    if shutil.which("debootstrap") is None and not _place().exists():
        lacking.append("debootstrap")
    return f"{', '.join(lacking)} not installed" if lacking else ""


def base() -> Path:
    """The root file system, made at first use (a minute or two)."""
    place = _place()
    if place.exists():
        return place
    mirror, suite = _source()
    fresh = place.with_name(f"{place.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.parent.mkdir(parents=True, exist_ok=True)
    options = ["--variant=minbase", "--merged-usr", f"--include={','.join(PACKAGES)}"]
    try:
        _run(["debootstrap", *options, suite, str(fresh), mirror])
        _run(["chroot", str(fresh), "/bin/sh", "-c", _SET_UP])
        fresh.rename(place)
    except OSError:
        if not place.exists():  # another made it meanwhile
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place


def _place() -> Path:
    digest = hashlib.sha256("\n".join((*PACKAGES, _SET_UP)).encode()).hexdigest()[:8]
    return CACHE / f"{_codename()}-{digest}"


def _codename() -> str:
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.partition("=")[2].strip('"')
    raise LabError("/etc/os-release names no release", then="run the integration lab on Debian")


def _source() -> tuple[str, str]:
    """The mirror that apt itself uses, and the release this machine runs."""
    listed = _run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"]
    )
    suite = _codename()
    for line in listed.splitlines():
        uri, release, component = (*line.split(), "", "", "")[:3]
        if (release, component) == (suite, "main"):
            return uri, suite
    raise LabError(f"apt knows no mirror of {suite}", then="run apt-get update, and look at /etc/apt/sources.list")


def _run(command: list[str]) -> str:
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-600:]
        raise LabError(f"{command[0]} ended with code {done.returncode}: {said}")
    return done.stdout
