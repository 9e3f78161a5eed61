"""The plugin that acceptance tests run under: every test on every host, and a record of what was declared and what ran.

It lives in pytest's process and imports nothing of the product. Tests are collected at once and begin when a line comes
on standard input; when that ends without a line, nobody waits for them any more. A test takes `host` (of
pytest-testinfra), and may take `changeover_host` (its CMDB record: address, port, user, variables),
`changeover_environment`, `target_version` and `changeover_secret` (name → value).
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
import testinfra.backend
from testinfra.backend.base import CommandResult
from testinfra.backend.ssh import SshBackend

CONTEXT = "CHANGEOVER_ACCEPTANCE"
SECRET = "CHANGEOVER_SECRET_"  # noqa: S105 - a prefix of names
LIMIT = "CHANGEOVER_LIMIT_SECONDS"
RESULTS = "results.json"
LONGEST_MESSAGE = 500


class HostUnreachable(Exception):
    """The connection is gone; whatever the test was about to find out is not known."""


class Connection(SshBackend):  # type: ignore[misc] # testinfra has no types
    """testinfra takes exit status 255 for a lost connection; a command may well end with 255."""

    def run_ssh(self, command: str) -> CommandResult:
        arguments, values = self._build_ssh_command(command)
        result: CommandResult = self.run_local(" ".join(arguments), *values)
        result.command = self.encode(command)
        if result.rc == 255 and not self._is_open():
            raise HostUnreachable(result.stderr.strip() or "the SSH connection was lost")
        return result

    def _is_open(self) -> bool:
        check = ["ssh", "-F", str(self.ssh_config), "-O", "check", str(self.host.name)]
        return subprocess.run(check, capture_output=True, check=False).returncode == 0


# `ssh` in a host's specification means this connection.
testinfra.backend.BACKENDS["ssh"] = f"{__name__}.{Connection.__name__}"


def secret_variable(name: str) -> str:
    return SECRET + re.sub(r"[^A-Za-z0-9]", "_", name).upper()


_CONTEXT = pytest.StashKey[dict[str, Any]]()


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """The first that pytest calls: standard input is still our caller's pipe, later it is pytest's own."""
    pluginmanager.register(Word(os.dup(0)))


class Word:
    """Of the caller, that the tests may begin."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self) -> None:
        """The limit is the tests': the hosts may be read for longer while they wait."""
        signal.alarm(0)
        with os.fdopen(self._pipe, "rb") as pipe:
            if not pipe.readline():
                pytest.exit("the tests were called off before they began")
        signal.alarm(int(os.environ[LIMIT]))


def pytest_configure(config: pytest.Config) -> None:
    # Should whoever started us be gone, nobody else would end us.
    signal.alarm(int(os.environ[LIMIT]))
    path = Path(os.environ[CONTEXT])
    config.stash[_CONTEXT] = json.loads(path.read_text(encoding="utf-8"))
    config.pluginmanager.register(Record(config.stash[_CONTEXT]["unreachable"], path.with_name(RESULTS)))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where only some tests are wanted, the others are as if they were not there."""
    wanted = config.stash[_CONTEXT].get("only")
    if wanted:
        items[:] = [item for item in items if _place(item)[0].rpartition("::")[2] in wanted]


@pytest.fixture(scope="module", autouse=True)
def _on_every_host(_testinfra_host: Any) -> None:
    """Every test is asked of every host, whether it takes `host` or not."""


@pytest.fixture(scope="module")
def changeover_host(host: Any, request: pytest.FixtureRequest) -> Mapping[str, Any]:
    """The host's record: name, address, port, user, variables, target_version."""
    record: Mapping[str, Any] = request.config.stash[_CONTEXT]["hosts"][host.backend.hostname]
    return record


@pytest.fixture(scope="session")
def changeover_environment(request: pytest.FixtureRequest) -> str:
    return str(request.config.stash[_CONTEXT]["environment"])


@pytest.fixture(scope="session")
def target_version(request: pytest.FixtureRequest) -> str:
    return str(request.config.stash[_CONTEXT]["target_version"])


@pytest.fixture(scope="session")
def changeover_secret() -> Callable[[str], str]:
    """A function: name of a secret → its value; a missing one fails the test by its name."""

    def value(name: str) -> str:
        variable = secret_variable(name)
        if variable not in os.environ:
            pytest.fail(f"secret {name} was not given", pytrace=False)
        return os.environ[variable]

    return value


class Record:
    """What was collected and what every test said, by check (file::function without the host) and host."""

    def __init__(self, unreachable: Mapping[str, str], path: Path) -> None:
        self._lost = dict(unreachable)
        self._path = path
        self._places: dict[str, tuple[str, str]] = {}
        self._results: dict[tuple[str, str], dict[str, str]] = {}
        self._faults: list[dict[str, str]] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be read, or skips itself as a whole, hides its tests."""
        if report.outcome != "passed":
            self._faults.append({"key": report.nodeid or "collection", "message": _reason(report.longrepr)})

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._places = {item.nodeid: _place(item) for item in items}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if why := self._lost.get(self._places[item.nodeid][1]):
            raise HostUnreachable(why)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if call.excinfo is not None and isinstance(call.excinfo.value, HostUnreachable):
            self._lost.setdefault(self._places[item.nodeid][1], str(call.excinfo.value))
            self._note(item.nodeid, "error", f"unreachable: {call.excinfo.value}")
        elif hasattr(report, "wasxfail"):
            why = report.wasxfail or "no reason given"
            self._note(item.nodeid, "failed", f"marked as expected to fail ({why}): it proves nothing")
        elif report.skipped:
            self._note(item.nodeid, "skipped", _reason(report.longrepr))
        elif report.failed:
            self._note(item.nodeid, "failed" if report.when == "call" else "error", _reason(report.longrepr))
        elif report.when == "call":
            self._note(item.nodeid, "passed", "")
        return report

    def _note(self, node: str, state: str, message: str) -> None:
        """The gravest word on a test stays: a failed test is no pass because it was put away well."""
        key, host = self._places[node]
        gravity = ("passed", "skipped", "failed", "error")
        known = self._results.get((key, host))
        if known is None or gravity.index(state) > gravity.index(known["state"]):
            self._results[key, host] = {"key": key, "host": host, "state": state, "message": message[:LONGEST_MESSAGE]}

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        told = {
            "status": int(exitstatus),
            "collected": list(self._places.values()),
            "results": list(self._results.values()),
            "faults": self._faults,
        }
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(told), encoding="utf-8")
        part.replace(self._path)


def _place(item: pytest.Item) -> tuple[str, str]:
    """(check, host): the test's id without the host's part of its parameters."""
    parameters = getattr(item, "callspec", None)
    host = parameters.params.get("_testinfra_host") if parameters else None
    if host is None:
        return item.nodeid, ""
    name, _, rest = item.nodeid.partition("[")
    of_host = host.backend.get_pytest_id()
    others = rest.removesuffix("]").removeprefix(of_host).removesuffix(of_host).replace(f"-{of_host}-", "-").strip("-")
    return (f"{name}[{others}]" if others else name), str(host.backend.hostname)


def _reason(told: Any) -> str:
    """What happened, without the way there."""
    if isinstance(told, tuple):  # of a skipped test: file, line, reason
        return str(told[-1]).removeprefix("Skipped: ")
    crash = getattr(told, "reprcrash", None)
    text = str(crash.message if crash is not None else told).strip()
    lines = [line.strip().removeprefix("E   ") for line in text.splitlines() if line.strip()]
    return lines[0] if crash is not None and lines else lines[-1] if lines else "no reason was told"
