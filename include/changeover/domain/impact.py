"""Impact: what the release changes, joined with what this client has; what has to be tested again, and who is told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from changeover.domain.analysis_facts import AnalysisFacts, Report, Said, hint
from changeover.domain.finding import Action
from changeover.domain.release import ChangedThing


class Weight(StrEnum):
    """What an item asks: that it is cured first, that it is tested again, or that somebody knows."""

    INHIBITOR = "inhibitor"
    RETEST = "retest"
    INFORM = "inform"


@dataclass(frozen=True)
class ImpactItem:
    """One thing of the client's that the release touches. `key` and `subject` stay the same from run to run."""

    weight: Weight
    key: str
    subject: str
    summary: str
    owner: str
    """`client` or `provider`: who acts on it, and says at sign-off that it works."""
    environment: str = ""
    source: str = ""
    actions: tuple[Action, ...] = ()
    checks: tuple[str, ...] = ()
    """Acceptance tests that cover it; without one a person has to."""
    finding: str = ""
    """Key of the finding that says the same; only an inhibitor has one."""

    def as_json(self) -> dict[str, Any]:
        return {
            "weight": str(self.weight),
            "key": self.key,
            "subject": self.subject,
            "environment": self.environment,
            "summary": self.summary,
            "owner": self.owner,
            "source": self.source,
            "actions": [{"kind": str(action.kind), "text": action.text} for action in self.actions],
            "acceptance_tests": list(self.checks),
            "finding": self.finding or None,
        }


MOVED, GONE, UNREAD = "impact-endpoint-moved", "impact-module-removed", "impact-program-unread"


def impact(facts: AnalysisFacts) -> tuple[ImpactItem, ...]:
    """Every item, the gravest first, each once."""
    found = [*_own_parts(facts)]
    for environment in facts.hosts:
        for thing in facts.release.changed:
            found += _RULES.get(thing.kind, _by_name)(_Case(facts, environment, thing))
    once: dict[tuple[str, str, str], ImpactItem] = {}
    for item in found:
        once.setdefault((item.key, item.environment, item.subject), item)
    order = list(Weight)
    return tuple(sorted(once.values(), key=lambda i: (order.index(i.weight), i.environment, i.key, i.subject)))


def impact_findings(items: Iterable[ImpactItem]) -> tuple[Said, ...]:
    """What the items that inhibit say as findings."""
    return tuple(
        Said(item.finding, item.subject, item.summary, {"source": item.source}, item.environment, item.actions)
        for item in items
        if item.finding
    )


def _own_parts(facts: AnalysisFacts) -> Iterator[ImpactItem]:
    """What is the client's own is tested again whatever the release says."""
    for name, hosts in facts.customisations().items():
        text = f"the client's own {name} ({', '.join(hosts) or 'on no host'}) has to work on {facts.plan.to_version}"
        yield ImpactItem(
            Weight.RETEST, "customisation", name, text, "client", checks=facts.traits.retests.get("customisation", ())
        )
    for environment in facts.hosts:
        names = {n for report in facts.of(environment).values() for n in report.get("integrations") or {}}
        record = facts.records.get(environment)
        names |= {integration.name for integration in record.integrations} if record else set()
        for name in sorted(names | set(facts.plan.expected.integrations)):
            yield ImpactItem(
                Weight.RETEST, "integration", name, f"{name} has to make its round with {facts.plan.to_version}",
                "client", environment, checks=facts.traits.retests.get("integration", ()),
            )  # fmt: skip


