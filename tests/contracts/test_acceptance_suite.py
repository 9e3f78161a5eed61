"""Acceptance tests over real SSH: every test on every host, and nothing that did not run counts as passed (C17)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest

from changeover.adapters import bounded_process
from changeover.adapters.acceptance_suite import BESIDE, PytestAcceptanceSuite
from changeover.domain.acceptance import SuiteRun, acceptance_gate
from changeover.domain.estate import Host
from changeover.domain.gate import CheckState, GateResult
from changeover.errors import GateError
from changeover.ports import Credentials
from tests.support.execution import our_children, wait_until
from tests.support.sshd import Sshd, free_port, sshd

pytestmark = pytest.mark.lab
LIMIT = timedelta(seconds=60)
SUITE = "pytest -p testinfra"
SECRET = 'geheim & "streng" 4711'  # with what JSON, XML and Python each quote in their own way


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sshd]]:
    base = tmp_path_factory.mktemp("hosts")
    with sshd(base / "a") as a, sshd(base / "b") as b:
        yield [a, b]


@pytest.fixture(scope="module")
def hosts(servers: list[Sshd]) -> list[Host]:
    return [record(f"app{i}", server) for i, server in enumerate(servers, start=1)]


def record(name: str, server: Sshd) -> Host:
    return Host(
        name=name,
        address=server.address,
        port=server.port,
        user=server.user,
        connection=name,
        host_keys=(server.known_hosts,),
        variables={"app_root": f"/srv/{name}"},
    )


@pytest.fixture(scope="module")
def credentials(servers: list[Sshd]) -> Credentials:
    keys = {f"app{i}": server.key for i, server in enumerate(servers, start=1)}
    return Credentials(keys, {"shop-admin": SECRET})


Runner = Callable[..., SuiteRun]


@pytest.fixture
def run(tmp_path: Path, hosts: list[Host], credentials: Credentials) -> Runner:
    """Write the tests given as text, run them on both hosts (or those named)."""

    def run(
        text: str,
        *,
        on: list[Host] | None = None,
        limit: timedelta = LIMIT,
        begin: Callable[[], bool] = lambda: True,
        only: Sequence[str] = (),
        **files: str,
    ) -> SuiteRun:
        suite = tmp_path / "acceptance" / "shop"
        suite.mkdir(parents=True)
        (suite / "test_shop.py").write_text(text)
        for name, content in files.items():
            (suite / f"{name}.py").write_text(content)
        before = sorted(suite.rglob("*"))
        try:
            return PytestAcceptanceSuite(tmp_path / "acceptance").run(
                "shop",
                hosts if on is None else on,
                credentials,
                target_version="8.0.12",
                environment="production",
                evidence=tmp_path / "evidence",
                timeout=limit,
                begin=begin,
                only=only,
            )
        finally:
            assert sorted(suite.rglob("*")) == before, "something was written beside the tests"
            assert not left_over()

    return run


def left_over() -> list[str]:
    """Command lines of our children that still run."""
    lines = [line for _, line in our_children()]
    return [line for line in lines if line.startswith(("ssh ", "ssh-agent")) or SUITE in line]


def gate(run: SuiteRun, *hosts: str) -> GateResult:
    reports = {host: {"version": "8.0.12"} for host in hosts}
    return acceptance_gate(
        "acceptance",
        "production",
        target_version="8.0.12",
        hosts_planned=hosts,
        reports=reports,
        suites={"tests": run},
    )


def states(run: SuiteRun) -> dict[tuple[str, str], str]:
    return {(result.key.removeprefix("test_shop.py::"), result.host): str(result.state) for result in run.results}


def reasons(run: SuiteRun) -> str:
    answer = gate(run, "app1", "app2")
    assert not answer.passed
    return "\n".join(answer.reasons())


def test_every_test_runs_on_every_host(run: Runner) -> None:
    """Also one that does not ask for the host, and each set of parameters."""
    told = run("""
import json, os
import pytest

