"""An application's acceptance tests: pytest and pytest-testinfra, in processes of their own, a few hosts at a time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from changeover.adapters import bounded_process
from changeover.adapters.acceptance_evidence import CONSOLE, JUNIT, RESULTS, keep_evidence
from changeover.adapters.acceptance_ssh import connections
from changeover.adapters.scrub import Scrubber
from changeover.domain.acceptance import SuiteRun
from changeover.domain.estate import Host
from changeover.domain.gate import CheckResult, CheckState
from changeover.errors import GateError
from changeover.ports import Credentials

PLUGIN = "changeover.adapters.acceptance_plugin"
CONTEXT = "context.json"
BESIDE = 4
"""Processes at once: the tests of one host run one after another, those of other hosts beside them."""
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
            shares = _shares(directory, hosts, json.dumps(context, default=str))
            try:
                statuses = _run_pytest(shares, tests, credentials, timeout, begin)
                if statuses is None:
                    return SuiteRun((), (), (), {})
            finally:
                kept = keep_evidence([share.directory for share in shares], evidence, scrub)
            told = [
                _told(share, status, scrub, environment)
                for share, status in zip(shares, statuses, strict=True)
                if status is not None
            ]
        return _suite_run(told, [host.name for host in hosts], scrub, kept)


@dataclass(frozen=True)
class _Share:
    """Hosts that one process of pytest asks, one after another, and the directory it works in."""

    directory: Path
    hosts: tuple[Host, ...]


def _shares(directory: Path, hosts: Sequence[Host], context: str) -> list[_Share]:
    """Every test knows of all hosts, whoever is asked."""
    beside = min(BESIDE, len(hosts))
    shares = [_Share(directory / f"share{number}", tuple(hosts[number::beside])) for number in range(beside)]
    for share in shares:
        (share.directory / "home").mkdir(parents=True)
        (share.directory / CONTEXT).write_text(context, encoding="utf-8")
        # Neither our own settings nor our own conftest are read.
        (share.directory / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return shares


def _run_pytest(
    shares: Sequence[_Share], tests: Path, credentials: Credentials, limit: timedelta, begin: Callable[[], bool]
) -> list[int | None] | None:
    """The exit code of each share, None where another's death made it vain; no list when the tests were called off."""
    with ExitStack() as stack:
        processes = []
        for share in shares:
            process = _start(share, tests, credentials, limit)
            stack.callback(bounded_process.end_group, process)
            processes.append(process)
        if not begin():
            return None
        try:
            return bounded_process.finish_all(
                processes, line="begin\n", limit=limit, in_vain=lambda status: status not in _TOLD_EVEN_SO
            )
        except bounded_process.TimeOutError as exc:
            raise GateError(
                f"the acceptance tests did not end within {limit.total_seconds():.0f} s and were stopped",
                where=tests.name,
                then="the gate's answer is unknown, never passed; see which test was last in the console text",
            ) from exc


def _start(share: _Share, tests: Path, credentials: Credentials, limit: timedelta) -> subprocess.Popen[bytes]:
    from changeover.adapters.acceptance_plugin import LIMIT, secret_variable

    directory = share.directory
    secrets = {secret_variable(name): value for name, value in credentials.secrets.items()}
    environment = bounded_process.plain_environment(
        directory / "home",
        **secrets,
        **{"CHANGEOVER_ACCEPTANCE": str(directory / CONTEXT), LIMIT: str(max(1, int(limit.total_seconds()) + 60))},
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    arguments = _arguments(share, tests)
    return bounded_process.start(arguments, environment=environment, directory=directory, output=directory / CONSOLE)


def _arguments(share: _Share, tests: Path) -> list[str]:
    """Nothing is written beside the tests."""
    directory = share.directory
    return [
        *(sys.executable, "-m", "pytest", "-p", "testinfra.plugin", "-p", PLUGIN, "-p", "no:cacheprovider"),
        *("-c", str(directory / "pytest.ini"), "--rootdir", str(tests), "--confcutdir", str(tests)),
        *("--hosts", ",".join(f"ssh://{host.name}?controlpersist=0" for host in share.hosts)),
        *("--ssh-config", str(directory.parent / "ssh_config"), f"--junit-xml={directory / JUNIT}"),
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
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _told(share: _Share, status: int, scrub: Scrubber, environment: str) -> dict[str, Any]:
    directory = share.directory
    if status not in _TOLD_EVEN_SO or not (directory / RESULTS).exists():
        lines = (directory / CONSOLE).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        how = f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
        raise GateError(
            f"pytest {how}: {scrub(lines[-1])[:300] if lines else 'it said nothing'}",
            where=f"{environment}: {', '.join(host.name for host in share.hosts)}",
            then="the gate's answer is unknown, never passed; see the console text among the evidence",
        )
    told: dict[str, Any] = json.loads((directory / RESULTS).read_text(encoding="utf-8"))
    return told


def _suite_run(
    shares: Sequence[Mapping[str, Any]], planned: Sequence[str], scrub: Scrubber, evidence: Mapping[str, Path]
) -> SuiteRun:
    """A check is declared for every host, also where only another host's process collected it."""
    checks = dict.fromkeys(key for told in shares for key, _ in told["collected"])
    results = [
        CheckResult(r["key"], r["host"], CheckState(r["state"]), scrub(r["message"]))
        for told in shares
        for r in told["results"]
    ]
    unread = {f["key"]: f["message"] for told in shares for f in told["faults"]}
    faults = [
        CheckResult(key, "", CheckState.ERROR, f"cannot be read: {scrub(message)}") for key, message in unread.items()
    ]
    declared = [(key, host) for key in checks for host in planned] + [(fault.key, "") for fault in faults]
    answered = {r.host for r in results if r.state is not CheckState.ERROR}
    seen = tuple(host for host in planned if host in answered)
    return SuiteRun(tuple(declared), (*results, *faults), seen, evidence)
