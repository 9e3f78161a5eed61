"""The embedded CMDB in a SQL database (SQLite, PostgreSQL)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from changeover.adapters import cmdb_estate as estates
from changeover.adapters import cmdb_incidents as incidents
from changeover.adapters import cmdb_rules as rules
from changeover.adapters import sql
from changeover.adapters.cmdb_tables import (
    CMDB,
    change,
    change_note,
    change_transition,
    ci,
    counter,
    incident,
    operation,
    upgrade_run,
)
from changeover.adapters.ledger_entries import utc_now
from changeover.domain.change import STATE_NUMBERS, ChangeModel, ChangeState, CloseCode
from changeover.domain.estate import Estate, EstateEnvironment, Person
from changeover.domain.incident import IncidentReport, Taken
from changeover.errors import CmdbError
from changeover.ports import ChangeRecord, Clock, CmdbWrite, Incident, RunRecord

STATES = {number: state for state, number in STATE_NUMBERS.items()}
_LOCK = "writes"


def migrate(url: str) -> None:
    """Make the CMDB's database, or bring it up to date; harmless when it is, and when others do the same."""
    sql.migrate(url, CMDB)


class SqlCmdb:
    """The `Cmdb` port. Raises `CmdbError` when the database is not at the newest revision."""

    def __init__(self, url: str, *, clock: Clock = utc_now) -> None:
        self.database = sql.Database(url, CMDB)
        self._clock = clock

    def close(self) -> None:
        self.database.close()

    # reads

    def people(self, client: str) -> tuple[Person, ...]:
        with self.database.reading() as connection:
            return estates.read_people(connection, estates.find_client(connection, client))

    def estate(self, client: str) -> Estate | None:
        with self.database.reading() as connection:
            return estates.read_estate(connection, client)

    def environment(self, client: str, application: str, name: str) -> EstateEnvironment | None:
        with self.database.reading() as connection:
            return estates.read_environment(connection, client, application, name)

    def versions(self, client: str, application: str, environment: str) -> Mapping[str, str | None]:
        with self.database.reading() as connection:
            found = estates.find_environment(connection, client, application, environment)
            running = estates.instances(connection, found) if found else []
        return {str(host["name"]): instance["version"] for instance, host in running}

    def change(self, correlation_id: str) -> ChangeRecord | None:
        with self.database.reading() as connection:
            return _change(connection, correlation_id)

    def open_incidents(self, client: str, application: str, *, since: datetime | None = None) -> tuple[Incident, ...]:
        wanted = (incident.c.closed_at.is_(None), *(() if since is None else (incident.c.opened_at >= since,)))
        with self.database.reading() as connection:
            return incidents.of(connection, client, application, *wanted)

    def incidents_since(self, client: str, application: str, since: datetime) -> tuple[Incident, ...]:
        with self.database.reading() as connection:
            return incidents.of(connection, client, application, incident.c.opened_at >= since)

    def run_record(self, run: str) -> RunRecord | None:
        with self.database.reading() as connection:
            return _run_record(connection, run)

    # writes

    def apply(self, write: CmdbWrite) -> None:
        payload = rules.payload(write)
        with self.database.writing(_LOCK) as connection:
            known = connection.execute(sa.select(operation).where(operation.c.op_key == write.op_key)).first()
            if known is not None:
                rules.same_operation(write, known.change, known.kind)
                return
            values = {"op_key": write.op_key, "change": write.change, "kind": write.kind, "at": write.at}
            connection.execute(sa.insert(operation).values(**values))
            _Writer(connection, write).take(payload)

    def import_estate(self, estate: Estate, *, reset: bool = False) -> None:
        prepared = rules.prepared(estate)
        with self.database.writing(_LOCK) as connection:
            estates.Importer(connection, prepared, reset=reset, at=self._clock()).run()

    def record_incident(self, report: IncidentReport) -> tuple[Incident, Taken] | tuple[str, ...]:
        with self.database.writing(_LOCK) as connection:
            return incidents.record(connection, report, number=lambda: _next(connection, "INC"))

    def open_incident(
        self,
        client: str,
        application: str,
        *,
        severity: int,
        summary: str,
        at: datetime,
        caused_by: str = "",
        environment: str = "",
    ) -> Incident:
        """`caused_by` is the correlation id of the change it is put down to, "" for none."""
        with self.database.writing(_LOCK) as connection:
            number = _next(connection, "INC")
            values = {
                "number": number,
                "client_id": estates.need(estates.find_client(connection, client), "client", client),
                "application_id": estates.need(
                    estates.find_application(connection, application), "application", application
                ),
                "severity": severity,
                "summary": summary,
                "opened_at": at,
                "caused_by": caused_by,
                "environment": environment,
            }
            connection.execute(sa.insert(incident).values(**values))
        return Incident(number, severity, at, None, summary, caused_by, environment)

    def close_incident(self, number: str, at: datetime) -> None:
        with self.database.writing(_LOCK) as connection:
            where = (incident.c.number == number, incident.c.closed_at.is_(None))
            if not connection.execute(sa.update(incident).where(*where).values(closed_at=at)).rowcount:
                raise CmdbError(f"there is no open incident {number}", where="CMDB")