def test_knows_its_host(host, changeover_host, changeover_environment, target_version, changeover_secret):
    assert host.run("echo $SSH_CONNECTION").stdout.split()[3] == str(changeover_host["port"])
    assert changeover_host["variables"]["app_root"] == "/srv/" + host.backend.hostname
    assert (changeover_environment, target_version) == ("production", "8.0.12")
    assert changeover_secret("shop-admin").startswith("geheim")

def test_context_is_in_the_environment():
    context = json.load(open(os.environ["CHANGEOVER_ACCEPTANCE"]))
    assert set(context["hosts"]) == {"app1", "app2"}
    assert os.environ["CHANGEOVER_SECRET_SHOP_ADMIN"].startswith("geheim")
    assert not [name for name in os.environ if "AIRFLOW" in name]

@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("word", ["a-b", "c"])
def test_with_parameters(host, word, number):
    assert host.check_output(f"echo {word}{number}") == f"{word}{number}"

class TestInClass:
    def test_method(self, host):
        assert host.file("/etc/passwd").exists
""")
    keys = {key for key, _ in told.declared}
    assert keys == {
        "test_shop.py::test_knows_its_host",
        "test_shop.py::test_context_is_in_the_environment",
        "test_shop.py::test_with_parameters[a-b-1]",
        "test_shop.py::test_with_parameters[a-b-2]",
        "test_shop.py::test_with_parameters[c-1]",
        "test_shop.py::test_with_parameters[c-2]",
        "test_shop.py::TestInClass::test_method",
    }
    assert set(told.declared) == {(key, host) for key in keys for host in ("app1", "app2")}
    assert set(states(told).values()) == {"passed"}, told.results
    assert told.hosts_seen == ("app1", "app2")
    assert gate(told, "app1", "app2").passed
    assert set(told.evidence) == {"acceptance.xml", "acceptance.json", "acceptance.txt"}


def test_hosts_are_asked_beside_each_other(run: Runner, tmp_path: Path) -> None:
    """Each waits for the other: in a row, the first would wait in vain."""
    told = run(f"""
import pathlib, time

def test_meets_the_other(host):
    place = pathlib.Path({str(tmp_path)!r})
    (place / host.backend.hostname).touch()
    until = time.monotonic() + 20
    while not ((place / "app1").exists() and (place / "app2").exists()):
        assert time.monotonic() < until
        time.sleep(0.05)
""")
    assert set(states(told).values()) == {"passed"}


def test_there_may_be_more_hosts_than_processes(run: Runner, hosts: list[Host]) -> None:
    """Every host is asked by one of them, and every test is declared once for each."""
    everyone = [hosts[number % 2].model_copy(update={"name": f"app{number}"}) for number in range(1, BESIDE + 3)]
    told = run("def test_one(host): pass\ndef test_two(host): pass\n", on=everyone)
    names = {host.name for host in everyone}
    assert len(names) > BESIDE
    assert set(states(told)) == {(test, name) for test in ("test_one", "test_two") for name in names}
    assert len(told.declared) == len(told.results) == 2 * len(names)
    assert set(told.hosts_seen) == names


def test_each_kind_of_no_keeps_its_name(run: Runner) -> None:
    """Failed, broken set-up, skipped, expected to fail: none is a pass, and the message says which it was."""
    told = run("""
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no such database")

def test_fails(host):
    assert host.check_output("echo 7") == "8", "seven is not eight"

def test_set_up_breaks(broken): pass

@pytest.fixture
def untidy():
    yield
    raise RuntimeError("left a mess")

def test_tear_down_breaks(untidy): pass

def test_skips():
    pytest.skip("not today")

@pytest.mark.skip(reason="never")
def test_marked_skip(): pass

@pytest.mark.xfail(reason="known defect")
def test_expected_to_fail(): assert False

