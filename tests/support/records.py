"""Small records to put into a ledger or CMDB."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from changeover.domain.estate import Estate, Host
from changeover.domain.gate import CheckResult, CheckState, GateResult
from changeover.domain.record import Mark, MarkKind, Run, StepRecord
from changeover.ports import CmdbWrite, Ledger

NOW = datetime(2026, 11, 25, 22, 30, 15, 123456, tzinfo=UTC)
KEY = "nordwind-erp.20261125223015-0a1b2c3d"


def later(**span: float) -> datetime:
    return NOW + timedelta(**span)


def a_run(key: str = KEY, **other: Any) -> Run:
    run = Run(
        key,
        "nordwind-erp",
        f"manual__{key}",
        "nordwind",
        "erp-8",
        "tryton",
        "implement",
        ("training", "production"),
        "d1" * 32,
        "plan: text\n",
        "anna.berg",
        "the client asked",
        "",
        NOW,
    )
    return replace(run, **other)


def opened(ledger: Ledger, key: str = KEY) -> Ledger:
    ledger.open_run(a_run(key))
    return ledger


def a_mark(kind: MarkKind = MarkKind.IMPLEMENTING, **other: Any) -> Mark:
    return replace(Mark(KEY, kind, NOW, "production", "prod-app1"), **other)


def a_step(**other: Any) -> StepRecord:
    return replace(StepRecord(KEY, "production", "implement", 1, NOW, token="t0"), **other)


def a_gate(
    state: CheckState = CheckState.PASSED, name: str = "readiness", environment: str = "production"
) -> GateResult:
    hosts = ("prod-app1",)
    return GateResult(
        name, environment, (("disk", "prod-app1"),), (CheckResult("disk", "prod-app1", state),), hosts, hosts
    )


def a_host(name: str = "prod-app1", **other: Any) -> Host:
    values = {"address": "127.0.77.3", "port": 22203, "user": "lab", "connection": "ssh_nordwind"}
    return Host(**{"name": name, **values, **other})


def a_write(op: str, kind: str = "note", change: str = KEY, **payload: Any) -> CmdbWrite:
    return CmdbWrite(f"{change}/{op}", change, kind, payload or {"text": op}, NOW)


def open_change(change: str = KEY) -> CmdbWrite:
    named = {"client": "nordwind", "application": "tryton", "environments": ["production"]}
    return a_write("open", "open_change", change, title=f"Upgrade ({change})", **named)


def move_to(state: str, change: str = KEY) -> CmdbWrite:
    return a_write(f"move-{state}", "move_change", change, state=state)


def version_of(host: str, version: str, op: str = "", **other: Any) -> CmdbWrite:
    named = {"client": "nordwind", "application": "tryton", "environment": "production", **other}
    return a_write(f"{op}{host}-{version}", "record_version", host=host, version=version, **named)


KNOWN_HOSTS = """
# the lab's hosts
[127.0.77.3]:22203 ssh-ed25519 AAAAprod1
[127.0.77.4]:22204,[10.0.0.4]:22 ssh-ed25519 AAAAprod2
127.0.77.2 ssh-ed25519 AAAAtrain
[127.0.77.2]:22203 ssh-ed25519 AAAAother
"""


def an_estate(**other: Any) -> Estate:
    """Nordwind's: training on one host (port 22), production on two."""
    document: dict[str, Any] = {
        "client": {"slug": "nordwind", "name": "Nordwind Trading GmbH"},
        "people": [
            {"id": "zoe.wolf", "name": "Zoe Wolf", "role": "upgrade_manager", "side": "provider"},
            {"id": "anna.berg", "name": "Anna Berg", "role": "client_approver", "side": "client"},
        ],
        "applications": [{"slug": "tryton", "vendor": "Tryton Foundation"}],
        "environments": [
            environment("training", host("train1", "127.0.77.2", port=22)),
            environment("production", host("prod-app2", "127.0.77.4", port=22204), host("prod-app1", "127.0.77.3")),
        ],
        "known_hosts": KNOWN_HOSTS,
    }  # fmt: skip
    return Estate.model_validate({**document, **other})


def host(name: str, address: str, *, port: int = 22203, **other: Any) -> dict[str, Any]:
    variables = {"app_root": f"/srv/{name}", "ports": [8000, 8001], "limits": {"memory": None, "share": 0.5}}
    return {
        "name": name,
        "address": address,
        "port": port,
        "user": "lab",
        "connection": "ssh",
        "variables": variables,
        **other,
    }


def environment(
    name: str, *hosts: dict[str, Any], application: str = "tryton", version: str | None = "7.0.59"
) -> dict[str, Any]:
    return {
        "name": name,
        "kind": name,
        "application": application,
        "version": version,
        "hosts": list(hosts),
        "customisations": [{"name": "customer_nordwind"}, {"name": "a_report", "kind": "report"}],
        "integrations": [{"name": "order-feed", "kind": "json-rpc", "endpoint": "http://127.0.0.1:9/rpc"}],
    }
