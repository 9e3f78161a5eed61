"""Where things are; one frozen value read from the environment once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    """Paths of the product's content (read) and of its home (written). URLs are SQLAlchemy's."""

    project: Path
    home: Path
    plans: Path
    releases: Path
    checks: Path
    acceptance: Path
    expectations: Path
    playbooks: Path
    ledger_url: str
    cmdb_url: str
    artefacts: Path
    branding: Path = PROJECT / "include" / "branding"
    documents: Path = PROJECT / "include" / "documents"
    freezes: Path = PROJECT / "include" / "freezes"
    waivers: Path = PROJECT / "include" / "waivers"
    rates: Path = PROJECT / "include" / "rates"
    caps: Path = PROJECT / "include" / "fleet" / "caps.yaml"
    """What the lanes of all plans share; nothing where there is no such file."""
    survey_key: str = field(default="", repr=False)
    """Signs the survey's links; "" takes the one kept in the home."""
    notices_email: str = ""
    """The site's Airflow connection for mail to participants, for plans that name none."""
    notices_webhook: str = ""

    @property
    def airflow_home(self) -> Path:
        return self.home / "airflow"

    @property
    def plan_store(self) -> Path:
        return self.home / "store"

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    def run_directory(self, run_key: str) -> Path:
        return self.home / "runs" / run_key

    def pinned_releases(self, run_key: str) -> Path:
        """Where the run's own copy of its product's release records lies, once its plan is approved."""
        return self.run_directory(run_key) / "releases"

    def evidence_directory(self, run_key: str) -> Path:
        return self.run_directory(run_key) / "evidence"

    def executions_directory(self, run_key: str) -> Path:
        return self.run_directory(run_key) / "executions"


def load(environ: dict[str, str] | None = None) -> Settings:
    """Read `CHANGEOVER_*`; what is not set lies under the project or its `.changeover` directory."""
    env = dict(os.environ) if environ is None else environ

    def path(name: str, default: Path) -> Path:
        return Path(env.get(f"CHANGEOVER_{name}") or default).expanduser().absolute()

    home = path("HOME", PROJECT / ".changeover")
    include = PROJECT / "include"
    return Settings(
        project=PROJECT,
        home=home,
        plans=path("PLANS", include / "plans"),
        releases=path("RELEASES", include / "releases"),
        checks=path("CHECKS", include / "checks"),
        acceptance=path("ACCEPTANCE", include / "acceptance"),
        expectations=path("EXPECTATIONS", include / "expectations"),
        playbooks=path("PLAYBOOKS", PROJECT / "playbooks"),
        ledger_url=env.get("CHANGEOVER_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}",
        cmdb_url=env.get("CHANGEOVER_CMDB_URL") or f"sqlite:///{home / 'cmdb.db'}",
        artefacts=path("ARTEFACTS", home / "artefacts"),
        branding=path("BRANDING", include / "branding"),
        documents=path("DOCUMENTS", include / "documents"),
        freezes=path("FREEZES", include / "freezes"),
        waivers=path("WAIVERS", include / "waivers"),
        rates=path("RATES", include / "rates"),
        caps=path("CAPS", include / "fleet" / "caps.yaml"),
        survey_key=env.get("CHANGEOVER_SURVEY_KEY") or "",
        notices_email=env.get("CHANGEOVER_NOTICES_EMAIL") or "",
        notices_webhook=env.get("CHANGEOVER_NOTICES_WEBHOOK") or "",
    )
