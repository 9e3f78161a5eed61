"""The script `changeover` before Python starts: what it makes, what it keeps, what it says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
#: What the script calls; everything else is hidden from it, so that a test decides what the machine has.
COMMANDS = (
    *(
        "sh",
        "awk",
        "cat",
        "chmod",
        "cp",
        "cut",
        "date",
        "df",
        "env",
        "flock",
        "getent",
        "grep",
        "id",
        "ln",
        "ls",
        "mkdir",
    ),
    *("mv", "readlink", "rm", "sha256sum", "sleep", "sort", "tail", "touch", "tr"),
)
#: Stands for an interpreter: makes an environment of copies of itself, notes what it is told to install.
INTERPRETER = """#!/bin/sh
case "$*" in
    *realpath*) echo "$FAKE_PYTHON" ;;
    "-m venv "*)
        shift 2
        mkdir -p "$1/bin"
        cp "$0" "$1/bin/python"
        [ -z "${FAKE_UV:-}" ] || cp "$FAKE_UV" "$1/bin/uv"
        echo "made $1" >>"$FAKE_LOG" ;;
    *"pip install"*)
        echo "pip $*" >>"$FAKE_LOG"
        sleep "${FAKE_SLEEP:-0}"
        [ ! -e "$FAKE_LOG.broken" ] ;;
    "-P -m changeover.cli"*) shift 3; echo "ran $0 with $*; path $PYTHONPATH" ;;
    - | *"pip config"*) exec "$REAL_PYTHON" "$@" ;;
esac
"""
UV = """#!/bin/sh
[ "$1" = --version ] && exit 0
echo "uv $*; $(env | grep -E '^(UV_|PIP_CONSTRAINT)' | sort | tr '\\n' ' ')" >>"$FAKE_LOG"
[ ! -e "$FAKE_LOG.uv-broken" ]
"""


@dataclass
class Machine:
    """A project of its own and a PATH that holds what the test lets it hold."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.project.mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(PROJECT / "changeover", self.project)
        self.require("requirements.txt", "one==1\n")
        self.require("requirements-dev.txt", "two==2\n")
        for command in COMMANDS:
            found = shutil.which(command)
            assert found, command
            (self.bin / command).symlink_to(found)
        for command in ("ssh", "ssh-keygen", "sshd", "redis-server", "chromium", "rpm"):
            self.command(command, "exit 0")
        self.command("python", INTERPRETER)
        self.environ = {
            "PATH": str(self.bin),
            "HOME": str(self.root),
            "CHANGEOVER_PYTHON": str(self.bin / "python"),
            "CHANGEOVER_APT": "never",
            "FAKE_PYTHON": str(self.bin / "python"),
            "FAKE_LOG": str(self.log),
            "REAL_PYTHON": sys.executable,
            "PIP_CONFIG_FILE": os.devnull,
        }
        self.ordinary_user()

    @property
    def project(self) -> Path:
        return self.root / "project"

    @property
    def bin(self) -> Path:
        return self.root / "bin"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def environments(self) -> list[Path]:
        return sorted(path for path in (self.project / ".venvs").iterdir() if path.is_dir())

    def command(self, name: str, body: str) -> Path:
        """Put a command of the test's own on the PATH."""
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(body if body.startswith("#!") else f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    def without(self, *names: str) -> None:
        for name in names:
            (self.bin / name).unlink()

    def ordinary_user(self) -> None:
        self.command("id", '[ "$1" = -un ] && echo worker || echo 1000')

    def require(self, name: str, text: str) -> None:
        (self.project / name).write_text(text, encoding="utf-8")

    def use_uv(self) -> None:
        self.environ["FAKE_UV"] = str(self.command("fake-uv", UV))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.project / "changeover", *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.project / "changeover", *arguments],
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def installs(self) -> list[str]:
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(("pip ", "uv ")) and "uv.txt" not in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_first_use_makes_the_environment_and_runs_the_command_line(machine: Machine) -> None:
    """The arguments reach the command line, with the project's packages on the path and stdout left to it."""
    done = machine.run("plan", "check", "a b.yaml")
    made = machine.environments[0]
    assert done.stdout == f"ran {made}/bin/python with plan check a b.yaml; path {machine.project}/include\n"
    assert (done.returncode, (machine.project / ".venv").resolve()) == (0, made)
    assert machine.installs() == [
        "pip -m pip install --quiet --no-input --no-deps --require-hashes -r requirements.txt"
    ]


