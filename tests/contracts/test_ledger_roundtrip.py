"""Whatever a gate says is read back equal: no list becomes another, no time loses its zone."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from changeover.adapters.codec import canonical, dumps, from_json, loads, to_json
from changeover.adapters.ledger_sql import SqlLedger
from changeover.domain.estate import Host
from changeover.domain.finding import Finding, Severity
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.record import Mark, MarkKind, StepRecord, StepStatus
from tests.support.records import a_run, opened

TEXT = st.text(st.characters(), max_size=20)
"""Everything, NUL and halves of surrogate pairs included."""
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
TIMES = st.builds(
    lambda span, zone: (datetime(1970, 1, 2, tzinfo=UTC) + span).astimezone(zone),
    st.timedeltas(timedelta(0), timedelta(days=300_000)),
    st.timezones(),
)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXT
    | TIMES
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.binary(max_size=8)
)
KEYS = TEXT | st.integers() | st.tuples(TEXT, st.booleans())
FREE = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
PAIRS = st.lists(st.tuples(NAMES, NAMES), max_size=4).map(tuple)
GATES = st.builds(
    GateResult,
    gate=NAMES,
    environment=NAMES,
    declared=PAIRS,
    results=st.lists(st.builds(CheckResult, NAMES, TEXT, st.sampled_from(CheckState), TEXT), max_size=4).map(tuple),
    hosts_planned=st.lists(NAMES, max_size=3).map(tuple),
    hosts_seen=st.lists(NAMES, max_size=3).map(tuple),
    findings=st.lists(
        st.builds(Finding, TEXT, TEXT, TEXT, st.sampled_from(Severity), TEXT, st.dictionaries(TEXT, FREE, max_size=3)),
        max_size=3,
    ).map(tuple),
    evidence=st.none() | st.dictionaries(TEXT, TEXT, max_size=3),
)
SLOW_FIXTURE = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW_FIXTURE, derandomize=True)
@given(gate=GATES, at=TIMES)
def test_a_gate_is_read_back_equal(sql_ledger: SqlLedger, gate: GateResult, at: datetime) -> None:
    key = f"run-{uuid.uuid4()}"
    opened(sql_ledger, key)
    sql_ledger.record_gate(key, gate, at)
    ((read_at, read),) = sql_ledger.gates(key)
    assert (read_at, read) == (at, gate)
    assert read_at.tzinfo is UTC


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(value=FREE)
def test_free_data_keeps_its_types(value: Any) -> None:
    back = from_json(to_json(value))
    assert back == value
    assert type(back) is type(value)
    assert canonical(to_json(back)) == canonical(to_json(value))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(at=TIMES, end=st.none() | TIMES, hosts=st.dictionaries(NAMES, TEXT), reasons=st.lists(TEXT).map(tuple))
def test_a_step_keeps_its_types(
    at: datetime, end: datetime | None, hosts: dict[str, str], reasons: tuple[str, ...]
) -> None:
    step = StepRecord("run", "production", "implement", 3, at, end, StepStatus.UNKNOWN, "t", hosts, reasons, "/d")
    back = loads(StepRecord, dumps(StepRecord, step))
    assert back == step
    assert isinstance(back.status, StepStatus)
    assert type(back.reasons) is tuple


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(variables=st.dictionaries(TEXT, FREE, max_size=3), keys=st.lists(TEXT, max_size=2).map(tuple))
def test_a_host_keeps_its_variables(variables: dict[str, Any], keys: tuple[str, ...]) -> None:
    host = Host(name="h", address="10.0.0.1", user="u", connection="c", host_keys=keys, variables=variables)
    assert loads(Host, dumps(Host, host)) == host


def test_canonical_text_does_not_depend_on_order() -> None:
    assert dumps(dict[str, Any], {"b": 1, "a": (2,)}) == dumps(dict[str, Any], {"a": (2,), "b": 1})


def test_a_field_added_later_takes_its_default_in_older_records() -> None:
    """A newer Changeover reads what an older one wrote."""
    whole = Mark(
        "r", MarkKind.APPROVED, datetime(2026, 1, 1, tzinfo=UTC), data={"t": time(1, 2), "d": date(2026, 1, 1)}
    )
    text = dumps(Mark, whole).replace('"key":"",', "")
    assert '"key"' not in text
    assert loads(Mark, text) == whole


def test_a_run_keeps_its_plan_to_the_byte() -> None:
    run = a_run(plan_text="é\r\n\ttab \u2028 end")
    assert loads(type(run), dumps(type(run), run)) == replace(run)


def test_durations_are_exact() -> None:
    for span in (timedelta(microseconds=-1), timedelta.max, timedelta.min):
        assert from_json(to_json(span)) == span
