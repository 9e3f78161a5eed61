"""Every CMDB of ours records what is true, once, and refuses what could mean two things (case C20)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from changeover.adapters.cmdb_sql import SqlCmdb
from changeover.adapters.memory import MemoryCmdb
from changeover.domain.change import ChangeState, CloseCode
from changeover.errors import CmdbError
from changeover.ports import CmdbWrite, RunRecord
from tests.support.records import (
    KEY,
    NOW,
    a_write,
    an_estate,
    environment,
    host,
    later,
    move_to,
    open_change,
    version_of,
)

AnyCmdb = MemoryCmdb | SqlCmdb
PRODUCTION = ("nordwind", "tryton", "production")


def states(cmdb: AnyCmdb, key: str = KEY) -> list[str]:
    record = cmdb.change(key)
    assert record is not None
    return [str(state) for _, state in record.history]


@pytest.fixture
def estate(cmdb: AnyCmdb) -> AnyCmdb:
    """A CMDB that holds Nordwind's estate."""
    cmdb.import_estate(an_estate())
    return cmdb


# the estate


def test_an_environment_is_read_back_as_it_was_imported(estate: AnyCmdb) -> None:
    training, production = an_estate().environments
    found = estate.environment(*PRODUCTION)
    assert found is not None
    assert [one.name for one in found.hosts] == ["prod-app2", "prod-app1"]
    keys = (("[127.0.77.4]:22204,[10.0.0.4]:22 ssh-ed25519 AAAAprod2",), ("[127.0.77.3]:22203 ssh-ed25519 AAAAprod1",))
    with_keys = [one.model_copy(update={"host_keys": k}) for one, k in zip(production.hosts, keys, strict=True)]
    assert found == production.model_copy(update={"hosts": tuple(with_keys)})
    other = estate.environment("nordwind", "tryton", "training")
    assert other is not None
    assert other.hosts[0].host_keys == ("127.0.77.2 ssh-ed25519 AAAAtrain",)
    assert other.customisations == training.customisations


def test_all_that_is_live_of_a_client_is_an_estate(estate: AnyCmdb) -> None:
    """Environments in the order of the import, of every estate of the client; what was retired is not in it."""
    tracker = environment("production", host("box", "10.0.0.5"), application="roundup", version="2.0.0")
    estate.import_estate(
        an_estate(applications=[{"slug": "roundup", "vendor": "R"}], environments=[tracker], people=[])
    )
    found = estate.estate("Nordwind Trading GmbH")
    assert found is not None
    assert [(one.application, one.name) for one in found.environments] == [
        ("roundup", "production"), ("tryton", "training"), ("tryton", "production"),
    ]  # fmt: skip
    assert found.environments[2] == estate.environment(*PRODUCTION)
    assert [(one.slug, one.vendor) for one in found.applications] == [("roundup", "R"), ("tryton", "Tryton Foundation")]
    assert found.people == estate.people("nordwind")
    estate.import_estate(found)
    assert estate.estate("nordwind") == found
    estate.import_estate(an_estate(environments=[environment("training", host("train1", "127.0.77.2", port=22))]))
    left = estate.estate("nordwind")
    assert left is not None
    assert [one.name for one in left.environments] == ["production", "training"]
    assert estate.estate("nobody") is None


def test_what_is_not_there_is_none(estate: AnyCmdb) -> None:
    assert estate.environment("nordwind", "tryton", "staging") is None
    assert estate.environment("nordwind", "roundup", "production") is None
    assert estate.environment("nobody", "tryton", "production") is None
    assert estate.versions("nordwind", "tryton", "staging") == {}
    assert estate.people("nobody") == ()
    assert estate.change(KEY) is None
    assert estate.run_record(KEY) is None


def test_a_client_is_found_by_its_name_too(estate: AnyCmdb) -> None:
    assert [person.id for person in estate.people("Nordwind Trading GmbH")] == ["zoe.wolf", "anna.berg"]
    assert estate.people("nordwind")[1].side == "client"


