"""Registers the product's page and its timetable with Airflow; everything else lives in the package."""

from airflow.plugins_manager import AirflowPlugin

from changeover.console.app import build_app
from changeover.orchestration.console_page import mounted
from changeover.orchestration.timetable import WindowTimetable


class ChangeoverPlugin(AirflowPlugin):
    """A "Record" tab on every run: what the ledger says of it."""

    name = "changeover"
    fastapi_apps = [mounted(build_app)]  # noqa: RUF012 Airflow declares these as instance variables
    timetables = [WindowTimetable]  # noqa: RUF012 as above
    external_views = [  # noqa: RUF012 as above
        {
            "name": "Record",
            "href": "/changeover/record/{DAG_ID}?run={RUN_ID}",
            "destination": "dag_run",
            "url_route": "changeover-record",
        }
    ]
