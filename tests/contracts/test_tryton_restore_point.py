"""Tryton's restore points on a real PostgreSQL: proven by a restore into scratch, trusted only as themselves."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from changeover.settings import PROJECT
from tests.support.postgres import Postgres, programs

REPORT = PROJECT / "playbooks/roles/tryton/files/report.py"
PROGRAM = PROJECT / "playbooks/roles/tryton/files/restore_point.py"


@dataclass
class Site:
    """A server's directory, and a database with as much of Tryton in it as the program looks at."""

    root: Path
    server: Postgres
    database: str

    def run(self, verb: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        about = {
            "app_root": str(self.root),
            "database": self.database,
            "pg": {"bin": str(programs()), "host": str(self.server.directory), "port": 5432, "user": "postgres"},
            "migrates": True,
            "label": "run-production",
            "run": "run",
            "host": "prod1",
        }
        command = [sys.executable, str(PROGRAM), verb, json.dumps(about | changes)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def says(self, verb: str, **changes: Any) -> dict[str, Any]:
        done = self.run(verb, **changes)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def report(self, *, user: str = "postgres", server: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        """What the role's `discover` and `verify` read here."""
        about = {
            "app_root": str(self.root),
            "state_dir": str(self.root),
            "database": self.database,
            "pg": {"bin": str(programs()), "host": str(self.server.directory), "port": 5432, "user": user},
            "server": {"data": "", "free_bytes": 0} | (server or {}),
            "migrates": True,
            "url": "http://127.0.0.1:9",
            "service": "tryton",
            "services": {},
            "customisations": [],
            "integrations": [],
        }
        command = [sys.executable, str(REPORT), json.dumps(about | changes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def databases(self) -> set[str]:
        import psycopg

        with psycopg.connect(f"host={self.server.directory} user=postgres dbname=postgres") as connection:
            return {str(name) for (name,) in connection.execute("select datname from pg_database").fetchall()}


@pytest.fixture
def site(postgres_server: Postgres, tmp_path: Path) -> Site:
    if not (programs() / "pg_dump").exists():
        pytest.skip("NOT TESTED: this PostgreSQL has no pg_dump")
    made = Site(tmp_path, postgres_server, postgres_server.create_database())
    postgres_server.execute("create table ir_module (name text, state text)", database=made.database)
    for table in ("ir_model", "res_user", "party_party"):
        postgres_server.execute(f"create table {table} (id integer, name text)", database=made.database)
        postgres_server.execute(f"insert into {table} values (1, 'one')", database=made.database)  # noqa: S608 - the names above
    (tmp_path / "releases/7.0/bin").mkdir(parents=True)
    (tmp_path / "releases/7.0/bin/trytond").touch()
    (tmp_path / "current").symlink_to("releases/7.0")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/trytond.conf").write_text("[database]\n")
    return made


def test_the_drill_restores_the_whole_dump_and_leaves_no_database_behind(site: Site) -> None:
    taken = site.says("take")
    assert taken["identity"] == {"host": "prod1", "database": site.database}
    before = site.databases()
    assert site.says("drill")["readable"] is True
    assert site.databases() == before


def test_the_database_that_a_killed_proof_left_is_told_and_dropped_by_the_next_copy(site: Site) -> None:
    """And nobody else's: another database's proof may be at work."""
    mine, other = f"drill_{sha256(site.database.encode()).hexdigest()[:8]}_0f0f0f0f", "drill_00000000_0f0f0f0f"
    try:
        for name in (mine, other):
            site.server.execute(f"create database {name}")
        told = site.report()["leftovers"]
        (place,) = told
        assert place == f"{site.server.directory / 'data'}/{mine}"
        assert told[place] > 1_000_000
        site.says("take")
        assert {name for name in site.databases() if name.startswith("drill_")} == {other}
        assert site.report()["leftovers"] == {}
    finally:
        site.server.execute(f"drop database {other}")


def test_whole_databases_want_their_room_where_the_server_keeps_them(site: Site) -> None:
    """A server on this host is asked; what may not be told, or is elsewhere, is not guessed."""
    place = str(site.server.directory / "data")
    told = site.report()
    assert told["sizes"]["copies"] == {place: 1}
    assert told["sizes"]["database_bytes"] > 1_000_000
    assert told["free"][place]["device"] == Path(place).stat().st_dev
    assert told["free"][place]["bytes"] == pytest.approx(shutil.disk_usage(place).free, rel=0.05)
    site.server.execute("create role plain login createdb; grant connect on database postgres to plain")
    try:
        site.server.execute("grant select on all tables in schema public to plain", database=site.database)
        silent = site.report(user="plain")["sizes"]
        assert silent["copies"] is None
        assert "grant pg_read_all_settings to plain, or name it in the CMDB as tryton_pg_data" in silent["copies_fault"]
        assert site.report(user="plain", server={"data": place})["sizes"]["copies"] == {place: 1}
        site.server.execute("grant pg_read_all_settings to plain")
        assert site.report(user="plain")["sizes"]["copies"] == {place: 1}
    finally:
        site.server.execute("drop owned by plain", database=site.database)
        site.server.execute("drop owned by plain; drop role plain")
    assert "is not on this host" in site.report(server={"data": "/no/such/place"})["sizes"]["copies_fault"]
    elsewhere = site.report(server={"free_bytes": 5_000_000_000})
    (server,) = elsewhere["sizes"]["copies"]
    assert server.startswith("the database server ")
    assert elsewhere["free"][server]["bytes"] == 5_000_000_000
    assert site.report(migrates=False)["sizes"]["copies"] == {}


def test_a_label_is_kept_and_says_that_data_moved_on(site: Site) -> None:
    first = site.says("take")
    site.server.execute("update party_party set name = 'renamed'", database=site.database)
    second = site.says("take")
    assert (second["digest"], second["current"]) == (first["digest"], False), "as many rows, and not the same ones"


def test_a_dump_with_another_newest_row_is_found_out_by_the_canary(site: Site) -> None:
    taken = site.says("take")
    point = Path(taken["path"])
    known = json.loads((point / "point.json").read_text())
    (point / "point.json").write_text(json.dumps(known | {"canary_row": "0" * 32}))
    _stamp(point)
    done = site.run("drill")
    assert done.returncode != 0
    assert "the newest party of the restored copy" in done.stderr
    assert not [name for name in site.databases() if name.startswith("drill_")]


@pytest.mark.parametrize("other", [{"host": "prod2"}, {"database": "postgres"}])
def test_a_copy_of_another_host_or_database_is_not_put_back(site: Site, other: dict[str, str]) -> None:
    site.says("take")
    done = site.run("restore", **other)
    assert done.returncode != 0
    assert "is of {'host': 'prod1'" in done.stderr


def test_it_puts_back_exactly_what_was_there(site: Site) -> None:
    site.says("take")
    site.server.execute("delete from party_party", database=site.database)
    assert site.says("restore")["changed"] is True
    assert site.says("take", label="after")["canary"]["party_party"] == 1


def _stamp(point: Path) -> None:
    files = sorted(file for file in point.rglob("*") if file.is_file() and file.name != "SHA256SUMS")
    lines = [f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(point)}\n" for file in files]
    (point / "SHA256SUMS").write_text("".join(lines))
