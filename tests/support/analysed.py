"""Facts of an analysis in which nothing is wrong, to be changed in one place at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from changeover.adapters.check_files import load_catalogue
from changeover.domain.analysis import Analysis, analyse
from changeover.domain.analysis_facts import AnalysisFacts, AnalysisTraits
from changeover.domain.artefacts import ArtefactSet, Wheel
from changeover.domain.check import Catalogue
from changeover.domain.estate import EstateEnvironment
from changeover.domain.finding import Finding
from changeover.domain.release import ReleaseRecord
from changeover.domain.watch import Watched
from changeover.settings import load
from tests.support.world import START, estate, plan, release

CATALOGUE: Catalogue = load_catalogue(load({}).checks)
PLAN = plan(expected={"customisations": ["own_module"], "integrations": ["feed"]})
HOSTS = {e.name: e.hosts for e in estate().environments if e.name != "baseline"}
RECORDS: dict[str, EstateEnvironment | None] = {
    e.name: e.model_copy(update={}) for e in estate().environments if e.name != "baseline"
}
CHANGED: list[dict[str, Any]] = [
    {"kind": "endpoint", "what": "calls", "from": "POST /<database>/", "to": "POST /<database>/rpc/", "source": "n"},
    {"kind": "driver", "what": "driver", "from": "psycopg2", "to": "psycopg 3.2 or newer", "source": "n"},
    {"kind": "setting", "what": "web.chunk", "from": "a size", "to": "", "source": "n"},
    {"kind": "setting", "what": "web.timeout", "from": "none", "to": "60 seconds", "source": "n"},
    {"kind": "module", "what": "maps", "from": "there", "to": "", "source": "n"},
    {"kind": "function", "what": "answer of common.login", "from": "a", "to": "b", "source": "n"},
    {"kind": "function", "what": "tracker.config.config", "from": "a", "to": "b", "source": "n"},
]
STEPS = [{"id": "hashes", "series": "2.6", "when": "before", "title": "Replace hashes", "source": "notes, 2.6"}]
RELEASE = ReleaseRecord.model_validate(
    release().model_dump(by_alias=True)
    | {
        "changed": CHANGED,
        "manual_steps": STEPS,
        "requires": {"python": ">=3.10", "database": {"postgresql": ">=12"}},
        "artefacts": {"requirements": ["tracker==2.6.0", "psycopg==3.3.9"]},
    }
)
REPORT: dict[str, Any] = {
    "version": "2.0.0",
    "modules": {"sale": "2.0"},
    "customisations": {"own_module": {"version": "2.0.1", "digest": "aa"}},
    "settings": {"app.conf": {"digest": "s", "values": {"web.chunk": "20"}}},
    "integrations": {"feed": {"endpoint": "http://h:1/", "schedule": "running"}},
    "host": {
        "python": "3.11.2",
        "machine": "x86_64",
        "libc": "glibc 2.36",
        "system": "Debian 12",
        "account": "app",
        "memory_bytes": 8 << 30,
        "processors": 4,
    },
    "runtime": {"python": "3.11.2", "packages": {"psycopg2-binary": "2.9", "tracker": "2.0.0"}},
    "database": {"name": "postgresql", "version": "15.18"},
    "client_settings": {"web.chunk": {"value": "20", "default": None}},
    "vendor_files": {"checked": 10, "edited": [], "missing": [], "added": []},
    "programs": {
        "feed": {
            "address": "http://h:1/db/",
            "user": "feed",
            "program": {"path": "/opt/feed.py", "digest": "f1", "mentions": ["/", "rpc/", "common.login"]},
        }
    },
    "own": {"own_module": {"imports": ["tracker.pool.Pool"]}},
    "connections": [{"peer": "127.0.0.1", "count": 1}],
    "database_clients": [{"account": "tracker", "own": True, "program": "trackerd", "address": None}],
    "schedules": [],
    "certificates": [],
    "manual_steps": {"hashes": {"applies": False, "why": "no row needs it", "choice": "choose", "unless": ""}},
    "free": {"/srv/app": {"bytes": 40 << 30}},
    "volume": {"bytes": 29_000_000, "tables": []},
    "accounts": ["admin"],
}
ARTEFACTS = ArtefactSet(
    "/artefacts",
    there=True,
    listed={"tracker-2.6.0-py3-none-any.whl": "d"},
    wheels=(
        Wheel("tracker-2.6.0-py3-none-any.whl", "tracker", "2.6.0", requires=("psycopg>=3.2",)),
        Wheel("psycopg-3.3.9-py3-none-any.whl", "psycopg", "3.3.9"),
        Wheel("own_module-2.6.1-py3-none-any.whl", "own-module", "2.6.1", plug_ins={"own_module": "2.6.1"}),
    ),
    pins={"tracker": "2.6.0", "psycopg": "3.3.9", "own-module": "2.6.1"},
)
TRAITS = AnalysisTraits.model_validate(
    {
        "plug_in": {"group": "tracker.modules", "descriptor": "module.cfg", "section": "module", "option": "version"},
        "database_programs": ["trackerd", "trackerd-cron"],
        "retests": {"integration": ["test_round"], "endpoint": ["test_round"]},
    }
)
NAMES = tuple(host.name for hosts in HOSTS.values() for host in hosts)
LOOK = {name: Watched(name, {"/srv/app": "d1"}, 5) for name in NAMES}


def facts(**changes: Any) -> AnalysisFacts:
    """`changes` replace whole fields."""
    made = AnalysisFacts(
        plan=PLAN,
        release=RELEASE,
        at=START,
        hosts=HOSTS,
        records=RECORDS,
        reports={name: copy.deepcopy(REPORT) for name in NAMES},
        artefacts=ARTEFACTS,
        traits=TRAITS,
        before=LOOK,
        after=LOOK,
        all_hosts=NAMES,
    )
    return replace(made, **changes)


def reported(change: Callable[[dict[str, Any]], object], *on: str) -> AnalysisFacts:
    """The report of these hosts (all when none is named), changed in place by `change`."""
    made = facts()
    reports: dict[str, Mapping[str, Any]] = dict(made.reports)
    for name in on or NAMES:
        report = copy.deepcopy(dict(reports[name]))
        change(report)
        reports[name] = report
    return replace(made, reports=reports)


def without(name: str) -> ArtefactSet:
    """The artefacts without the wheel of this distribution."""
    pins = {pin: version for pin, version in ARTEFACTS.pins.items() if pin != name}
    return replace(ARTEFACTS, wheels=tuple(w for w in ARTEFACTS.wheels if w.name != name), pins=pins)


def analysed(of: AnalysisFacts, catalogue: Catalogue = CATALOGUE) -> Analysis:
    return analyse(of, catalogue)


def inhibitors(of: AnalysisFacts) -> list[Finding]:
    return [finding for finding in analysed(of).findings if finding.inhibits]


def keys(of: AnalysisFacts) -> list[tuple[str, str]]:
    """Key and subject of every inhibitor."""
    return [(finding.key, finding.subject) for finding in inhibitors(of)]