@pytest.mark.xfail(reason="known defect")
def test_expected_to_fail_and_passes(): pass
""")
    found = {key: (state, message) for key, state, message in ((r.key, r.state, r.message) for r in told.results)}
    by_name = {key.split("::")[1]: value for key, value in found.items()}
    assert by_name == {
        "test_fails": (CheckState.FAILED, "AssertionError: seven is not eight"),
        "test_set_up_breaks": (CheckState.ERROR, "RuntimeError: no such database"),
        "test_tear_down_breaks": (CheckState.ERROR, "RuntimeError: left a mess"),
        "test_skips": (CheckState.SKIPPED, "not today"),
        "test_marked_skip": (CheckState.SKIPPED, "never"),
        "test_expected_to_fail": (
            CheckState.FAILED,
            "marked as expected to fail (known defect): it proves nothing",
        ),
        "test_expected_to_fail_and_passes": (
            CheckState.FAILED,
            "marked as expected to fail (known defect): it proves nothing",
        ),
    }
    assert len(gate(told, "app1", "app2").reasons()) == 14


@pytest.mark.parametrize("text", ["", "def helper(): pass\n", "import pytest\n@pytest.mark.skip\ndef test_x(): pass\n"])
def test_a_suite_that_checks_nothing_is_not_passed(run: Runner, text: str) -> None:
    """Nothing collected (exit 5), and all skipped (exit 0)."""
    assert "skipped" in reasons(run(text)) if "skip" in text else "nothing checked" in reasons(run(text))


def test_only_the_tests_that_are_wanted_run(run: Runner) -> None:
    """The others might change what they look at; one that does not exist is not declared."""
    text = "def test_one(host): pass\ndef test_two(host): assert False\ndef test_one_more(host): assert False\n"
    told = run(text, only=["test_one", "test_gone"])
    assert told.declared == (("test_shop.py::test_one", "app1"), ("test_shop.py::test_one", "app2"))
    assert {result.state for result in told.results} == {CheckState.PASSED}


def test_an_application_without_tests_is_not_passed(
    tmp_path: Path, hosts: list[Host], credentials: Credentials
) -> None:
    told = PytestAcceptanceSuite(tmp_path).run(
        "shop", hosts, credentials, target_version="1", environment="e", evidence=tmp_path / "e", timeout=LIMIT
    )
    assert "the suite declares no check" in reasons(told)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("import no_such_module", "No module named 'no_such_module'"),
        ("def test_(:", "SyntaxError"),
        ("import pytest; pytest.skip('off', allow_module_level=True)", "off"),
    ],
)
def test_a_file_that_cannot_be_read_is_not_passed_over(run: Runner, more: str, message: str) -> None:
    told = run("def test_fine(): pass\n", test_more=more)
    text = reasons(told)
    assert "test_more.py" in text
    assert message in text


def test_an_unreachable_host_is_told_as_such(run: Runner, hosts: list[Host]) -> None:
    """Not as an assertion, and not at the price of a time-out for every test."""
    away = hosts[1].model_copy(update={"port": free_port()})
    began = time.monotonic()
    told = run("def test_one(host): pass\ndef test_two(host): pass\n", on=[hosts[0], away])
    assert time.monotonic() - began < 20
    assert states(told) == {
        ("test_one", "app1"): "passed",
        ("test_two", "app1"): "passed",
        ("test_one", "app2"): "error",
        ("test_two", "app2"): "error",
    }
    assert told.hosts_seen == ("app1",)
    text = reasons(told)
    assert "host app2 was planned and not seen" in text
    assert "test_two on app2: error: unreachable: ssh: connect to host 127.0.0.1" in text
    assert "Connection refused" in text


def test_a_host_with_another_key_is_not_spoken_to(run: Runner, hosts: list[Host], servers: list[Sshd]) -> None:
    """The other server's key is on record for this one's port."""
    wrong = f"[{servers[1].address}]:{servers[1].port} {servers[0].known_hosts.split(' ', 1)[1]}"
    told = run("def test_one(host): pass\n", on=[hosts[0], hosts[1].model_copy(update={"host_keys": (wrong,)})])
    assert states(told)["test_one", "app2"] == "error"
    assert "unreachable: Host key verification failed" in reasons(told)


def test_a_host_without_a_key_on_record_is_not_spoken_to(run: Runner, hosts: list[Host]) -> None:
    told = run("def test_one(host): pass\n", on=[hosts[0], hosts[1].model_copy(update={"host_keys": ()})])
    assert "unreachable" in reasons(told)


def test_a_connection_lost_on_the_way_is_no_failed_assertion(
    tmp_path: Path, hosts: list[Host], credentials: Credentials, run: Runner
) -> None:
    """The test that loses its host, and those after it, are unreachable; the other host goes on."""
    with sshd(tmp_path / "c") as third:
        host = record("app2", third)
        lost = Credentials({**credentials.ssh_keys, "app2": third.key}, credentials.secrets)
        suite = tmp_path / "acceptance" / "shop"
        suite.mkdir(parents=True)
        (suite / "test_shop.py").write_text(
            f"""
