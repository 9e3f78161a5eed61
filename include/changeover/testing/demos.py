"""What a demonstration left in the ledger, held against what it is to show: an exit code alone has too many causes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

PROMISED = timedelta(minutes=8)
"""How long the one without a fault takes at most on a quiet machine, with its installation (README)."""
READS_ONLY = frozenset({"discover"})
"""Steps of an environment that change nothing there."""
Report = Mapping[str, Any]


def newest(command: tuple[str, ...], environment: Mapping[str, str], *, since: datetime) -> Report | str:
    """The report that this command prints, or why there is none of a run opened since then."""
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        return f"the ledger tells no run: {done.stderr.strip()[-400:]}"
    report: Report = json.loads(done.stdout)
    opened = datetime.fromisoformat(report["run"]["opened_at"])
    if opened < since.replace(microsecond=0):
        return f"the ledger's newest run was opened at {opened}, before this demonstration"
    return report


def untrue(report: Report, fault: str | None) -> tuple[str, ...]:
    """Everything in which the run is another than the demonstration of this fault (None: of none) promises."""
    return tuple(_FAULTS[fault](report))


def figures(report: Report, took: timedelta, fault: str | None) -> str:
    """One line of what was seen."""
    outcomes = [f"{name}: {_outcome(report, name) or 'none'}" for name in report["run"]["environments"]]
    rows, lost, unread = _rows(report)
    data = f"{rows} rows compared, {lost} lost" + (f", {unread} not read again" if unread else "")
    ratio = f"; {took / PROMISED:.2f} of the {PROMISED.seconds // 60} minutes promised" if fault is None else ""
    return f"{report['outcome']} ({', '.join(outcomes)}); {data}; {took.total_seconds():.0f} s{ratio}"


def _good(report: Report) -> Iterator[str]:
    yield from _ended(report, "successful", training="successful", production="successful")
    yield from _versions(report, training=_wanted(report), production=_wanted(report))
    yield from _whole(report)
    yield from _closed(report, "successful")


def _backed_out(report: Report) -> Iterator[str]:
    yield from _ended(report, "backed_out", training="successful", production="backed_out")
    yield from _versions(report, training=_wanted(report), production=report["plan"]["from_version"])
    yield from _whole(report)
    yield from _closed(report, "unsuccessful")
    if _gate(report, "production", "back_out_acceptance") is not True:
        yield "the old release was not accepted on production after the back-out"


def _integration(report: Report) -> Iterator[str]:
    """A green installer, a red acceptance."""
    yield from _backed_out(report)
    if (status := _step(report, "production", "implement")) != "successful":
        yield f"the installer on production was {status}, successful is wanted"
    if _gate(report, "production", "acceptance") is not False:
        yield "acceptance on production did not say no"


def _kill(report: Report) -> Iterator[str]:
    yield from _backed_out(report)
    if _step(report, "production", "implement") in (None, "successful"):
        yield f"the migration on production was {_step(report, 'production', 'implement')}, and it was to be killed"


def _module(report: Report) -> Iterator[str]:
    """Refused by the rehearsal: nothing of the client's is touched."""
    yield from _ended(report, "refused", training=None, production=None)
    old = report["plan"]["from_version"]
    yield from _versions(report, training=old, production=old)
    for name in ("training", "production"):
        if steps := [step["step"] for step in _environment(report, name)["steps"] if step["step"] not in READS_ONLY]:
            yield f"{name} was touched: {', '.join(steps)}"
    if _step(report, "baseline", "implement") in (None, "successful"):
        yield "the migration of the baseline did not fail"
    yield from _closed(report, "unsuccessful")


_FAULTS = {None: _good, "integration": _integration, "kill": _kill, "module": _module}


def _ended(report: Report, outcome: str, **environments: str | None) -> Iterator[str]:
    if report["outcome"] != outcome:
        yield f"the run is {report['outcome']}, {outcome} is wanted"
    for name, wanted in environments.items():
        if (found := _outcome(report, name)) != wanted:
            yield f"{name} is {found}, {wanted} is wanted"


def _versions(report: Report, **wanted: str) -> Iterator[str]:
    for name, version in wanted.items():
        hosts = [one for one in report["versions"] if one["environment"] == name]
        if not hosts:
            yield f"no version is told of {name}"
        for one in hosts:
            if (one["discovered"], one["recorded"]) != (version, version):
                yield f"{one['host']}: {one['discovered']} found, {one['recorded']} in the CMDB, {version} is wanted"


def _whole(report: Report) -> Iterator[str]:
    rows, lost, unread = _rows(report)
    if not rows or lost or unread:
        yield f"{rows} rows compared, {lost} lost, {unread} not read again"
    for name in ("training", "production"):
        if not any(one["environment"] == name for one in report["data"]):
            yield f"no business data of {name} was compared"


def _closed(report: Report, code: str) -> Iterator[str]:
    change = report["change"] or {}
    if change.get("close_code") != code:
        yield f"the change in the CMDB has the code {change.get('close_code')}, {code} is wanted"


def _rows(report: Report) -> tuple[int, int, int]:
    """Of the client's environments: compared, lost, read before and never again."""
    data = [one for one in report["data"] if one["environment"] in report["run"]["environments"]]
    read = [(one["rows_before"], one["rows_after"]) for one in data if one["rows_before"] is not None]
    pairs = [(before, after) for before, after in read if after is not None]
    lost = sum(max(0, before - after) for before, after in pairs)
    return sum(before for before, _ in pairs), lost, sum(before for before, after in read if after is None)


def _wanted(report: Report) -> str:
    return str(report["plan"]["to_version"])


def _environment(report: Report, name: str) -> Mapping[str, Any]:
    return next(one for one in report["environments"] if one["name"] == name)


def _outcome(report: Report, name: str) -> str | None:
    outcome: str | None = _environment(report, name)["outcome"]
    return outcome


def _step(report: Report, environment: str, name: str) -> str | None:
    """How its newest generation ended."""
    found = [step["status"] for step in _environment(report, environment)["steps"] if step["step"] == name]
    return found[-1] if found else None


def _gate(report: Report, environment: str, name: str) -> bool | None:
    found = [gate["passed"] for gate in _environment(report, environment)["gates"] if gate["gate"] == name]
    return found[-1] if found else None
