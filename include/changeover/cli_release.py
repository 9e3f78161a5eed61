"""The commands `release check`, `release path` and `release schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from changeover import wiring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from changeover.domain.fault import Reading
    from changeover.domain.named import Named
    from changeover.domain.release import ReleaseRecord
    from changeover.usecases.tree import Branch


def check(paths: Sequence[Path], *, as_json: bool) -> int:
    from changeover.usecases.check_releases import check_releases

    report = check_releases(paths, wiring.shelf(wiring.load_settings()))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
        return 0 if report.ok else 1
    for reading in report.readings:
        _print_reading(reading)
    bad = sum(reading.document is None for reading in report.readings)
    count = len(report.readings)
    records = "1 record" if count == 1 else f"{count} records"
    typer.echo(f"{records} checked, {'all in order' if not bad else f'{bad} with faults'}")
    return 0 if report.ok else 1


def _print_reading(reading: Reading[ReleaseRecord]) -> None:
    if reading.document is not None:
        typer.secho("ok ", fg="green", nl=False)
        typer.echo(f"{reading.file}  {reading.document.product} {reading.document.version}")
        return
    count = len(reading.faults)
    typer.secho("no ", fg="red", nl=False)
    typer.echo(f"{reading.file}  {count} fault{'s' if count != 1 else ''}")
    for fault in reading.faults:
        typer.echo(f"   {fault}")


def path(product: str, from_version: str, to: str, *, named: Named, as_json: bool) -> int:
    from changeover.usecases.show_path import find_path, path_json, path_tree

    records = wiring.shelf(wiring.load_settings()).product(product)
    found = find_path(records, from_version=from_version, to=to, named=named)
    if as_json:
        typer.echo(json.dumps(path_json(found), indent=2, ensure_ascii=False))
    else:
        _print(path_tree(found, named))
    return 0 if found.ok else 1


def _print(tree: Branch) -> None:
    for line in tree.lines():
        typer.echo(line)


def schema(*, reference: bool, write: bool) -> int:
    from changeover.adapters.release_schema import release_reference, release_schema_text

    if not write:
        typer.echo(release_reference() if reference else release_schema_text(), nl=False)
        return 0
    settings = wiring.load_settings()
    for place, text in (
        (settings.releases / "release.schema.json", release_schema_text()),
        (settings.project / "docs" / "release-records.md", release_reference()),
    ):
        place.write_text(text, encoding="utf-8")
        typer.echo(f"wrote {place}")
    return 0
