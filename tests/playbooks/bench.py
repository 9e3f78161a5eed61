"""Runs the project's playbooks on a lab as the product does, for tests."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socketserver
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from changeover import lab
from changeover.adapters.acceptance_suite import PytestAcceptanceSuite
from changeover.domain.estate import Estate
from changeover.ports import Credentials
from changeover.settings import PROJECT

PLAYBOOKS = PROJECT / "playbooks"
_PLAYED = itertools.count(1)
"""Every play is a later execution than those before it."""


@dataclass(frozen=True)
class Played:
    """What one playbook did: return code, the last report of each host, failures, number of changed tasks."""

    code: int
    reports: Mapping[str, Mapping[str, Any]]
    failures: Mapping[str, str]
    changed: Mapping[str, int]
    seconds: float
    left_behind: tuple[str, ...] = ()
    """What a playbook put beside the inventory and did not remove."""

    @property
    def ok(self) -> bool:
        return self.code == 0 and not self.failures


@dataclass
class Bench:
    """A site's lab, with the variables of a run: `play("implement", "prod1")`."""

    state: lab.LabState
    application: str
    from_version: str
    to_version: str
    run: str = "client.upgrade.1-test"
    extra: dict[str, Any] = field(default_factory=dict)
    timings: dict[str, list[float]] = field(default_factory=dict)

    @property
    def estate(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self.state.estate_path.read_text(encoding="utf-8")))

    def secrets(self) -> dict[str, str]:
        """Name -> secret: what the product hands to lookups and acceptance tests."""
        connections = json.loads(self.state.secrets_path.read_text(encoding="utf-8"))
        return {
            name: str(value)
            for entry in connections.values()
            for name, value in entry.get("extra", {}).get("secrets", {}).items()
        }

    def refused(self, version: str, *names: str, evidence: Path) -> dict[tuple[str, str], str]:
        """What the application's acceptance suite says no to: (test, host) to its message."""
        estate = Estate.model_validate(self.estate)
        hosts = [host for environment in estate.environments for host in environment.hosts if host.name in names]
        connections = json.loads(self.state.secrets_path.read_text(encoding="utf-8"))
        keys = {name: entry["extra"]["private_key"] for name, entry in connections.items()}
        ran = PytestAcceptanceSuite(PROJECT / "include/acceptance").run(
            self.application,
            hosts,
            Credentials(keys, self.secrets()),
            target_version=version,
            environment="test",
            evidence=evidence,
            timeout=timedelta(minutes=5),
        )
        assert set(ran.hosts_seen) == set(names)
        assert len(ran.results) == len(ran.declared)
        return {
            (result.key.rpartition("::")[2], result.host): result.message
            for result in ran.results
            if result.state != "passed"
        }

    def play(self, name: str, *targets: str, sources: tuple[str, ...] = (), **variables: Any) -> Played:
        """Run playbooks/<name>.yml on the targets with the step variables of the contract."""
        directory = Path(tempfile.mkdtemp(prefix="changeover-play-"))
        try:
            played = self._run(directory, name, targets, sources, variables)
        finally:
            shutil.rmtree(directory)
        self.timings.setdefault(name, []).append(played.seconds)
        return played

    def variables(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        base = {
            "changeover_run": self.run,
            "changeover_token": uuid.uuid4().hex,
            "changeover_fence": next(_PLAYED),
            "changeover_step": name,
            "changeover_environment": "training",
            "changeover_environment_kind": "training",
            "application": self.application,
            "from_version": self.from_version,
            "to_version": self.to_version,
            "target_version": self.from_version,
            "releases": {},
            "artefact_dir": str(self.state.artefacts_path / self.application / self.to_version),
            "restore_point": f"{self.run}-window",
        }
        return {**base, **self.extra, **given}

    def _inventory(
        self, name: str, targets: tuple[str, ...], sources: tuple[str, ...], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        hosts: dict[str, dict[str, Any]] = {}
        for environment in self.estate["environments"]:
            for host in environment["hosts"]:
                reached = {"ansible_host": host["address"], "ansible_port": host["port"], "ansible_user": host["user"]}
                hosts[host["name"]] = {
                    **host["variables"],
                    **reached,
                    "ansible_ssh_private_key_file": str(self.state.key_path),
                }
        groups = {
            "targets": {"hosts": {n: hosts[n] for n in targets}},
            "sources": {"hosts": {n: hosts[n] for n in sources}},
        }
        return {"all": {"vars": self.variables(name, given), "children": groups}}

    def _run(
        self, directory: Path, name: str, targets: tuple[str, ...], sources: tuple[str, ...], given: Mapping[str, Any]
    ) -> Played:
        import ansible_runner  # takes a second; only tests that play need it

        (directory / "inventory").mkdir()
        text = json.dumps(self._inventory(name, targets, sources, given))
        (directory / "inventory/hosts.json").write_text(text, encoding="utf-8")
        known = f"-o UserKnownHostsFile={self.state.known_hosts_path} -o StrictHostKeyChecking=yes"
        with Secrets(directory / "secrets", self.secrets()) as path:
            began = time.monotonic()
            runner = ansible_runner.run(
                private_data_dir=str(directory),
                playbook=str(PLAYBOOKS / f"{name}.yml"),
                envvars={
                    "ANSIBLE_CONFIG": str(PLAYBOOKS / "ansible.cfg"),
                    "ANSIBLE_SSH_EXTRA_ARGS": known,
                    "CHANGEOVER_SECRETS": path,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                },
                quiet=True,
            )
            played = _read(runner, time.monotonic() - began)
        beside = (path.name for path in (directory / "inventory").iterdir())
        return replace(played, left_behind=tuple(sorted(set(beside) - {"hosts.json"})))


def _read(runner: Any, seconds: float) -> Played:
    reports: dict[str, Mapping[str, Any]] = {}
    failures: dict[str, str] = {}
    for event in runner.events:
        data = event.get("event_data", {})
        result = data.get("res") or {}
        if event["event"] == "runner_on_ok" and "changeover_report" in (result.get("ansible_facts") or {}):
            reports[data["host"]] = result["ansible_facts"]["changeover_report"]
        if event["event"] in ("runner_on_failed", "runner_on_unreachable"):
            said = "\n".join(str(result.get(key)) for key in ("msg", "stdout", "stderr") if result.get(key))
            failures[data["host"]] = f"{data['task']}: {said}"
    if runner.rc and not failures:
        failures["(controller)"] = runner.stdout.read()[-2000:]
    changed = dict((runner.stats or {}).get("changed", {}))
    return Played(runner.rc, reports, failures, changed, seconds)


class _Secrets(socketserver.ThreadingUnixStreamServer):
    """The secrets socket of an execution, as the lookup expects it."""

    daemon_threads = True
    known: Mapping[str, str]


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        name = json.loads(self.rfile.readline())["name"]
        server = self.server
        assert isinstance(server, _Secrets)
        value = server.known.get(name)
        answer = {"value": value} if value is not None else {"error": f"no secret {name}"}
        self.wfile.write(json.dumps(answer).encode() + b"\n")


class Secrets:
    """Serve secrets on a socket while the block runs."""

    def __init__(self, path: Path, known: Mapping[str, str]) -> None:
        self.path = path
        self.server = _Secrets(str(path), _Answer)
        self.server.known = known

    def __enter__(self) -> str:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return str(self.path)

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
