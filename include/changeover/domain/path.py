"""The path planner: the shortest way the vendor supports from one version to another, over the product's records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import cmp_to_key

from changeover.domain.named import NOTHING_NAMED, Named
from changeover.domain.release import (
    ChangedThing,
    Condition,
    KnownDefect,
    MandatoryStop,
    ManualStep,
    ReleaseRecord,
    downgrade_text,
    held,
    no_op_text,
    recall_text,
    unsupported_text,
)
from changeover.domain.version import VersionError, change_of_line, older, parse, same
from changeover.domain.window import duration_text


@dataclass(frozen=True)
class Product:
    """Every record of a product. `faults`: records that cannot be read, and what does not fit between them."""

    name: str
    records: tuple[ReleaseRecord, ...]
    faults: tuple[str, ...] = ()
    place: str = field(default="", compare=False)
    """Where its records are looked for."""
    others: tuple[str, ...] = field(default=(), compare=False)
    """Products that have records there."""

    @property
    def unknown(self) -> str:
        """What is said where none of its records can be read."""
        there = f" in {self.place}" if self.place else ""
        others = f"; there are records of {', '.join(self.others)}" if self.others and not self.faults else ""
        return f"there is no readable release record of {self.name}{there}{others}"


class Answer(StrEnum):
    """What the planner has to say; everything but the first two is a "no"."""

    PATH = "path"
    NO_OP = "no-op"
    DOWNGRADE = "downgrade"
    LINE = "line"
    RECALLED = "recalled"
    VERSION = "version"
    TARGET = "target"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Leg:
    """One supported hop, with a restore point and a gate of its own. `crossed`: records whose steps it has to take."""

    number: int
    from_version: str
    record: ReleaseRecord
    crossed: tuple[ReleaseRecord, ...]
    defects: tuple[KnownDefect, ...] = ()
    share: float | None = None
    """Part of the window, by the records' estimates; None when one of the legs has none."""
    last: bool = True
    before: tuple[Condition, ...] = ()
    """What has to be true before it begins, and no gate of a leg before it asks: of the release that is installed."""

    @property
    def to_version(self) -> str:
        return self.record.version

    @property
    def release(self) -> str:
        """As a plan names it."""
        return f"{self.record.product}/{self.record.release}"

    @property
    def manual_steps(self) -> tuple[ManualStep, ...]:
        """Of every release from the old one to the new one, oldest first: the vendor's order."""
        return tuple(step for record in self.crossed for step in record.manual_steps)

    @property
    def changed(self) -> tuple[ChangedThing, ...]:
        return tuple(thing for record in self.crossed for thing in record.changed)

    @property
    def estimate(self) -> timedelta | None:
        """The hop and the way back from it: a step begins only while there is time for both."""
        return sum((estimate.takes for estimate in self.record.estimates), timedelta()) or None

    @property
    def share_text(self) -> str:
        """The part of the window, and what is known of the time."""
        share = "not known" if self.share is None else f"{self.share:.0%}"
        if self.estimate is None:
            return f"{share}; no record says how long it takes"
        return f"{share}; {duration_text(self.estimate)} with the way back, by the record"

    @property
    def restore_point(self) -> str:
        return f"of {self.from_version}, proven readable before anything changes"

    @property
    def gate(self) -> str:
        """What has to be proven before the next leg, or the end."""
        conditions = "".join(f"; {condition.what}" for condition in self.record.before_leaving) if not self.last else ""
        return f"{self.to_version} accepted on every host{conditions}"


@dataclass(frozen=True)
class UpgradePath:
    """The planner's answer. `reasons`: why there is no path; `detours`: why the direct hop is none."""

    product: str
    from_version: str
    to_version: str
    answer: Answer
    legs: tuple[Leg, ...] = ()
    reasons: tuple[str, ...] = ()
    detours: tuple[str, ...] = ()
    recalled: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """A path, or nothing to do, and every record was read."""
        return self.answer in (Answer.PATH, Answer.NO_OP) and not self.faults


def product_of(record: ReleaseRecord) -> Product:
    """When nothing is known but the one record."""
    return Product(record.product, (record,))


def plan_path(product: Product, *, from_version: str, to_version: str, named: Named = NOTHING_NAMED) -> UpgradePath:
    """The fewest supported hops with every mandatory stop; of equal ways the one with the newest stops."""

    def said(answer: Answer, *reasons: str) -> UpgradePath:
        return UpgradePath(product.name, from_version, to_version, answer, reasons=reasons, faults=product.faults)

    if not product.records:
        return said(Answer.TARGET, product.unknown)
    scheme = product.records[0].version_scheme
    records = tuple(record for record in product.records if record.version_scheme == scheme)
    try:
        parse(from_version, scheme)
        parse(to_version, scheme)
        return _plan(replace(product, records=records), from_version, to_version, said, named)
    except VersionError as exc:  # a version that is none, or two of which the scheme knows no order
        return said(Answer.VERSION, str(exc))


