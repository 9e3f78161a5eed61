"""Waivers: a named person lets an upgrade go on in spite of a finding, for a reason, in a scope, until a day."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from changeover.domain.check import Catalogue
from changeover.domain.estate import Document, Name
from changeover.domain.finding import Finding, Severity, Waived
from changeover.domain.plan import Line, Plan
from changeover.domain.window import Day

LONGEST = timedelta(days=366)
"""A finding that is waived for longer is not waited for any more, it is ignored."""
WaiverId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class Waiver(Document):
    """One entry of `include/waivers/<client>.yaml`."""

    id: WaiverId
    """Under which reports and the review name it."""
    key: Name
    """Check whose findings it is for."""
    subject: Line
    """What the finding is about; `*` and `?` stand for any text and any one character, all else for itself."""
    environment: Name | None = None
    """Only there; left out, in every environment."""
    upgrade: Name | None = None
    """Only for this plan of the client; left out, for every one."""
    reason: Annotated[str, StringConstraints(min_length=10, max_length=300)]
    """Why it is right to go on."""
    by: Name
    """Who gives it: a participant of the plan, and not the one who asked for the upgrade."""
    given_on: Day
    expires_on: Day
    """Last day on which it counts; a year away at most."""


class WaiverFile(Document):
    """`include/waivers/<client>.yaml`."""

    schema_version: Literal[1]
    client: Name
    waivers: tuple[Waiver, ...] = Field(min_length=1)


Told = tuple[tuple[str | int, ...], str]
"""A fault's path in the file, and its message."""


def waiver_faults(file: WaiverFile, catalogue: Catalogue) -> Iterator[Told]:
    """What the schema lets pass and cannot be meant."""
    ids = [waiver.id for waiver in file.waivers]
    for number, waiver in enumerate(file.waivers):
        place = ("waivers", number)
        check = catalogue.find(waiver.key)
        if ids.index(waiver.id) != number:
            yield (*place, "id"), f"{waiver.id!r} is given twice"
        if check is None:
            yield (*place, "key"), f"no check of the catalogue has the key {waiver.key!r}"
        elif not check.waivable:
            yield (*place, "key"), f"{waiver.key} may never be waived"
        elif check.severity is not Severity.INHIBITOR:
            yield (
                (*place, "key"),
                f"{waiver.key} is an advisory and stops nothing; leave it out with the plan's checks_off",
            )
        if waiver.expires_on < waiver.given_on:
            yield (*place, "expires_on"), "lies before given_on"
        elif waiver.expires_on - waiver.given_on > LONGEST:
            yield (*place, "expires_on"), f"is more than {LONGEST.days} days after given_on"
        if too_wide(waiver.subject):
            yield (*place, "subject"), too_wide(waiver.subject)


def too_wide(subject: str) -> str:
    """Why the subject names too little of what it is about; "" when it names enough.

    Without a wildcard it names all. Else one part between slashes has to be written out, or, where there is no slash,
    the beginning.
    """
    parts = subject.split("/")
    if not _WILD.search(subject):
        return ""
    if len(parts) == 1 and len(_WILD.split(subject, maxsplit=1)[0].strip()) >= LEAST_BEGINNING:
        return ""
    if len(parts) > 1 and any(len(part.strip()) >= LEAST_PART and not _WILD.search(part) for part in parts):
        return ""
    return (
        f"{subject!r} would hold more than one may know of: write out a part between slashes "
        f"({LEAST_PART} characters or more), or where there is none the first {LEAST_BEGINNING} characters"
    )


_WILD = re.compile(r"[*?]")
LEAST_PART, LEAST_BEGINNING = 3, 4


@dataclass(frozen=True)
class AfterWaivers:
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """Of each waiver: how many findings it holds, or why it counts for none."""


def apply_waivers(
    findings: Sequence[Finding], waivers: Sequence[Waiver], catalogue: Catalogue, plan: Plan, *, today: date
) -> AfterWaivers:
    """Mark the findings that may be passed over. An unwaivable check's stay as they are, whatever a file says."""
    mine = [waiver for waiver in waivers if waiver.upgrade in (None, plan.upgrade)]
    counting = [waiver for waiver in mine if not _why_not(waiver, catalogue, plan, today)]
    marked = tuple(_marked(finding, counting, catalogue) for finding in findings)
    used = Counter(finding.waived.waiver for finding in marked if finding.waived)
    return AfterWaivers(marked, tuple(_notes(mine, used, catalogue, plan, today)))


def _why_not(waiver: Waiver, catalogue: Catalogue, plan: Plan, today: date) -> str:
    check = catalogue.find(waiver.key)
    if check is None:
        return f"no check has the key {waiver.key}"
    if not check.waivable:
        return f"{waiver.key} may never be waived"
    if wide := too_wide(waiver.subject):
        return wide
    if today > waiver.expires_on:
        return f"it expired on {waiver.expires_on}"
    if today < waiver.given_on:
        return f"it counts from {waiver.given_on}"
    if waiver.by not in {person.id for person in plan.participants}:
        return f"{waiver.by} is no participant of the plan"
    if waiver.by == plan.requested_by:
        return f"{waiver.by} asked for the upgrade and cannot waive what stands in its way"
    return ""


def _marked(finding: Finding, waivers: Iterable[Waiver], catalogue: Catalogue) -> Finding:
    if finding.severity is not Severity.INHIBITOR:
        return finding
    for waiver in waivers:
        if _fits(waiver, finding, catalogue):
            return replace(finding, waived=Waived(waiver.id, waiver.by, waiver.reason, waiver.expires_on.isoformat()))
    return finding


def _fits(waiver: Waiver, finding: Finding, catalogue: Catalogue) -> bool:
    check = catalogue.find(waiver.key)
    return (
        check is not None
        and check.key == finding.key
        and waiver.environment in (None, finding.environment)
        and matches(waiver.subject, finding.subject)
    )


def matches(pattern: str, subject: str) -> bool:
    """Brackets and the like stand for themselves: subjects such as `app[1]` have them."""
    wild = {"*": ".*", "?": "."}
    return re.fullmatch("".join(wild.get(each) or re.escape(each) for each in pattern), subject, re.DOTALL) is not None


def _notes(
    waivers: Sequence[Waiver], used: Mapping[str, int], catalogue: Catalogue, plan: Plan, today: date
) -> Iterator[str]:
    for waiver in waivers:
        if why := _why_not(waiver, catalogue, plan, today):
            yield f"waiver {waiver.id} does not count: {why}"
        elif waiver.id not in used:
            yield f"waiver {waiver.id} matches no finding: withdraw it"
        else:
            count = used.get(waiver.id, 0)
            yield f"waiver {waiver.id} ({waiver.key}, {waiver.subject}) holds {count} finding{'s' * (count > 1)}"


def expired(findings: Iterable[Finding], *, on: date) -> tuple[Finding, ...]:
    """Findings that were waived, by a waiver that does not count any more on that day."""
    return tuple(f for f in findings if f.waived and on > date.fromisoformat(f.waived.until))
