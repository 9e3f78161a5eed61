"""The commands `version compare` and `version fixed`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from changeover.domain import version as versions

if TYPE_CHECKING:
    from collections.abc import Sequence


def compare(scheme: str, a: str, b: str) -> int:
    try:
        answer = versions.compare(a, b, scheme)
    except versions.VersionError as exc:
        return _cannot(exc)
    typer.echo(answer)
    return 0


def fixed(scheme: str, version: str, fixes: Sequence[str], *, why: bool, exit_code: bool) -> int:
    try:
        answer = versions.fix_in(version, fixes, scheme)
    except versions.VersionError as exc:
        return _cannot(exc)
    typer.echo("fixed" if answer.fixed else "not fixed")
    if why:
        typer.echo(answer.why, err=True)
    return 1 if exit_code and not answer.fixed else 0


def _cannot(exc: versions.VersionError) -> int:
    typer.echo(
        f"{exc}\n  next: write the versions as the vendor does, or name the scheme that the product has", err=True
    )
    return 1
