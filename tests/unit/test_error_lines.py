"""What a host counts as errors: lines of the services' logs, from files or from the journal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from changeover.settings import PROJECT

ROLE = PROJECT / "playbooks/roles/app_service"
PROGRAM = ROLE / "files" / "error_lines.py"
PATTERN = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf-8"))["app_service_error_pattern"]
LOG = b"""[Sat Nov 28 10:00:00 2026] INFO:werkzeug: 127.0.0.1 "POST /db/rpc/" 200
2026-11-28 10:00:01 ERROR trytond.dispatcher exception
Traceback (most recent call last):
  File "x.py", line 1
ValueError: no ERRORS here as a word, and TERROR is none
CRITICAL: pool \xff exhausted
"""


def count(path: str, /, **asked: Any) -> subprocess.CompletedProcess[str]:
    given = {"names": ["erp"], "since": 1000, "pattern": PATTERN} | asked
    return subprocess.run(
        [sys.executable, "-", json.dumps(given)],
        input=PROGRAM.read_text(encoding="utf-8"),
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lines_of_the_log_and_of_the_one_before_are_counted(tmp_path: Path) -> None:
    (tmp_path / "erp.log").write_bytes(LOG)
    (tmp_path / "erp.log.1").write_bytes(b"FATAL: too many connections\nall well\n")
    told = count(os.environ["PATH"], manager="supervisor", directory=str(tmp_path), names=["erp", "feed"])
    assert json.loads(told.stdout) == {"erp": 4, "feed": 0}


def test_a_log_that_cannot_be_read_is_no_count(tmp_path: Path) -> None:
    (tmp_path / "erp.log").mkdir()
    told = count(os.environ["PATH"], manager="supervisor", directory=str(tmp_path))
    assert told.returncode
    assert told.stdout == ""


def journal(tmp_path: Path, text: str) -> str:
    """A `journalctl` that tells what it was asked; its path."""
    program = tmp_path / "journalctl"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n{text}\n', encoding="utf-8")
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def test_the_journal_is_asked_for_this_unit_since_the_watch_began(tmp_path: Path) -> None:
    told = count(journal(tmp_path, "echo 'ERROR one'; echo fine"), manager="systemd", directory="")
    assert json.loads(told.stdout) == {"erp": 1}
    assert (tmp_path / "asked").read_text().split()[-4:] == ["--unit", "erp", "--since", "@1000"]


def test_a_journal_that_cannot_be_read_is_no_count(tmp_path: Path) -> None:
    told = count(journal(tmp_path, "exit 1"), manager="systemd", directory="")
    assert told.returncode
    assert "journalctl ended with 1 for erp" in told.stderr
