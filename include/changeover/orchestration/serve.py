"""Starts and stops a one-machine Airflow; itself without Airflow, so that the command line stays quick."""

from __future__ import annotations

import json
import os
import random
import secrets
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from changeover.orchestration.airflow_client import AirflowClient, AirflowError, DagRun
from changeover.orchestration.airflow_settings import airflow_environment
from changeover.orchestration.processes import PidFile, end_session
from changeover.settings import Settings

ADMINISTRATOR = "admin"
COMPONENTS = ("api-server", "execution-api", "scheduler", "dag-processor", "triggerer")
PORTS = range(18000, 22200)
_HEALTH_NAMES = {
    "scheduler": "scheduler",
    "dag-processor": "dag_processor",
    "triggerer": "triggerer",
}


@dataclass(frozen=True)
class AirflowServer:
    """A started Airflow: where it is and who may log in. The passwords are in `passwords_path` (0600)."""

    settings: Settings
    port: int
    execution_port: int
    people: Mapping[str, str]
    components: tuple[str, ...] = COMPONENTS
    started_at: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def passwords_path(self) -> Path:
        return self.settings.airflow_home / "passwords.json"

    def password(self, person: str) -> str:
        """The password of one login."""
        return str(json.loads(self.passwords_path.read_text())[person])

    def run_url(self, run: DagRun) -> str:
        """Where a run is shown."""
        return f"{self.url}/dags/{quote(run.dag_id)}/runs/{quote(run.run_id)}"

    def client(self, person: str = ADMINISTRATOR, *, password: str | None = None) -> AirflowClient:
        """The REST API as this person; with a password that somebody typed, only if it is theirs."""
        return AirflowClient(self.url, user=person, password=self.password(person) if password is None else password)

    def log(self, component: str) -> Path:
        return self.settings.airflow_home / "logs" / f"{component}.log"

    def pid(self, component: str) -> int | None:
        """The component's process, None while there is none."""
        process = PidFile(self.settings.airflow_home, component).process()
        return process.pid if process else None

    def alive(self) -> bool:
        """Whether the keeper of this Airflow runs."""
        return PidFile(self.settings.airflow_home, "keeper").process() is not None

    def stop(self) -> None:
        """End all of it: asked first, killed where that does not help."""
        stop(self.settings)


def start(
    settings: Settings,
    *,
    people: Mapping[str, str] | None = None,
    port: int = 0,
    components: tuple[str, ...] = COMPONENTS,
    extra_environment: Mapping[str, str] | None = None,
    plan_builder: str | None = None,
    parallelism: int = 6,
) -> AirflowServer:
    """Start the components and return at once; `wait_ready` says when they work. A leftover here is ended first.

    `people` maps login → role; an administrator is added. `port` 0 takes a free one.
    """
    stop(settings)
    home = settings.airflow_home
    (home / "logs").mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    logins = {ADMINISTRATOR: "admin", **(people or {})}
    _write_keys(home / "airflow.cfg")
    _write_passwords(home / "passwords.json", logins)
    execution_port = free_port(other_than=port)
    ports = {"port": port or free_port(other_than=execution_port), "execution_port": execution_port}
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")},
        **airflow_environment(
            settings,
            **ports,
            people=logins,
            parallelism=parallelism,
            plan_builder=plan_builder,
        ),
        **(extra_environment or {}),
    }
    with open(home / "logs" / "keeper.log", "ab") as log:
        keeper = subprocess.Popen(
            [sys.executable, "-P", "-m", "changeover.orchestration.keeper", str(ports["execution_port"]), *components],
            cwd=settings.project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C goes to the caller, who ends Airflow in order
        )
    PidFile(home, "keeper").write(keeper.pid)
    record = {**ports, "people": logins, "components": components, "started_at": time.time()}
    _write_private(home / "server.json", json.dumps(record))
    return _server(settings, record)


def running(settings: Settings) -> AirflowServer | None:
    """The Airflow that runs under this home, started by whomever."""
    if PidFile(settings.airflow_home, "keeper").process() is None:
        return None
    return _server(settings, json.loads((settings.airflow_home / "server.json").read_text()))


