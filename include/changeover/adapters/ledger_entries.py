"""The ledger over any store of chained entries: what is recorded, under which key, and how it is read back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from changeover.adapters.chain import GENESIS, Draft, Entry, EntryKind, chain_faults, seal
from changeover.adapters.codec import CodecError, canonical, dumps, loads
from changeover.domain.estate import Host
from changeover.domain.gate import GateResult
from changeover.domain.outcome import Verdict
from changeover.domain.record import Evidence, Mark, MarkKind, Run, StepRecord
from changeover.errors import LedgerError
from changeover.ports import Clock, CmdbWrite, OutboxItem, WriteState

T = TypeVar("T")
Hosts = tuple[Host, ...]
KEY_LENGTH = 200


@dataclass(frozen=True)
class OutboxRow:
    """How the write recorded under `op_key` fares; the write itself is an entry of its run's chain."""

    op_key: str
    run: str
    seq: int
    """Which entry of the chain holds the write."""
    state: WriteState = WriteState.PENDING
    attempts: int = 0
    refusals: int = 0
    next_at: datetime | None = None
    error: str = ""
    settled_at: datetime | None = None


class ChainWriter(Protocol):
    """One transaction on one run's chain; nobody else writes to that chain meanwhile."""

    @property
    def last(self) -> Entry | None: ...
    def find(self, kind: EntryKind, key: str) -> Entry | None: ...
    def add(self, entry: Entry) -> None: ...
    def row(self, op_key: str) -> OutboxRow | None: ...
    def put_row(self, row: OutboxRow) -> None: ...


class EntryStore(Protocol):
    """Where entries are kept."""

    def writing(self, run: str) -> AbstractContextManager[ChainWriter]: ...
    def entries(
        self, run: str, *kinds: EntryKind, name: str | None = None, environment: str | None = None
    ) -> list[Entry]:
        """Of a run, oldest first; all kinds when none is named."""

    def newest_runs(self, limit: int, *, holding: str = "") -> list[Entry]:
        """`holding`: only those whose body has this text."""

    def outbox(self, *, change: str | None, states: Iterable[WriteState]) -> list[tuple[OutboxRow, Entry]]:
        """With the entry that holds the write, in the order they were enqueued."""

    def find_write(self, op_key: str) -> OutboxRow | None: ...


def utc_now() -> datetime:
    return datetime.now(UTC)