def test_before(host): assert host.run("true").succeeded
def test_during(host):
    if host.backend.hostname == "app2":
        host.run("kill -9 {third.pid}; kill -9 $PPID")
        host.run("true")
def test_later(host): assert host.run("true").succeeded
"""
        )
        told = PytestAcceptanceSuite(tmp_path / "acceptance").run(
            "shop",
            [hosts[0], host],
            lost,
            target_version="1",
            environment="e",
            evidence=tmp_path / "evidence",
            timeout=LIMIT,
        )
    assert states(told) == {
        ("test_before", "app1"): "passed",
        ("test_during", "app1"): "passed",
        ("test_later", "app1"): "passed",
        ("test_before", "app2"): "passed",
        ("test_during", "app2"): "error",
        ("test_later", "app2"): "error",
    }
    assert all(r.message.startswith("unreachable: ") for r in told.results if r.state is CheckState.ERROR)


def test_a_command_that_ends_with_255_is_not_taken_for_a_lost_host(run: Runner) -> None:
    told = run("def test_exit(host): assert host.run('exit 255').rc == 255\n")
    assert set(states(told).values()) == {"passed"}


def test_a_suite_over_its_limit_is_no_answer(run: Runner) -> None:
    """Unknown, never passed; the group is ended, with whatever it had started."""
    began = time.monotonic()
    with pytest.raises(GateError, match="did not end within"):
        run("def test_waits(host): host.run('sleep 60')\n", limit=timedelta(seconds=3))
    assert time.monotonic() - began < 15


def test_tests_are_collected_and_wait_for_the_word(run: Runner, tmp_path: Path) -> None:
    """Longer than their own limit, which counts from the first test on."""
    touched, collected = tmp_path / "touched", tmp_path / "collected"

    def begin() -> bool:
        until = time.monotonic() + 30
        while not collected.exists():
            assert time.monotonic() < until, "nothing was collected"
            time.sleep(0.05)
        time.sleep(4)
        assert not touched.exists(), "a test began before the word"
        return True

    text = f"""
import pathlib
pathlib.Path({str(collected)!r}).touch()
def test_touches(host): pathlib.Path({str(touched)!r}).touch()
"""
    told = run(text, begin=begin, limit=timedelta(seconds=3))
    assert set(states(told).values()) == {"passed"}
    assert touched.exists()


def test_tests_that_are_called_off_never_begin(run: Runner, tmp_path: Path) -> None:
    """Nothing is declared, which no gate takes for passed; nothing is left of them."""
    touched = tmp_path / "touched"
    text = f"import pathlib\ndef test_touches(host): pathlib.Path({str(touched)!r}).touch()\n"
    told = run(text, begin=lambda: False)
    assert (told.declared, told.results) == ((), ())
    assert not touched.exists()
    assert "the suite declares no check" in reasons(told)


def test_tests_whose_caller_dies_before_the_word_never_begin(tmp_path: Path) -> None:
    touched, tests = tmp_path / "touched", tmp_path / "tests"
    tests.mkdir()
    (tests / "test_one.py").write_text(f"import pathlib\ndef test_x(): pathlib.Path({str(touched)!r}).touch()\n")
    (tmp_path / "context.json").write_text('{"unreachable": {}}')
    plugins = ("-p", "testinfra.plugin", "-p", "changeover.adapters.acceptance_plugin", "-p", "no:cacheprovider")
    environment = {"CHANGEOVER_ACCEPTANCE": str(tmp_path / "context.json"), "CHANGEOVER_LIMIT_SECONDS": "60"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    child = subprocess.Popen(
        [sys.executable, "-m", "pytest", *plugins, "-c", os.devnull, "--rootdir", str(tests), str(tests)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**bounded_process.plain_environment(tmp_path), **environment},
    )
    said, _ = child.communicate(b"", timeout=60)  # the end of the pipe, as when its other end is gone
    assert b"called off before they began" in said
    assert not touched.exists()


def test_a_killed_suite_is_no_answer(run: Runner, tmp_path: Path) -> None:
    killer = threading.Thread(target=_kill_the_suite)
    killer.start()
    with pytest.raises(GateError, match="killed by signal 9"):
        run("def test_waits(host): host.run('sleep 60')\n")
    killer.join()
    assert "test_waits" in (tmp_path / "evidence" / "acceptance.txt").read_text()


def _kill_the_suite() -> None:
    """As soon as its test is at work on a host."""
    wait_until(lambda: any("sleep 60" in line and "-F" in line for _, line in our_children()))
    next(child for child, line in our_children() if SUITE in line).kill()


def test_no_secret_is_kept(run: Runner, tmp_path: Path, credentials: Credentials) -> None:
    """Whatever a careless test prints, raises or compares."""
    told = run("""
