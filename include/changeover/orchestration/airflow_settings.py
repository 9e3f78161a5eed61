"""Every Airflow setting the product ships, in one place."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from changeover.settings import Settings

PLAN_BUNDLE = "plans"
HOUSEKEEPING_BUNDLE = "housekeeping"

SQLITE_CONNECTION = {"timeout": 15.0}
"""Writers of SQLite wait for each other; the default of 5 s turns a busy machine into "database is locked"."""

SHARED: Mapping[str, str] = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    # A second edit of a plan within the default 30 s would be parsed and not written.
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    # Workers inherit what their parent imported; every other method imports Airflow again in each task.
    "AIRFLOW__CORE__MP_START_METHOD": "fork",
    "AIRFLOW__API__INSTANCE_NAME": "Changeover",
    "AIRFLOW__API__WORKERS": "1",
    # The scheduler sleeps this long when a loop found nothing; the end of a task does not wake it.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",
    # A task whose process was lost is taken up again after about a minute (it attaches to its running Ansible).
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    # Tasks of a scheduler that was lost are taken over this long after it counts as lost (30 s without a heartbeat).
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "15",
    "AIRFLOW__WORKERS__SOCKET_CLEANUP_TIMEOUT": "10",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    # A changed plan is a changed stub, and that is parsed at once; nothing else needs to be parsed again.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    # No DAG of ours has a callback. Airflow sends one for every lost task all the same, and once the dag-processor has
    # run one in a version it forgets that the file was ever parsed: seven parses a second, until it is restarted.
    "AIRFLOW__DAG_PROCESSOR__MAX_CALLBACKS_PER_LOOP": "0",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__PRINT_STATS_INTERVAL": "600",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
"""The same on a laptop and in production (docker-compose)."""


def bundle_configuration(settings: Settings, *, builder: str | None = None) -> str:
    """The list of DAG bundles: one for the plans, one for the product's own housekeeping."""
    plans = {"plans": str(settings.plans), "store": str(settings.plan_store)}
    if builder:
        plans["builder"] = builder
    return json.dumps(
        [
            {
                "name": PLAN_BUNDLE,
                "classpath": "changeover.orchestration.plan_bundle.PlanBundle",
                "kwargs": plans,
            },
            {
                "name": HOUSEKEEPING_BUNDLE,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {
                    "path": str(settings.project / "dags"),
                    "refresh_interval": 300,
                },
            },
        ]
    )


def airflow_environment(
    settings: Settings,
    *,
    port: int,
    execution_port: int,
    people: Mapping[str, str],
    parallelism: int = 6,
    plan_builder: str | None = None,
) -> dict[str, str]:
    """The environment of a one-machine Airflow: SQLite, LocalExecutor, loopback only.

    `people` maps login → role (viewer, user, op, admin). No secret is in here: keys are in AIRFLOW_HOME/airflow.cfg.
    Tasks speak to an API server of their own (`execution_port`): the public one waits for SQLite's lock inside its
    event loop, and a task's report that holds the lock in the same process could then not be finished.
    """
    home, url = settings.airflow_home, f"http://127.0.0.1:{port}"
    return {
        **SHARED,
        **product_environment(settings),
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(settings.project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.project / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        # The first task in every worker is slow: no more of them than an upgrade uses at a time.
        "AIRFLOW__CORE__PARALLELISM": str(parallelism),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{execution_port}/execution/",
        # The default asks the resolver for this machine's full name, which may take seconds.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{who}:{role}" for who, role in people.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS": f"{__name__}.SQLITE_CONNECTION",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONNECT_ARGS_ASYNC": f"{__name__}.SQLITE_CONNECTION",
        # Migrated just before the components start; each would check again and import Alembic for it.
        "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": bundle_configuration(settings, builder=plan_builder),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(home / "logs" / "dag_processor"),
    }


def product_environment(settings: Settings) -> dict[str, str]:
    """What makes a child process see the same product: import path, places, and no proxy for loopback."""
    exempt = [part for part in (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",") if part]
    no_proxy = ",".join(dict.fromkeys([*exempt, "127.0.0.1", "localhost"]))
    return {
        "PYTHONPATH": str(settings.project / "include"),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "CHANGEOVER_HOME": str(settings.home),
        "CHANGEOVER_PLANS": str(settings.plans),
        "CHANGEOVER_RELEASES": str(settings.releases),
        "CHANGEOVER_CHECKS": str(settings.checks),
        "CHANGEOVER_ACCEPTANCE": str(settings.acceptance),
        "CHANGEOVER_EXPECTATIONS": str(settings.expectations),
        "CHANGEOVER_PLAYBOOKS": str(settings.playbooks),
        "CHANGEOVER_LEDGER_URL": settings.ledger_url,
        "CHANGEOVER_CMDB_URL": settings.cmdb_url,
        "CHANGEOVER_ARTEFACTS": str(settings.artefacts),
        "CHANGEOVER_FREEZES": str(settings.freezes),
        "CHANGEOVER_WAIVERS": str(settings.waivers),
        "CHANGEOVER_CAPS": str(settings.caps),
        "CHANGEOVER_NOTICES_EMAIL": settings.notices_email,
        "CHANGEOVER_NOTICES_WEBHOOK": settings.notices_webhook,
    }