def stop(settings: Settings) -> tuple[str, ...]:
    """End what runs under this home, found by pid and start time; the answer names what was found running."""
    home = settings.airflow_home
    found = []
    for name in (
        "keeper",
        "prepare",
        *COMPONENTS,
    ):  # the keeper first: it would start the others again
        file = PidFile(home, name)
        if process := file.process():
            found.append(name)
            end_session(process.pid, patience=25.0 if name == "keeper" else 5.0)
        file.remove()
    return tuple(found)


def wait_ready(
    server: AirflowServer,
    *,
    timeout: float = 120.0,
    on_progress: Callable[[str], None] = lambda text: None,
) -> None:
    """Wait until every component works and the execution API is warm; raise `AirflowError` when they never do."""
    deadline = time.monotonic() + timeout
    waiting = server.components
    with httpx.Client(trust_env=False, timeout=30.0) as client:
        while time.monotonic() < deadline:
            _check_alive(server)
            waiting = _not_ready(server, client, waiting)
            if not waiting:
                return
            on_progress(", ".join(waiting))
            time.sleep(0.2)
    raise AirflowError(
        f"Airflow was not ready after {timeout:.0f} s: {', '.join(waiting)} did not answer",
        where=str(server.settings.airflow_home / "logs"),
        then="read the log named after the component",
    )


def is_free(port: int) -> bool:
    """Whether nobody uses this port of 127.0.0.1 right now."""
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _server(settings: Settings, record: Mapping[str, Any]) -> AirflowServer:
    return AirflowServer(settings, **{**record, "components": tuple(record["components"])})


def free_port(*, other_than: int) -> int:
    """A port of 127.0.0.1 that nobody uses right now, and that no program gets by chance.

    Below the 32768 where Linux begins when it picks a port for a connection that goes out: a server that is started
    again must find its port free, whatever was connected in between. Labs take theirs from 22200 on.
    """
    for port in random.sample(PORTS, len(PORTS)):
        if port != other_than and is_free(port):
            return port
    raise AirflowError(
        f"no port of 127.0.0.1 from {PORTS.start} to {PORTS.stop - 1} is free",
        where="127.0.0.1",
        then="see with `ss -ltn` who listens there, and end what is not needed",
    )


def _not_ready(server: AirflowServer, client: httpx.Client, waiting: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `waiting` that still do not work."""
    health: dict[str, Any] = {}
    ready = set()
    for component in waiting:
        if component == "api-server":
            if health := _ask(client, f"{server.url}/api/v2/monitor/health"):
                ready.add(component)
        elif component == "execution-api":
            # It builds itself on its first request, for seconds; that would otherwise be the first task's request.
            if _ask(client, f"http://127.0.0.1:{server.execution_port}/execution/health"):
                ready.add(component)
        elif "api-server" not in server.components:
            ready.add(component)  # nobody can say
        else:
            name = component.replace("-", "_")
            health = health or _ask(client, f"{server.url}/api/v2/monitor/health")
            beat = (health.get(name) or {}).get(f"latest_{name}_heartbeat")
            # A heartbeat of the start before looks healthy for another half minute.
            if beat and datetime.fromisoformat(beat).timestamp() > server.started_at:
                ready.add(component)
    return tuple(component for component in waiting if component not in ready)


def _ask(client: httpx.Client, url: str) -> dict[str, Any]:
    try:
        answer = client.get(url).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _check_alive(server: AirflowServer) -> None:
    if server.alive():
        return
    log = server.settings.airflow_home / "logs" / "keeper.log"
    lines = log.read_text(errors="replace").strip().splitlines()[-5:] if log.exists() else []
    raise AirflowError(
        "Airflow ended while it was starting: " + " / ".join(lines),
        where=str(log.parent),
        then="read keeper.log and prepare.log there",
    )


def _write_keys(path: Path) -> None:
    """Airflow's keys, made once, in its configuration file: an environment is inherited by all that a task starts."""
    if path.exists():
        return
    fernet = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    _write_private(
        path,
        f"[core]\nfernet_key = {fernet}\n\n[api]\nsecret_key = {secrets.token_urlsafe(32)}\n\n"
        f"[api_auth]\njwt_secret = {secrets.token_urlsafe(64)}\n",
    )


def _write_passwords(path: Path, people: Mapping[str, str]) -> None:
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    _write_private(
        path,
        json.dumps({who: known.get(who) or secrets.token_urlsafe(9) for who in people}),
    )


def _write_private(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
        target.write(text)
    unfinished.replace(path)
