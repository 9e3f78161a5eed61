"""One host of the integration lab: its link, its file system, its boot, and what can be done to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from changeover.errors import LabError
from changeover.lab.machines.base import USER

BOOTED_WITHIN = 60.0
_KEY = "etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True)
class Machine:
    """`block` and `number` choose its network of four addresses out of 198.18.0.0/15, which is kept for tests."""

    name: str
    root: Path
    block: int
    number: int

    @property
    def link(self) -> str:
        """The controller's end; a name has at most 15 characters."""
        return f"co{self.block}h{self.number}"

    @property
    def namespace(self) -> str:
        return f"co{self.block}-{self.name}"

    @property
    def address(self) -> str:
        return self._address(2)

    @property
    def gateway(self) -> str:
        return self._address(1)

    @property
    def files(self) -> Path:
        """Its root file system, where it is mounted."""
        return self.root / "m"

    @property
    def written(self) -> Path:
        """What it wrote over the base."""
        return self.root / "disk/up"

    @property
    def made(self) -> bool:
        return (self.written / f"{_KEY}.pub").exists()

    @property
    def log(self) -> Path:
        return self.root / "console.log"

    def known_host(self) -> str:
        kind, public = (self.written / f"{_KEY}.pub").read_text(encoding="utf-8").split()[:2]
        return f"{self.address} {kind} {public}"

    def _address(self, last: int) -> str:
        at = (self.block * 64 + self.number) * 4 + last
        return f"198.{18 + (at >> 16)}.{(at >> 8) & 255}.{at & 255}"


def operator_key(place: Path) -> Path:
    key = place / "operator"
    if not key.exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "changeover-machines", "-f", str(key))
    return key


def connect(one: Machine) -> None:
    """A namespace of its own, and one link to it; left alone where they are."""
    if not Path(f"/run/netns/{one.namespace}").exists():
        _run("ip", "netns", "add", one.namespace)
        _run("ip", "-n", one.namespace, "link", "set", "lo", "up")
    if not Path(f"/sys/class/net/{one.link}").exists():
        _run("ip", "link", "add", one.link, "type", "veth", "peer", "name", "host0", "netns", one.namespace)
        _run("ip", "-n", one.namespace, "addr", "add", f"{one.address}/30", "dev", "host0")
        _run("ip", "-n", one.namespace, "link", "set", "host0", "up")
        _run("ip", "addr", "add", f"{one.gateway}/30", "dev", one.link)
    mend_link(one)


def disconnect(one: Machine) -> None:
    _run("ip", "link", "del", one.link, check=False)
    _run("ip", "netns", "del", one.namespace, check=False)


def cut_link(one: Machine) -> None:
    _run("ip", "link", "set", one.link, "down")


def mend_link(one: Machine) -> None:
    _run("ip", "link", "set", one.link, "up")


def small_disk(one: Machine, megabytes: int) -> None:
    """What the host writes from now on lies on a file system of this size; before its boot."""
    disk = one.root / "disk"
    disk.mkdir(parents=True, exist_ok=True)
    image = one.root / "disk.img"
    with image.open("wb") as stream:
        stream.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    _run("mount", "-o", "loop", str(image), str(disk))


def boot(one: Machine, base: Path, key: Path) -> None:
    """Mount, set up what is this host's own, and start its systemd."""
    for path in (one.written, one.root / "disk/work", one.files):
        path.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(one.files):
        options = f"lowerdir={base},upperdir={one.written},workdir={one.root / 'disk/work'}"
        _run("mount", "-t", "overlay", "-o", options, "overlay", str(one.files))
    _own_files(one, key)
    # nspawn leaves a reboot to whoever started it, and says so with this code.
    again = 'while "$@"; [ $? = 133 ]; do :; done'
    how = [
        *("--quiet", "--boot", "--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off"),
        *("--link-journal=no", "--console=pipe", f"--network-namespace-path=/run/netns/{one.namespace}"),
        *("--directory", str(one.files), "--machine", one.namespace, f"--hostname={one.name}"),
    ]
    command = ["/bin/sh", "-c", again, one.name, "systemd-nspawn", *how]
    with one.log.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
    (one.root / "pid").write_text(f"{process.pid} {psutil.Process(process.pid).create_time()}", encoding="utf-8")


