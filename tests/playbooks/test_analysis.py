"""Nordwind's Tryton analysed on real hosts: clean, then with four faults at once, each cured as its finding says."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from changeover import lab, wiring
from changeover.adapters.environment_vault import EnvironmentVault
from changeover.adapters.plan_files import parse_plan, plan_digest
from changeover.adapters.release_files import load_release, read_product
from changeover.domain.analysis_report import AnalysisReport
from changeover.domain.finding import ActionKind, Finding
from changeover.domain.outcome import Outcome, Verdict
from changeover.lab.account import Account, Entry
from changeover.orchestration.introduce_site import import_estate
from changeover.settings import PROJECT, Settings, load
from changeover.usecases import closeout
from changeover.usecases.analyse_local import analyse_here
from changeover.usecases.analysis import analyse_client, analyse_release
from changeover.usecases.answers import record_answer
from changeover.usecases.ask import open_request
from changeover.usecases.open_run import requested_run
from changeover.usecases.planning import write_run_sheet
from changeover.usecases.prepare import prepare
from changeover.usecases.tools import Reply, Tools, Upgrade
from changeover.usecases.transition import check_entry
from tests.playbooks.bench import Bench

pytestmark = [pytest.mark.lab, pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(1500)]
PLAN = PROJECT / "include/plans/nordwind/tryton-8.0.yaml"
OLD, NEW = "7.0.59", "8.0.12"
PRODUCTION = ("prod-app1", "prod-app2")
OLD_PASSWORD = (
    r"UPDATE res_user SET password_hash = '\$pbkdf2-sha512\$25000\$c2FsdA\$aGFzaA' WHERE login = 'acceptance'"
)


@dataclass
class Nordwind:
    """The lab's site, with a home of Changeover's beside it."""

    state: lab.LabState
    settings: Settings

    def asked(self, mode: str, **more: Any) -> tuple[Upgrade, Tools]:
        """A run of the plan, without Airflow."""
        raw = PLAN.read_bytes()
        plan = parse_plan(raw, name=str(PLAN))
        tools = wiring.tools(
            vault=EnvironmentVault({}, (self.state.secrets_path,)), tell=lambda line: None, settings=self.settings
        )
        run = requested_run(
            plan,
            plan_digest=plan_digest(raw),
            plan_text=raw.decode(),
            dag_run_id=f"local__{tools.clock().isoformat()}",
            requested_by=plan.requested_by,
            asked={"mode": mode, **more},
            at=tools.clock(),
        )
        release = load_release(plan.release, releases=self.settings.releases)
        product = read_product(release.product, releases=self.settings.releases)
        return Upgrade(tools.ledger.open_run(run), plan, release, product), tools

    def analyse(self) -> AnalysisReport:
        """As `analyse --local` does it."""
        upgrade, tools = self.asked("analyse")
        report = wiring.analysis(tools.ledger, analyse_here(upgrade, tools).key)
        assert report is not None
        return report

    def fix(self, *findings: str) -> Verdict:
        """As a run in mode `fix` does it, stage by stage, with the yes of the first whom the plan names."""
        upgrade, tools = self.asked("fix", findings=list(findings), reason="the client chose new passwords")
        for stage in (check_entry, analyse_release, analyse_client, write_run_sheet):
            answer = stage(upgrade, tools)
            assert answer.reply is Reply.YES, answer.text
        asked = open_request(upgrade, tools, gate="plan").data["asked"]
        record_answer(upgrade, tools, gate="plan", environment="", option="Approve", responder={"id": asked[0]})
        answer = prepare(upgrade, tools)
        assert answer.reply is Reply.YES, answer.text
        return closeout.close(upgrade, tools)

    @property
    def artefacts(self) -> Path:
        return self.state.artefacts_path / "tryton" / NEW

    def operator(self, command: str, *, directory: Path, **environment: str) -> None:
        """A command on the controller, where the artefacts lie."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        words = ["sh", "-c", command]
        subprocess.run(words, check=True, cwd=directory, env={**os.environ, "PATH": path, **environment})

    def administrator(self, command: str) -> None:
        """A command as the account that the application and its database belong to."""
        Account.current(self.state.root).run(["sh", "-c", command])


@pytest.fixture(scope="module")
def nordwind(lab_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nordwind]:
    """Artefacts of its own, since the test takes some away."""
    state = lab.up("tryton", root=lab_root, port=0, artefacts=lab_root / "artefacts")
    settings = replace(load({"CHANGEOVER_HOME": str(tmp_path_factory.mktemp("home"))}), artefacts=state.artefacts_path)
    wiring.make_own_databases(settings)
    import_estate(settings, state.estate_path)
    yield Nordwind(state, settings)
    lab.down("tryton", root=lab_root)


