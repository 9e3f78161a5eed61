"""The webhook's token lies in an Airflow connection, and what that connection does not say is not allowed."""

from __future__ import annotations

import json

import pytest

from changeover.domain.incident import Caller
from changeover.orchestration.console_page import INCIDENTS, CmdbIncidents


def connection(monkeypatch: pytest.MonkeyPatch, **fields: object) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{INCIDENTS.upper()}", json.dumps({"conn_type": "generic"} | fields))


def test_the_connection_says_who_may_tell_and_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, password="s" * 40, extra={"clients": ["nordwind"]})
    caller = CmdbIncidents().caller()
    assert caller == Caller("s" * 40, ("nordwind",))
    assert [caller.speaks_for(client) for client in ("nordwind", "acme")] == [True, False]


def test_a_star_is_every_client(monkeypatch: pytest.MonkeyPatch) -> None:
    connection(monkeypatch, password="s" * 40, extra={"clients": ["*"]})
    caller = CmdbIncidents().caller()
    assert caller is not None
    assert caller.speaks_for("acme")


@pytest.mark.parametrize("extra", [{}, {"clients": "nordwind"}, {"clients": None}])
def test_extra_that_lists_nobody_speaks_for_nobody(monkeypatch: pytest.MonkeyPatch, extra: object) -> None:
    connection(monkeypatch, password="s" * 40, extra=extra)
    caller = CmdbIncidents().caller()
    assert caller is not None
    assert not caller.speaks_for("nordwind")
