"""What is wrong between the parts of a release record, whatever the schema says of each part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from changeover.domain.version import SCHEMES, VersionError, leaves_room, parse, within
from changeover.domain.window import calendar_day


def unreadable(text: str, scheme: str = "pep440", *, probe: str = "0") -> str:
    """Why a range cannot be read, or holds nothing whatever; or ""."""
    try:
        within(probe, (text,), scheme)
        return "" if leaves_room(text, scheme) else f"{text!r} contradicts itself: no version can be in it"
    except VersionError as exc:
        return str(exc)


def record_faults(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Faults between the parts of a record, each as `path: message`.

    Takes the document as it was read, right or wrong in its parts, so that these faults are told together with others.
    """
    return (
        *_version_faults(document),
        *_named_twice(document, "manual_steps", "id"),
        *_named_twice(document, "known_defects", "id"),
        *_named_twice(document, "mandatory_stops", "release"),
        *_recall_faults(document),
        *_self_faults(document),
    )


def _version_faults(document: Mapping[str, Any]) -> Iterator[str]:
    """Told only where version and scheme themselves can be read."""
    scheme, version = document.get("version_scheme"), document.get("version")
    if scheme not in SCHEMES or not isinstance(version, str):
        return
    try:
        parse(version, scheme)
    except VersionError as exc:
        yield f"version: {exc}"
        return
    yield from _range_faults(document, version, scheme)
    yield from _defect_faults(document, scheme)


def _list(found: Any) -> list[Any]:
    return list(found) if isinstance(found, list | tuple) else []


def _entries(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [entry if isinstance(entry, Mapping) else {} for entry in _list(document.get(key))]


def _range_faults(document: Mapping[str, Any], version: str, scheme: str) -> Iterator[str]:
    for key in ("supported_from", "covers", "downgrade_to"):
        for number, text in enumerate(_list(document.get(key))):
            if isinstance(text, str) and text and (why := unreadable(text, scheme, probe=version)):
                yield f"{key}.{number}: {why}"
    ranges = tuple(text for text in _list(document.get("covers")) if isinstance(text, str))
    readable = not any(unreadable(text, scheme, probe=version) for text in ranges)
    if ranges and readable and not within(version, ranges, scheme):
        yield f"covers: does not hold the version itself, {version}"
    for number, text in enumerate(_list(document.get("downgrade_to"))):
        if not isinstance(text, str) or unreadable(text, scheme, probe=version):
            continue
        if leaves_room(text, scheme, since=version):
            yield f"downgrade_to.{number}: {text!r} holds {version} or newer ones; a downgrade goes to older"


def _defect_faults(document: Mapping[str, Any], scheme: str) -> Iterator[str]:
    for number, defect in enumerate(_entries(document, "known_defects")):
        affects = tuple(text for text in _list(defect.get("affects")) if isinstance(text, str))
        for place, fixed in enumerate(_list(defect.get("fixed_in"))):
            if not isinstance(fixed, str):
                continue
            where = f"known_defects.{number}.fixed_in.{place}"
            readable = tuple(text for text in affects if not unreadable(text, scheme, probe=str(document["version"])))
            try:
                parse(fixed, scheme)
                if within(fixed, readable, scheme):
                    yield f"{where}: {fixed} is among the affected versions"
            except VersionError as exc:
                yield f"{where}: {exc}"
        for place, text in enumerate(affects):
            if why := unreadable(text, scheme, probe=str(document["version"])):
                yield f"known_defects.{number}.affects.{place}: {why}"


def _named_twice(document: Mapping[str, Any], key: str, name: str) -> Iterator[str]:
    names = [entry.get(name) for entry in _entries(document, key)]
    for number, found in enumerate(names):
        if isinstance(found, str) and found in names[:number]:
            yield f"{key}.{number}.{name}: {found!r} is named twice"


def _recall_faults(document: Mapping[str, Any]) -> Iterator[str]:
    recall = document.get("recall")
    lifted = recall.get("lifted") if isinstance(recall, Mapping) else None
    since, on = _day(recall, "since"), _day(lifted, "on")
    if since and on and on < since:
        yield f"recall.lifted.on: {on} lies before the recall, {since}"


def _day(part: Any, key: str) -> date | None:
    """None where it is missing or none; that is told by the schema."""
    try:
        day = calendar_day(part.get(key)) if isinstance(part, Mapping) else None
    except ValueError:
        return None
    return day if isinstance(day, date) else None


def _self_faults(document: Mapping[str, Any]) -> Iterator[str]:
    own = document.get("release")
    if own is not None and document.get("follows") == own:
        yield "follows: a release does not follow itself"
    for number, stop in enumerate(_entries(document, "mandatory_stops")):
        if own is not None and stop.get("release") == own:
            yield f"mandatory_stops.{number}.release: a release is not a stop on the way to itself"
