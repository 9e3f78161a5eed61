"""The embedded CMDB as a database: what others write into it, what it refuses, and several writers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from changeover.adapters.cmdb_sql import SqlCmdb
from changeover.adapters.cmdb_tables import ci, ci_rel
from changeover.errors import CmdbError
from tests.support.records import KEY, a_write, an_estate, move_to, open_change, version_of


@pytest.fixture
def cmdb(sql_cmdb: SqlCmdb) -> SqlCmdb:
    sql_cmdb.import_estate(an_estate())
    sql_cmdb.apply(open_change())
    return sql_cmdb


def rows(cmdb: SqlCmdb, query: str) -> list[tuple[object, ...]]:
    with cmdb.database.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def execute(cmdb: SqlCmdb, statement: str) -> None:
    with cmdb.database.writing("test") as connection:
        connection.execute(sa.text(statement))


def test_a_second_ci_of_the_same_name_is_refused_when_read(cmdb: SqlCmdb) -> None:
    """Another tool's import brought a second prod-app1: no write, no third CI (C20)."""
    with cmdb.database.writing("test") as connection:
        own = connection.execute(sa.select(ci).where(ci.c.name == "prod-app1")).mappings().one()
        twin = {**own, "id": "00000000-0000-0000-0000-00000000feed", "attrs": {"address": "10.1.1.1", "port": 22}}
        connection.execute(sa.insert(ci).values(**twin))
    before = rows(cmdb, "SELECT count(*) FROM cmdb_ci")
    for ask in (
        lambda: cmdb.environment("nordwind", "tryton", "production"),
        lambda: cmdb.versions("nordwind", "tryton", "production"),
        lambda: cmdb.apply(version_of("prod-app1", "8.0.3")),
    ):
        with pytest.raises(CmdbError, match="host prod-app1 is ambiguous") as refused:
            ask()
        assert "10.1.1.1:22" in str(refused.value)
        assert "127.0.77.3:22203" in str(refused.value)
    assert rows(cmdb, "SELECT count(*) FROM cmdb_ci") == before
    assert cmdb.environment("nordwind", "tryton", "training") is not None


def test_a_person_of_an_unknown_side_is_the_clients(cmdb: SqlCmdb) -> None:
    """A record from before sides were checked: the side that may do less, never the provider's."""
    execute(cmdb, "UPDATE cmdb_person SET side = 'cleint', name = '', role = '' WHERE login = 'zoe.wolf'")
    zoe = cmdb.people("nordwind")[0]
    assert (zoe.id, zoe.side, zoe.name, zoe.role) == ("zoe.wolf", "client", "zoe.wolf", "participant")


STUBBORN = {
    "sqlite": (
        "PRAGMA recursive_triggers = OFF",
        """CREATE TRIGGER keep AFTER UPDATE OF version ON cmdb_ci BEGIN
        UPDATE cmdb_ci SET version = OLD.version WHERE id = NEW.id; END""",
    ),
    "postgresql": (
        """CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
        $$BEGIN NEW.version = OLD.version; RETURN NEW; END$$""",
        "CREATE TRIGGER keep BEFORE UPDATE OF version ON cmdb_ci FOR EACH ROW EXECUTE FUNCTION keep()",
    ),
}


def test_a_write_that_did_not_stick_is_an_incomplete_record(cmdb: SqlCmdb) -> None:
    """The database takes the update and keeps the old value: read back, it shows (C20)."""
    kind = cmdb.database.engine.dialect.name
    for statement in STUBBORN[kind]:
        execute(cmdb, statement)
    with pytest.raises(
        CmdbError, match=r"record incomplete: version of prod-app1 is '7\.0\.59' after writing '8\.0\.3'"
    ):
        cmdb.apply(version_of("prod-app1", "8.0.3"))
    execute(cmdb, "DROP TRIGGER keep" if kind == "sqlite" else "DROP FUNCTION keep CASCADE")
    cmdb.apply(version_of("prod-app1", "8.0.3"))
    assert cmdb.versions("nordwind", "tryton", "production")["prod-app1"] == "8.0.3"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cmdb_change_transition SET to_state = 3",
        "DELETE FROM cmdb_change_note",
        "UPDATE cmdb_operation SET kind = 'x'",
        "DELETE FROM cmdb_ci_rel",
        "DELETE FROM cmdb_change",
        "UPDATE cmdb_change SET state = 1",
        "UPDATE cmdb_change SET state = 3, close_code = NULL",
    ],
)
def test_the_database_refuses_what_the_rules_forbid(cmdb: SqlCmdb, statement: str) -> None:
    cmdb.apply(a_write("kickoff", text="note"))
    with pytest.raises(CmdbError, match=r"append-only|[Cc]heck|CHECK"):
        execute(cmdb, statement)


def test_states_are_stored_as_the_markets_systems_number_them(cmdb: SqlCmdb) -> None:
    cmdb.apply(move_to("implement"))
    moves = rows(cmdb, "SELECT from_state, to_state FROM cmdb_change_transition ORDER BY id")
    assert moves == [(None, -5), (-5, -4), (-4, -3), (-3, -2), (-2, -1)]


def test_nothing_of_a_retired_host_is_lost(cmdb: SqlCmdb) -> None:
    before = rows(cmdb, "SELECT count(*) FROM cmdb_ci")
    cmdb.import_estate(an_estate(environments=[an_estate().model_dump()["environments"][0]]))
    assert rows(cmdb, "SELECT count(*) FROM cmdb_ci") == before
    retired = rows(cmdb, "SELECT name FROM cmdb_ci WHERE lifecycle_status = 'Retired' AND class = 'host' ORDER BY name")
    assert retired == [("prod-app1",), ("prod-app2",)]
    with cmdb.database.reading() as connection:
        ended = connection.execute(sa.select(sa.func.count()).where(ci_rel.c.ended_at.is_not(None))).scalar_one()
    assert ended == 2 * 2 + 3


def test_importing_the_same_estate_adds_no_row(cmdb: SqlCmdb) -> None:
    counts = (
        "SELECT (SELECT count(*) FROM cmdb_ci), (SELECT count(*) FROM cmdb_ci_rel), (SELECT count(*) FROM cmdb_person)"
    )
    before = rows(cmdb, counts)
    cmdb.import_estate(an_estate())
    assert rows(cmdb, counts) == before


def test_one_write_sent_by_many_at_once_is_taken_once(cmdb: SqlCmdb) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(cmdb.apply, a_write("kickoff", text="note")) for _ in range(16)]:
            done.result()
        numbers = [pool.submit(cmdb.apply, open_change(f"run-{n}")) for n in range(8)]
        for done in numbers:
            done.result()
    record = cmdb.change(KEY)
    assert record is not None
    assert record.notes == ("note",)
    found = {change.number for n in range(8) if (change := cmdb.change(f"run-{n}"))}
    assert found == {f"CHG{n:07d}" for n in range(2, 10)}


def test_a_run_that_recorded_a_version_is_named(cmdb: SqlCmdb) -> None:
    cmdb.apply(version_of("prod-app1", "8.0.3"))
    assert rows(cmdb, "SELECT version_run FROM cmdb_ci WHERE version = '8.0.3'") == [(KEY,)]