def test_four_faults_are_found_before_any_change_and_their_remediation_cures_them(nordwind: Nordwind) -> None:
    lab.reset("tryton", root=nordwind.state.root)
    clean = nordwind.analyse()
    assert clean.reasons == ()
    assert len(clean.hosts_seen) == 4
    assert clean.checks >= 40
    executions = list((nordwind.settings.home / "runs" / clean.run.key / "executions").iterdir())
    assert [path.name for path in executions] == ["estate.discover.1"]
    assert [one["percent"] for one in clean.fidelity] == [100]
    assert [one["not_compared"] for one in clean.fidelity] == [{}]
    assert [f.summary for f in clean.findings if f.key == "integration-unrecorded"] == []
    clients = [one for host in clean.inventory for one in host["database_clients"] or ()]
    assert {(one["own"], one["program"]) for one in clients} >= {(True, "trytond")}

    lab.reset("tryton", root=nordwind.state.root, fault="integration")
    away = take_away(nordwind, "psycopg", "customer_nordwind")
    nordwind.administrator(f'{pg(nordwind)} -c "{OLD_PASSWORD}"')

    faulty = nordwind.analyse()
    found = {(finding.key, finding.subject): finding for finding in faulty.inhibitors}
    assert set(found) == {
        ("artefact-driver", "psycopg"),
        ("artefact-requirement", "psycopg"),
        ("artefact-requirement", "psycopg-binary"),
        ("artefact-requirement", "psycopg-pool"),
        ("customisation-unported", "customer_nordwind"),
        ("impact-endpoint-moved", "prod-app1/order-feed"),
        ("impact-endpoint-moved", "prod-app2/order-feed"),
        ("vendor-step-choice", "production/password-hashes"),
    }
    assert faulty.changes is not None
    assert len(faulty.changes.new) == len([f for f in faulty.findings if faulty.changes.of(f) == "new"]) >= len(found)

    # Each as its finding says; the index that pip asks is the directory of what was taken away.
    for command in commands(found["artefact-driver", "psycopg"]):
        nordwind.operator(command, directory=away, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(away))
    for command in commands(found["customisation-unported", "customer_nordwind"]):
        nordwind.operator(command, directory=away)
    fixed = nordwind.fix("vendor-step-choice")
    assert fixed.outcome is Outcome.SUCCESSFUL
    assert fixed.reasons == ("vendor-step-choice (production/password-hashes): cured",)
    port_the_feed(nordwind)

    cured = nordwind.analyse()
    assert cured.reasons == ()
    assert cured.changes is not None
    # The fix was held against an analysis of its own, which had seen the others gone.
    assert {finding.identity[::2] for finding in cured.changes.gone} >= {
        ("impact-endpoint-moved", "prod-app1/order-feed"),
        ("impact-endpoint-moved", "prod-app2/order-feed"),
    }
    upgrade_succeeds(nordwind)


def pg(nordwind: Nordwind) -> str:
    bench = Bench(nordwind.state, "tryton", OLD, NEW)
    about = bench.estate["environments"][2]["hosts"][0]["variables"]
    place = f"-h {about['tryton_pg_host']} -p {about['tryton_pg_port']} -U {about['tryton_pg_user']}"
    return f"{about['tryton_pg_bin']}/psql {place} -d {about['tryton_database']}"


def take_away(nordwind: Nordwind, *names: str) -> Path:
    """Wheels whose names begin so; pins and manifest follow, as if they had never been fetched."""
    place, away = nordwind.artefacts, nordwind.state.root / "away"
    away.mkdir()
    for wheel in [wheel for wheel in place.glob("*.whl") if wheel.name.startswith(names)]:
        wheel.rename(away / wheel.name)
    pins = (place / "requirements.txt").read_text().splitlines()
    left = [pin for pin in pins if not pin.replace("-", "_").startswith(names)]
    (place / "requirements.txt").write_text("\n".join(left) + "\n")
    files = sorted((*place.glob("*.whl"), place / "requirements.txt"))
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (place / "SHA256SUMS").write_text(sums)
    return away


def commands(finding: Finding) -> list[str]:
    found = [action.text for action in finding.actions if action.kind is ActionKind.COMMAND]
    assert found, finding
    return found


def port_the_feed(nordwind: Nordwind) -> None:
    """What the finding asks of the client: a program that knows both places."""
    account = Account.current(nordwind.state.root)
    program = (PROJECT / "include/lab/tryton/order_feed/2.0/order_feed.py").read_bytes()
    for name in PRODUCTION:
        own = nordwind.state.host(name).home / "order-feed"
        account.write(own / "2.0", {"order_feed.py": Entry(program)})
        account.run(["ln", "-sfn", "2.0", own / "current"])


def upgrade_succeeds(nordwind: Nordwind) -> None:
    """Production itself: both hosts run the new release, and the integration that was named makes its round."""
    bench = Bench(nordwind.state, "tryton", OLD, NEW)
    for step, about in (
        ("prepare", {"restore_point": "test-preparation"}),
        ("restore_point", {"target_version": OLD, "datasets": {}}),
        ("implement", {"target_version": NEW}),
    ):
        played = bench.play(step, *PRODUCTION, **about)
        assert played.ok, played.failures
    reports = bench.play("verify", *PRODUCTION, target_version=NEW, datasets={}).reports
    assert {report["version"] for report in reports.values()} == {NEW}
    for name in PRODUCTION:
        host = nordwind.state.host(name)
        own = host.home / "order-feed"
        state = own / "tried.json"
        nordwind.administrator(f"python3 {own}/current/order_feed.py {own}/settings.json --once --state {state}")
        assert json.loads(state.read_text())["endpoint"].endswith("/nordwind_production/rpc/")
