"""Artefacts on disk, and credentials without Airflow: read as they lie there, and never trusted further."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from changeover.adapters.artefact_files import read_artefacts
from changeover.adapters.environment_vault import EnvironmentVault
from changeover.adapters.role_files import read_traits
from changeover.domain.analysis_facts import PlugIn
from changeover.errors import ChangeoverError
from changeover.settings import PROJECT, load

KIND = PlugIn(group="app.modules", descriptor="module.cfg", section="module", option="version")


def wheel(place: Path, name: str, version: str, **files: str) -> str:
    path = place / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Name: {name}\nVersion: {version}\nRequires-Dist: lxml>=2\n")
        for file, text in files.items():
            archive.writestr(file.replace("INFO", info), text)
    return path.name


def manifest(place: Path) -> None:
    names = sorted(path.name for path in place.iterdir())
    lines = [f"{hashlib.sha256((place / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (place / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def test_wheels_say_what_they_are_what_they_need_and_what_they_bring(tmp_path: Path) -> None:
    described = {
        "INFO/entry_points.txt": "[app.modules]\nown_module = app.modules.own_module\n",
        "app/modules/own_module/module.cfg": "[module]\nversion=8.0.1\ndepends:\n    sale\n",
    }
    wheel(tmp_path, "own_module", "1.0", **described)
    (tmp_path / "requirements.txt").write_text("own-module==1.0  # the client's\n")
    manifest(tmp_path)
    found = read_artefacts(tmp_path, KIND)
    assert (found.there, found.differing, found.unlisted) == (True, (), ())
    assert found.pins == {"own-module": "1.0"}
    (one,) = found.wheels
    assert (one.name, one.version, one.requires) == ("own-module", "1.0", ("lxml>=2",))
    assert one.plug_ins == {"own_module": "8.0.1"}
    assert found.plug_in("own_module") == one


def test_a_file_that_is_not_as_listed_is_no_artefact(tmp_path: Path) -> None:
    name = wheel(tmp_path, "a", "1")
    manifest(tmp_path)
    (tmp_path / name).write_bytes(b"other")
    found = read_artefacts(tmp_path, None)
    assert (found.differing, found.wheels) == ((name,), ())


def test_a_manifest_does_not_lead_out_of_its_directory(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    (tmp_path / "secret.whl").write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    (place / "SHA256SUMS").write_text(f"{digest}  ../secret.whl\n")
    assert read_artefacts(place, None).differing == ("../secret.whl",)


def test_what_is_no_wheel_says_why(tmp_path: Path) -> None:
    (tmp_path / "a-1-py3-none-any.whl").write_bytes(b"no zip")
    manifest(tmp_path)
    assert "BadZipFile" in read_artefacts(tmp_path, None).wheels[0].fault


def test_wheels_that_no_manifest_lists_are_told_apart(tmp_path: Path) -> None:
    manifest(tmp_path)
    name = wheel(tmp_path, "late", "1")
    assert read_artefacts(tmp_path, None).unlisted == (name,)


def test_a_directory_without_a_manifest_is_not_there(tmp_path: Path) -> None:
    assert not read_artefacts(tmp_path / "no", None).there


@pytest.mark.parametrize("application", ["tryton", "roundup"])
def test_the_tests_that_a_role_names_for_retests_exist(application: str) -> None:
    """A renamed test would block every acceptance."""
    traits = read_traits(application, roles=load({}).playbooks / "roles")
    text = "".join(path.read_text() for path in (PROJECT / "include/acceptance" / application).glob("test_*.py"))
    named = {test for tests in traits.retests.values() for test in tests}
    assert named
    assert not [test for test in named if f"def {test}(" not in text]


# Credentials

KEY = "-----BEGIN KEY-----\nabc\n"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"conn_type": "ssh", "extra": {"private_key": KEY, "secrets": {"admin": "s"}}}),
        json.dumps({"conn_type": "ssh", "extra": json.dumps({"private_key": KEY, "secrets": {"admin": "s"}})}),
        "ssh://host/?__extra__=" + json.dumps({"private_key": KEY, "secrets": {"admin": "s"}}).replace("\\n", "%5Cn"),
    ],
)
def test_a_connection_is_read_as_airflow_reads_it(text: str) -> None:
    vault = EnvironmentVault({"AIRFLOW_CONN_SSH_ACME": text})
    found = vault.credentials(["ssh_acme"])
    assert (dict(found.ssh_keys), dict(found.secrets)) == ({"ssh_acme": KEY}, {"admin": "s"})


def test_a_secrets_file_gives_what_the_environment_does_not(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({"ssh_acme": {"extra": {"private_key": KEY}}}))
    path.chmod(0o600)
    assert EnvironmentVault({}, (path,)).credentials(["ssh_acme"]).ssh_keys == {"ssh_acme": KEY}
    path.chmod(0o644)
    with pytest.raises(ChangeoverError, match="can be read by others"):
        EnvironmentVault({}, (path,)).credentials(["ssh_acme"])


def test_every_connection_without_a_key_is_named() -> None:
    with pytest.raises(ChangeoverError, match="no SSH key is known for ssh_a, ssh_b") as told:
        EnvironmentVault({}).credentials(["ssh_a", "ssh_b"])
    assert "AIRFLOW_CONN_SSH_A" in told.value.then
