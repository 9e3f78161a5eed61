"""Mounts the console in Airflow's API server, behind its login."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PREFIX = "/changeover"


def mounted(build_app: Callable[..., Any]) -> dict[str, Any]:
    """What a plugin hands to Airflow. A mounted app inherits no login, so it brings the question along."""
    from airflow.api_fastapi.core_api.security import requires_access_dag

    app = build_app(may_read=requires_access_dag(method="GET"), page=record_page)
    return {"app": app, "url_prefix": PREFIX, "name": "Changeover"}


def record_page(key: str) -> str | None:
    from changeover import wiring
    from changeover.adapters.report_html import report_html

    settings = wiring.load_settings()
    ledger = wiring.ledger(settings)
    if ledger.run(key) is None:
        return None
    return report_html(wiring.report(ledger, wiring.cmdb(settings), key))