def _plan(
    product: Product, from_version: str, to_version: str, said: Callable[..., UpgradePath], named: Named
) -> UpgradePath:
    records, scheme = product.records, product.records[0].version_scheme
    if same(from_version, to_version, scheme) and any(record.speaks_for(to_version) for record in records):
        return said(Answer.NO_OP, no_op_text(to_version))
    target = next((record for record in records if same(record.version, to_version, scheme)), None)
    if target is None:
        known = ", ".join(record.version for record in in_order(records))
        return said(Answer.TARGET, f"no release record of {product.name} describes {to_version}; described: {known}")
    down = older(to_version, from_version, scheme)
    if down and not named.downgrade:
        return said(Answer.DOWNGRADE, downgrade_text(from_version, to_version))
    if not named.change_of_line and (line := change_of_line(from_version, to_version, scheme)):
        return said(Answer.LINE, line)
    if down:
        return _down(product, target, from_version)
    if target.recall is not None and target.recalled:
        return said(Answer.RECALLED, recall_text(target, target.recall))
    return _Search(product, target, from_version, named).path()


def along(record: ReleaseRecord, path: UpgradePath) -> ReleaseRecord:
    """The wanted release's record with what every release between brings: what really comes with this upgrade."""
    if not path.legs or path.legs[-1].record.release != record.release:
        return record
    crossed = [each for leg in path.legs for each in leg.crossed]
    parts = ("manual_steps", "changed", "terms", "irreversible")
    return record.model_copy(update={part: tuple(x for each in crossed for x in getattr(each, part)) for part in parts})


def in_order(records: Iterable[ReleaseRecord]) -> tuple[ReleaseRecord, ...]:
    """Oldest first."""

    def order(a: ReleaseRecord, b: ReleaseRecord) -> int:
        return -1 if older(a.version, b.version, a.version_scheme) else int(not same_version(a, b))

    return tuple(sorted(records, key=cmp_to_key(order)))


def same_version(a: ReleaseRecord, b: ReleaseRecord) -> bool:
    return same(a.version, b.version, a.version_scheme)


def _down(product: Product, target: ReleaseRecord, from_version: str) -> UpgradePath:
    """A downgrade is one hop that the vendor offers from the installed release, or it is not done."""
    records, to_version = product.records, target.version
    refused = UpgradePath(product.name, from_version, to_version, Answer.DOWNGRADE, faults=product.faults)
    if target.recall is not None and target.recalled:
        return _because(refused, recall_text(target, target.recall))
    installed = next((record for record in records if record.speaks_for(from_version)), None)
    if installed is None:
        return _because(refused, f"no release record speaks for {from_version}, so nothing says that it can go back")
    if not held(to_version, installed.downgrade_to, installed.version_scheme):
        offered = " or ".join(installed.downgrade_to) or "nothing older"
        text = f"the vendor supports going back from {from_version} to {offered}, not to {to_version}"
        return _because(refused, text)
    before = leaving(records, from_version)
    leg = Leg(1, from_version, target, (), _defects(records, to_version), 1.0, before=before)
    return UpgradePath(product.name, from_version, to_version, Answer.PATH, (leg,), faults=product.faults)


def _because(path: UpgradePath, *reasons: str) -> UpgradePath:
    return replace(path, reasons=reasons)


def _defects(records: Iterable[ReleaseRecord], version: str) -> tuple[KnownDefect, ...]:
    """Those of any record that this version has; one told by several records is told once."""
    found = {
        defect.id: defect
        for record in records
        for defect in record.known_defects
        if held(version, defect.affects, record.version_scheme)
    }
    return tuple(found.values())


def leaving(records: Iterable[ReleaseRecord], installed: str) -> tuple[Condition, ...]:
    """What the vendor wants to be true before the release that is installed is left."""
    found = [condition for record in records if record.speaks_for(installed) for condition in record.before_leaving]
    return tuple(dict.fromkeys(found))


