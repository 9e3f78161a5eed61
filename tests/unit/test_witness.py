"""The game day's witness: what it takes for old, new and in between, for lost rows, leaks and orphans."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest

from changeover.domain.gameday import Runs, Sight
from changeover.gameday import witness
from changeover.lab.environment import LabHost
from tests.support.execution import wait_until

OLD, NEW, RUN = "2.0.0", "2.6.0", "lindgren.roundup-2.6.1"


@pytest.fixture
def host(tmp_path: Path) -> LabHost:
    """A host with the old release, of which nothing runs."""
    made = LabHost("prod1", "127.0.0.1", 9, tmp_path / "prod1")
    (made.app / "tracker/db").mkdir(parents=True)
    made.home.mkdir()
    migrate(made, 5)
    with sqlite3.connect(made.app / "tracker/db/db") as connection:
        for table in ("_issue", "_user", "_msg"):
            connection.execute(f"create table {table} (id integer)")
            connection.executemany(f"insert into {table} values (?)", [(1,), (2,)])  # noqa: S608 -- of the line above
    point(made, OLD)
    return made


def migrate(host: LabHost, version: int) -> None:
    with sqlite3.connect(host.app / "tracker/db/db") as connection:
        connection.execute("create table if not exists schema (schema text)")
        connection.execute("delete from schema")
        connection.execute("insert into schema values (?)", (repr({"version": version, "tables": {}}),))


def point(host: LabHost, release: str) -> None:
    (host.app / "current").unlink(missing_ok=True)
    (host.app / "current").symlink_to(f"releases/{release}")


def lose(host: LabHost) -> None:
    with sqlite3.connect(host.app / "tracker/db/db") as connection:
        connection.execute("delete from _issue where id = 2")


def sight(host: LabHost, was: witness.Before) -> Sight:
    return witness.sight(host, was, old=OLD, new=NEW, run=RUN, tries=1)


@pytest.mark.parametrize(
    ("release", "version", "runs"),
    [(OLD, 5, Runs.OLD), (NEW, 8, Runs.NEW), (OLD, 8, Runs.BETWEEN), (NEW, 5, Runs.BETWEEN), ("", 5, Runs.BETWEEN)],
)
def test_release_and_schema_have_to_agree(host: LabHost, release: str, version: int, runs: Runs) -> None:
    was = witness.before(host)
    point(host, release or "none")
    if not release:
        (host.app / "current").unlink()
    migrate(host, version)
    assert sight(host, was).runs is runs
    assert not sight(host, was).answers


def test_a_row_is_lost_when_no_restore_point_of_the_run_has_it(host: LabHost) -> None:
    was = witness.before(host)
    kept = host.app / f"restore_points/{RUN}-production"
    shutil.copytree(host.app / "tracker", kept / "tracker")
    lose(host)
    assert (sight(host, was).missing_rows, sight(host, was).lost_rows) == (1, 0)
    kept.rename(host.app / "restore_points/of-another-run")
    assert (sight(host, was).missing_rows, sight(host, was).lost_rows) == (1, 1)


def test_every_migration_that_was_begun_is_counted(host: LabHost) -> None:
    was = witness.before(host)
    (host.home / "migrations.log").write_text("1 token\n2 token\n", encoding="utf-8")
    assert sight(host, was).changes == 2


def test_a_secret_in_a_file_is_told_by_its_name_and_place(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text("login with hunter2hunter2", encoding="utf-8")
    (tmp_path / "password").write_text("hunter2hunter2", encoding="utf-8")
    found = witness.leaks({"admin": "hunter2hunter2", "short": "in"}, [tmp_path], allowed=[tmp_path / "password"])
    assert found == (f"admin in {tmp_path / 'events.jsonl'}",)


@pytest.mark.parametrize("form", ["base64", "url", "json"])
def test_a_secret_in_another_form_is_one_too(tmp_path: Path, form: str) -> None:
    secret = 'hunter "2" & hunter/2'
    forms = {
        "base64": base64.b64encode(f"admin:{secret}".encode()).decode(),
        "url": urllib.parse.quote(secret, safe=""),
        "json": json.dumps({"password": secret}),
    }
    (tmp_path / "log").write_text(forms[form], encoding="utf-8")
    assert witness.leaks({"admin": secret}, [tmp_path]) == (f"admin in {tmp_path / 'log'}",)


def test_a_secret_in_a_command_line_is_heard() -> None:
    listening = witness.Listening({"admin": "hunter2hunter2", "other": "not said anywhere"}, every=0.05)
    command = [sys.executable, "-c", "input()", "--password=hunter2hunter2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        wait_until(lambda: listening._found)
        process.kill()
    (found,) = listening.heard()
    assert found.startswith("admin in the command line of python")


def test_a_process_that_carries_the_runs_token_is_an_orphan() -> None:
    environment = {**os.environ, "CHANGEOVER_TOKEN": "t" * 32}
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env=environment) as process:
        found = witness.orphans(["t" * 32], patience=0)
        assert [entry.split()[0] for entry in found] == [str(process.pid)]
        assert witness.orphans(["u" * 32], patience=0) == ()
        process.kill()