def wait_until_booted(one: Machine) -> None:
    until = time.monotonic() + BOOTED_WITHIN
    while not (answers(one) and lets_people_in(one)):
        if not runs(one) or time.monotonic() > until:
            raise LabError(f"{one.name} did not boot", where=str(one.log), then="read that log")
        time.sleep(0.1)


def runs(one: Machine) -> bool:
    return _keeper(one) is not None


def answers(one: Machine) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((one.address, 22), timeout=2) as connection:
        return connection.recv(4) == b"SSH-"
    return False


def lets_people_in(one: Machine) -> bool:
    """Its SSH server greets before that: until its boot is through, PAM turns everybody but root away."""
    with contextlib.suppress(LabError):
        said = run_inside(one, "systemctl", "is-active", "systemd-user-sessions.service").stdout
        return said.strip() == b"active"
    return False


def stop(one: Machine) -> None:
    """Everything of it ends now; its files stay as they were written."""
    kill(one)
    for place in (one.files, one.root / "disk"):
        while os.path.ismount(place):
            _run("umount", str(place))
    (one.root / "pid").unlink(missing_ok=True)


def empty(one: Machine) -> None:
    for path in (one.root / "disk", one.root / "disk.img"):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def kill(one: Machine) -> None:
    """A power cut: SIGKILL to the host's own PID 1, with which the kernel ends every process of it."""
    keeper = _keeper(one)
    if keeper is None:
        return
    with contextlib.suppress(psutil.Error):
        containers = keeper.children()
        systems = [child for container in containers for child in container.children()]
        keeper.kill()
        for system in systems:
            system.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(containers, timeout=10)
        for late in alive:
            late.kill()
        psutil.wait_procs([keeper, *alive], timeout=10)


def run_inside(one: Machine, *command: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A program in the host's namespaces, by no way that an upgrade uses."""
    keeper = _keeper(one)
    systems = [system for container in keeper.children() for system in container.children()] if keeper else []
    if not systems:
        raise LabError(f"{one.name} does not run")
    inside = [
        "nsenter",
        "--target",
        str(systems[0].pid),
        "--mount",
        "--uts",
        "--ipc",
        "--net",
        "--pid",
        "--root",
        "--wd=/",
    ]
    return subprocess.run([*inside, "--", *command], input=data, capture_output=True, check=False)


def _keeper(one: Machine) -> psutil.Process | None:
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid, started = (one.root / "pid").read_text(encoding="utf-8").split()
        process = psutil.Process(int(pid))
        if abs(process.create_time() - float(started)) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None


def _own_files(one: Machine, key: Path) -> None:
    """Its host key, its name, and who may log in; written before it boots, so that its key is known before that."""
    files = one.files
    if not (files / _KEY).exists():
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", one.name, "-f", str(files / _KEY))
    (files / "etc/hostname").write_text(f"{one.name}\n", encoding="utf-8")
    (files / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {one.name}\n", encoding="utf-8")
    account = (files / "etc/passwd").read_text(encoding="utf-8").split(f"\n{USER}:", 1)[1].split(":")
    uid, gid = int(account[1]), int(account[2])
    folder = files / f"home/{USER}/.ssh"
    folder.mkdir(mode=0o700, exist_ok=True)
    authorized = folder / "authorized_keys"
    authorized.write_text(key.with_suffix(".pub").read_text(encoding="utf-8"), encoding="utf-8")
    authorized.chmod(0o600)
    for path in (folder, authorized):
        os.chown(path, uid, gid)


def _run(*command: str, check: bool = True) -> str:
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if check and done.returncode:
        raise LabError(f"{' '.join(command)} ended with code {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout
