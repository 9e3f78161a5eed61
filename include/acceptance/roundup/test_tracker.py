"""Acceptance of a tracker: the wanted release answers, people can work, and the client's own parts are there."""

from __future__ import annotations

import json
from typing import Any


def test_wanted_release_answers(tracker: Any) -> None:
    """The code that answers is of the target version."""
    status, headers, _ = tracker.get("@@file/style.css", login=False)
    assert status == 200
    assert headers["Server"] == f"Roundup/{tracker.target_version}"


def test_server_is_started_from_the_wanted_release(host: Any, tracker: Any) -> None:
    """The process on the host belongs to the release that is said to run: no old one is left over."""
    home = tracker.variables["app_root"]
    found = host.check_output("ps -eo args").splitlines()
    servers = [line for line in found if line.startswith(f"{home}/releases/") and "serve.py" in line]
    assert servers, "no server of this tracker runs"
    assert all(line.startswith(f"{home}/releases/{tracker.target_version}/") for line in servers), servers


def test_first_page_is_shown(tracker: Any) -> None:
    """The list of issues renders for a visitor."""
    status, _, text = tracker.get("", login=False)
    assert status == 200
    assert "List of issues" in text
    assert "Traceback" not in text


def test_login_over_rest_is_accepted(tracker: Any) -> None:
    """The administrator's password still opens the REST interface."""
    names = {user["username"] for user in tracker.data("user?@fields=username")["collection"]}
    assert {"admin", "sync"} <= names


def test_wrong_login_is_refused(tracker: Any) -> None:
    """Nobody reads accounts without a login."""
    status, _, _ = tracker.get("rest/data/user", login=False)
    assert status in (401, 403)


def test_issues_hold_the_clients_own_columns(tracker: Any) -> None:
    """Cost centre and effort are columns with values, not just names."""
    issues = tracker.data("issue?@fields=cost_centre,effort_hours&@page_size=1000")["collection"]
    assert issues
    assert all(issue["cost_centre"] for issue in issues)
    assert sum(issue["effort_hours"] for issue in issues) > 0


def test_issue_page_shows_the_clients_own_column(tracker: Any) -> None:
    """The client's page works with the templates of the release."""
    status, _, text = tracker.get("issue1", login=False)
    assert status == 200
    assert "Cost centre" in text
    assert "Traceback" not in text


def test_integration_makes_its_round(host: Any, tracker: Any) -> None:
    """The client's program reads and stamps issues against the release that runs."""
    for integration in tracker.variables["roundup_integrations"]:
        python = tracker.variables["ansible_python_interpreter"]
        state = f"{tracker.variables['ansible_remote_tmp']}.{integration['name']}.json"
        done = host.run("%s %s %s --once --state %s", python, integration["program"], integration["settings"], state)
        assert done.rc == 0, f"{integration['name']}: {done.stderr.strip()}"
        found = json.loads(host.file(state).content_string)
        host.run("rm -f %s", state)
        assert found["issues"] > 0
        assert found["last_ok"]