def test_a_name_that_two_clients_have_is_refused(estate: AnyCmdb) -> None:
    namesake = {"slug": "nordwind-at", "name": "Nordwind Trading GmbH"}
    estate.import_estate(an_estate(client=namesake))
    with pytest.raises(CmdbError, match=r"ambiguous: nordwind \(.*\) and nordwind-at \("):
        estate.people("Nordwind Trading GmbH")
    with pytest.raises(CmdbError, match="ambiguous"):
        estate.apply(version_of("prod-app1", "8.0.3", client="Nordwind Trading GmbH"))
    assert len(estate.people("nordwind")) == 2


def test_two_hosts_of_one_name_are_refused_and_nothing_is_written(estate: AnyCmdb) -> None:
    twin = an_estate(
        environments=[
            environment("training", host("app01", "127.0.77.2")),
            environment("production", host("app01", "127.0.77.3")),
        ]
    )
    with pytest.raises(CmdbError, match=r"host app01 is ambiguous: 127\.0\.77\.2:22203.*127\.0\.77\.3:22203"):
        estate.import_estate(twin)
    assert list(estate.versions(*PRODUCTION)) == ["prod-app2", "prod-app1"]


@pytest.mark.parametrize(
    "estate_of",
    [
        {"environments": [environment("production", host("a", "10.0.0.1"), host("a", "10.0.0.1"))]},
        {
            "environments": [
                environment("production", host("a", "10.0.0.1")),
                environment("production", host("b", "10.0.0.2")),
            ]
        },
        {
            "people": [
                {"id": "x", "name": "X", "role": "r", "side": "client"},
                {"id": "x", "name": "Y", "role": "r", "side": "client"},
            ]
        },
    ],
)
def test_an_estate_that_says_a_thing_twice_is_refused(cmdb: AnyCmdb, estate_of: dict[str, object]) -> None:
    with pytest.raises(CmdbError, match="ambiguous"):
        cmdb.import_estate(an_estate(**estate_of))
    assert cmdb.people("nordwind") == ()


def test_one_host_may_serve_two_environments(cmdb: AnyCmdb) -> None:
    shared = host("box", "127.0.77.9")
    cmdb.import_estate(an_estate(environments=[environment("training", shared), environment("production", shared)]))
    cmdb.apply(version_of("box", "8.0.3"))
    assert cmdb.versions(*PRODUCTION) == {"box": "8.0.3"}
    assert cmdb.versions("nordwind", "tryton", "training") == {"box": "7.0.59"}


def test_importing_again_changes_what_changed_and_retires_what_is_gone(estate: AnyCmdb) -> None:
    moved = environment("production", host("prod-app1", "10.9.9.9"), host("prod-app3", "10.9.9.10"))
    people = [{"id": "anna.berg", "name": "Anna Berg-Lind", "role": "client_approver", "side": "client"}]
    estate.import_estate(an_estate(environments=[moved], people=people))
    found = estate.environment(*PRODUCTION)
    assert found is not None
    assert [(one.name, one.address) for one in found.hosts] == [("prod-app1", "10.9.9.9"), ("prod-app3", "10.9.9.10")]
    assert estate.environment("nordwind", "tryton", "training") is None
    assert [person.name for person in estate.people("nordwind")] == ["Anna Berg-Lind"]
    estate.import_estate(an_estate())
    assert estate.environment("nordwind", "tryton", "training") is not None
    assert list(estate.versions(*PRODUCTION)) == ["prod-app2", "prod-app1"]


def test_an_estate_leaves_other_applications_of_the_client_alone(estate: AnyCmdb) -> None:
    tracker = environment("production", host("tracker1", "10.0.0.7"), application="roundup", version="2.0.0")
    people = [{"id": "tom.kern", "name": "Tom Kern", "role": "support", "side": "provider"}]
    estate.import_estate(an_estate(applications=[{"slug": "roundup"}], environments=[tracker], people=people))
    assert estate.environment(*PRODUCTION) is not None
    assert estate.versions("nordwind", "roundup", "production") == {"tracker1": "2.0.0"}
    assert {person.id for person in estate.people("nordwind")} == {"zoe.wolf", "anna.berg", "tom.kern"}


