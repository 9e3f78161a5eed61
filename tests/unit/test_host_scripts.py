"""The programs that run on hosts, run here: a lock has one winner, a restore point goes back to nobody but its own."""

from __future__ import annotations

import fcntl
import json
import shutil
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from changeover.settings import PROJECT

LOCK = PROJECT / "playbooks/roles/host_lock/files/host_lock.py"
POINT = PROJECT / "playbooks/roles/roundup/files/restore_point.py"
CLOSED = PROJECT / "playbooks/files/closed.py"
ADMIN = "#!/bin/sh\necho 1\n"


def run(program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, program, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("apart", [0.0, 0.05, 0.2])
def test_of_two_dispatches_one_takes_the_host_and_the_other_is_told_whose_it_is(tmp_path: Path, apart: float) -> None:
    """C06: 0, 50 and 200 ms apart; the winner is not disturbed."""
    begun = []
    for name in ("run-1", "run-2"):
        record = json.dumps({"run": name, "step": "implement", "environment": "stage-a", "token": name})
        command = [sys.executable, str(LOCK), "take", str(tmp_path / "state"), record]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        time.sleep(apart)
    ended = [(process, *process.communicate(timeout=30)) for process in begun]
    won = [out for process, out, _ in ended if process.returncode == 0]
    lost = [error for process, _, error in ended if process.returncode != 0]
    assert (len(won), len(lost)) == (1, 1)
    winner = json.loads(won[0])["lock"]["run"]
    assert f"held by run {winner} (step implement, environment stage-a) since " in lost[0]
    mark = run(LOCK, "mark", str(tmp_path / "state"), json.dumps({"run": winner, "phase": "implementing"}))
    assert mark.returncode == 0
    loser = "run-2" if winner == "run-1" else "run-1"
    assert run(LOCK, "mark", str(tmp_path / "state"), json.dumps({"run": loser, "phase": "implementing"})).returncode


def test_what_was_closed_is_told_each_time_until_it_is_forgotten(tmp_path: Path) -> None:
    first = json.loads(run(CLOSED, "remember", str(tmp_path), "run-1", '["roundup", "feed"]').stdout)
    assert first == {"changed": True, "mine": True, "services": ["roundup", "feed"]}
    again = json.loads(run(CLOSED, "remember", str(tmp_path), "run-1", "[]").stdout)
    assert again == {"changed": False, "mine": True, "services": ["roundup", "feed"]}
    other = run(CLOSED, "remember", str(tmp_path), "run-2", "[]")
    assert other.returncode != 0
    assert "closed by run run-1" in other.stderr
    assert json.loads(run(CLOSED, "recall", str(tmp_path), "run-2").stdout)["services"] == []
    run(CLOSED, "forget", str(tmp_path), "run-1")
    assert json.loads(run(CLOSED, "recall", str(tmp_path), "run-1").stdout)["services"] == []


@dataclass
class Tracker:
    """A host with a tracker in miniature."""

    root: Path
    host: str = "prod1"

    @property
    def database(self) -> Path:
        return self.root / "tracker/db/db"

    def about(self, **changes: Any) -> str:
        known = {
            "app_root": str(self.root),
            "tracker": str(self.root / "tracker"),
            "label": "run-production",
            "run": "run",
            "host": self.host,
        }
        return json.dumps(known | changes)

    def says(self, verb: str, **changes: Any) -> dict[str, Any]:
        done = run(POINT, verb, self.about(**changes))
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def refuses(self, verb: str, **changes: Any) -> str:
        done = run(POINT, verb, self.about(**changes))
        assert done.returncode != 0, done.stdout
        return done.stderr

    def write(self, statement: str) -> None:
        with sqlite3.connect(self.database) as connection:
            connection.execute(statement)
        connection.close()

    def point(self, label: str = "run-production") -> Path:
        return self.root / "restore_points" / label

    def stamp_anew(self) -> None:
        """As somebody would who changes a copy and its sums with it."""
        point = self.point()
        files = sorted(file for file in point.rglob("*") if file.is_file() and file.name != "SHA256SUMS")
        lines = [f"{sha256(file.read_bytes()).hexdigest()}  {file.relative_to(point)}\n" for file in files]
        (point / "SHA256SUMS").write_text("".join(lines))


@pytest.fixture
def tracker(tmp_path: Path) -> Tracker:
    release = tmp_path / "releases/2.0.0/bin"
    release.mkdir(parents=True)
    (release / "roundup-admin").write_text(ADMIN)
    (release / "python").symlink_to("/bin/sh")
    (tmp_path / "current").symlink_to("releases/2.0.0")
    (tmp_path / "tracker/db").mkdir(parents=True)
    made = Tracker(tmp_path)
    for table in ("_issue", "_user", "_msg"):
        made.write(f"create table {table} (id integer, title text)")
        made.write(f"insert into {table} values (1, 'one')")  # noqa: S608 - the three names above
    return made


def test_a_drill_restores_into_scratch_and_leaves_nothing_behind(tracker: Tracker) -> None:
    taken = tracker.says("take")
    assert taken["identity"] == {"host": "prod1", "database": str(tracker.database)}
    drilled = tracker.says("drill")
    assert (drilled["readable"], drilled["digest"]) == (True, taken["digest"])
    assert not (tracker.root / ".drill").exists()


@pytest.mark.parametrize("verb", ["take", "drill"])
def test_what_a_killed_try_left_is_cleared_before_anything_is_copied(tracker: Tracker, verb: str) -> None:
    """C13: readiness counts it as free, whichever run left it; nothing else of the application goes."""
    tracker.says("take")
    for left in ("restore_points/run-0-production.part", "imported.part", ".drill"):
        (tracker.root / left).mkdir()
        (tracker.root / left / "half").write_bytes(b"x")
    (tracker.root / "mine.part").mkdir()
    tracker.says(verb)
    assert sorted(path.name for path in tracker.root.iterdir()) == [
        ".copying", "current", "mine.part", "releases", "restore_points", "tracker",
    ]  # fmt: skip
    assert [path.name for path in tracker.point().parent.iterdir()] == ["run-production"]


def test_one_copy_waits_for_another_and_takes_nothing_from_it(tracker: Tracker) -> None:
    part = tracker.root / "restore_points/run-0-production.part"
    part.mkdir(parents=True)
    with (tracker.root / ".copying").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        command = [sys.executable, str(POINT), "take", tracker.about()]
        second = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=1)
        assert part.is_dir()
    _, error = second.communicate(timeout=30)
    assert second.returncode == 0, error
    assert not part.exists()