def test_second_use_installs_nothing_and_says_nothing(machine: Machine) -> None:
    machine.run("status")
    before = machine.installs()
    assert machine.run("status").stderr == ""
    assert machine.installs() == before


def test_development_requirements_come_with_the_commands_that_need_them(machine: Machine) -> None:
    """`plan` leaves them out; `test` adds them to the same environment, once, and again when they changed."""
    machine.run("plan")
    assert not any("requirements-dev.txt" in line for line in machine.installs())
    for _ in range(2):
        assert machine.run("test", "quick").returncode == 0
    assert sum("requirements-dev.txt" in line for line in machine.installs()) == 1
    machine.require("requirements-dev.txt", "two==3\n")
    machine.run("lint")
    assert sum("requirements-dev.txt" in line for line in machine.installs()) == 2
    assert len(machine.environments) == 1


def test_new_requirements_get_a_new_environment_and_leave_the_old_one_to_what_runs(machine: Machine) -> None:
    machine.run("status")
    first = machine.environments[0]
    machine.require("requirements.txt", "one==2\n")
    assert str(first) not in machine.run("status").stdout
    assert len(machine.environments) == 2
    assert first.exists()
    machine.require("requirements.txt", "one==3\n")
    machine.run("status")
    assert len(machine.environments) == 2
    assert not first.exists()


def test_an_environment_cut_off_while_it_was_made_is_never_used(machine: Machine) -> None:
    """Killed in the middle, the next call builds it anew."""
    machine.environ["FAKE_SLEEP"] = "30"
    killed = machine.start("status")
    while not machine.log.exists() or "pip " not in machine.log.read_text(encoding="utf-8"):
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (machine.environments[0] / "stamp").exists()
    machine.environ["FAKE_SLEEP"] = "0"
    assert "making the Python environment" in machine.run("status").stderr
    assert machine.log.read_text(encoding="utf-8").count("made ") == 2


def test_an_environment_moved_with_its_project_is_made_anew(machine: Machine) -> None:
    """Its programs name the old place in their first line."""
    machine.run("status")
    moved = machine.root / "moved"
    machine.project.rename(moved)
    done = subprocess.run(
        [moved / "changeover", "status"], env=machine.environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "making the Python environment" in done.stderr) == (0, True)


def test_two_first_uses_at_once_make_one_environment(machine: Machine) -> None:
    machine.environ["FAKE_SLEEP"] = "1"
    both = [machine.start("status") for _ in range(2)]
    assert [process.wait(timeout=60) for process in both] == [0, 0]
    assert machine.log.read_text(encoding="utf-8").count("made ") == 1


def test_everything_missing_is_told_at_once_with_the_way_to_get_it(machine: Machine) -> None:
    machine.environ["CHANGEOVER_PYTHON"] = "/nonexistent/python3"
    machine.without("ssh", "flock")
    machine.command("df", "echo head; echo 'disk 9000000 8000000 1000000 90% /'")
    done = machine.run("demo")
    assert (done.returncode, done.stdout) == (3, "")
    for what in ("Python 3.11", "sudo apt-get install python3 python3-venv", "3 GB of free disk", "0 GB are free"):
        assert what in done.stderr
    for what in ("an SSH client", "sudo apt-get install openssh-client", "flock", "sudo apt-get install util-linux"):
        assert what in done.stderr


def test_a_command_that_needs_no_host_needs_no_ssh(machine: Machine) -> None:
    machine.without("ssh", "ssh-keygen", "sshd")
    assert machine.run("plan").returncode == 0
    assert machine.run("serve").returncode == 3


