"""A demonstration is judged by what the ledger has of its run: the promises of each fault, one by one."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from changeover.domain.outcome import Outcome, Verdict
from changeover.domain.record import MarkKind
from changeover.testing import demos, rings, runner
from changeover.wiring import report
from tests.support.story import Story, opened, upgraded

TOOK = timedelta(minutes=6)


def told(story: Story) -> dict[str, Any]:
    """As `changeover report --format json` prints it."""
    document: dict[str, Any] = json.loads(json.dumps(report(story.ledger, story.cmdb, story.run.key).as_json()))
    return document


def refused(folder: Path) -> Story:
    """The rehearsal failed: of the client's environments only the version was read."""
    story = opened(folder)
    for environment in ("training", "production"):
        story.step(environment, "discover", 3.0)
        story.versions(environment, "7.0.59")
    story.step("baseline", "build", 30.0)
    story.mark(MarkKind.IMPLEMENTING, "baseline", "baseline")
    story.step("baseline", "implement", 6.0, failure="no such module")
    story.ledger.record_outcome(story.run.key, "", Verdict(Outcome.REFUSED, ("baseline failed",)), story.later())
    story.tell_cmdb("close_change", code="unsuccessful", notes="refused")
    return story


def killed(folder: Path) -> dict[str, Any]:
    document = told(upgraded(folder, failed="login"))
    step_of(document, "production", "implement")["status"] = "failed"
    return document


def step_of(document: dict[str, Any], environment: str, name: str) -> dict[str, Any]:
    steps = next(one["steps"] for one in document["environments"] if one["name"] == environment)
    return next(step for step in steps if step["step"] == name)


MADE: dict[str | None, Callable[[Path], dict[str, Any]]] = {
    None: lambda folder: told(upgraded(folder)),
    "integration": lambda folder: told(upgraded(folder, failed="order-feed-reads-orders")),
    "kill": killed,
    "module": lambda folder: told(refused(folder)),
}


@pytest.mark.parametrize("fault", MADE)
def test_each_demonstration_keeps_its_own_promises_and_no_others(tmp_path: Path, fault: str | None) -> None:
    document = MADE[fault](tmp_path)
    assert demos.untrue(document, fault) == ()
    assert all(demos.untrue(document, other) for other in MADE if other != fault)


def lose_a_row(document: dict[str, Any]) -> None:
    document["data"][-1]["rows_after"] -= 1


def keep_no_data(document: dict[str, Any]) -> None:
    document["data"] = [one for one in document["data"] if one["environment"] != "production"]


def forget_a_row(document: dict[str, Any]) -> None:
    document["data"][-1]["rows_after"] = None


def differ(document: dict[str, Any]) -> None:
    document["versions"][-1]["recorded"] = "8.0.11"


def close_otherwise(document: dict[str, Any]) -> None:
    document["change"]["close_code"] = "successful_with_issues"


def end_otherwise(document: dict[str, Any]) -> None:
    document["outcome"] = "back_out_failed"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lose_a_row, " rows compared, 1 lost"),
        (forget_a_row, " not read again"),
        (keep_no_data, "no business data of production was compared"),
        (differ, "prod-app2: 7.0.59 found, 8.0.11 in the CMDB, 7.0.59 is wanted"),
        (close_otherwise, "the change in the CMDB has the code successful_with_issues"),
        (end_otherwise, "the run is back_out_failed, backed_out is wanted"),
    ],
)
def test_exit_code_one_of_another_cause_is_no_pass(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], None], said: str
) -> None:
    document = MADE["integration"](tmp_path)
    spoil(document)
    assert any(said in fault for fault in demos.untrue(document, "integration"))


def test_a_client_environment_that_was_touched_is_told(tmp_path: Path) -> None:
    story = refused(tmp_path)
    story.step("production", "restore_point", 8.0)
    assert demos.untrue(told(story), "module") == ("production was touched: restore_point",)


def test_the_figures_are_told_with_the_ratio_to_what_is_promised(tmp_path: Path) -> None:
    document = told(upgraded(tmp_path))
    rows = sum(one["rows_before"] for one in document["data"])
    assert demos.figures(document, TOOK, None) == (
        f"successful (training: successful, production: successful); {rows} rows compared, 0 lost; 360 s; "
        "0.75 of the 8 minutes promised"
    )
    assert "promised" not in demos.figures(copy.deepcopy(document), TOOK, "kill")


def printing(text: str, code: int = 0) -> tuple[str, ...]:
    return (sys.executable, "-c", f"import sys; sys.stdout.write({text!r}); sys.exit({code})")


def test_a_run_of_before_is_not_taken_for_this_one(tmp_path: Path) -> None:
    document = told(upgraded(tmp_path))
    opened_at = datetime.fromisoformat(document["run"]["opened_at"])
    command = printing(json.dumps(document))
    assert demos.newest(command, {}, since=opened_at) == document
    late = demos.newest(command, {}, since=opened_at + timedelta(seconds=1))
    assert isinstance(late, str)
    assert "was opened at" in late
    assert "tells no run" in str(demos.newest(printing("", 1), {}, since=datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(("code", "outcome", "well"), [(1, "backed_out", True), (1, "refused", False), (0, "", False)])
def test_the_ring_asks_the_ledger_after_the_demonstration(tmp_path: Path, code: int, outcome: str, well: bool) -> None:
    """Its exit code alone says too little, and a wrong one is enough."""
    document = MADE["integration"](tmp_path) | {"outcome": outcome}
    document["run"]["opened_at"] = "2099-01-01T00:00:00+00:00"

    class Played(rings.Demo):
        command = printing("", code)
        report = printing(json.dumps(document))

    result = runner.demonstrate(Played("integration"), tmp_path)
    assert result.ok is well
    assert result.title == "demo of the fault integration"


def test_every_fault_of_the_command_line_is_in_the_ring() -> None:
    from changeover.cli import FaultName

    found = {step.fault for step in rings.steps("all") if isinstance(step, rings.Demo)}
    assert found == {None, *map(str, FaultName)}
