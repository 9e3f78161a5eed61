"""What a game day is played on: the lab's Roundup site, with a link in front of each production host."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from changeover import lab, wiring
from changeover.errors import ChangeoverError
from changeover.gameday import witness
from changeover.gameday.without_airflow import PlanText, SiteFiles
from changeover.lab import faults, hosts
from changeover.lab.account import Account
from changeover.lab.links import Link
from changeover.lab.postgres import Postgres, find_binaries
from changeover.settings import Settings

if TYPE_CHECKING:
    from changeover.domain.gameday import Sight
    from changeover.domain.plan import Plan
    from changeover.orchestration.airflow_client import DagRun
    from changeover.orchestration.serve import AirflowServer

SITE, CLIENT = "roundup", "lindgren"
ENVIRONMENT = "production"
VICTIM = "prod2"
"""The second host of two: what becomes of the first one, which nothing is wrong with, is a part of the question."""


@dataclasses.dataclass
class Ground:
    """The lab as one cell finds it: a `Scene`."""

    settings: Settings
    plan: PlanText
    state: lab.LabState
    links: dict[str, Link]
    before: dict[str, witness.Before]
    postgres: Postgres | None = None
    airflow: AirflowServer | None = None
    airflow_run: DagRun | None = None

    @property
    def account(self) -> Account:
        return Account.current(self.state.root / "home")

    @property
    def victim(self) -> lab.LabHost:
        return self.state.host(VICTIM)

    @property
    def link(self) -> Link:
        return self.links[VICTIM]

    def running_airflow(self) -> AirflowServer:
        if self.airflow is None:
            raise ChangeoverError("this cell has no Airflow")
        return self.airflow

    @property
    def site(self) -> SiteFiles:
        return SiteFiles(self.estate_path, self.state.secrets_path)

    def changing(self) -> bool:
        """The victim's data is of the new release, whatever else is."""
        return witness.schema(self.victim.app / "tracker/db/db") > self.before[VICTIM].schema

    def marker(self) -> str:
        """What the victim's marker says."""
        return marker_phase(self.victim.state / "marker.json")

    def sights(self, plan: Plan, run: str, tries: int) -> list[Sight]:
        old, new = plan.from_version, plan.to_version
        return [
            witness.sight(self.state.host(name), was, old=old, new=new, run=run, tries=tries)
            for name, was in self.before.items()
        ]

    def exposed(self) -> tuple[list[Path], list[Path]]:
        """Directories in which no secret may lie, and the client's own files that hold one."""
        places, allowed = [], []
        for name in self.before:
            host = self.state.host(name)
            places += [host.home, host.tmp, host.log, host.state, host.run, host.app / "artefacts"]
            allowed.append(host.home / "cost-sync/password")
        return places, allowed

    @property
    def estate_path(self) -> Path:
        """The estate as the product knows it: production's hosts are reached through their links."""
        return self.settings.home / "estate.json"

    def secrets(self) -> dict[str, str]:
        return secrets_of(self.state.secrets_path)


def secrets_of(path: Path) -> dict[str, str]:
    """Name → what must be found nowhere, of a lab's connections."""
    found: dict[str, str] = {}
    for name, fields in json.loads(path.read_text(encoding="utf-8")).items():
        extra = fields.get("extra", {})
        found |= {key: str(value) for key, value in (extra.get("secrets") or {}).items()}
        lines = [line for line in str(extra.get("private_key", "")).splitlines() if not line.startswith("-")]
        if lines:
            found[f"key of {name}"] = max(lines, key=len)
    return found


def marker_phase(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8")).get("phase", ""))
    except (OSError, ValueError):
        return ""


def read_plan(path: Path) -> PlanText:
    from changeover.adapters.plan_files import parse_plan, plan_digest

    content = path.read_bytes()
    plan = parse_plan(content, name=str(path))
    if (plan.client, plan.application) != (CLIENT, SITE):
        raise ChangeoverError(
            f"the game day is played on the lab's site {SITE}, and this plan is for {plan.client}'s {plan.application}",
            where=str(path),
            then=f"give a plan of {CLIENT} for {SITE}",
        )
    return PlanText(plan, plan_digest(content), content.decode(), path)


@contextmanager
def prepared(root: Path, home: Path, plan: PlanText, *, breaks: bool, disk: bool, clock: bool) -> Iterator[Ground]:
    """The site at the old release; `breaks`: production's acceptance will say no, so that it is backed out."""
    settings = dataclasses.replace(
        wiring.load_settings(),
        home=home,
        ledger_url=f"sqlite:///{home / 'ledger.db'}",
        cmdb_url=f"sqlite:///{home / 'cmdb.db'}",
    )
    home.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        state = lab.up(SITE, root=root, artefacts=lab.default_root() / "artefacts")
        account, victim = Account.current(root / "home"), state.host(VICTIM)
        if disk:
            hosts.stop([victim])
            account.run(["find", victim.app, "-mindepth", "1", "-delete"])
            faults.own_disk(account, victim)
            stack.callback(_give_disk_back, account, victim)
        state = lab.reset(SITE, root=root, fault="integration" if breaks else None)
        if clock:
            faults.own_clock(account, victim, root)
            stack.callback(faults.right_clock, account, victim, root)
        named = [host.name for host in state.hosts if host.name.startswith("prod")]
        links = {name: Link(state.host(name)) for name in named}
        for link in links.values():
            stack.callback(link.close)
        before = {name: witness.before(state.host(name)) for name in named}
        ground = Ground(dataclasses.replace(settings, artefacts=state.artefacts_path), plan, state, links, before)
        ground.estate_path.write_text(json.dumps(_estate(ground)), encoding="utf-8")
        stack.callback(_stop_database, ground)
        yield ground


def _stop_database(ground: Ground) -> None:
    if ground.postgres:
        ground.postgres.stop()


def _give_disk_back(account: Account, victim: lab.LabHost) -> None:
    hosts.kill([victim])
    faults.take_disk_away(victim)
    account.run(["find", victim.app, "-mindepth", "1", "-delete"])


def _estate(ground: Ground) -> dict[str, Any]:
    import yaml

    estate: dict[str, Any] = yaml.safe_load(ground.state.estate_path.read_text(encoding="utf-8"))
    for environment in estate["environments"]:
        for host in environment["hosts"]:
            if link := ground.links.get(host["name"]):
                own = ground.state.host(host["name"])
                host["host_keys"] = [
                    line.replace(f"[{own.address}]:{own.port}", f"[127.0.0.1]:{link.port}")
                    for line in host["host_keys"]
                ]
                host |= {"address": "127.0.0.1", "port": link.port}
    estate.pop("known_hosts", None)
    return estate


def ledger_on_postgres(ground: Ground) -> None:
    """A ledger on a server that can be restarted under it."""
    account, root = ground.account, ground.state.root
    ground.postgres = postgres = Postgres(account, root / "postgres", find_binaries(account, root))
    postgres.start()
    name = f"gameday_{ground.settings.home.name.replace('-', '_')}"
    postgres.run("dropdb", "--if-exists", name)
    postgres.run("createdb", name)
    url = f"postgresql+psycopg://postgres@/{name}?host={postgres.socket}"
    ground.settings = dataclasses.replace(ground.settings, ledger_url=url)