class _Writer:
    """One write inside its transaction: made, then read back."""

    def __init__(self, connection: sa.Connection, write: CmdbWrite) -> None:
        self._connection, self._write = connection, write

    def take(self, payload: rules.Payload) -> None:
        match payload:
            case rules.OpenChange():
                self._open(payload)
            case rules.PlanChange():
                self._plan(payload)
            case rules.MoveChange():
                self._move(payload)
            case rules.Note():
                self._note(payload)
            case rules.RecordVersion():
                self._version(payload)
            case rules.RecordRun():
                self._run(payload)
            case rules.LinkIncident():
                self._changed()
                if not incidents.link(self._connection, payload.number, self._write.change):
                    raise rules.no_incident(self._write, payload.number)
            case rules.CloseChange():
                self._close(payload)

    def _open(self, wanted: rules.OpenChange) -> None:
        correlation = self._write.change
        if self._connection.execute(sa.select(change.c.id).where(change.c.correlation_id == correlation)).first():
            return
        own, number = estates.stable_id("change", correlation), _next(self._connection, "CHG")
        client_id = estates.need(estates.find_client(self._connection, wanted.client), "client", wanted.client)
        found = estates.find_application(self._connection, wanted.application)
        self._connection.execute(
            sa.insert(change).values(
                id=own,
                correlation_id=correlation,
                number=number,
                state=STATE_NUMBERS[ChangeState.NEW],
                title=wanted.title,
                description=wanted.description,
                client_id=client_id,
                application_id=estates.need(found, "application", wanted.application),
                requested_by=wanted.requested_by,
                reference=wanted.reference,
                environments=list(wanted.environments),
                close_notes="",
                opened_at=self._write.at,
                model=wanted.model.value,
                affected=[],
            )
        )
        self._transition(own, None, ChangeState.NEW)
        self._read_back("title", wanted.title)

    def _plan(self, wanted: rules.PlanChange) -> None:
        self._changed()
        values = {**dict(wanted), "affected": list(wanted.affected)}
        self._connection.execute(sa.update(change).where(change.c.correlation_id == self._write.change).values(values))
        for field, value in wanted:
            self._read_back(field, value)

    def _move(self, wanted: rules.MoveChange) -> None:
        record = self._changed()
        self._pass(record, rules.states_to(record.number, record.state, wanted.state, record.model))
        self._read_back("state", wanted.state)

    def _close(self, wanted: rules.CloseChange) -> None:
        record = self._changed()
        states = rules.states_to_close(record.number, record.state, record.close_code, wanted.code)
        if states:
            values = {"close_code": wanted.code.value, "close_notes": wanted.notes}
            self._connection.execute(
                sa.update(change).where(change.c.correlation_id == self._write.change).values(**values)
            )
            self._pass(record, states)
            self._read_back("state", states[-1])
            self._read_back("close_notes", wanted.notes)
        self._read_back("close_code", wanted.code)

    def _note(self, wanted: rules.Note) -> None:
        self._changed()
        values = {"text": wanted.text, "at": self._write.at, "op_key": self._write.op_key}
        own = estates.stable_id("change", self._write.change)
        self._connection.execute(sa.insert(change_note).values(change_id=own, **values))
        if wanted.text not in self._changed().notes:
            raise rules.not_stuck(self._write, "note", wanted.text, None)

    def _version(self, wanted: rules.RecordVersion) -> None:
        place = f"{wanted.client}/{wanted.application}/{wanted.environment}"
        path = (wanted.client, wanted.application, wanted.environment)
        environment = estates.find_environment(self._connection, *path)
        running = estates.instances(self._connection, environment) if environment else []
        owned = [str(instance["id"]) for instance, host in running if host["name"] == wanted.host]
        if len(owned) > 1:
            raise rules.ambiguous(f"host {wanted.host} of {place}", (f"CI {own}" for own in owned))
        own = estates.need(owned[0] if owned else None, "host", f"{wanted.host} in {place}")
        values = {"version": wanted.version, "version_run": self._write.change, "version_at": self._write.at}
        self._connection.execute(sa.update(ci).where(ci.c.id == own).values(**values, updated_at=self._write.at))
        found = self._connection.execute(sa.select(ci.c.version).where(ci.c.id == own)).scalar()
        if found != wanted.version:
            raise rules.not_stuck(self._write, f"version of {wanted.host}", wanted.version, found)

    def _run(self, wanted: rules.RecordRun) -> None:
        values = {key: value for key, value in wanted if key != "run"}
        values["environments"] = dict(wanted.environments)
        own = upgrade_run.c.run_key == wanted.run
        if not self._connection.execute(sa.update(upgrade_run).where(own).values(**values)).rowcount:
            self._connection.execute(sa.insert(upgrade_run).values(run_key=wanted.run, **values))
        found = _run_record(self._connection, wanted.run)
        if found is None or found.outcome != wanted.outcome:
            raise rules.not_stuck(self._write, "outcome", wanted.outcome, found and found.outcome)

    def _changed(self) -> ChangeRecord:
        """The write's change, as it is now."""
        record = _change(self._connection, self._write.change, locked=True)
        if record is None:
            raise rules.no_change(self._write)
        return record

    def _pass(self, record: ChangeRecord, states: tuple[ChangeState, ...]) -> None:
        current, own = record.state, estates.stable_id("change", self._write.change)
        for state in states:
            self._transition(own, current, state)
            self._connection.execute(sa.update(change).where(change.c.id == own).values(state=STATE_NUMBERS[state]))
            current = state

    def _transition(self, own: str, before: ChangeState | None, after: ChangeState) -> None:
        numbers = {"from_state": None if before is None else STATE_NUMBERS[before], "to_state": STATE_NUMBERS[after]}
        values = {"change_id": own, "at": self._write.at, "op_key": self._write.op_key, **numbers}
        self._connection.execute(sa.insert(change_transition).values(**values))

    def _read_back(self, field: str, wanted: object) -> None:
        found = getattr(self._changed(), field)
        if found != wanted:
            raise rules.not_stuck(self._write, field, wanted, found)


