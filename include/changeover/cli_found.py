"""The run that a command was given, or why there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from changeover import wiring

if TYPE_CHECKING:
    from changeover.domain.record import Run
    from changeover.settings import Settings

NO_RUN_YET = "there is no run yet; `changeover demo` makes one, or `changeover run PLAN` under a running Airflow"


def found_run(wanted: str | None, settings: Settings) -> Run | str:
    """The newest run without `wanted`; a text says why there is none. No ledger is made by asking."""
    from changeover.usecases.show_status import NoSuchRun, find_run

    if not wiring.is_made(settings.ledger_url):
        return NO_RUN_YET
    try:
        return find_run(wiring.ledger(settings), wanted)
    except NoSuchRun as exc:
        return str(exc)
