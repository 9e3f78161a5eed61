"""What an analysis found on each host, short enough to be kept with the run and read by people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from changeover.domain.analysis_facts import AnalysisFacts, Report


def inventory(facts: AnalysisFacts) -> tuple[dict[str, Any], ...]:
    """One entry per host that was read. What a host did not tell is None; what it does not have is empty."""
    return tuple(
        {"environment": environment, "host": host, **_of(report)} for environment, host, report in facts.each()
    )


def _of(report: Report) -> dict[str, Any]:
    host, runtime, database = (report.get(name) or {} for name in ("host", "runtime", "database"))
    files = report.get("vendor_files")
    return {
        "version": report.get("version"),
        "system": host.get("system"),
        "processors": host.get("processors"),
        "memory_bytes": host.get("memory_bytes"),
        "python": runtime.get("python"),
        "packages": len(runtime.get("packages") or {}),
        "database": " ".join(str(database[key]) for key in ("name", "version") if database.get(key)) or None,
        "modules": len(report.get("modules") or {}),
        "customisations": sorted(report.get("customisations") or {}),
        "vendor_files": None
        if files is None
        else {k: files.get(k) if k == "checked" else len(files[k]) for k in files},
        "settings_of_the_client": _names(report.get("client_settings")),
        "integrations": {name: _integration(name, report) for name in report.get("integrations") or {}},
        "connections": report.get("connections"),
        "api_users": report.get("api_users"),
        "database_clients": report.get("database_clients"),
        "schedules": _schedules(report),
        "data_bytes": (report.get("volume") or {}).get("bytes"),
        "accounts": report.get("accounts"),
        "service_account": host.get("account"),
        "certificates": report.get("certificates"),
    }


def _names(found: Mapping[str, Any] | None) -> list[str] | None:
    return None if found is None else sorted(found)


def _integration(name: str, report: Report) -> dict[str, Any]:
    about = (report.get("integrations") or {}).get(name) or {}
    deep = (report.get("programs") or {}).get(name) or {}
    program = deep.get("program") or {}
    return {
        "calls": deep.get("address") or about.get("endpoint"),
        "as": deep.get("user"),
        "program": program.get("path"),
        "digest": program.get("digest"),
        "schedule": about.get("schedule"),
    }


def _schedules(report: Report) -> list[str] | None:
    if report.get("schedules") is None:
        return None
    found = [*(report.get("scheduled") or ()), *(report.get("schedules") or ())]
    return [f"{one.get('source')}: {one.get('command')} ({one.get('when')})" for one in found]