def test_a_failed_installation_is_a_broken_tool_and_is_tried_again(machine: Machine) -> None:
    broken = machine.root / "log.broken"
    broken.touch()
    done = machine.run("status")
    assert (done.returncode, "could not be installed" in done.stderr) == (3, True)
    broken.unlink()
    assert machine.run("status").returncode == 0


def test_an_environment_somebody_made_by_hand_is_left_alone(machine: Machine) -> None:
    theirs = machine.project / ".venv" / "bin"
    theirs.mkdir(parents=True)
    done = machine.run("status")
    assert (done.returncode, "stays as it is" in done.stderr, theirs.is_dir()) == (0, True, True)


def test_uv_is_told_the_index_that_pip_was_told(machine: Machine, tmp_path: Path) -> None:
    """Its configuration files are not pip's; a constraint of the machine's is left out, everything being pinned."""
    machine.use_uv()
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = https://packages.example/simple\nextra-index-url = https://more.example/simple\n"
        "constraint = /nonexistent/constraints.txt\n[install]\ntrusted-host = packages.example\n",
        encoding="utf-8",
    )
    machine.environ["PIP_CONFIG_FILE"] = str(config)
    assert machine.run("status").returncode == 0
    (line,) = machine.installs()
    assert "uv pip sync" in line
    assert "--require-hashes" in line
    for setting in (
        "UV_DEFAULT_INDEX=https://packages.example/simple",
        "UV_INDEX=https://more.example/simple",
        "UV_INDEX_STRATEGY=unsafe-best-match",
        "UV_INSECURE_HOST=packages.example",
        "UV_PYTHON_DOWNLOADS=never",
        "PIP_CONSTRAINT=/dev/null",
    ):
        assert setting in line


def test_the_users_own_uv_settings_win_over_pips(machine: Machine) -> None:
    machine.use_uv()
    machine.environ |= {"PIP_INDEX_URL": "https://pip.example/simple", "UV_DEFAULT_INDEX": "https://uv.example/simple"}
    machine.run("status")
    assert "UV_DEFAULT_INDEX=https://uv.example/simple" in machine.installs()[0]


def test_pip_takes_over_where_uv_fails(machine: Machine) -> None:
    machine.use_uv()
    (machine.root / "log.uv-broken").touch()
    done = machine.run("status")
    assert (done.returncode, "trying pip" in done.stderr) == (0, True)
    assert [line.split()[0] for line in machine.installs()] == ["uv", "pip"]


@pytest.mark.root
def test_root_has_missing_packages_installed_without_their_services(machine: Machine) -> None:
    """A policy forbids service starts during apt-get alone, and the services stay off when the machine starts."""
    policy = Path("/usr/sbin/policy-rc.d")
    before = policy.read_bytes() if policy.exists() else None
    machine.command("id", '[ "$1" = -un ] && echo root || echo 0')
    machine.command("useradd", 'echo "useradd $*" >>"$FAKE_LOG"')
    machine.command("apt-get", f'[ -e {policy} ] && echo "apt-get $*" >>"$FAKE_LOG"; cp "$0" "${{0%/*}}/ssh"')
    machine.command("systemctl", 'echo "systemctl $*" >>"$FAKE_LOG"')
    machine.without("ssh", "chromium", "redis-server")
    machine.environ["CHANGEOVER_APT"] = ""
    assert machine.run("test").returncode == 0
    said = machine.log.read_text(encoding="utf-8")
    assert "install --no-install-recommends openssh-client" in said
    assert "install --no-install-recommends redis-server" in said
    assert "systemctl --quiet disable redis-server.service" in said
    assert (policy.read_bytes() if policy.exists() else None) == before
    machine.environ["CHANGEOVER_APT"] = "never"
    machine.without("ssh")
    assert machine.run("demo").returncode == 3


def test_it_is_quick_when_nothing_changed(machine: Machine) -> None:
    """Less than 30 ms before Python starts, in the best of twenty (others may use the machine)."""
    machine.run("status")
    best = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        machine.run("status")
        best = min(best, time.perf_counter() - begun)
    assert best < 0.03
