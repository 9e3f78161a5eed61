"""An application's acceptance tests: pytest and pytest-testinfra, in a process of their own, on all hosts at once."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from changeover.adapters import bounded_process
from changeover.adapters.acceptance_ssh import connections
from changeover.adapters.scrub import Scrubber
from changeover.domain.acceptance import SuiteRun
from changeover.domain.estate import Host
from changeover.domain.gate import CheckResult, CheckState
from changeover.errors import GateError
from changeover.ports import Credentials

PLUGIN = "changeover.adapters.acceptance_plugin"
CONTEXT, RESULTS, CONSOLE, JUNIT = "context.json", "results.json", "console.txt", "junit.xml"
_TOLD_EVEN_SO = (0, 1, 2, 5)
"""Exit codes of pytest after which its record can be used: passed, failed, collection errors, nothing collected."""


class PytestAcceptanceSuite:
    """Implements `ports.AcceptanceSuite` over `root/<application>/test_*.py`."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def run(
        self,
        application: str,
        hosts: Sequence[Host],
        credentials: Credentials,
        *,
        target_version: str,
        environment: str,
        evidence: Path,
        timeout: timedelta,
        begin: Callable[[], bool] = lambda: True,
        only: Sequence[str] = (),
    ) -> SuiteRun:
        """A test that was not collected for a planned host is declared all the same, and so is missed by the gate."""
        tests = self._root / application
        if not hosts or not sorted(tests.glob("test_*.py")):
            return SuiteRun((), (), (), {})
        scrub = Scrubber((*credentials.secrets.values(), *credentials.ssh_keys.values()))
        with (
            _private_directory() as directory,
            connections(directory, hosts, credentials, lifetime=timeout + timedelta(minutes=1)) as unreachable,
        ):
            context = _context(application, hosts, target_version, environment, unreachable) | {"only": list(only)}
            (directory / CONTEXT).write_text(json.dumps(context, default=str), encoding="utf-8")
            try:
                status = _run_pytest(directory, tests, hosts, credentials, timeout, begin)
                if status is None:
                    return SuiteRun((), (), (), {})
            finally:
                kept = _keep(directory, evidence, scrub)
            told = _told(directory, status, scrub, environment)
        return _suite_run(told, [host.name for host in hosts], scrub, kept)


def _run_pytest(
    directory: Path,
    tests: Path,
    hosts: Sequence[Host],
    credentials: Credentials,
    limit: timedelta,
    begin: Callable[[], bool],
) -> int | None:
    """The exit code; None when the tests were called off."""
    from changeover.adapters.acceptance_plugin import LIMIT, secret_variable

    secrets = {secret_variable(name): value for name, value in credentials.secrets.items()}
    environment = bounded_process.plain_environment(
        directory / "home",
        **secrets,
        **{"CHANGEOVER_ACCEPTANCE": str(directory / CONTEXT), LIMIT: str(max(1, int(limit.total_seconds()) + 60))},
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    process = bounded_process.start(
        _arguments(directory, tests, hosts), environment=environment, directory=directory, output=directory / CONSOLE
    )
    try:
        if begin():
            return bounded_process.finish(process, line="begin\n", limit=limit)
        return None
    except bounded_process.TimeOutError as exc:
        raise GateError(
            f"the acceptance tests did not end within {limit.total_seconds():.0f} s and were stopped",
            where=tests.name,
            then="the gate's answer is unknown, never passed; see which test was last in the console text",
        ) from exc
    finally:
        bounded_process.end_group(process)


def _arguments(directory: Path, tests: Path, hosts: Sequence[Host]) -> list[str]:
    """Neither our own settings nor our own conftest are read, and nothing is written beside the tests."""
    (directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return [
        *(sys.executable, "-m", "pytest", "-p", "testinfra.plugin", "-p", PLUGIN, "-p", "no:cacheprovider"),
        *("-c", str(directory / "pytest.ini"), "--rootdir", str(tests), "--confcutdir", str(tests)),
        *("--hosts", ",".join(f"ssh://{host.name}?controlpersist=0" for host in hosts)),
        *("--ssh-config", str(directory / "ssh_config"), f"--junit-xml={directory / JUNIT}"),
        *("-v", "-ra", "--tb=short", "--color=no", "--strict-markers", "-o", "junit_family=xunit2", str(tests)),
    ]


def _context(
    application: str,
    hosts: Sequence[Host],
    target_version: str,
    environment: str,
    unreachable: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "application": application,
        "environment": environment,
        "target_version": target_version,
        "hosts": {
            host.name: {
                "name": host.name,
                "address": host.address,
                "port": host.port,
                "user": host.user,
                "variables": dict(host.variables),
                "target_version": target_version,
            }
            for host in hosts
        },
        "unreachable": dict(unreachable),
    }


@contextmanager
def _private_directory() -> Iterator[Path]:
    """Short, since sockets lie in it; gone afterwards."""
    base = tempfile.gettempdir()
    directory = Path(tempfile.mkdtemp(prefix="chg-", dir=base if len(base) < 40 else "/tmp"))  # noqa: S108 - made 0700
    (directory / "home").mkdir()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _keep(directory: Path, evidence: Path, scrub: Scrubber) -> dict[str, Path]:
    """Copies without secrets, each whole or not at all."""
    evidence.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = {}
    for source, name in ((JUNIT, "acceptance.xml"), (RESULTS, "acceptance.json"), (CONSOLE, "acceptance.txt")):
        if (directory / source).exists():
            text = scrub((directory / source).read_text(encoding="utf-8", errors="replace"))
            part = evidence / f".{name}.{os.getpid()}"
            part.write_text(text, encoding="utf-8")
            part.replace(evidence / name)
            kept[name] = evidence / name
    return kept


def _told(directory: Path, status: int, scrub: Scrubber, environment: str) -> dict[str, Any]:
    if status not in _TOLD_EVEN_SO or not (directory / RESULTS).exists():
        lines = (directory / CONSOLE).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
        raise GateError(
            f"pytest {how}: {scrub(lines[-1])[:300] if lines else 'it said nothing'}",
            where=environment,
            then="the gate's answer is unknown, never passed; see the console text among the evidence",
        )
    told: dict[str, Any] = json.loads((directory / RESULTS).read_text(encoding="utf-8"))
    return told


def _suite_run(
    told: Mapping[str, Any], planned: Sequence[str], scrub: Scrubber, evidence: Mapping[str, Path]
) -> SuiteRun:
    checks = dict.fromkeys(key for key, _ in told["collected"])
    results = [CheckResult(r["key"], r["host"], CheckState(r["state"]), scrub(r["message"])) for r in told["results"]]
    faults = [
        CheckResult(f["key"], "", CheckState.ERROR, f"cannot be read: {scrub(f['message'])}") for f in told["faults"]
    ]
    declared = [(key, host) for key in checks for host in planned] + [(fault.key, "") for fault in faults]
    answered = {r.host for r in results if r.state is not CheckState.ERROR}
    seen = tuple(host for host in planned if host in answered)
    return SuiteRun(tuple(declared), (*results, *faults), seen, evidence)