def test_a_label_that_exists_is_never_written_over(tracker: Tracker) -> None:
    first = tracker.says("take")
    tracker.write("insert into _issue values (2, 'entered since')")
    second = tracker.says("take")
    assert (second["digest"], second["changed"], second["current"]) == (first["digest"], False, False)
    (tracker.point() / "point.json").write_text("{}")
    assert "it is never overwritten" in tracker.refuses("take")


def test_a_copy_that_counts_right_and_holds_another_row_is_found_out(tracker: Tracker) -> None:
    """The sums were made anew with it: only the canary row tells."""
    tracker.says("take")
    copy = Tracker(tracker.point())
    copy.write("update _issue set title = 'another'")
    tracker.stamp_anew()
    assert "the newest issue" in tracker.refuses("drill")
    assert not (tracker.root / ".drill").exists()


def test_a_copy_that_lost_rows_is_found_out(tracker: Tracker) -> None:
    tracker.says("take")
    Tracker(tracker.point()).write("delete from _msg")
    tracker.stamp_anew()
    assert "the restored copy holds" in tracker.refuses("drill")


@pytest.mark.parametrize("verb", ["drill", "restore"])
def test_a_copy_of_another_host_is_neither_trusted_nor_put_back(tracker: Tracker, verb: str) -> None:
    tracker.says("take", host="prod2")
    before = tracker.database.read_bytes()
    assert "is of {'host': 'prod2'" in tracker.refuses(verb)
    assert tracker.database.read_bytes() == before


def test_a_restore_point_puts_back_exactly_what_was_there(tracker: Tracker) -> None:
    tracker.says("take")
    tracker.write("delete from _issue")
    assert tracker.says("restore")["changed"] is True
    with sqlite3.connect(tracker.database) as connection:
        assert connection.execute("select title from _issue").fetchall() == [("one",)]
    assert tracker.says("restore")["changed"] is False
    shutil.rmtree(tracker.point())
    assert "there is none" in tracker.refuses("restore", label="other")
