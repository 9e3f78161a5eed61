"""The lab itself: real hosts over SSH, services that survive a kill, and a reset that leaves nothing of an upgrade."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from changeover import lab
from changeover.errors import LabError
from changeover.lab import hosts
from changeover.lab.account import Account, Entry
from changeover.lab.sites.roundup import SITE
from tests.playbooks.bench import Bench

pytestmark = pytest.mark.lab


@pytest.fixture
def bench(roundup_lab: Bench) -> Bench:
    return roundup_lab


def login(
    state: lab.LabState, name: str, command: str, *, known_hosts: Path | None = None
) -> subprocess.CompletedProcess[str]:
    host = state.host(name)
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={known_hosts or state.known_hosts_path}",
    ]
    flags = [part for option in (*options, "IdentitiesOnly=yes", "ControlMaster=no") for part in ("-o", option)]
    argv = [
        "ssh",
        "-F",
        "/dev/null",
        *flags,
        "-i",
        str(state.key_path),
        "-p",
        str(host.port),
        f"{state.user}@{host.address}",
    ]
    return subprocess.run(
        [*argv, command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=30
    )


def test_every_host_is_its_own_machine_to_ssh(bench: Bench) -> None:
    """Each has its own address, host key and home; an unknown host key is refused."""
    keys = [line.split()[2] for line in bench.state.known_hosts_path.read_text(encoding="utf-8").splitlines()]
    assert len(set(keys)) == len(bench.state.hosts) == 4
    for host in bench.state.hosts:
        said = login(bench.state, host.name, 'echo "$LAB_HOST $HOME $(whoami)"')
        assert said.stdout.split() == [host.name, str(host.home), bench.state.user], said.stderr
    assert login(bench.state, "prod1", "true", known_hosts=Path("/dev/null")).returncode == 255


def test_nothing_of_the_lab_runs_as_root(bench: Bench) -> None:
    """Root's own account is never used, also when root starts the lab."""
    owners = {process.username() for host in bench.state.hosts for process in hosts.processes_of([host])}
    assert owners == {bench.state.user}
    assert bench.state.user != "root"


def test_secrets_are_private(bench: Bench) -> None:
    """The file of connections can be read by its owner alone, and holds the key and the application's secrets."""
    assert stat.S_IMODE(bench.state.secrets_path.stat().st_mode) == 0o600
    extra = json.loads(bench.state.secrets_path.read_text(encoding="utf-8"))["ssh_lindgren"]["extra"]
    assert extra["private_key"].startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert set(extra["secrets"]) == {"roundup_admin", "roundup_sync"}


def test_a_second_up_changes_nothing_that_runs(bench: Bench) -> None:
    """The same processes go on under the same ports."""
    before = {process.pid for process in hosts.processes_of(bench.state.hosts)}
    assert lab.up("roundup", root=bench.state.root) == bench.state
    assert before <= {process.pid for process in hosts.processes_of(bench.state.hosts)}


def test_the_lab_comes_back_after_a_kill_and_a_stop(bench: Bench) -> None:
    """A killed supervisor leaves its pid file and socket behind; `up` starts it and its services again."""
    host = bench.state.host("training")
    supervisor = int((host.run / "supervisord.pid").read_text(encoding="utf-8"))
    os.kill(supervisor, signal.SIGKILL)
    for process in hosts.processes_of([host]):
        process.kill()
    lab.up("roundup", root=bench.state.root)
    assert _services(bench, "training") == {"roundup": "running", "cost-sync": "running"}
    lab.down("roundup", root=bench.state.root)
    assert not hosts.processes_of(bench.state.hosts)
    assert not hosts.answers(host)
    lab.up("roundup", root=bench.state.root)
    assert _services(bench, "training") == {"roundup": "running", "cost-sync": "running"}


def test_a_reset_takes_back_everything(bench: Bench) -> None:
    """Whatever was done to a host, a reset brings back the seeded old release."""
    host = bench.state.host("training")
    spoil = f"rm -rf {host.app}/tracker {host.home}/cost-sync; touch {host.state}/lock.json {host.app}/left-over"
    stray = "nohup sleep 4711 >/dev/null 2>&1 &"
    assert login(bench.state, "training", f"{spoil}; {stray}").returncode == 0
    assert any("4711" in process.cmdline() for process in hosts.processes_of([host]))
    lab.reset("roundup", root=bench.state.root)
    assert not any("4711" in process.cmdline() for process in hosts.processes_of([host]))
    assert sorted(path.name for path in host.app.iterdir()) == ["bin", "current", "releases", "tracker"]
    assert not list(host.state.iterdir())
    assert _services(bench, "training") == {"roundup": "running", "cost-sync": "running"}


@pytest.mark.slow
def test_two_sites_live_in_one_root(bench: Bench) -> None:
    """Hosts of the same name keep their own files, and one site goes without the other."""
    root = bench.state.root
    other = lab.up("tryton", root=root, port=0, artefacts=lab.default_root() / "artefacts")
    try:
        for state in (bench.state, other):
            assert login(state, "training", 'echo "$HOME"').stdout.split() == [str(state.host("training").home)]
    finally:
        lab.down("tryton", root=root, remove=True)
    assert login(bench.state, "training", "true").returncode == 0


def test_a_foreign_root_is_refused() -> None:
    """Somebody else could have made the directory first, to have us write into theirs."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a directory of somebody else's")
    theirs = tempfile.mkdtemp(prefix="co-", dir="/var/tmp")
    with pytest.raises(LabError, match="does not belong to"):
        lab.up("roundup", root=Path(theirs))
    Path(theirs).rmdir()


def test_files_are_written_as_the_account_and_never_through_links(tmp_path: Path) -> None:
    """Where the lab's account cannot write, root must not write for it."""
    if os.geteuid() != 0:
        pytest.skip("an ordinary user writes as itself")
    (tmp_path / "theirs").write_text("untouched", encoding="utf-8")
    account = Account.current(tmp_path)
    with pytest.raises(LabError):
        account.write(tmp_path, {"theirs": Entry("changed")})
    assert (tmp_path / "theirs").read_text(encoding="utf-8") == "untouched"


def test_an_unknown_site_and_an_unknown_fault_name_what_there_is(bench: Bench) -> None:
    """The message lists the choices."""
    with pytest.raises(LabError, match="roundup, tryton"):
        lab.up("nowhere", root=bench.state.root)
    with pytest.raises(LabError, match="integration, migrate"):
        SITE.apply_fault(cast(Any, None), "nothing")


def _services(bench: Bench, name: str) -> dict[str, str]:
    status = lab.status("roundup", root=bench.state.root)
    assert status is not None
    return dict(next(host.services for host in status.hosts if host.host.name == name))


def test_the_marks_are_only_on_our_own_processes(bench: Bench) -> None:
    """What `down` ends is known by the host's directory in its environment; this test's own process has none."""
    assert psutil.Process().pid not in {process.pid for process in hosts.processes_of(bench.state.hosts)}
