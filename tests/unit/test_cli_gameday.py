"""The command `gameday`: what is refused before anything is started."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from changeover.cli import app
from changeover.settings import PROJECT

TRYTON = str(PROJECT / "include/plans/nordwind/tryton-8.0.yaml")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fault", "flood"], "there is no fault flood"),
        (["--plan", TRYTON], "is played on the lab's site roundup"),
        (["--phase", "afterwards"], "afterwards"),
    ],
)
def test_a_faulty_request_is_refused_before_anything_is_started(arguments: list[str], said: str) -> None:
    answer = CliRunner().invoke(app, ["gameday", *arguments])
    assert answer.exit_code == 2
    assert said in answer.output
