"""A real Airflow for tests: own home, own ports, all components; ends exactly what it started."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from changeover.orchestration import breaking, serve
from changeover.orchestration.airflow_client import AirflowClient, DagRun
from changeover.orchestration.serve import AirflowServer
from changeover.settings import Settings, load


@dataclasses.dataclass(frozen=True)
class TestAirflow:
    """A running Airflow and what tests do to it."""

    __test__ = False  # not a test class, whatever its name says

    server: AirflowServer

    @property
    def settings(self) -> Settings:
        return self.server.settings

    def client(self, person: str = serve.ADMINISTRATOR) -> AirflowClient:
        return self.server.client(person)

    def kill(self, component: str) -> int:
        """SIGKILL a component (the keeper starts it again); the pid it had."""
        return breaking.kill(self.server, component)

    def wait_restarted(self, component: str, old_pid: int, *, timeout: float = 30.0) -> int:
        """The pid of the component that took the killed one's place."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            pid = self.server.pid(component)
            if pid not in (None, old_pid):
                return int(pid or 0)
            time.sleep(0.1)
        raise AssertionError(f"{component} was not started again within {timeout:.0f} s")

    def task_processes(self, run: DagRun) -> list[psutil.Process]:
        """The processes that supervise or execute tasks of this run right now, found by their title."""
        return breaking.task_processes(self.server, run)

    def logs(self, lines: int = 40) -> str:
        """The end of every component's log, for a failing test's message."""
        home = self.settings.airflow_home / "logs"
        parts = []
        for path in sorted(home.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append(f"== {path.name}\n" + "\n".join(tail))
        return "\n".join(parts)


def settings_at(home: Path, **places: Path) -> Settings:
    """Settings with everything written below `home`; `places` (plans, releases, …) replace the product's content."""
    variables = {
        "CHANGEOVER_HOME": str(home),
        **{f"CHANGEOVER_{key.upper()}": str(path) for key, path in places.items()},
    }
    return load(variables)


@contextmanager
def airflow(
    settings: Settings,
    *,
    people: Mapping[str, str] | None = None,
    components: tuple[str, ...] = serve.COMPONENTS,
    environment: Mapping[str, str] | None = None,
    plan_builder: str | None = None,
    parallelism: int = 4,
    timeout: float = 180.0,
) -> Iterator[TestAirflow]:
    """Start, wait until ready, hand out, stop. `people` maps login → role (viewer, user, op, admin)."""
    server = serve.start(
        settings,
        people=people,
        components=components,
        extra_environment={**breaking.QUICK, **(environment or {})},
        plan_builder=plan_builder,
        parallelism=parallelism,
    )
    started = TestAirflow(server)
    try:
        serve.wait_ready(server, timeout=timeout)
        yield started
    finally:
        server.stop()


def forget(settings: Settings) -> None:
    """Remove Airflow's home: the next start is a new installation."""
    shutil.rmtree(settings.airflow_home, ignore_errors=True)
