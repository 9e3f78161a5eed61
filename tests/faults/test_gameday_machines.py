"""The game day on hosts with a systemd of their own: what is recorded after a power cut, a cut link, a full disk."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from changeover.domain.gameday import Phase
from changeover.gameday.matrix import MACHINES, chosen, play

pytestmark = [pytest.mark.machines]


def true_on_machines(faults: list[str], phases: list[Phase], home: Path) -> None:
    told: list[str] = []
    cells = chosen(faults, phases, short=False, hosts=MACHINES)
    root = Path(f"/var/tmp/com-{secrets.token_hex(3)}")
    matrix = play(cells, plan=Path(), home=home, tell=told.append, hosts=MACHINES, root=root)
    assert not matrix.missing
    assert matrix.true, "\n".join((*told, matrix.markdown(), matrix.totals()))


def test_a_power_cut_in_the_middle_of_the_change_is_told_as_it_is(tmp_path: Path) -> None:
    true_on_machines(["kill-host"], [Phase.MID], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("phase", list(Phase))
def test_every_fault_in_every_phase_is_told_as_it_is(phase: Phase, tmp_path: Path) -> None:
    true_on_machines([], [phase], tmp_path)