def test_prints(changeover_secret):
    print(changeover_secret("shop-admin"))
    assert changeover_secret("shop-admin") == "x"

def test_raises(changeover_secret):
    raise RuntimeError(changeover_secret("shop-admin"))
""")
    kept = "".join(path.read_text() for path in (tmp_path / "evidence").iterdir())
    kept += "".join(result.message for result in told.results)
    assert "(hidden)" in kept
    for part in ("geheim", "streng", *credentials.ssh_keys["app1"].splitlines()[1:3]):
        assert part not in kept


def test_the_suites_own_helpers_are_found_and_ours_are_not(run: Runner, tmp_path: Path) -> None:
    """A conftest above the suite is not read, and neither are settings."""
    (tmp_path / "conftest.py").write_text("raise RuntimeError('read')")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    told = run(
        "import shop_rpc\ndef test_helped(answer): assert shop_rpc.ANSWER == answer\n",
        shop_rpc="ANSWER = 42\n",
        conftest="import pytest\n@pytest.fixture\ndef answer(): return 42\n",
    )
    assert set(states(told).values()) == {"passed"}


def test_a_test_that_cannot_run_per_host_is_missed(run: Runner) -> None:
    """Cases of unittest take no parameters, so they are asked of no host: declared and not run."""
    text = "import unittest\nclass TestOld(unittest.TestCase):\n    def test_it(self): pass\n"
    assert "test_it on app2: declared and not run" in reasons(run(text))


@pytest.mark.parametrize("what", [{"address": "a\n  ProxyCommand true"}, {"user": "x %h"}])
def test_an_address_cannot_slip_options_in(run: Runner, hosts: list[Host], what: dict[str, str]) -> None:
    with pytest.raises(GateError, match="is not an address or a login"):
        run("def test_one(host): pass\n", on=[hosts[0].model_copy(update=what)])


def test_a_missing_key_is_told_by_its_connection(run: Runner, hosts: list[Host]) -> None:
    with pytest.raises(GateError, match="connection elsewhere"):
        run("def test_one(host): pass\n", on=[hosts[0].model_copy(update={"connection": "elsewhere"})])


def test_the_record_agrees_with_junit(run: Runner, tmp_path: Path) -> None:
    run("def test_one(host): pass\ndef test_two(host): assert False\n")
    told = json.loads((tmp_path / "evidence" / "acceptance.json").read_text())
    suites = ElementTree.parse(tmp_path / "evidence" / "acceptance.xml").getroot().findall("testsuite")  # noqa: S314
    assert sum(int(suite.attrib["tests"]) for suite in suites) == len(told["collected"]) == 4
    assert sum(int(suite.attrib["failures"]) for suite in suites) == 2
    assert [r["state"] for r in told["results"]].count("failed") == 2