class _Search:
    """The fewest hops, backwards from the wanted release. Releases are named by their place in the span.

    A stop is made whoever demands it: the wanted release, a stop on the way, or one that is passed, whose manual steps
    are taken over too.
    """

    def __init__(self, product: Product, target: ReleaseRecord, from_version: str, named: Named) -> None:
        self.product, self.target, self.installed, self.named = product, target, from_version, named
        self.records = records = product.records
        scheme = target.version_scheme
        newer = [record for record in in_order(records) if older(from_version, record.version, scheme)]
        self.span = tuple(record for record in newer if not older(target.version, record.version, scheme))
        self.place = {record.release: place for place, record in enumerate(self.span)}
        self.end = self.place[target.release]
        demanded = [at for _, _, at in self._demanded()]
        self.nowhere = None in demanded
        """A stop is demanded that no record describes: nobody can make it."""
        self.stops = frozenset(at for at in demanded if at is not None)

    def path(self) -> UpgradePath:
        stops = self.shortest()
        recalled = tuple(
            recall_text(record, record.recall) for record in self.span if record.recall is not None and record.recalled
        )
        answer = Answer.BLOCKED if stops is None else Answer.PATH
        return UpgradePath(
            self.product.name,
            self.installed,
            self.target.version,
            answer,
            () if stops is None else self._legs(stops),
            tuple(self._no_way()) if stops is None else (),
            tuple(self._why_not_direct()) if stops is not None and len(stops) > 1 else (),
            recalled,
            self.product.faults,
        )

    def shortest(self) -> list[int] | None:
        """Places of the releases on the way, oldest first."""
        came: dict[int, int | None] = {self.end: None}
        queue = deque(() if self.nowhere else [self.end])
        while queue:
            place = queue.popleft()
            if self._stop_before(place) is None and self._hop(self.installed, place):
                return list(_back(came, place))
            for before in self._before(place):
                if before not in came:
                    came[before] = place
                    queue.append(before)
        return None

    def _stop_before(self, place: int) -> int | None:
        return max((stop for stop in self.stops if stop < place), default=None)

    def _before(self, place: int) -> Iterator[int]:
        """What a supported hop to this place may come from without jumping over a stop; the newest first."""
        for earlier in range(place - 1, (self._stop_before(place) or 0) - 1, -1):
            record = self.span[earlier]
            if not record.recalled and self._hop(record.version, place):
                yield earlier

    def _hop(self, old: str, place: int) -> bool:
        """Supported by the vendor, and no detour over another line of releases unless that is named."""
        record = self.span[place]
        return record.supports(old) and (
            self.named.change_of_line or not change_of_line(old, record.version, record.version_scheme)
        )

    def _demanded(self) -> Iterator[tuple[ReleaseRecord, MandatoryStop, int | None]]:
        """Stops that are not made yet: who demands each, and its place; None where no record describes it."""
        known = {record.release: record for record in self.records}
        for record in self.span:
            for stop in record.mandatory_stops if not record.speaks_for(self.installed) else ():
                at = known.get(stop.release)
                if at is None:
                    yield record, stop, None
                elif stop.release in self.place and not at.speaks_for(self.installed):
                    yield record, stop, self.place[stop.release]

    def _legs(self, stops: list[int]) -> tuple[Leg, ...]:
        froms = [self.installed, *(self.span[place].version for place in stops[:-1])]
        legs = [
            Leg(
                number,
                old,
                self.span[place],
                self._crossed(old, place),
                _defects(self.records, self.span[place].version),
            )
            for number, (old, place) in enumerate(zip(froms, stops, strict=True), start=1)
        ]
        times = [leg.estimate for leg in legs]
        total = sum((time or timedelta() for time in times), timedelta()) if all(times) else None
        shares = [1.0 if len(legs) == 1 else time / total if total and time else None for time in times]
        before = leaving(self.records, self.installed)
        return tuple(
            replace(leg, share=share, last=leg is legs[-1], before=before if leg is legs[0] else ())
            for leg, share in zip(legs, shares, strict=True)
        )

    def _crossed(self, old: str, place: int) -> tuple[ReleaseRecord, ...]:
        return tuple(
            record
            for record in self.span[: place + 1]
            if older(old, record.version, record.version_scheme) and not record.speaks_for(old)
        )

    def _why_not_direct(self) -> Iterator[str]:
        """The hop that was asked for, and why it is not one."""
        if not self.target.supports(self.installed):
            yield unsupported_text(self.target, self.installed)
        yield from self._stops_told()

    def _stops_told(self) -> Iterator[str]:
        for record, stop, at in self._demanded():
            where = "and there is no record of it" if at is None else f"{self.span[at].version}"
            yield f"{record.version} demands a stop at {stop.release} ({where}): {stop.reason}"

    def _no_way(self) -> Iterator[str]:
        yield from self._why_not_direct()
        for record in reversed(self.span[: self.end]):
            state = ", and it is recalled" if record.recalled else ""
            yield f"{record.version} can be reached from {' or '.join(record.supported_from)}{state}"
        starts = [record for record in self.span[: self.end] if self._reaches(record)]
        if starts:
            yield f"a way to {self.target.version} begins at {' or '.join(record.version for record in starts)}"
        if starts and not starts[0].supports(self.installed):
            wanted = " or ".join(starts[0].supported_from)
            yield (
                f"no record says how {self.installed} becomes {wanted}, from where {starts[0].version} can be reached: "
                "go there by the vendor's own notes, or write the record of a release there"
            )

    def _reaches(self, record: ReleaseRecord) -> bool:
        """Whether there is a way from that release, recalled or not: it may be what somebody runs."""
        return _Search(self.product, self.target, record.version, self.named).shortest() is not None


def _back(came: dict[int, int | None], place: int) -> Iterator[int]:
    at: int | None = place
    while at is not None:
        yield at
        at = came[at]
