"""A whole upgrade through Airflow against a shell script that calls the same playbooks on the same hosts in a row."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from changeover import lab
from changeover.adapters.ansible_inventory import write_inventory, write_known_hosts, write_variables
from changeover.adapters.execution_directory import Order
from changeover.adapters.plan_files import parse_plan
from changeover.adapters.secret_socket import ADDRESS_VARIABLE, serve_secrets
from changeover.domain.record import run_key
from changeover.orchestration.airflow_client import DagRun
from changeover.settings import Settings
from tests.support.airflow import settings_at
from tests.support.site_airflow import introduced

pytestmark = [pytest.mark.benchmark, pytest.mark.e2e, pytest.mark.lab, pytest.mark.timeout(3600)]
SITE, PLAN, DAG = "tryton", "nordwind/tryton-8.0.yaml", "nordwind.tryton-8.0"
MOST = 1.25
LONGEST = 1800.0


def test_an_upgrade_costs_hardly_more_than_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Airflow's side has all gates in it, which a script would not have; both wait a second between the looks."""
    place = Path(f"/var/tmp/cb-{os.getpid()}")
    try:
        settings, seconds, orders, took = _through_airflow(tmp_path, place)
        state = lab.reset(SITE, root=place)
        script = _script(tmp_path / "script", orders, settings, state)
        secrets = json.loads(state.secrets_path.read_text())
        known = {name: value for each in secrets.values() for name, value in each["extra"].get("secrets", {}).items()}
        with serve_secrets(tmp_path / "s", known):
            began = time.monotonic()
            subprocess.run(["/bin/sh", script], check=True, stdout=subprocess.DEVNULL)
            peer = time.monotonic() - began
        alone = _seconds_between(script.parent / "times")
    finally:
        lab.down(SITE, root=place, remove=True)
        shutil.rmtree(place, ignore_errors=True)
    with capsys.disabled():
        for order, ours, theirs in zip(orders, took, alone, strict=True):
            sys.stdout.write(f"\n{order.environment:>12} {order.step:22} {ours:6.2f} {theirs:6.2f}")
        sys.stdout.write(
            f"\nplaybooks alone: {sum(took):.0f} s, in the script {sum(alone):.0f} s"
            f"\nan upgrade, {len(orders)} playbooks: {seconds:.0f} s, as a shell script {peer:.0f} s,"
            f" {seconds / peer:.2f} (load {os.getloadavg()[0]:.1f})\n"
        )
    assert seconds / peer <= MOST


def _through_airflow(home: Path, place: Path) -> tuple[Settings, float, list[Order], list[float]]:
    plans = home / "plans"
    source = settings_at(home).plans / PLAN
    text = source.read_text(encoding="utf-8").replace("{length: 1m, interval: 20s}", "{length: 1s, interval: 1s}")
    (plans / PLAN).parent.mkdir(parents=True)
    (plans / PLAN).write_text(text, encoding="utf-8")
    state = lab.up(SITE, root=place, port=0)
    settings = settings_at(home / "home", plans=plans, artefacts=state.artefacts_path)
    with introduced(settings, state) as running, running.client() as client, ExitStack() as stack:
        client.wait_for_dag(DAG)
        participants = parse_plan(text.encode(), name=PLAN).participants
        people = {person.id: stack.enter_context(running.client(person.id)) for person in participants}
        for person in people.values():
            person.is_paused(DAG)  # they sit there, logged in
        began = time.monotonic()
        run = client.trigger(DAG, {"mode": "implement", "reason": "benchmark"})

        def answer(_now: DagRun) -> None:
            for request in client.requests(run):
                people[request.asked[0]].answer(request, "Approve")

        ended = client.wait(run, timeout=LONGEST, on_poll=answer, interval=0.25)
        seconds = time.monotonic() - began
        assert ended.state == "success", running.logs()
    return settings, seconds, *_executed(settings, run)


def _executed(settings: Settings, run: DagRun) -> tuple[list[Order], list[float]]:
    """What ran, in its order, and the seconds that each took."""
    folders = settings.executions_directory(run_key(DAG, run.run_id)).iterdir()
    ended = sorted(
        (json.loads((folder / "result.json").read_text()) | {"at": folder} for folder in folders), key=_start
    )
    orders = [Order.from_json((result["at"] / "spec.json").read_text()) for result in ended]
    return orders, [(datetime.fromisoformat(result["ended_at"]) - _start(result)).total_seconds() for result in ended]


def _start(result: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(result["started_at"])


def _seconds_between(times: Path) -> list[float]:
    """Every other line is a start, and the next its end."""
    told = [float(line) for line in times.read_text().split()]
    return [end - start for start, end in zip(told[::2], told[1::2], strict=True)]


def _script(folder: Path, orders: list[Order], settings: Settings, state: lab.LabState) -> Path:
    """The same inventories, variables, configuration and connections, the key in a file."""
    lines = ["set -e"]
    for number, order in enumerate(orders):
        if number and order.step == orders[number - 1].step == "hypercare":
            lines.append("sleep 1")
        files = folder / f"{number:02}"
        files.mkdir(parents=True)
        connections = {target.connection: state.key_path for target in order.everyone}
        inventory = write_inventory(order, files, connections, ())
        known_hosts = write_known_hosts(order, files)
        options = (
            "ControlMaster=auto",
            "ControlPersist=60s",
            "IdentitiesOnly=yes",
            f"UserKnownHostsFile={known_hosts}",
        )
        environment = {
            "ANSIBLE_CONFIG": str(settings.playbooks / "ansible.cfg"),
            "ANSIBLE_HOME": str(files / "ansible"),
            "ANSIBLE_SSH_ARGS": "-F none " + " ".join(f"-o {option}" for option in options),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": f"/tmp/cb{os.getpid()}",
            ADDRESS_VARIABLE: str(folder.parent / "s"),
        }
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("-i", str(inventory), "-e", f"@{write_variables(order, files)}"),
            str(Path(order.playbooks) / order.playbook),
        ]
        settled = " ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())
        clock = f"date +%s.%N >>{shlex.quote(str(folder / 'times'))}"
        lines += [clock, f"{settled} {shlex.join(command)}", clock]
    script = folder / "upgrade.sh"
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return script