def test_a_host_name_in_use_elsewhere_at_another_address_is_refused(estate: AnyCmdb) -> None:
    tracker = environment("production", host("prod-app1", "10.0.0.7"), application="roundup", version="2.0.0")
    with pytest.raises(
        CmdbError, match=r"prod-app1 is ambiguous: 127\.0\.77\.3:22203 \(tryton\) and 10\.0\.0\.7:22203"
    ):
        estate.import_estate(an_estate(applications=[], environments=[tracker]))
    assert estate.environment("nordwind", "roundup", "production") is None


def test_hashed_known_hosts_are_understood(cmdb: AnyCmdb) -> None:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, b"[127.0.77.3]:22203", hashlib.sha1).digest()
    line = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()} ssh-ed25519 AAAA"
    cmdb.import_estate(an_estate(known_hosts=f"{line}\n@revoked [127.0.77.4]:22204 ssh-rsa BBBB\n"))
    found = cmdb.environment(*PRODUCTION)
    assert found is not None
    assert [one.host_keys for one in found.hosts] == [("@revoked [127.0.77.4]:22204 ssh-rsa BBBB",), (line,)]


def test_a_hosts_own_keys_stand(cmdb: AnyCmdb) -> None:
    own = host("prod-app1", "127.0.77.3", host_keys=["[127.0.77.3]:22203 ssh-ed25519 OWN"])
    cmdb.import_estate(an_estate(environments=[environment("production", own)]))
    found = cmdb.environment(*PRODUCTION)
    assert found is not None
    assert found.hosts[0].host_keys == ("[127.0.77.3]:22203 ssh-ed25519 OWN",)


# versions


def test_a_recorded_version_stands_against_the_next_import(estate: AnyCmdb) -> None:
    estate.apply(version_of("prod-app1", "8.0.3"))
    assert estate.versions(*PRODUCTION) == {"prod-app2": "7.0.59", "prod-app1": "8.0.3"}
    found = estate.environment(*PRODUCTION)
    assert found is not None
    assert found.version is None, "half an environment has no version"
    estate.apply(version_of("prod-app2", "8.0.3"))
    estate.import_estate(an_estate())
    found = estate.environment(*PRODUCTION)
    assert found is not None
    assert found.version == "8.0.3"


def test_a_reset_takes_the_estates_versions(estate: AnyCmdb) -> None:
    estate.apply(version_of("prod-app1", "8.0.3"))
    estate.import_estate(an_estate(), reset=True)
    assert set(estate.versions(*PRODUCTION).values()) == {"7.0.59"}
    newer = [environment("production", host("prod-app1", "127.0.77.3"), version="7.0.60")]
    estate.import_estate(an_estate(environments=newer))
    assert estate.versions(*PRODUCTION) == {"prod-app1": "7.0.60"}


def test_a_version_of_an_unknown_host_makes_no_ci(estate: AnyCmdb) -> None:
    for wrong in (
        {"host": "app9"},
        {"host": "prod-app1", "environment": "training"},
        {"host": "prod-app1", "client": "x"},
    ):
        with pytest.raises(CmdbError, match="has no host"):
            estate.apply(version_of(**{"version": "8.0.3", **wrong}))
    assert set(estate.versions(*PRODUCTION).values()) == {"7.0.59"}


# changes


def test_a_change_is_opened_once(estate: AnyCmdb) -> None:
    estate.apply(open_change())
    estate.apply(open_change())
    estate.apply(replace(open_change(), op_key="another op of the same run"))
    record = estate.change(KEY)
    assert record is not None
    assert (record.number, record.state, record.title) == ("CHG0000001", ChangeState.NEW, f"Upgrade ({KEY})")
    assert record.history == ((NOW, ChangeState.NEW),)
    estate.apply(open_change("second"))
    second = estate.change("second")
    assert second is not None
    assert second.number == "CHG0000002"