@dataclass(frozen=True)
class _Case:
    """One changed thing beside one environment."""

    facts: AnalysisFacts
    environment: str
    thing: ChangedThing

    def item(self, weight: Weight, subject: str, text: str, owner: str) -> ImpactItem:
        thing = self.thing
        return ImpactItem(
            weight,
            f"{thing.kind}:{re.sub(r'[^a-z0-9]+', '-', thing.what.lower()).strip('-')[:60]}",
            subject,
            f"{thing.what}: {thing.was or 'new'} becomes {thing.becomes or 'gone'}; {text}",
            owner,
            self.environment,
            thing.source,
            checks=() if weight is Weight.INFORM else self.facts.traits.retests.get(thing.kind, ()),
        )

    @property
    def reports(self) -> Mapping[str, Report]:
        return self.facts.of(self.environment)

    def programs(self) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
        """Host, integration, the address it calls today, its program ({} when it could not be read)."""
        for host, report in self.reports.items():
            for name, about in (report.get("integrations") or {}).items():
                deep = (report.get("programs") or {}).get(name) or {}
                yield host, name, str(deep.get("address") or about.get("endpoint") or ""), deep.get("program") or {}

    def own(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The client's own parts, and what each imports."""
        for report in self.reports.values():
            for name, about in (report.get("own") or {}).items():
                yield name, tuple(about.get("imports") or ())


def _endpoint(case: _Case) -> Iterator[ImpactItem]:
    """A place that moved: who calls it today, and whether their program knows the new one."""
    old, new = _path(case.thing.was), _path(case.thing.becomes)
    if not old:
        yield from _by_name(case)
        return
    fresh = set(_segments(new)) - set(_segments(old))
    for host, name, address, program in case.programs():
        if not _matches(old, address):
            continue
        subject, calls = f"{host}/{name}", f"{name} calls {urlsplit(address).path or '/'}"
        named = {part for mention in program.get("mentions") or () for part in _segments(str(mention))}
        if not program:
            text = f"{calls}; its program could not be read, so nobody can say whether it knows the new place"
            yield _grave(case.item(Weight.INHIBITOR, subject, text, "client"), UNREAD, name, new)
        elif fresh & named:
            text = f"{calls}, and its program names {'/'.join(sorted(fresh))} too"
            yield case.item(Weight.RETEST, subject, text, "client")
        else:
            text = f"{calls}, and {program.get('path')} names no {new or 'other place'}"
            yield _grave(case.item(Weight.INHIBITOR, subject, text, "client"), MOVED, name, new)


def _grave(item: ImpactItem, key: str, name: str, new: str) -> ImpactItem:
    cure = hint(
        f"The client puts a release of {name} in place that calls {new or 'what took its place'}"
        " and, until the upgrade, the place of today."
    )
    return replace(item, finding=key, actions=(cure,))


def _path(text: str) -> str:
    """`POST /<database>/` is about `/<database>/`; words that name no place give none."""
    words = text.split()
    return words[-1] if words and len(words) <= 2 and words[-1].startswith("/") else ""


def _segments(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part and not part.startswith("<"))


def _matches(pattern: str, address: str) -> bool:
    if not address:
        return False
    parts = (re.escape(part) if not part.startswith("<") else "[^/]+" for part in pattern.split("/"))
    return re.fullmatch("/".join(parts), urlsplit(address).path or "/") is not None


def _setting(case: _Case) -> Iterator[ImpactItem]:
    """A setting the client has set and that goes or changes, or a new default for one who has not set it."""
    thing, place = case.thing, case.environment
    values = [report.get("client_settings") or {} for report in case.reports.values()]
    known = {key: about for found in values for key, about in found.items()}
    if not re.fullmatch(r"[\w.-]+", thing.what):
        yield from _by_name(case)
    elif thing.what in known:
        value = (known[thing.what] or {}).get("value")
        weight = Weight.RETEST if thing.becomes else Weight.INFORM
        text = f"set to {value!r} here" + ("" if thing.becomes else ": take it out of the settings after the upgrade")
        yield case.item(weight, place, text, "provider")
    elif thing.was and thing.becomes and values:
        yield case.item(Weight.INFORM, place, "not set here: the new value counts", "provider")


def _driver(case: _Case) -> Iterator[ImpactItem]:
    """Whether the new one comes with the artefacts is a check of its own; here, that it is another one."""
    match = re.match(r"[A-Za-z][\w-]*", case.thing.was)
    old = match[0].lower() if match else ""
    packages = {
        name for report in case.reports.values() for name in (report.get("runtime") or {}).get("packages") or {}
    }
    if old and packages & {old, f"{old}-binary"}:
        yield case.item(Weight.RETEST, case.environment, "the hosts use it today", "provider")
    for name, imports in case.own():
        if old and _imports(imports, old):
            yield case.item(Weight.RETEST, name, f"{name} imports {old} itself", "client")


def _imports(imports: Iterable[str], name: str) -> bool:
    return any(f"{one}.".startswith(f"{name}.") for one in imports)


def _module(case: _Case) -> Iterator[ImpactItem]:
    """A module of the vendor's that is active here and goes, or changes."""
    thing, place = case.thing, case.environment
    if thing.what not in {name for report in case.reports.values() for name in report.get("modules") or {}}:
        return
    if thing.becomes:
        yield case.item(Weight.RETEST, place, "active here", "provider")
        return
    cure = hint(f"Replace {thing.what} by what {thing.source} names, or take it out of use before the upgrade.")
    gone = case.item(Weight.INHIBITOR, f"{place}/{thing.what}", "active here", "client")
    yield replace(gone, finding=GONE, actions=(cure,))


def _by_name(case: _Case) -> Iterator[ImpactItem]:
    """Functions, tables, verbs: touched where a program or a module of the client's names them."""
    words = {word.strip("(),;:") for word in case.thing.what.split()}
    telling = {w for w in words if "." in w or "_" in w or (w.isupper() and w.isalpha() and len(w) > 2)}
    for host, name, _, program in case.programs():
        if named := sorted(telling & set(program.get("mentions") or ())):
            yield case.item(Weight.RETEST, f"{host}/{name}", f"{name} uses {', '.join(named)}", "client")
    for name, imports in case.own():
        if used := sorted(word for word in telling if _imports(imports, word)):
            yield case.item(Weight.RETEST, name, f"{name} imports {', '.join(used)}", "client")
    if case.thing.kind in ("removed", "schema"):
        yield case.item(Weight.INFORM, case.environment, "look whether anything here rests on it", "provider")


_RULES = {"endpoint": _endpoint, "setting": _setting, "driver": _driver, "module": _module}
