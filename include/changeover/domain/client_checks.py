"""Checks of what the client has: its data against the vendor's steps, files changed in place, who connects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from changeover.domain.analysis_facts import AnalysisFacts, Said, command, hint
from changeover.domain.artefacts import ArtefactSet
from changeover.domain.watch import changed, unproven

SHOWN = 8


def hosts_unchanged(facts: AnalysisFacts) -> Iterator[Said]:
    """What lay on a host before the analysis lies there after it."""
    for host in facts.all_hosts:
        if why := unproven(host, facts.before, facts.after):
            yield Said("analysis-host-unchanged", host, f"it cannot be proven that nothing changed: {why}")
            continue
        places = changed(facts.before[host], facts.after[host])
        if places:
            text = f"{len(places)} directories are not as before: {_some(places)}"
            yield Said("analysis-host-unchanged", host, text, {"directories": list(places)})


def vendor_steps(facts: AnalysisFacts, artefacts: ArtefactSet | None) -> Iterator[Said]:
    """Each of the vendor's steps by hand: who does it, and whether the data of this environment needs it."""
    for environment in facts.hosts:
        told = [steps for report in facts.of(environment).values() if (steps := report.get("manual_steps"))]
        known: dict[str, Mapping[str, Any]] = {name: about for steps in told for name, about in steps.items()}
        for step in facts.release.manual_steps if told else ():
            evidence = {"source": step.source, "series": step.series}
            if step.id not in known:
                text = f"the vendor asks ({step.series}, {step.when}): {step.title}; the role does not know the step"
                yield Said(
                    "vendor-step-uncovered", f"{environment}/{step.id}", text, evidence, environment,
                    (hint(f"Do it by hand as {step.source} says, or teach the role to do it."),),
                )  # fmt: skip
        titles = {step.id: step for step in facts.release.manual_steps}
        for name, about in known.items():
            telling = tuple(h for h, report in facts.of(environment).items() if _concerns(name, report))
            yield from _step(environment, name, about, titles.get(name), artefacts, telling)


def _concerns(name: str, report: Mapping[str, Any]) -> bool:
    """Whether this very host says that the step applies to what it has."""
    return bool(((report.get("manual_steps") or {}).get(name) or {}).get("applies"))


def _step(
    environment: str,
    name: str,
    about: Mapping[str, Any],
    step: Any,
    artefacts: ArtefactSet | None,
    hosts: tuple[str, ...],
) -> Iterator[Said]:
    title, source = (step.title, step.source) if step else (name, "the role")
    subject, evidence = f"{environment}/{name}", {"source": source, "why": str(about.get("why") or "")}
    unless = str(about.get("unless") or "")
    if unless and artefacts and artefacts.plug_in(unless):
        return
    why = f" ({about['why']})" if about.get("why") else ""
    if about.get("applies") is None:
        yield Said("vendor-step-by-hand", subject, f"{title}{why}", evidence, environment)
    elif about["applies"] and about.get("choice"):
        text = f"{title}: a person has to choose before the upgrade{why}"
        yield Said(
            "vendor-step-choice", subject, text, evidence, environment,
            (hint(str(about["choice"])), *_remedy(about), *((step.fix.action(),) if step and step.fix else ())), hosts,
        )  # fmt: skip


def _remedy(about: Mapping[str, Any]) -> tuple[Any, ...]:
    return (command(str(about["remedy"])),) if about.get("remedy") else ()


def vendor_files(facts: AnalysisFacts) -> Iterator[Said]:
    """What was changed in place is lost with the old release's directory."""
    for environment, host, report in facts.each():
        found = report.get("vendor_files") or {}
        for kind, words in (("edited", "changed in place"), ("missing", "taken away"), ("added", "put beside them")):
            if files := list(found.get(kind) or ()):
                text = f"{len(files)} files of the vendor's release were {words}: {_some(files)}"
                yield Said(
                    "customisation-edited", f"{host}/{kind}", text, {"files": files}, environment,
                    (hint("Find out from whom it is; port it into a module of the client's own, or have it undone."),),
                    tuple(files[:SHOWN]),
                )  # fmt: skip


def strangers(facts: AnalysisFacts) -> Iterator[Said]:
    """Whoever speaks with service or database and is neither a host of the estate nor the application."""
    known = {"127.0.0.1", "::1", "0.0.0.0"} | {host.address for hosts in facts.hosts.values() for host in hosts}  # noqa: S104
    for environment, host, report in facts.each():
        for about in report.get("connections") or ():
            if (peer := str(about.get("peer"))) not in known:
                yield Said(
                    "integration-unrecorded", f"{host}/{peer}", f"{peer} is connected to the service, and on no record",
                    {"count": about.get("count")}, environment,
                )  # fmt: skip
        for about in report.get("database_clients") or ():
            if not _is_the_application(about, facts.traits.database_programs, known):
                yield _at_the_database(environment, host, about)


def _is_the_application(about: Mapping[str, Any], programs: tuple[str, ...], known: set[str]) -> bool:
    """By all three: a name that only resembles the application's is a stranger's, whose name anybody may take.

    An address is null where the connection is local to the server, if the account is ours; others' are not shown.
    """
    from_known = about.get("address") is None or str(about["address"]).partition("/")[0] in known
    return about.get("own") is True and about.get("program") in programs and from_known


def _at_the_database(environment: str, host: str, about: Mapping[str, Any]) -> Said:
    program, account, address = (str(about.get(part) or "") for part in ("program", "account", "address"))
    who = program or account
    place = f" from {address}" if address else ""
    text = f"{who} ({account}{place}) is connected to the database itself"
    return Said("integration-unrecorded", f"{host}/{who}", text, dict(about), environment, related=(host,))


def _some(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(map(str, names[:SHOWN]))}{more}"
