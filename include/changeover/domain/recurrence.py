"""On which days something recurs: RFC 5545 rules, read strictly, on local dates."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice

from dateutil.rrule import rrulestr

from changeover.domain.wall_clock import YEARS
from changeover.domain.zones import zone

_DAYS = "MO|TU|WE|TH|FR|SA|SU"
_LOCAL_UNTIL = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")


def _numbers(low: int, high: int, *, negative: bool) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        return all(
            re.fullmatch(r"[+-]?\d{1,3}" if negative else r"\d{1,3}", part, re.ASCII) is not None
            and low <= abs(int(part)) <= high
            for part in text.split(",")
        )

    return fits


def _matches(pattern: str) -> Callable[[str], bool]:
    return lambda text: re.fullmatch(pattern, text, re.ASCII) is not None


_PARTS: dict[str, tuple[Callable[[str], bool], str]] = {
    "FREQ": (_matches("DAILY|WEEKLY|MONTHLY|YEARLY"), "is not DAILY, WEEKLY, MONTHLY or YEARLY"),
    "INTERVAL": (_matches(r"[1-9]\d{0,3}"), "is not a number from 1 to 9999"),
    "COUNT": (_matches(r"[1-9]\d{0,3}"), "is not a number from 1 to 9999"),
    "UNTIL": (
        lambda text: _until_or_none(text) is not None,
        "is not a day or a time such as 20271231 or 20271231T225959Z",
    ),
    "BYDAY": (
        _matches(rf"(?:[+-]?[1-9]\d?)?(?:{_DAYS})(?:,(?:[+-]?[1-9]\d?)?(?:{_DAYS}))*"),
        "is not a list of weekdays such as SA, 3SA or -1SU",
    ),
    "BYMONTHDAY": (_numbers(1, 31, negative=True), "is not a list of days from 1 to 31 (or -31 to -1)"),
    "BYYEARDAY": (_numbers(1, 366, negative=True), "is not a list of days from 1 to 366 (or -366 to -1)"),
    "BYWEEKNO": (_numbers(1, 53, negative=True), "is not a list of weeks from 1 to 53 (or -53 to -1)"),
    "BYMONTH": (_numbers(1, 12, negative=False), "is not a list of months from 1 to 12"),
    "BYSETPOS": (_numbers(1, 366, negative=True), "is not a list of positions from 1 to 366 (or -366 to -1)"),
    "WKST": (_matches(_DAYS), f"is not one of {_DAYS.replace('|', ', ')}"),
}
_TIMES = ("BYHOUR", "BYMINUTE", "BYSECOND")


def _until_or_none(text: str) -> tuple[datetime, bool] | None:
    """The local or UTC time, the latter with True. A day means its last second."""
    match = _LOCAL_UNTIL.fullmatch(text)
    if match is None or int(match[1]) not in YEARS:
        return None
    hour, minute, second = (int(match[n]) for n in (4, 5, 6)) if match[4] else (23, 59, 59)
    try:
        day = date(int(match[1]), int(match[2]), int(match[3]))
        moment = datetime.combine(day, time(hour, minute, second))  # local, or said to be UTC
    except ValueError:
        return None
    return moment, match[7] == "Z"


def normal_rule(text: str) -> str:
    """Upper case, without the `RRULE:` that calendars write before it."""
    return text.strip().upper().removeprefix("RRULE:")


def rule_faults(text: str) -> tuple[str, ...]:
    """Everything wrong with a rule; () when it can be used."""
    normal = normal_rule(text)
    if not normal:
        return ("is empty; a rule is such as 'FREQ=MONTHLY;BYDAY=3SA'",)
    parts = [part.partition("=") for part in normal.rstrip(";").split(";")]
    names = [name for name, _, _ in parts]
    faults = [f"{name} is said twice" for name in sorted({n for n in names if names.count(n) > 1})]
    for name, _, value in parts:
        if name in _TIMES:
            faults.append(f"{name} is not used here: the time of day is `start`")
        elif name not in _PARTS:
            faults.append(f"{name or 'nothing'} is not a part of an RFC 5545 rule such as 'FREQ=MONTHLY;BYDAY=3SA'")
        elif not _PARTS[name][0](value):
            faults.append(f"{name}={value} {_PARTS[name][1]}")
    return tuple(faults) or tuple(_together({name: value for name, _, value in parts}))


def _together(parts: dict[str, str]) -> Iterator[str]:
    frequency = parts.get("FREQ")
    if frequency is None:
        yield "FREQ is missing: DAILY, WEEKLY, MONTHLY or YEARLY"
        return
    if "COUNT" in parts and "UNTIL" in parts:
        yield "COUNT and UNTIL exclude each other"
    if re.search(r"\d", parts.get("BYDAY", "")) and (frequency in ("DAILY", "WEEKLY") or "BYWEEKNO" in parts):
        yield f"BYDAY={parts['BYDAY']} counts weekdays, which FREQ={frequency} has none to count of"
    for name, wanted in (("BYWEEKNO", ("YEARLY",)), ("BYYEARDAY", ("YEARLY",))):
        if name in parts and frequency not in wanted:
            yield f"{name} goes with FREQ=YEARLY only"
    if "BYMONTHDAY" in parts and frequency == "WEEKLY":
        yield "BYMONTHDAY does not go with FREQ=WEEKLY"
    if "BYSETPOS" in parts and not any(name.startswith("BY") and name != "BYSETPOS" for name in parts):
        yield "BYSETPOS needs another BY part to choose from"


def days(rule: str, *, since: date, start: time, zone_name: str, not_before: date = date.min) -> Iterator[date]:
    """The local dates of a rule without faults, from `since` on, in order; `since` itself only if the rule gives it.

    `start` and the zone matter for an UNTIL in UTC alone. `not_before` may leave out earlier days, to be quicker.
    """
    if since.year not in YEARS:
        return
    parts = dict(part.split("=", 1) for part in normal_rule(rule).rstrip(";").split(";"))
    until = _until_or_none(parts.pop("UNTIL", ""))
    if since < not_before and _counts_from_nothing(parts):
        since = min(not_before, date(YEARS[-1], 12, 1))
    count = int(parts.pop("COUNT", 0)) or None
    for local in islice(_local_times(parts, since, start), count):
        if until is not None and _past(local, until, zone_name):
            return
        yield local.date()


def _local_times(parts: dict[str, str], since: date, start: time) -> Iterator[datetime]:
    """Of a rule without COUNT and UNTIL; every set of days is a whole one, that of the first week too."""
    text = ";".join(f"{name}={value}" for name, value in _spelt_out(parts, since).items())
    first = datetime.combine(since, start)
    begin = first - timedelta(days=(since.weekday() - _DAYS.split("|").index(parts.get("WKST", "MO"))) % 7)
    if parts["FREQ"] != "WEEKLY":  # of months and years dateutil takes whole sets itself
        begin = first
    last = datetime(YEARS[-1], 12, 30)  # noqa: DTZ001 -- local dates are what recurs
    return (each for each in rrulestr(f"{text};UNTIL={last:%Y%m%dT%H%M%S}", dtstart=begin) if each >= first)


def _spelt_out(parts: dict[str, str], since: date) -> dict[str, str]:
    """With the weekday that a rule takes from its beginning, and in one form: dateutil would want both SA and 3SA."""
    named = any(name in parts for name in ("BYDAY", "BYMONTHDAY", "BYYEARDAY"))
    if not named and (parts["FREQ"] == "WEEKLY" or "BYWEEKNO" in parts):
        return parts | {"BYDAY": _DAYS.split("|")[since.weekday()]}
    weekdays = parts.get("BYDAY", "").split(",")
    plain = [day for day in weekdays if day in _DAYS.split("|")]
    if not plain or plain == weekdays:
        return parts
    most = 53 if parts["FREQ"] == "YEARLY" and "BYMONTH" not in parts else 5
    counted = [f"{n}{day}" for day in plain for n in range(1, most + 1)]
    return parts | {"BYDAY": ",".join((*counted, *(day for day in weekdays if day not in plain)))}


def _counts_from_nothing(parts: dict[str, str]) -> bool:
    """Whether the rule gives the same days wherever it is begun to be read."""
    named = parts["FREQ"] == "DAILY" or any(name in parts for name in ("BYDAY", "BYMONTHDAY", "BYYEARDAY"))
    return named and "COUNT" not in parts and parts.get("INTERVAL", "1") == "1"


def until_instant(rule: str, zone_name: str) -> datetime | None:
    """When a rule without faults ends, in UTC; None for one that does not end by time."""
    told = re.search(r"(?:^|;)UNTIL=([^;]+)", normal_rule(rule))
    until = _until_or_none(told[1]) if told else None
    if until is None:
        return None
    moment, in_utc = until
    if in_utc:
        return moment.replace(tzinfo=UTC)
    return max(moment.replace(tzinfo=zone(zone_name), fold=fold).astimezone(UTC) for fold in (0, 1))


def _past(local: datetime, until: tuple[datetime, bool], zone_name: str) -> bool:
    moment, in_utc = until
    if in_utc:
        return local.replace(tzinfo=zone(zone_name)).astimezone(UTC) > moment.replace(tzinfo=UTC)
    return local > moment
