"""The commands `kpi`, `effort import`, `effort rates` and `survey`."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring
from changeover.cli_found import found_run

if TYPE_CHECKING:
    from changeover.domain.kpi import Figure, KpiTable
    from changeover.settings import Settings
    from changeover.usecases.import_effort import Imported

NO_RUN_YET = "no data: there is no ledger yet; `changeover demo` makes one, or a run under `changeover serve`"


def show(*, form: str, by: str | None, first: date | None, last: date | None, out: Path | None) -> int:
    from changeover.domain.kpi import Asked, By, kpi_table
    from changeover.usecases.tell_kpis import tell_kpis

    if first and last and last < first:
        raise typer.BadParameter(f"--to {last} lies before --from {first}")
    settings = wiring.load_settings()
    asked = Asked(By(by) if by else None, first, last)
    made = wiring.is_made(settings.ledger_url)
    table = tell_kpis(wiring.kpis(settings), asked) if made else kpi_table(asked, ())
    if table.empty:
        why = "no data: the ledger holds nothing to count in this time" if made else NO_RUN_YET
        if form == "json":
            typer.echo(json.dumps({**table.as_json(), "error": why}, indent=2))
        else:
            typer.echo(why, err=True)
        return 1
    _write(table, form, out, settings)
    return 0


def _write(table: KpiTable, form: str, out: Path | None, settings: Settings) -> None:
    from changeover.adapters.whole_file import write_whole

    if form == "png":
        _picture(table, out or settings.reports / "kpi.png")
    elif form == "table" and out is None:
        _print(table)
    else:
        text = _TEXTS[form](table)
        if out is None or str(out) == "-":
            typer.echo(text, nl=False)
        else:
            write_whole(out, text)
            typer.echo(str(out))


def _picture(table: KpiTable, path: Path) -> None:
    from changeover.adapters.kpi_plot import kpi_png

    picture = kpi_png(table)
    if str(path) == "-":
        sys.stdout.buffer.write(picture)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture)
    typer.echo(str(path))


def _as_json(table: KpiTable) -> str:
    return json.dumps(table.as_json(), indent=2, ensure_ascii=False) + "\n"


def _as_csv(table: KpiTable) -> str:
    rows = [figure.as_json() for figure in table.figures]
    columns = [*rows[0], "hours", "unrated_hours"]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(columns)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _plain(table: KpiTable) -> str:
    lines = [" | ".join(_cells(figure)) for figure in table.figures]
    return "\n".join(lines) + "\n"


_TEXTS = {"json": _as_json, "csv": _as_csv, "table": _plain}


def _cells(figure: Figure) -> tuple[str, ...]:
    detail = " ".join(part for part in (figure.part.replace("_", " "), figure.role.replace("_", " ")) if part)
    if figure.kpi == "incident_rate":
        detail = f"severity {figure.part}"
    return figure.name, detail, figure.text(), figure.of()


def _print(table: KpiTable) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 160
    for bucket in ("", *table.buckets):
        shown = Table(title=bucket or "All", title_justify="left", title_style="bold")
        for column in ("KPI", "", "figure", "of"):
            shown.add_column(column, justify="right" if column == "figure" else "left")
        for figure in table.figures:
            if figure.bucket == bucket:
                shown.add_row(*_cells(figure))
        console.print(shown)


def import_sheet(path: Path) -> int:
    from changeover.usecases.import_effort import import_effort

    done = _of_sheet(path, import_effort)
    if done is None:
        return 1
    typer.echo(f"{done.lines} lines, {done.hours:g} hours: {done.new} new, {done.lines - done.new} on record before")
    return 0


def withdraw_sheet(path: Path, *, by: str, reason: str) -> int:
    from changeover.usecases.import_effort import withdraw_effort

    done = _of_sheet(path, partial(withdraw_effort, by=by, reason=reason))
    if done is None:
        return 1
    typer.echo(f"{done.new} lines, {done.hours:g} hours: withdrawn by {by}; they stay on record and count no more")
    return 0


def _of_sheet(path: Path, take: Callable[..., Imported]) -> Imported | None:
    """None, and why on the error output, when the sheet was not taken."""
    from changeover.adapters.time_sheet import read_time_sheet
    from changeover.domain.fault import Fault

    settings = wiring.load_settings()
    if not wiring.is_made(settings.ledger_url):
        typer.echo(f"nothing was recorded: {NO_RUN_YET}", err=True)
        return None
    sheet = read_time_sheet(path)
    if isinstance(sheet, Fault):
        _refused((sheet,), then="correct the file")
        return None
    readings = wiring.shelf(settings).plans([settings.plans])
    done = take(
        str(path), sheet.header, sheet.lines,
        ledger=wiring.ledger(settings), book=wiring.effort_book(settings),
        plans=[reading.document for reading in readings if reading.document is not None], today=wiring.now().date(),
    )  # fmt: skip
    if done.faults:
        _refused(done.faults, then="correct the sheet, and give it again whole")
        return None
    return done


def record_rates(provider: str) -> int:
    from changeover.adapters.rate_files import read_rate_card

    settings = wiring.load_settings()
    reading = read_rate_card(provider, rates=settings.rates)
    if reading.document is None:
        _refused(reading.faults, then=f"write {settings.rates}/{provider}.yaml (docs/kpis.md), or give --provider")
        return 1
    if not wiring.is_made(settings.ledger_url):
        typer.echo(f"nothing was recorded: {NO_RUN_YET}", err=True)
        return 1
    card = reading.document
    new = wiring.effort_book(settings).record_rate_card(card)
    typer.echo(f"rates of {card.provider} from {card.valid_from} on: {new} new")
    return 0


def _refused(faults: tuple[object, ...], *, then: str) -> None:
    typer.echo("nothing was recorded:", err=True)
    for fault in faults:
        typer.echo(f"  {fault}", err=True)
    typer.echo(f"next: {then}", err=True)


def survey_link(wanted: str | None, *, url: str) -> int:
    from changeover.domain.survey import OPEN_FOR
    from changeover.usecases.survey import survey_of

    settings = wiring.load_settings()
    run = found_run(wanted, settings)
    if isinstance(run, str):
        typer.echo(run, err=True)
        return 1
    survey = survey_of(wiring.ledger(settings), run.key)
    if survey is None or survey.answered:
        why = "was answered" if survey else "is not open: the client is asked when an upgrade that began is closed"
        typer.echo(f"the survey of {run.key} {why}", err=True)
        return 1
    until = wiring.now() + OPEN_FOR
    typer.echo(f"{url.rstrip('/')}/changeover/survey/{wiring.survey_links(settings).token(run.key, until)}")
    typer.echo(f"for the client of {survey.title}; can be answered once, until {until:%Y-%m-%d %H:%M} UTC", err=True)
    return 0
