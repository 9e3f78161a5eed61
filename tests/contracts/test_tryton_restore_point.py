"""Tryton's restore points on a real PostgreSQL: proven by a restore into scratch, trusted only as themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from changeover.settings import PROJECT
from tests.support.postgres import Postgres, programs

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

    def databases(self) -> set[str]:
        import psycopg

        with psycopg.connect(f"host={self.server.directory} user=postgres dbname=postgres") as connection:
            return {str(name) for (name,) in connection.execute("select datname from pg_database").fetchall()}


@pytest.fixture
def site(postgres_server: Postgres, tmp_path: Path) -> Site:
    if not (programs() / "pg_dump").exists():
        pytest.skip("NOT TESTED: this PostgreSQL has no pg_dump")
    made = Site(tmp_path, postgres_server, postgres_server.create_database())
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