def test_a_change_needs_a_client_and_an_application_on_record(estate: AnyCmdb) -> None:
    for field in ("client", "application"):
        write = open_change()
        with pytest.raises(CmdbError, match="has no"):
            estate.apply(replace(write, payload={**write.payload, field: "unheard-of"}))
    assert estate.change(KEY) is None
    estate.apply(open_change())
    record = estate.change(KEY)
    assert record is not None
    assert record.number == "CHG0000001", "a refused change takes no number"


def test_a_change_passes_every_state_on_its_way(estate: AnyCmdb) -> None:
    estate.apply(open_change())
    estate.apply(replace(move_to("implement"), at=later(minutes=3)))
    assert states(estate) == ["new", "assess", "authorize", "scheduled", "implement"]
    record = estate.change(KEY)
    assert record is not None
    assert record.history[-1][0] == later(minutes=3)


def test_being_there_already_is_done(estate: AnyCmdb) -> None:
    estate.apply(open_change())
    estate.apply(move_to("review"))
    estate.apply(replace(move_to("review"), op_key="again"))
    assert states(estate)[-2:] == ["implement", "review"]


def test_an_illegal_move_names_both_states(estate: AnyCmdb) -> None:
    estate.apply(open_change())
    estate.apply(move_to("review"))
    with pytest.raises(CmdbError, match="CHG0000001 cannot go from review to canceled"):
        estate.apply(move_to("canceled"))
    with pytest.raises(CmdbError, match="from review to closed without a code and notes"):
        estate.apply(move_to("closed"))
    assert states(estate)[-1] == "review"


def test_a_refused_write_may_be_sent_again(estate: AnyCmdb) -> None:
    """A refusal is not remembered as done: once the cause is gone, the same write goes through."""
    with pytest.raises(CmdbError, match="has no change"):
        estate.apply(move_to("assess"))
    estate.apply(open_change())
    estate.apply(move_to("assess"))
    assert states(estate) == ["new", "assess"]


def test_notes_are_kept_in_order_and_once(estate: AnyCmdb) -> None:
    estate.apply(open_change())
    for op in ("kickoff", "settled", "kickoff"):
        estate.apply(a_write(op, text=f"note {op}"))
    record = estate.change(KEY)
    assert record is not None
    assert record.notes == ("note kickoff", "note settled")


def test_an_op_key_is_not_used_for_another_write(estate: AnyCmdb) -> None:
    estate.apply(open_change())
    estate.apply(a_write("x", text="a note"))
    with pytest.raises(CmdbError, match=r"was a note of .* and cannot be a move_change"):
        estate.apply(a_write("x", "move_change", state="assess"))


@pytest.mark.parametrize(
    "payload", [{"code": "successful", "notes": " "}, {"code": "fine", "notes": "n"}, {"code": "successful"}]
)
def test_closing_needs_a_code_and_notes(estate: AnyCmdb, payload: dict[str, str]) -> None:
    estate.apply(open_change())
    estate.apply(move_to("review"))
    with pytest.raises(CmdbError, match=r"close_change cannot be written: (code|notes)"):
        estate.apply(a_write("close", "close_change", **payload))
    assert states(estate)[-1] == "review"


def close(code: str, op: str = "close") -> CmdbWrite:
    return a_write(op, "close_change", code=code, notes=f"notes of {code}")


def test_closing_goes_through_review(estate: AnyCmdb) -> None:
    estate.apply(open_change())
    estate.apply(move_to("implement"))
    estate.apply(close("unsuccessful"))
    record = estate.change(KEY)
    assert record is not None
    assert (record.close_code, record.close_notes) == (CloseCode.UNSUCCESSFUL, "notes of unsuccessful")
    assert states(estate)[-2:] == ["review", "closed"]
    estate.apply(close("unsuccessful", "again"))
    with pytest.raises(CmdbError, match="is closed with code unsuccessful and cannot be closed with successful"):
        estate.apply(close("successful", "otherwise"))
    assert states(estate).count("closed") == 1