class EntryLedger:
    """The `Ledger` port over an `EntryStore`."""

    def __init__(self, store: EntryStore, *, clock: Clock = utc_now) -> None:
        self._store, self._clock = store, clock

    # runs

    def open_run(self, run: Run) -> Run:
        draft = _draft(EntryKind.RUN, run.opened_at, Run, run, name=run.upgrade, key=run.key)
        with self._store.writing(run.key) as chain:
            stored = chain.find(EntryKind.RUN, run.key)
            if stored is None:
                chain.add(seal(run.key, draft, None))
        known = loads(Run, stored.body if stored else draft.body)
        if known.plan_digest != run.plan_digest:
            raise LedgerError(
                f"run {run.key} was opened with plan {known.plan_digest[:12]}, now it is {run.plan_digest[:12]}",
                where="ledger",
                then="start a new run for the new plan; a run ends on the plan it began with",
            )
        return known

    def run(self, key: str) -> Run | None:
        return next((loads(Run, entry.body) for entry in self._store.entries(key, EntryKind.RUN)), None)

    def runs(self, *, limit: int = 50, application: str | None = None) -> tuple[Run, ...]:
        """The body is canonical: a field stands in it as this one text, which no text inside it can be."""
        holding = "" if application is None else canonical({"application": application})[1:-1]
        runs = (loads(Run, entry.body) for entry in self._store.newest_runs(limit, holding=holding))
        return tuple(run for run in runs if application in (None, run.application))

    def freeze_hosts(self, key: str, environments: Mapping[str, Hosts]) -> None:
        at = self._clock()
        with self._store.writing(key) as chain:
            _must_exist(chain, key)
            for environment, hosts in environments.items():
                draft = _draft(EntryKind.HOSTS, at, Hosts, tuple(hosts), environment=environment, key=environment)
                frozen = chain.find(EntryKind.HOSTS, environment)
                if frozen is not None and frozen.body != draft.body:
                    raise _other_hosts(key, environment, loads(Hosts, frozen.body), tuple(hosts))
                _append(chain, key, draft)

    def frozen_hosts(self, key: str) -> Mapping[str, Hosts]:
        return {entry.environment: loads(Hosts, entry.body) for entry in self._store.entries(key, EntryKind.HOSTS)}

    # what happened

    def mark(self, mark: Mark) -> None:
        self._record(
            mark.run, _draft(EntryKind.MARK, mark.at, Mark, mark, mark.kind, mark.environment, key=mark.key or None)
        )

    def marks(self, key: str, *, environment: str | None = None, kind: MarkKind | None = None) -> tuple[Mark, ...]:
        entries = self._store.entries(key, EntryKind.MARK, name=kind, environment=environment)
        return tuple(loads(Mark, entry.body) for entry in entries)

    def begin_step(self, step: StepRecord) -> None:
        self._record(step.run, _step_draft(EntryKind.STEP_BEGUN, step.started_at, step))

    def end_step(self, step: StepRecord) -> None:
        if step.ended_at is None:
            raise LedgerError(f"step {step.step} of {step.environment} has no end", where=f"run {step.run}")
        with self._store.writing(step.run) as chain:
            begun = chain.find(EntryKind.STEP_BEGUN, _step_key(step))
            if begun is None:
                raise LedgerError(
                    f"step {step.step} of {step.environment} (generation {step.generation}) ended and was never begun",
                    where=f"run {step.run}",
                    then="a step is written before its first change: report this as a fault of Changeover",
                )
            whole = replace(step, started_at=loads(StepRecord, begun.body).started_at)
            _append(chain, step.run, _step_draft(EntryKind.STEP_ENDED, step.ended_at, whole))

    def steps(self, key: str, *, environment: str | None = None) -> tuple[StepRecord, ...]:
        entries = self._store.entries(key, EntryKind.STEP_BEGUN, EntryKind.STEP_ENDED, environment=environment)
        newest = {entry.key: loads(StepRecord, entry.body) for entry in entries}
        return tuple(newest.values())

    def record_gate(self, key: str, gate: GateResult, at: datetime) -> None:
        self._record(key, _hashed(_draft(EntryKind.GATE, at, GateResult, gate, gate.gate, gate.environment)))

    def gates(self, key: str, *, environment: str | None = None) -> tuple[tuple[datetime, GateResult], ...]:
        entries = self._store.entries(key, EntryKind.GATE, environment=environment)
        return tuple((entry.at, loads(GateResult, entry.body)) for entry in entries)

    def add_evidence(self, evidence: Evidence) -> None:
        key = canonical([evidence.environment, evidence.name, evidence.path, evidence.sha256])
        draft = _draft(
            EntryKind.EVIDENCE, evidence.at, Evidence, evidence, evidence.name, evidence.environment, key=key
        )
        self._record(evidence.run, draft)

    def evidence(self, key: str) -> tuple[Evidence, ...]:
        return tuple(loads(Evidence, entry.body) for entry in self._store.entries(key, EntryKind.EVIDENCE))

    def record_outcome(self, key: str, environment: str, verdict: Verdict, at: datetime) -> None:
        self._record(key, _hashed(_draft(EntryKind.OUTCOME, at, Verdict, verdict, verdict.outcome, environment)))

    def outcomes(self, key: str) -> Mapping[str, Verdict]:
        return {entry.environment: loads(Verdict, entry.body) for entry in self._store.entries(key, EntryKind.OUTCOME)}

    # the outbox

    def enqueue(self, write: CmdbWrite) -> None:
        draft = _draft(EntryKind.WRITE, write.at, CmdbWrite, write, write.kind, key=write.op_key)
        with self._store.writing(write.change) as chain:
            _must_exist(chain, write.change)
            known = chain.row(write.op_key)
            if known is not None and known.run != write.change:
                raise LedgerError(
                    f"{write.op_key} is a write of change {known.run}, not of {write.change}", where="outbox"
                )
            if known is None:
                chain.put_row(OutboxRow(write.op_key, write.change, _append(chain, write.change, draft)))

    def pending_writes(self, *, limit: int = 100, due: datetime | None = None) -> tuple[CmdbWrite, ...]:
        found: list[CmdbWrite] = []
        closed: set[str] = set()
        for row, entry in self._store.outbox(change=None, states=(WriteState.PENDING, WriteState.DEAD)):
            if len(found) == limit:
                break
            if row.run in closed:
                continue
            if row.state is WriteState.DEAD or row.attempts:
                closed.add(row.run)
            if row.state is WriteState.PENDING and (due is None or row.next_at is None or row.next_at <= due):
                found.append(loads(CmdbWrite, entry.body))
        return tuple(found)

    def outbox(self, *, change: str | None = None, state: WriteState | None = None) -> tuple[OutboxItem, ...]:
        states = tuple(WriteState) if state is None else (state,)
        return tuple(_item(row, entry) for row, entry in self._store.outbox(change=change, states=states))

    def write_delivered(self, op_key: str, at: datetime) -> None:
        self._settle(op_key, WriteState.DELIVERED, EntryKind.WRITE_DELIVERED, "", at)

    def write_failed(
        self, op_key: str, error: str, at: datetime, *, retry_at: datetime | None = None, refused: bool = False
    ) -> None:
        with self._store.writing(self._change_of(op_key)) as chain:
            row = chain.row(op_key)
            if row is not None and row.state is WriteState.PENDING:
                tries = row.attempts + 1
                chain.put_row(
                    replace(row, attempts=tries, refusals=row.refusals + refused, next_at=retry_at or at, error=error)
                )

    def write_dead(self, op_key: str, error: str, at: datetime) -> None:
        self._settle(op_key, WriteState.DEAD, EntryKind.WRITE_DEAD, error, at)

    def revive_write(self, op_key: str, by: str, at: datetime) -> None:
        run = self._change_of(op_key)
        with self._store.writing(run) as chain:
            row = chain.row(op_key)
            if row is None or row.state is not WriteState.DEAD:
                raise LedgerError(f"{op_key} is not dead", where="outbox", then="list the outbox: it may be delivered")
            _append(chain, run, _draft(EntryKind.WRITE_REVIVED, at, Any, {"op_key": op_key, "by": by}, op_key))
            chain.put_row(replace(row, state=WriteState.PENDING, refusals=0, next_at=at, settled_at=None))

    # the chain

    def verify_chain(self, key: str) -> tuple[str, ...]:
        entries = self._store.entries(key)
        return chain_faults(entries) if entries else (f"no run {key} is recorded",)

    def chain_head(self, key: str) -> str:
        """Digest of the newest entry: kept elsewhere (in a report), it shows a later cut of the chain's end."""
        entries = self._store.entries(key)
        return entries[-1].hash if entries else GENESIS

    def _record(self, run: str, draft: Draft) -> None:
        with self._store.writing(run) as chain:
            _append(chain, run, draft)

    def _settle(self, op_key: str, state: WriteState, kind: EntryKind, error: str, at: datetime) -> None:
        run = self._change_of(op_key)
        with self._store.writing(run) as chain:
            row = chain.row(op_key)
            if row is None or row.state in (state, WriteState.DELIVERED):
                return
            _append(chain, run, _draft(kind, at, Any, {"op_key": op_key, "error": error}, op_key))
            tries = row.attempts + (state is WriteState.DEAD)
            chain.put_row(replace(row, state=state, attempts=tries, error=error, next_at=None, settled_at=at))

    def _change_of(self, op_key: str) -> str:
        row = self._store.find_write(op_key)
        if row is None:
            raise LedgerError(f"no write {op_key} was enqueued", where="outbox")
        return row.run


