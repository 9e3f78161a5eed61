"""A ledger and a CMDB in memory, for tests of use cases: the same contract as the databases', gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from changeover.adapters import cmdb_rules as rules
from changeover.adapters.chain import Entry, EntryKind
from changeover.adapters.ledger_entries import EntryLedger, OutboxRow, utc_now
from changeover.domain.change import ChangeState
from changeover.domain.estate import IMPORT, ApplicationRecord, ClientRecord, Estate, EstateEnvironment, Person
from changeover.domain.incident import IncidentReport, Taken
from changeover.errors import CmdbError, CmdbUnavailable, LedgerError
from changeover.ports import ChangeRecord, Clock, CmdbWrite, Incident, RunRecord, WriteState


class MemoryLedger(EntryLedger):
    def __init__(self, *, clock: Clock = utc_now) -> None:
        super().__init__(MemoryStore(), clock=clock)


class MemoryStore:
    """Entries in lists; a transaction that raises leaves them as they were."""

    def __init__(self) -> None:
        self.chains: dict[str, list[Entry]] = {}
        self.rows: dict[str, OutboxRow] = {}
        self._lock = threading.RLock()

    @contextmanager
    def writing(self, run: str) -> Iterator[MemoryChain]:
        with self._lock:
            chain = MemoryChain(run, list(self.chains.get(run, ())), dict(self.rows))
            yield chain
            if chain.entries:
                self.chains[run] = chain.entries
            self.rows = chain.rows

    def entries(
        self, run: str, *kinds: EntryKind, name: str | None = None, environment: str | None = None
    ) -> list[Entry]:
        return [
            entry
            for entry in self.chains.get(run, ())
            if (not kinds or entry.kind in kinds)
            and (name is None or entry.name == name)
            and (environment is None or entry.environment == environment)
        ]

    def newest_runs(self, limit: int, *, holding: str = "") -> list[Entry]:
        first = (entries[0] for entries in self.chains.values())
        found = (entry for entry in first if entry.kind is EntryKind.RUN and holding in entry.body)
        opened = sorted(found, key=lambda entry: entry.at)
        return opened[: -limit - 1 : -1]

    def outbox(self, *, change: str | None, states: Iterable[WriteState]) -> list[tuple[OutboxRow, Entry]]:
        wanted = set(states)
        return [
            (row, self.chains[row.run][row.seq - 1])
            for row in self.rows.values()
            if row.state in wanted and change in (None, row.run)
        ]

    def find_write(self, op_key: str) -> OutboxRow | None:
        return self.rows.get(op_key)


class MemoryChain:
    def __init__(self, run: str, entries: list[Entry], rows: dict[str, OutboxRow]) -> None:
        self._run, self.entries, self.rows = run, entries, rows

    @property
    def last(self) -> Entry | None:
        return self.entries[-1] if self.entries else None

    def find(self, kind: EntryKind, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.kind is kind and entry.key == key), None)

    def add(self, entry: Entry) -> None:
        if entry.key is not None and self.find(entry.kind, entry.key):
            raise LedgerError(f"{entry.kind} {entry.key} is recorded already", where=f"run {self._run}")
        self.entries.append(entry)

    def row(self, op_key: str) -> OutboxRow | None:
        return self.rows.get(op_key)

    def put_row(self, row: OutboxRow) -> None:
        self.rows[row.op_key] = row


Place = tuple[str, str, str]
"""Client, application, environment."""


@dataclass
class MemoryCmdb:
    """`unavailable` plays an outage; `refusing` names op_keys whose write is refused, with the reason."""

    unavailable: bool = False
    refusing: dict[str, str] = field(default_factory=dict)
    applied: list[CmdbWrite] = field(default_factory=list)
    """Writes that were taken, each once, in order."""
    clients: dict[str, str] = field(default_factory=dict)
    persons: dict[tuple[str, str], tuple[Person, str]] = field(default_factory=dict)
    applications: dict[str, str] = field(default_factory=dict)
    """Slug → vendor."""
    environments: dict[Place, EstateEnvironment] = field(default_factory=dict)
    recorded: dict[tuple[Place, str], str] = field(default_factory=dict)
    """Versions recorded by runs."""
    changes: dict[str, ChangeRecord] = field(default_factory=dict)
    run_records: dict[str, RunRecord] = field(default_factory=dict)
    incidents: dict[str, tuple[str, str, Incident]] = field(default_factory=dict)
    told: dict[tuple[str, str], tuple[str, datetime]] = field(default_factory=dict)
    """Client and key of the system that tells an incident → its number, and when it was told last."""

    def people(self, client: str) -> tuple[Person, ...]:
        slug = self._client(client)
        return tuple(person for (owner, _), (person, _source) in self.persons.items() if owner == slug)

    def environment(self, client: str, application: str, name: str) -> EstateEnvironment | None:
        found = self.environments.get((self._client(client) or "", application, name))
        if found is None:
            return None
        versions = self.versions(client, application, name)
        return found.model_copy(
            update={"version": rules.common_version(versions.values()) if versions else found.version}
        )

    def versions(self, client: str, application: str, environment: str) -> Mapping[str, str | None]:
        place = (self._client(client) or "", application, environment)
        found = self.environments.get(place)
        if found is None:
            return {}
        return {host.name: self.recorded.get((place, host.name)) or found.version for host in found.hosts}

    def change(self, correlation_id: str) -> ChangeRecord | None:
        self._answer()
        return self.changes.get(correlation_id)

    def open_incidents(self, client: str, application: str, *, since: datetime | None = None) -> tuple[Incident, ...]:
        every = self._incidents(client, application)
        return tuple(one for one in every if one.closed_at is None and (since is None or one.opened_at >= since))

    def incidents_since(self, client: str, application: str, since: datetime) -> tuple[Incident, ...]:
        return tuple(one for one in self._incidents(client, application) if one.opened_at >= since)

    def _incidents(self, client: str, application: str) -> list[Incident]:
        slug = self._client(client)
        mine = [one for owner, app, one in self.incidents.values() if (owner, app) == (slug, application)]
        return sorted(mine, key=lambda incident: incident.opened_at)

    def run_record(self, run: str) -> RunRecord | None:
        self._answer()
        return self.run_records.get(run)

    def apply(self, write: CmdbWrite) -> None:
        self._answer()
        payload = rules.payload(write)
        if write.op_key in self.refusing:
            raise CmdbError(self.refusing[write.op_key], where=write.op_key)
        known = next((one for one in self.applied if one.op_key == write.op_key), None)
        if known is not None:
            rules.same_operation(write, known.change, known.kind)
            return
        self._take(write, payload)
        self.applied.append(write)

    def estate(self, client: str) -> Estate | None:
        slug = self._client(client)
        if slug is None:
            return None
        places = sorted((place for place in self.environments if place[0] == slug), key=lambda place: place[1])
        slugs = dict.fromkeys(application for _, application, _ in places)
        found = (self.environment(*place) for place in places)
        return Estate(
            client=ClientRecord(slug=slug, name=self.clients[slug]),
            people=self.people(slug),
            applications=tuple(ApplicationRecord(slug=one, vendor=self.applications[one]) for one in slugs),
            environments=tuple(one for one in found if one is not None),
        )

    def import_estate(self, estate: Estate, *, reset: bool = False) -> None:
        self._answer()
        estate = rules.prepared(estate)
        slug, scope, source = estate.client.slug, estate.scope(), rules.source(estate)
        self._one_host_each(estate)
        self.clients[slug] = estate.client.name
        self.applications |= {s: "" for s in scope if s not in self.applications}
        self.applications |= {one.slug: one.vendor for one in estate.applications}
        named = {(slug, e.application, e.name): e for e in estate.environments}
        gone = {place for place in self.environments if place[0] == slug and place[1] in scope}
        self.environments = {p: e for p, e in self.environments.items() if p not in gone} | named
        left = {key: kept for key, kept in self.persons.items() if key[0] != slug or kept[1] != source}
        self.persons = left | {(slug, person.id): (person, source) for person in estate.people}
        if reset:
            self.recorded = {key: version for key, version in self.recorded.items() if key[0] not in named}

    def record_incident(self, report: IncidentReport) -> tuple[Incident, Taken] | tuple[str, ...]:
        if faults := self._unknown(report):
            return faults
        key = (report.client, report.key)
        if key not in self.told:
            known = self.open_incident(
                report.client, report.application, severity=report.severity, summary="", at=report.opened_at
            )
            known, _ = rules.follows(known, report)
            taken = Taken.CREATED
        else:
            number, at = self.told[key]
            known = self.incidents[number][2]
            if self.incidents[number][1] != report.application:
                return (rules.other_application(known, report),)
            if at > report.at:
                return known, Taken.STALE
            known, differs = rules.follows(known, report)
            taken = Taken.UPDATED if differs else Taken.UNCHANGED
        self.told[key] = (known.number, report.at)
        self.incidents[known.number] = (report.client, report.application, known)
        return known, taken

    def _unknown(self, report: IncidentReport) -> tuple[str, ...]:
        place = (report.client, report.application, report.environment or "")
        if self._client(report.client) is None:
            return (f"client: the CMDB has no client {report.client}",)
        if report.application not in self.applications:
            return (f"application: the CMDB has no application {report.application}",)
        if not any((owner, app) == place[:2] for owner, app, _ in self.environments):
            return (rules.not_run(report),)
        if report.environment and place not in self.environments:
            return (f"environment: the CMDB has no {'/'.join(place)}",)
        if report.host and report.host not in {host.name for host in self.environments[place].hosts}:
            return (f"host: the CMDB has no host {report.host} in {'/'.join(place)}",)
        return ()

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
        self._must_have(client, application)
        number = f"INC{len(self.incidents) + 1:07d}"
        incident = Incident(number, severity, at, None, summary, caused_by, environment)
        self.incidents[incident.number] = (self._client(client) or "", application, incident)
        return incident

    def close_incident(self, number: str, at: datetime) -> None:
        if number not in self.incidents or self.incidents[number][2].closed_at is not None:
            raise CmdbError(f"there is no open incident {number}", where="CMDB")
        owner, application, incident = self.incidents[number]
        self.incidents[number] = (owner, application, replace(incident, closed_at=at))

    def _take(self, write: CmdbWrite, payload: rules.Payload) -> None:
        match payload:
            case rules.OpenChange():
                self._open(write, payload)
            case rules.PlanChange():
                self.changes[write.change] = replace(self._changed(write), **dict(payload))
            case rules.MoveChange():
                record = self._changed(write)
                self._pass(write, rules.states_to(record.number, record.state, payload.state, record.model))
            case rules.Note():
                record = self._changed(write)
                self.changes[write.change] = replace(record, notes=(*record.notes, payload.text))
            case rules.RecordVersion():
                self._version(write, payload)
            case rules.RecordRun():
                self.run_records[payload.run] = RunRecord(**dict(payload))
            case rules.LinkIncident():
                self._link(write, payload.number)
            case rules.CloseChange():
                self._close(write, payload)

    def _open(self, write: CmdbWrite, wanted: rules.OpenChange) -> None:
        if write.change not in self.changes:
            self._must_have(wanted.client, wanted.application)
            number = f"CHG{len(self.changes) + 1:07d}"
            history = ((write.at, ChangeState.NEW),)
            self.changes[write.change] = ChangeRecord(
                write.change, number, ChangeState.NEW, wanted.title, history=history, model=wanted.model
            )

    def _close(self, write: CmdbWrite, wanted: rules.CloseChange) -> None:
        record = self._changed(write)
        states = rules.states_to_close(record.number, record.state, record.close_code, wanted.code)
        if states:
            self.changes[write.change] = replace(record, close_code=wanted.code, close_notes=wanted.notes)
            self._pass(write, states)

    def _link(self, write: CmdbWrite, number: str) -> None:
        self._changed(write)
        if number not in self.incidents:
            raise rules.no_incident(write, number)
        owner, application, incident = self.incidents[number]
        linked = replace(incident, caused_by=incident.caused_by or write.change)
        self.incidents[number] = (owner, application, linked)

    def _version(self, write: CmdbWrite, wanted: rules.RecordVersion) -> None:
        place = (self._client(wanted.client) or "", wanted.application, wanted.environment)
        if wanted.host not in self.versions(*place):
            raise CmdbError(f"the CMDB has no host {wanted.host} in {'/'.join(place)}", where=write.op_key)
        self.recorded[(place, wanted.host)] = wanted.version

    def _pass(self, write: CmdbWrite, states: tuple[ChangeState, ...]) -> None:
        record = self._changed(write)
        for state in states:
            record = replace(record, state=state, history=(*record.history, (write.at, state)))
        self.changes[write.change] = record

    def _changed(self, write: CmdbWrite) -> ChangeRecord:
        if write.change not in self.changes:
            raise rules.no_change(write)
        return self.changes[write.change]

    def _answer(self) -> None:
        if self.unavailable:
            raise CmdbUnavailable("the CMDB did not answer", where="memory")

    def _client(self, text: str) -> str | None:
        self._answer()
        if text in self.clients:
            return text
        named = sorted(slug for slug, name in self.clients.items() if name == text)
        if len(named) > 1:
            raise rules.ambiguous(f"client {text}", (f"{slug} ({text})" for slug in named))
        return named[0] if named else None

    def _must_have(self, client: str, application: str) -> None:
        if self._client(client) is None or application not in self.applications:
            raise CmdbError(f"the CMDB has no {client}/{application}", then=IMPORT)

    def _one_host_each(self, estate: Estate) -> None:
        scope = estate.scope()
        for (owner, application, _), other in self.environments.items():
            if owner != estate.client.slug or application in scope:
                continue
            known = {host.name: host for host in other.hosts}
            for environment in estate.environments:
                for host in environment.hosts:
                    if host.name in known:
                        there = known[host.name]
                        rules.same_host(host, application, there.address, there.port, environment.application)
