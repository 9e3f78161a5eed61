"""What does not fit between the release records of one product, though each is right on its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from changeover.domain.path import in_order, same_version
from changeover.domain.release import ReleaseRecord, held
from changeover.domain.version import VersionError, older, overlap


class Misfit(NamedTuple):
    """Something in the record of a release that does not fit the product's other records."""

    release: str
    path: tuple[str | int, ...]
    message: str


def between_faults(records: Sequence[ReleaseRecord]) -> tuple[Misfit, ...]:
    """What does not fit between the records of one product."""
    if len(schemes := sorted({record.version_scheme for record in records})) > 1:
        text = f"the records of one product use one scheme, not {' and '.join(schemes)}"
        return tuple(Misfit(record.release, ("version_scheme",), text) for record in records)
    known = {record.release: record for record in records}
    try:
        in_order(records)
    except VersionError as exc:
        return tuple(Misfit(record.release, ("version",), str(exc)) for record in records)
    return tuple(
        misfit
        for number, record in enumerate(records)
        for misfit in (
            *_described_twice(record, records[:number]),
            *_misnamed(record, known),
            *_spoken_for(record, [other for other in records if other is not record]),
        )
    )


def _described_twice(record: ReleaseRecord, others: Sequence[ReleaseRecord]) -> Iterator[Misfit]:
    for other in others:
        if same_version(other, record):
            text = f"{record.version} is described by {other.product}/{other.release} too"
            yield Misfit(record.release, ("version",), text)


def _spoken_for(record: ReleaseRecord, others: Sequence[ReleaseRecord]) -> Iterator[Misfit]:
    """Whoever is on a version has the stop of the record made that covers it, so that only one may."""
    for place, text in enumerate(record.covers):
        for other in others:
            if held(other.version, (text,), record.version_scheme):
                yield Misfit(
                    record.release,
                    ("covers", place),
                    f"{text!r} holds {other.version}, which {_named(other)} describes",
                )
            elif any(overlap(text, theirs, record.version_scheme) for theirs in other.covers):
                yield Misfit(record.release, ("covers", place), f"{text!r} overlaps with what {_named(other)} covers")


def _named(record: ReleaseRecord) -> str:
    return f"{record.product}/{record.release}"


def _misnamed(record: ReleaseRecord, known: Mapping[str, ReleaseRecord]) -> Iterator[Misfit]:
    """Releases that it names have a record, and are older."""
    named: list[tuple[tuple[str | int, ...], str]] = [(("follows",), record.follows)] if record.follows else []
    named += [
        (("mandatory_stops", place, "release"), stop.release) for place, stop in enumerate(record.mandatory_stops)
    ]
    for path, name in named:
        if name not in known:
            yield Misfit(record.release, path, f"there is no release record '{record.product}/{name}'")
        elif not older(known[name].version, record.version, record.version_scheme):
            yield Misfit(record.release, path, f"{known[name].version} is not older than {record.version}")
