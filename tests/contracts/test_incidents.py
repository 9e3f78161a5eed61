"""Every CMDB of ours takes an incident once per client and key, however often and in which order it is told."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from changeover.adapters.cmdb_sql import SqlCmdb
from changeover.adapters.memory import MemoryCmdb
from changeover.domain.estate import ClientRecord, Estate, EstateEnvironment
from changeover.domain.incident import IncidentReport, Taken
from changeover.errors import CmdbError
from changeover.ports import CmdbWrite, Incident
from tests.support.records import KEY, NOW, an_estate, open_change

AnyCmdb = MemoryCmdb | SqlCmdb


def told(**changes: Any) -> IncidentReport:
    fields = {
        "schema_version": 1, "key": "MON-77", "client": "nordwind", "application": "tryton", "severity": 2,
        "environment": "production", "host": "prod-app1", "summary": "no login", "opened_at": NOW, "at": NOW,
    }  # fmt: skip
    return IncidentReport.model_validate(fields | changes)


def take(cmdb: AnyCmdb, **changes: Any) -> tuple[Incident, Taken]:
    result = cmdb.record_incident(told(**changes))
    assert isinstance(result[0], Incident), result
    return result


def open_ones(cmdb: AnyCmdb) -> list[Incident]:
    return list(cmdb.open_incidents("nordwind", "tryton"))


@pytest.fixture
def estate(cmdb: AnyCmdb) -> AnyCmdb:
    cmdb.import_estate(an_estate())
    return cmdb


def test_an_incident_is_recorded_with_its_ci(estate: AnyCmdb) -> None:
    incident, taken = take(estate)
    assert taken is Taken.CREATED
    assert (incident.environment, incident.host, incident.severity) == ("production", "prod-app1", 2)
    assert open_ones(estate) == [incident]


def test_telling_it_again_records_nothing_twice(estate: AnyCmdb) -> None:
    first, _ = take(estate)
    again, taken = take(estate, at=NOW + timedelta(seconds=5))
    assert (again, taken) == (first, Taken.UNCHANGED)
    assert len(open_ones(estate)) == 1


def test_the_newest_telling_counts(estate: AnyCmdb) -> None:
    """It becomes graver, is closed, is reopened; what arrives late changes nothing."""
    first, _ = take(estate)
    graver, taken = take(estate, severity=1, at=NOW + timedelta(minutes=1))
    assert (graver.number, graver.severity, taken) == (first.number, 1, Taken.UPDATED)
    late, taken = take(estate, severity=4, at=NOW + timedelta(seconds=30))
    assert (late.severity, taken) == (1, Taken.STALE)
    closed, _ = take(estate, state="closed", at=NOW + timedelta(minutes=2))
    assert closed.closed_at == NOW + timedelta(minutes=2)
    assert open_ones(estate) == []
    again, _ = take(estate, state="closed", at=NOW + timedelta(minutes=3))
    assert again.closed_at == closed.closed_at
    take(estate, at=NOW + timedelta(minutes=4))
    assert [incident.number for incident in open_ones(estate)] == [first.number]


def test_a_later_telling_puts_right_when_it_began(estate: AnyCmdb) -> None:
    """Whether it belongs to an upgrade hangs on that."""
    take(estate)
    now, taken = take(estate, opened_at=NOW - timedelta(hours=1), at=NOW + timedelta(minutes=1))
    assert (now.opened_at, taken) == (NOW - timedelta(hours=1), Taken.UPDATED)
    assert open_ones(estate) == [now]


def test_a_key_is_of_one_application(estate: AnyCmdb) -> None:
    """Else what was told of the second one would be recorded of the first."""
    training = EstateEnvironment(name="training", kind="training", application="roundup", hosts=())
    estate.import_estate(Estate(client=an_estate().client, environments=(training,)))
    first, _ = take(estate)
    told_of_another = told(application="roundup", environment=None, host=None, state="closed", at=NOW)
    fault = "application: MON-77 is INC0000001, and not one of roundup; tell it under its own key"
    assert estate.record_incident(told_of_another) == (fault,)
    assert open_ones(estate) == [first]


def test_an_application_that_the_client_does_not_have_is_told(estate: AnyCmdb) -> None:
    """Known of another client, it would be taken and no run would ever see it."""
    estate.import_estate(Estate(client=ClientRecord(slug="acme", name="Acme"), environments=()))
    report = told(client="acme", environment=None, host=None)
    assert estate.record_incident(report) == ("application: the CMDB has no environment of tryton at acme",)
    assert estate.incidents_since("acme", "tryton", NOW) == ()


def test_those_since_a_time_are_told_open_or_closed(estate: AnyCmdb) -> None:
    take(estate, key="old", opened_at=NOW - timedelta(hours=2), at=NOW)
    closed, _ = take(estate, key="closed", state="closed", at=NOW + timedelta(minutes=2))
    newest, _ = take(estate, key="new", opened_at=NOW + timedelta(minutes=1), at=NOW + timedelta(minutes=1))
    assert estate.incidents_since("nordwind", "tryton", NOW) == (closed, newest)
    assert estate.incidents_since("nordwind", "roundup", NOW) == ()


def test_two_clients_may_use_one_key(estate: AnyCmdb) -> None:
    estate.import_estate(an_estate(client={"slug": "acme", "name": "Acme"}))
    first, _ = take(estate)
    second, taken = take(estate, client="acme")
    assert taken is Taken.CREATED
    assert first.number != second.number


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"client": "nobody"}, "client: the CMDB has no client nobody"),
        ({"application": "roundup"}, "application: the CMDB has no application roundup"),
        ({"environment": "moon", "host": None}, "environment: the CMDB has no nordwind/tryton/moon"),
        ({"host": "app99"}, "host: the CMDB has no host app99 in nordwind/tryton/production"),
    ],
)
def test_what_the_cmdb_does_not_know_is_told_and_nothing_is_recorded(
    estate: AnyCmdb, changes: dict[str, Any], fault: str
) -> None:
    assert estate.record_incident(told(**changes)) == (fault,)
    assert open_ones(estate) == []


def test_an_incident_is_linked_to_the_change_it_follows_and_a_persons_word_stands(estate: AnyCmdb) -> None:
    estate.apply(open_change())
    first, _ = take(estate)
    other = estate.open_incident("nordwind", "tryton", severity=3, summary="theirs", at=NOW, caused_by="CHG0000099")
    for number in (first.number, other.number):
        estate.apply(CmdbWrite(f"{KEY}/incident-{number}", KEY, "link_incident", {"number": number}, NOW))
    assert {i.number: i.caused_by for i in open_ones(estate)} == {first.number: KEY, other.number: "CHG0000099"}
    with pytest.raises(CmdbError, match="has no incident INC9"):
        estate.apply(CmdbWrite(f"{KEY}/incident-INC9", KEY, "link_incident", {"number": "INC9"}, NOW))
