"""An execution leaves no secret: not on disk, not in a process list, not in what it tells (C09)."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import threading
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from changeover.adapters.execution_directory import ExecutionDirectory
from changeover.domain.record import StepStatus
from tests.support.execution import Bench, wait_until
from tests.support.sshd import Sshd, free_port, sshd

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from changeover.domain.execution import ExecutionResult

pytestmark = pytest.mark.lab
CANARY = 'can"ary/8f3+a9 $x'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def forms(secret: str) -> set[bytes]:
    """As it is, and as it looks in base64 (wherever it begins), in JSON, in a URL."""
    encoded = {base64.b64encode(b"\0" * skip + secret.encode())[4 if skip else 0 : -4] for skip in range(3)}
    return {secret.encode(), json.dumps(secret)[1:-1].encode(), urllib.parse.quote(secret).encode(), *encoded}


def holding(files: Iterable[Path], secrets: Sequence[str]) -> list[str]:
    """The files in which a secret is found; what has gone meanwhile holds none."""
    wanted = {form for secret in secrets for form in forms(secret)}
    found = []
    for path in files:
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            found += [str(path) for form in wanted if form in content]
    return found


def files_below(*roots: Path) -> list[Path]:
    return [path for root in roots for path in root.rglob("*") if path.is_file()]


def process_files() -> list[Path]:
    """Command lines and environments of all processes, this test's own left out."""
    pids = [path.name for path in Path("/proc").iterdir() if path.name.isdigit() and int(path.name) != os.getpid()]
    return [Path("/proc", pid, name) for pid in pids for name in ("cmdline", "environ")]


def test_nothing_of_key_or_secret_is_found_while_running_or_after(server: Sshd, tmp_path: Path) -> None:
    """The play does what it should not: prints the secret, fails in a loop over it, verbosely; one host is down."""
    bench = Bench(tmp_path / "bench", server, verbosity=4)
    bench.root.mkdir()
    port = free_port()
    down = bench.host("app02", port=port, host_keys=(server.known_hosts.replace(str(server.port), str(port)),))
    spec = bench.spec(
        """
        - hosts: targets
          gather_facts: false
          environment: "{{ host_environment }}"
          vars:
            secret: "{{ lookup('changeover_secret', 'password') }}"
          tasks:
            - name: Print it
              ansible.builtin.debug: {msg: "it is {{ secret }} or {{ secret | b64encode }} or {{ secret | urlencode }}"}
            - name: Wait to be looked at
              ansible.builtin.shell: |
                echo line >> {{ marker }}
                for i in $(seq 100); do test -e {{ marker }}.seen && break; sleep 0.1; done
            - name: Use it as one should
              ansible.builtin.copy: {content: "{{ secret }}", dest: "{{ ansible_remote_tmp }}.file", mode: "0600"}
              no_log: true
            - name: Report it
              ansible.builtin.set_fact: {changeover_report: {settings: {password: "{{ secret }}"}}}
            - name: Fail over it
              ansible.builtin.fail: {msg: "{{ item }} was refused"}
              loop: ["{{ secret }}", other]
        """,
        bench.host(),
        down,
    )
    secrets = [CANARY, *(line for line in server.key.splitlines() if not line.startswith("-----"))]
    roots = [spec.directory, Path(f"/dev/shm/changeover-{os.geteuid()}")]
    results: list[ExecutionResult] = []
    caller = threading.Thread(target=lambda: results.append(bench.run(spec, password=CANARY, unused="unused-secret")))
    caller.start()
    wait_until(bench.lines)
    during = holding(files_below(*roots), secrets)
    processes = holding(process_files(), secrets)
    Path(f"{bench.marker}.seen").touch()
    caller.join(30)

    result = results[0]
    assert result.status is StepStatus.FAILED
    assert (during, processes) == ([], [])
    assert holding(files_below(*roots), secrets) == []
    told = tmp_path / "told"
    told.write_text(repr(result) + "\n".join(bench.told))
    assert holding([told], secrets) == []
    assert result.report("app01") == {"settings": {"password": "***"}}
    assert "*** was refused" in ExecutionDirectory(spec.directory).output.read_text()


def test_files_are_private_and_airflows_environment_does_not_get_through(
    server: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a-secret-of-airflow")
    bench = Bench(tmp_path, server)
    spec = bench.spec(
        """
        - name: Tell the environment of the controller
          ansible.builtin.set_fact:
            changeover_report:
              environment: "{{ lookup('ansible.builtin.pipe', 'env') }}"
        """
    )
    result = bench.run(spec)
    assert result.successful
    assert "a-secret-of-airflow" not in result.report("app01")["environment"]
    assert spec.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in spec.directory.iterdir()} == {0}