def _append(chain: ChainWriter, run: str, draft: Draft) -> int:
    """The number of the entry; one with the natural key that is there already stays as it is."""
    _must_exist(chain, run)
    known = None if draft.key is None else chain.find(draft.kind, draft.key)
    if known is not None:
        return known.seq
    entry = seal(run, draft, chain.last)
    chain.add(entry)
    return entry.seq


def _must_exist(chain: ChainWriter, run: str) -> None:
    if chain.last is None:
        raise _no_run(run)


def _no_run(run: str) -> LedgerError:
    return LedgerError(
        f"no run {run} is recorded", where="ledger", then="open the run before anything is recorded of it"
    )


def _draft(
    kind: EntryKind,
    at: datetime,
    hint: Any,
    value: object,
    name: str = "",
    environment: str = "",
    *,
    key: str | None = None,
) -> Draft:
    try:
        if at.utcoffset() is None:
            raise CodecError(f"{at!r} is a time without a zone")
        return Draft(kind, at, dumps(hint, value), str(name), environment, _short(key))
    except (ValueError, TypeError) as exc:
        raise LedgerError(f"this {kind} cannot be recorded: {exc}", where="ledger") from exc


def _hashed(draft: Draft) -> Draft:
    """Natural key of something that may happen again: its whole content and its time."""
    return replace(draft, key=_short(canonical([draft.environment, draft.at.astimezone(UTC).isoformat(), draft.body])))


def _short(key: str | None) -> str | None:
    """Keys are indexed; a long one stands there as its digest."""
    return key if key is None or len(key) <= KEY_LENGTH else hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _step_key(step: StepRecord) -> str:
    return str(_short(canonical([step.environment, step.step, step.generation])))


def _step_draft(kind: EntryKind, at: datetime, step: StepRecord) -> Draft:
    return _draft(kind, at, StepRecord, step, step.step, step.environment, key=_step_key(step))


def _item(row: OutboxRow, entry: Entry) -> OutboxItem:
    write = loads(CmdbWrite, entry.body)
    return OutboxItem(write, row.state, row.attempts, row.refusals, row.next_at, row.error, row.settled_at)


def _other_hosts(key: str, environment: str, frozen: Hosts, wanted: Hosts) -> LedgerError:
    names = [", ".join(f"{host.name} ({host.address}:{host.port})" for host in hosts) for hosts in (frozen, wanted)]
    return LedgerError(
        f"the hosts of {environment} were frozen as {names[0]} and cannot become {names[1]}",
        where=f"run {key}",
        then="start a new run: a run touches only the hosts it was approved for",
    )
