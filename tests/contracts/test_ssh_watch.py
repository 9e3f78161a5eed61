"""Two looks at a real host over SSH: whatever changes below the watched paths shows, and looking itself does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from changeover.adapters.ssh_watch import SshWatch
from changeover.domain.estate import Host
from changeover.domain.watch import Watched, changed, unproven
from changeover.ports import Credentials
from tests.support.sshd import Sshd, free_port, sshd

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """An application with small and large files, a link, and what it writes while it runs."""
    root = tmp_path / "an app"
    (root / "etc").mkdir(parents=True)
    (root / "db").mkdir()
    (root / "etc/app.conf").write_text("a = 1\n")
    (root / "etc/large").write_bytes(b"x" * 100_000)
    (root / "current").symlink_to("etc")
    (root / "db/data").write_text("1")
    return root


def look(server: Sshd, app: Path, **other: int) -> Watched:
    host = Host(
        name="app01",
        address=server.address,
        port=other.get("port", server.port),
        user=server.user,
        connection="ssh_client",
        host_keys=(server.known_hosts,),
        variables={
            "app_root": str(app),
            "host_state_dir": str(app.parent / "state"),
            "ansible_python_interpreter": sys.executable,
        },
    )
    credentials = Credentials({"ssh_client": server.key})
    return SshWatch().look([host], credentials, ignoring=["db/*"], timeout=timedelta(seconds=20))["app01"]


def test_a_look_changes_nothing_and_sees_the_same_again(server: Sshd, app: Path) -> None:
    first, second = look(server, app), look(server, app)
    assert (first.fault, first.entries) == ("", 5)
    assert set(first.directories) == {str(app), str(app / "etc"), str(app / "db")}
    assert changed(first, second) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda app: (app / "etc/new").write_text(""),
        lambda app: (app / "etc/app.conf").write_text("a = 2\n"),
        lambda app: (app / "etc/large").chmod(0o600),
        lambda app: (app / "etc/large").unlink(),
        lambda app: (app / "etc/app.conf").touch(),
    ],
    ids=["added", "written", "mode", "removed", "touched"],
)
def test_what_was_changed_shows_with_its_directory(server: Sshd, app: Path, change: Callable[[Path], object]) -> None:
    before = look(server, app)
    change(app)
    assert changed(before, look(server, app)) == (str(app / "etc"),)


def test_a_link_that_leads_elsewhere_shows(server: Sshd, app: Path) -> None:
    before = look(server, app)
    (app / "current").unlink()
    (app / "current").symlink_to("db")
    assert changed(before, look(server, app)) == (str(app),)


def test_what_the_application_writes_while_it_runs_is_left_out(server: Sshd, app: Path) -> None:
    before = look(server, app)
    (app / "db/data").write_text("2")
    (app / "db/journal").write_text("x")
    assert changed(before, look(server, app)) == ()


def test_a_host_that_cannot_be_reached_proves_nothing(server: Sshd, app: Path) -> None:
    away = look(server, app, port=free_port())
    assert away.fault
    assert "the look before the analysis failed" in unproven("app01", {"app01": away}, {"app01": away})
