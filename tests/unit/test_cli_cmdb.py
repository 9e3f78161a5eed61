"""`cmdb import` and `cmdb export`: strict, whole or not at all, repeatable, and it says what it did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from changeover import wiring
from changeover.adapters.estate_files import estate_text, read_estate
from changeover.cli import app
from changeover.domain.estate import Estate
from changeover.settings import PROJECT, load
from tests.support.records import an_estate, version_of

SAMPLE = PROJECT / "include/estates/oakfield.yaml"
LINE = '["192.0.2.9 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA"]'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHANGEOVER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHANGEOVER_PLANS", str(tmp_path / "plans"))
    for name in ("LEDGER_URL", "CMDB_URL"):
        monkeypatch.delenv(f"CHANGEOVER_{name}", raising=False)
    return tmp_path


def invoke(*words: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def put(home: Path, name: str, text: str) -> Path:
    path = home / name
    path.write_text(text, encoding="utf-8")
    return path


def changed(home: Path, *pairs: tuple[str, str]) -> Path:
    """The sample with parts of its text replaced."""
    text = SAMPLE.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return put(home, "estate.yaml", text)


def test_the_way_of_the_readme_leads_from_the_sample_to_a_plan_in_order(home: Path) -> None:
    """Import, make a plan of what the CMDB then knows, check it, and see its hosts."""
    code, out, _ = invoke("cmdb", "import", SAMPLE)
    assert code == 0, out
    assert "   added environment roundup/production\n" in out
    assert "Airflow needs the connection ssh_oakfield" in out
    words = ["--client", "oakfield", "--application", "roundup", "--to-version", "2.6.0", "--trigger", "client_request"]
    words += ["--reference", "REQ-1", "--dated", "2026-01-05", "--reason", "They asked", "--sow", "SOW-1"]
    words += ["--signed-on", "2026-01-06", "--valid-from", "2026-01-07", "--valid-until", "2098-12-31"]
    words += ["--contract", "SC-1", "--contract-from", "2026-01-01", "--contract-until", "2098-12-31"]
    words += ["--requester", "tess.moore", "--approver", "helen.oak", "--support", "ravi.shah", "--any-time", "agreed"]
    code, out, err = invoke("plan", "new", *words)
    assert code == 0, out + err
    plan = home / "plans/oakfield/roundup-2.6.0.yaml"
    assert yaml.safe_load(plan.read_text(encoding="utf-8"))["from_version"] == "2.0.0"
    code, out, _ = invoke("plan", "show", plan)
    assert code == 0
    assert "1 in the CMDB, 2.0.0 on record" in out


def test_the_sample_gives_its_hosts_what_the_role_asks_for() -> None:
    """Every variable that `discover` requires, and none that no role knows."""
    wanted, known = set(), {"host_become"}
    for role in ("roundup", "app_service"):
        specs = yaml.safe_load(
            (PROJECT / f"playbooks/roles/{role}/meta/argument_specs.yml").read_text(encoding="utf-8")
        )
        known |= {name for spec in specs["argument_specs"].values() for name in spec.get("options", {})}
        if role == "roundup":
            options = specs["argument_specs"]["discover"]["options"]
            wanted = {name for name, about in options.items() if about.get("required")}
    estate = read_estate(SAMPLE).document
    assert estate is not None
    for environment in estate.environments:
        for host in environment.hosts:
            assert wanted | {"host_become", "service_manager"} <= set(host.variables) <= known


def test_every_fault_is_told_with_its_line_and_nothing_is_imported(home: Path) -> None:
    path = changed(
        home,
        ('version: "2.0.0"', "version: 2.0"),
        ("name: Tess Moore", "nmae: Tess Moore"),
        ("    side: client\n", "    side: client\n    side: client\n"),
    )
    code, out, _ = invoke("cmdb", "import", path, SAMPLE)
    assert code == 1
    lines = [line for line in out.splitlines() if str(path) in line]
    assert any("nmae: is not a known key; did you mean 'name'?" in line for line in lines), out
    assert sum("2.0 without quotes is a number" in line for line in lines) == 3
    assert any("is written twice" in line for line in lines)
    assert all(f"{path}:" in line for line in lines[1:])
    assert "nothing was imported" in out
    assert not wiring.is_made(load().cmdb_url)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: oak-train\n", "name: oak-base\n", "hosts.0.name: host oak-base is ambiguous: 192.0.2.21"),
        ("  - name: training\n", "  - name: baseline\n", "environments.1.name: environment roundup/baseline of"),
        ("  - id: ravi.shah\n", "  - id: tess.moore\n", "people.1.id: person tess.moore is ambiguous: Tess"),
        ("roundup_port: 8080\n", "db_password: hunter2\n          roundup_port: 8080\n", "looks like a secret"),
        ("8080\n", "8080\n          url: https://me:hunter2@host.example/\n", "url: has a password in its address"),
        ("ssh-ed25519 ", "", "is no line of known_hosts"),
        ("people:\n", 'known_hosts: "|1|xx|yy ssh-rsa AAAA"\npeople:\n', "known_hosts: '|1|xx|yy ssh-rsa AAAA'"),
    ],
)  # fmt: skip
def test_what_a_schema_cannot_see_is_refused_too(home: Path, old: str, new: str, told: str) -> None:
    code, out, _ = invoke("cmdb", "import", changed(home, (old, new)), "--check")
    assert code == 1
    assert told in out
    assert "hunter2" not in out


def test_two_files_that_would_retire_each_others_environments_are_refused(home: Path) -> None:
    code, out, _ = invoke("cmdb", "import", SAMPLE, changed(home, ("Oakfield Foods Ltd", "Oakfield Foods")))
    assert code == 1
    assert f"{SAMPLE} speaks for roundup of this client too; put both into one file" in out


def test_importing_again_tells_what_was_added_changed_retired_and_left(home: Path) -> None:
    invoke("cmdb", "import", SAMPLE)
    again = json.loads(invoke("cmdb", "import", SAMPLE, "--json")[1])["estates"][0]
    assert (again["added"], again["changed"], again["retired"]) == ([], [], [])
    assert len(again["left"]) == 1 + 3 + 1 + 3 * 4
    text = SAMPLE.read_text(encoding="utf-8")
    start, end = text.index("  - name: training\n"), text.index("  - name: production\n")
    fewer = put(
        home,
        "fewer.yaml",
        (text[:start] + text[end:]).replace("Helen Oak", "Helen Oakes").replace("192.0.2.31", "192.0.2.32"),
    )
    code, out, _ = invoke("cmdb", "import", fewer)
    assert code == 0
    for line in (
        "changed person helen.oak (name)", "changed host roundup/production/oak-prod (address, host_keys)",
        "retired environment roundup/training", "retired host roundup/training/oak-train",
    ):  # fmt: skip
        assert f"   {line}\n" in out
    assert "added" not in out


def test_a_version_that_a_run_recorded_stands_unless_it_is_reset(home: Path) -> None:
    invoke("cmdb", "import", SAMPLE)
    cmdb = wiring.cmdb(load())
    cmdb.apply(version_of("oak-prod", "2.6.0", client="oakfield", application="roundup"))
    code, out, _ = invoke("cmdb", "import", SAMPLE)
    assert code == 0
    assert "the CMDB keeps 2.6.0, which runs recorded; the file says 2.0.0" in out
    code, out, _ = invoke("cmdb", "import", SAMPLE, "--reset-versions")
    assert "   changed environment roundup/production (version)\n" in out
    assert "keeps" not in out


def test_what_is_exported_is_in_order_and_changes_nothing(home: Path) -> None:
    invoke("cmdb", "import", SAMPLE)
    code, text, _ = invoke("cmdb", "export", "Oakfield Foods Ltd")
    assert code == 0
    out = put(home, "exported.yaml", text)
    told = json.loads(invoke("cmdb", "import", out, "--json")[1])
    assert told["ok"]
    assert told["estates"][0]["changed"] == told["estates"][0]["retired"] == told["estates"][0]["added"] == []
    assert invoke("cmdb", "export", "oakfield", "--out", home / "again.yaml")[0] == 0
    assert (home / "again.yaml").read_text(encoding="utf-8") == text


def test_the_clients_it_does_not_know_are_told(home: Path) -> None:
    for _ in range(2):
        code, _, err = invoke("cmdb", "export", "nobody")
        assert code == 1
        assert "the CMDB knows no client nobody; `changeover cmdb import FILE` brings one" in err
        invoke("cmdb", "import", SAMPLE)


def test_a_host_without_a_key_and_another_estates_host_are_told(home: Path) -> None:
    keyless = changed(home, ('host_keys: ["192.0.2.31', 'host_keys: []  # ["192.0.2.31'))
    assert "no key is known of oak-prod" in invoke("cmdb", "import", keyless)[1]
    other = changed(
        home,
        ("application: roundup", "application: tryton"),
        ("slug: roundup", "slug: tryton"),
        ("192.0.2.31", "192.0.2.99"),
    )
    code, out, _ = invoke("cmdb", "import", other)
    assert code == 1
    assert "host oak-prod is ambiguous: 192.0.2.31:22 (roundup) and 192.0.2.99:22 (tryton)" in out


def test_a_broken_database_is_no_answer(home: Path) -> None:
    (home / "home").mkdir()
    (home / "home/cmdb.db").write_bytes(b"no database at all, not even nearly" * 40)
    for words in (("export", "oakfield"), ("import", str(SAMPLE))):
        result = CliRunner().invoke(app, ["cmdb", *words])
        assert result.exception is not None
        assert not isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("make", [an_estate, lambda: read_estate(SAMPLE).document])
def test_an_estate_is_written_as_it_is_read(home: Path, make: Callable[[], Estate]) -> None:
    estate = make()
    reading = read_estate(put(home, "e.yaml", estate_text(estate.model_copy(update={"known_hosts": ""}))))
    assert reading.faults == ()
    assert reading.document == estate.model_copy(update={"known_hosts": ""})
