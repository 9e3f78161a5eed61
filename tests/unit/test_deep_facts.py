"""What is read on a host for an analysis: programs by what they name, files by the vendor's own digests; no secret."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from changeover.settings import PROJECT

SCRIPT = PROJECT / "playbooks/files/deep_facts.py"
PARTS = {"host", "runtime", "vendor_files", "programs", "own", "connections", "schedules", "certificates"}


@pytest.fixture(scope="module")
def script() -> Any:
    """The script as a module: asked of a directory without a release when it is loaded."""
    spec = importlib.util.spec_from_file_location("deep_facts", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.argv
    sys.argv = ["deep_facts.py", json.dumps(about(Path("/nonexistent")))]
    try:
        spec.loader.exec_module(module)
    finally:
        sys.argv = before
    return module


def about(root: Path, **changes: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"integrations": [], "own": {"names": [], "below": ""}, "certificates": []}
    return {"app_root": str(root), "port": 1, **empty, **changes}


def ask(asked: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-", json.dumps(asked)], input=SCRIPT.read_text(), capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def make_release(root: Path) -> Path:
    """A release with one distribution of one package, as pip leaves it."""
    site = root / "releases/1/lib/python3.11/site-packages"
    (site / "vendor/__pycache__").mkdir(parents=True)
    (site / "vendor-1.0.dist-info").mkdir()
    (site / "vendor/sale.py").write_text("x = 1\n")
    (site / "vendor/__pycache__/sale.cpython-311.pyc").write_bytes(b"x")
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).rstrip(b"=").decode()
    (site / "vendor-1.0.dist-info/RECORD").write_text(
        f"vendor/sale.py,sha256={digest},6\nvendor-1.0.dist-info/RECORD,,\n"
    )
    (root / "current").symlink_to("releases/1")
    return site / "vendor"


def test_every_part_is_told_and_nothing_is_made_up(tmp_path: Path) -> None:
    found = ask(about(tmp_path))
    assert set(found) == PARTS
    assert found["runtime"] == {"python": None, "packages": {}}
    assert found["vendor_files"] == {"checked": 0, "edited": [], "missing": [], "added": []}
    assert found["certificates"] == []


def test_files_are_held_against_the_digests_that_they_came_with(tmp_path: Path) -> None:
    package = make_release(tmp_path)
    assert ask(about(tmp_path))["vendor_files"] == {"checked": 1, "edited": [], "missing": [], "added": []}
    (package / "sale.py").write_text("x = 2\n")
    (package / "patch.py").write_text("")
    assert ask(about(tmp_path))["vendor_files"] == {
        "checked": 1,
        "edited": ["vendor/sale.py"],
        "missing": [],
        "added": ["vendor/patch.py"],
    }
    (package / "sale.py").unlink()
    assert ask(about(tmp_path))["vendor_files"]["missing"] == ["vendor/sale.py"]


def test_what_is_the_clients_own_is_no_file_put_beside_the_vendors(tmp_path: Path) -> None:
    package = make_release(tmp_path)
    (package / "own").mkdir()
    (package / "own/a.py").write_text("from vendor.config import config\nimport vendor.sale\n")
    own = {"names": ["own"], "below": "lib/python*/site-packages/vendor/"}
    found = ask(about(tmp_path, own=own))
    assert found["vendor_files"]["added"] == []
    assert found["own"] == {"own": {"imports": ["vendor.config.config", "vendor.sale"]}}


def test_reading_leaves_nothing_behind(tmp_path: Path) -> None:
    make_release(tmp_path)
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    ask(about(tmp_path))
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_program_is_known_by_the_places_methods_and_verbs_it_names(script: Any) -> None:
    text = '''
"""Calls /not/this/one in its documentation."""
# nor "/this/comment"
call("PATCH", f"{address}rpc/", "common.db.login", "a sentence with / in it")
password = "tok/en.secret"
'''
    assert script.mentions(text) == ["PATCH", "common.db.login", "rpc/"]


def test_a_program_in_another_language_is_read_by_its_quotes(script: Any) -> None:
    assert script.mentions("$client->post('/db/rpc/', \"model.sale.read\");") == ["/db/rpc/", "model.sale.read"]


@pytest.mark.parametrize(("version", "knows"), [("1.4", False), ("2.0", True)])
def test_the_two_programs_of_the_lab_are_told_apart(script: Any, version: str, knows: bool) -> None:
    text = (PROJECT / f"include/lab/tryton/order_feed/{version}/order_feed.py").read_text()
    assert ("rpc/" in script.mentions(text)) is knows


def test_of_an_integration_the_user_is_told_and_no_login(tmp_path: Path) -> None:
    (tmp_path / "state").write_text(json.dumps({"endpoint": "http://me:pw@h/db/"}))
    (tmp_path / "settings").write_text(json.dumps({"user": "feed", "password": "pw"}))
    (tmp_path / "feed.py").write_text("call('/db/')")
    one = {
        name: str(tmp_path / file)
        for name, file in (("state", "state"), ("settings", "settings"), ("program", "feed.py"))
    }
    found = ask(about(tmp_path, integrations=[{"name": "feed", **one}]))["programs"]["feed"]
    assert (found["address"], found["user"], found["program"]["mentions"]) == ("http://h/db/", "feed", ["/db/"])
    assert "pw" not in json.dumps(found)


def test_the_kernels_addresses_are_read(script: Any) -> None:
    assert script.dotted("0100007F") == "127.0.0.1"
    assert script.dotted("0000000000000000FFFF00000301A8C0") == "192.168.1.3"