def test_a_change_that_was_never_implemented_is_canceled_with_its_code(estate: AnyCmdb) -> None:
    """Passing it through "implement" for the record's sake would say that work was done."""
    estate.apply(open_change())
    estate.apply(move_to("authorize"))
    estate.apply(close("unsuccessful"))
    record = estate.change(KEY)
    assert record is not None
    assert record.close_code is CloseCode.UNSUCCESSFUL
    assert states(estate) == ["new", "assess", "authorize", "canceled"]


@pytest.mark.parametrize(
    ("kind", "payload", "fault"),
    [
        ("delete_change", {}, "'delete_change' is not a write"),
        ("move_change", {"state": "rolled back"}, "move_change cannot be written: state"),
        ("note", {"text": "x", "colour": "red"}, "colour: Extra inputs"),
        (
            "record_version",
            {"client": "nordwind", "host": "h"},
            "application: Field required; environment: Field required; version",
        ),
    ],
)
def test_a_write_that_makes_no_sense_is_refused(
    estate: AnyCmdb, kind: str, payload: dict[str, str], fault: str
) -> None:
    with pytest.raises(CmdbError, match=fault):
        estate.apply(CmdbWrite("op", KEY, kind, payload, NOW))


# runs and incidents


def test_the_newest_record_of_a_run_counts(estate: AnyCmdb) -> None:
    payload: dict[str, Any] = {
        "run": KEY,
        "mode": "implement",
        "from_version": "7.0.59",
        "to_version": "8.0.3",
        "plan_digest": "d" * 64,
    }
    first = {**payload, "outcome": "unknown", "started_at": NOW, "environments": {}}
    last = {**payload, "outcome": "backed_out", "started_at": NOW.isoformat(), "ended_at": later(hours=1).isoformat()}
    estate.apply(a_write("run-unknown", "record_run", **first))
    assert estate.run_record(KEY) == RunRecord(**{**first, "ended_at": None})
    estate.apply(a_write("run-backed_out", "record_run", **last, environments={"production": "backed_out"}))
    found = estate.run_record(KEY)
    assert found is not None
    assert (found.outcome, found.ended_at) == ("backed_out", later(hours=1))
    assert found.environments == {"production": "backed_out"}


def test_incidents_are_open_until_closed(estate: AnyCmdb) -> None:
    first = estate.open_incident("nordwind", "tryton", severity=2, summary="orders stand still", at=NOW, caused_by=KEY)
    second = estate.open_incident("nordwind", "tryton", severity=3, summary="slow", at=later(minutes=5))
    assert (first.number, second.number) == ("INC0000001", "INC0000002")
    assert estate.open_incidents("nordwind", "tryton") == (first, second)
    assert estate.open_incidents("nordwind", "tryton", since=later(minutes=1)) == (second,)
    assert estate.open_incidents("nordwind", "roundup") == ()
    estate.close_incident(first.number, later(minutes=9))
    assert estate.open_incidents("nordwind", "tryton") == (second,)
    with pytest.raises(CmdbError, match="no open incident INC0000001"):
        estate.close_incident(first.number, later(minutes=9))


def test_a_change_keeps_its_model_and_what_was_planned(estate: AnyCmdb) -> None:
    write = open_change()
    estate.apply(replace(write, payload={**write.payload, "model": "emergency"}))
    planned: dict[str, Any] = {"planned_start": "2026-08-14T13:00:00+02:00", "planned_end": None, "risk": "high"}
    estate.apply(a_write("plan", "plan_change", affected=["a", "b"], **planned))
    record = estate.change(KEY)
    assert record is not None
    assert (record.model, record.risk, record.affected) == ("emergency", "high", ("a", "b"))
    assert record.planned_start == datetime(2026, 8, 14, 11, 0, tzinfo=UTC)
    assert record.planned_end is None
    with pytest.raises(CmdbError, match="cannot go from new to assess"):
        estate.apply(move_to("assess"))
    estate.apply(move_to("scheduled"))
    assert states(estate) == ["new", "authorize", "scheduled"]