def _change(connection: sa.Connection, correlation_id: str, *, locked: bool = False) -> ChangeRecord | None:
    query = sa.select(change).where(change.c.correlation_id == correlation_id)
    row = connection.execute(query.with_for_update() if locked else query).first()
    if row is None:
        return None
    notes = sa.select(change_note.c.text).where(change_note.c.change_id == row.id).order_by(change_note.c.id)
    passed = (
        sa.select(change_transition).where(change_transition.c.change_id == row.id).order_by(change_transition.c.id)
    )
    return ChangeRecord(
        correlation_id,
        row.number,
        STATES[row.state],
        row.title,
        CloseCode(row.close_code) if row.close_code else None,
        row.close_notes,
        tuple(connection.execute(notes).scalars()),
        tuple((step.at, STATES[step.to_state]) for step in connection.execute(passed)),
        ChangeModel(row.model),
        row.planned_start,
        row.planned_end,
        row.risk,
        tuple(row.affected),
    )


def _run_record(connection: sa.Connection, run: str) -> RunRecord | None:
    row = connection.execute(sa.select(upgrade_run).where(upgrade_run.c.run_key == run)).mappings().first()
    return RunRecord(run, **{key: value for key, value in row.items() if key != "run_key"}) if row else None


def _next(connection: sa.Connection, name: str) -> str:
    """The next number; a transaction that fails gives it back."""
    taken = sa.update(counter).where(counter.c.name == name).values(value=counter.c.value + 1)
    if not connection.execute(taken).rowcount:
        connection.execute(sa.insert(counter).values(name=name, value=1))
    value = connection.execute(sa.select(counter.c.value).where(counter.c.name == name)).scalar_one()
    return f"{name}{value:07d}"
