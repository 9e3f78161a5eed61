"""The data that the lab keeps is what the old release's own tools make."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from changeover import lab
from changeover.lab.environment import Lab
from changeover.lab.postgres import Postgres
from changeover.lab.sites import tryton_data

pytestmark = [pytest.mark.lab, pytest.mark.slow]
COUNTS = (
    "select table_name, (xpath('/row/n/text()', query_to_xml(format('select count(*) as n from %I', table_name), true,"
    " false, '')))[1] from information_schema.tables where table_schema = 'public' order by 1"
)


def test_the_tools_make_the_same_tables_with_as_many_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Path(f"/var/tmp/cd-{os.getpid()}")
    rows: dict[str, dict[str, str]] = {}

    def compare(made: Lab, server: Postgres) -> Path:
        server.run("createdb", "-O", tryton_data.ROLE, "made_anew")
        tryton_data.make(made, server, "made_anew")
        for database in ("made_anew", "nordwind_seed"):
            lines = server.run("psql", "-XqAt", "-d", database, "-c", COUNTS).splitlines()
            rows[database] = dict(line.split("|") for line in lines)
        return tryton_data.kept()

    monkeypatch.setattr(tryton_data, "keep", compare)
    try:
        lab.keep_data("tryton", root=place)
    finally:
        lab.down("tryton", root=place, remove=True)
        shutil.rmtree(place, ignore_errors=True)
    ours, theirs = rows["nordwind_seed"], rows["made_anew"]
    emptied = {"ir_session", "res_user_login_attempt"}
    assert {name for name in ours if ours[name] != theirs.get(name)} <= emptied
    assert ours.keys() == theirs.keys()
    assert int(ours["sale_sale"]) > 0
