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
    marks = {name: {"run": name, "token": name, "fence": 9, "phase": "implementing"} for name in ("run-1", "run-2")}
    assert run(LOCK, "mark", str(tmp_path / "state"), json.dumps(marks[winner])).returncode == 0
    loser = "run-2" if winner == "run-1" else "run-1"
    assert run(LOCK, "mark", str(tmp_path / "state"), json.dumps(marks[loser])).returncode


def record(token: str, fence: int, phase: str = "", run_key: str = "run-1") -> str:
    known = {"run": run_key, "step": f"step-{token}", "environment": "stage-a", "token": token, "fence": fence}
    return json.dumps(known | ({"phase": phase} if phase else {}))


def lock_says(place: Path, verb: str, text: str = "{}") -> dict[str, Any]:
    done = run(LOCK, verb, str(place), text)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def lock_refuses(place: Path, verb: str, text: str) -> str:
    before = {path.name: path.read_bytes() for path in place.glob("*.json")}
    done = run(LOCK, verb, str(place), text)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in place.glob("*.json")} == before
    return done.stderr


def test_the_lock_goes_over_to_a_later_execution_and_never_back(tmp_path: Path) -> None:
    """AAA is lost and BBB goes on in its place; when AAA comes back, it may not take, mark or release any more."""
    first = lock_says(tmp_path, "take", record("AAA", 1))["lock"]
    lock_says(tmp_path, "mark", record("AAA", 1, "implementing"))
    taken = lock_says(tmp_path, "take", record("BBB", 2))
    assert (taken["changed"], taken["lock"]["token"], taken["lock"]["fence"]) == (True, "BBB", 2)
    assert taken["lock"]["taken_at"] == first["taken_at"]
    for verb, phase in (("take", ""), ("mark", "implementing"), ("mark", "implemented")):
        assert "run run-1 went on to step step-BBB" in lock_refuses(tmp_path, verb, record("AAA", 1, phase))
    assert lock_says(tmp_path, "release", record("AAA", 1))["changed"] is False
    assert lock_says(tmp_path, "mark", record("BBB", 2, "implementing"))["marker"]["token"] == "BBB"
    assert lock_says(tmp_path, "release", record("BBB", 2)) == {
        "changed": True,
        "lock": None,
        "marker": lock_says(tmp_path, "show")["marker"],
    }


def test_a_later_step_of_the_run_takes_the_lock_over_by_its_mark(tmp_path: Path) -> None:
    """Restore point, implement and commit are executions of their own; each has the lock from its first mark on."""
    lock_says(tmp_path, "take", record("point", 1))
    assert lock_says(tmp_path, "mark", record("implement", 2, "implementing"))["lock"]["token"] == "implement"
    assert lock_says(tmp_path, "mark", record("implement", 2, "implemented"))["changed"] is True
    assert "went on to step step-implement" in lock_refuses(tmp_path, "mark", record("point", 1, "implementing"))
    assert lock_says(tmp_path, "mark", record("commit", 3, "committed"))["lock"]["fence"] == 3


@pytest.mark.parametrize("phase", ["implementing", "implemented"])
def test_an_execution_begins_a_change_on_a_host_once(tmp_path: Path, phase: str) -> None:
    """Its directory was lost, and another controller starts it again under the same token."""
    lock_says(tmp_path, "take", record("AAA", 1))
    lock_says(tmp_path, "mark", record("AAA", 1, "implementing"))
    if phase != "implementing":
        lock_says(tmp_path, "mark", record("AAA", 1, phase))
    told = lock_refuses(tmp_path, "mark", record("AAA", 1, "implementing"))
    assert f"This execution of step step-AAA was here before ({phase})" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"run": "r', 'held, by nobody knows whom: lock.json says \'{"run": "r\''),
        ("", "held, by nobody knows whom: lock.json says 'an empty file'"),
        ("[1]", "held, by nobody knows whom"),
        ('{"run": "r1"}', "held by run r1 (step ?, environment ?) since ?"),
    ],
)
def test_a_torn_lock_is_held_by_nobody_knows_whom(tmp_path: Path, text: str, told: str) -> None:
    """Power went while it was written, or somebody edited it: the host is left alone, and the reason is told."""
    (tmp_path / "lock.json").write_text(text)
    assert told in lock_refuses(tmp_path, "take", record("AAA", 1))
    assert told in lock_refuses(tmp_path, "mark", record("AAA", 1, "implementing"))
    assert lock_says(tmp_path, "release", record("AAA", 1))["changed"] is False
    assert (tmp_path / "lock.json").read_text() == text


def test_what_was_closed_is_told_each_time_until_it_is_forgotten(tmp_path: Path) -> None:
    first = json.loads(run(CLOSED, "remember", str(tmp_path), "run-1", '["roundup", "feed"]').stdout)
    assert first == {"changed": True, "mine": True, "services": ["roundup", "feed"]}
    again = json.loads(run(CLOSED, "remember", str(tmp_path), "run-1", "[]").stdout)
    assert again == {"changed": False, "mine": True, "services": ["roundup", "feed"]}
    other = run(CLOSED, "remember", str(tmp_path), "run-2", "[]")
    assert other.returncode != 0
    assert f"run run-1 left traffic closed here ({tmp_path}/quiesced.json)" in other.stderr
    assert "changeover settle run-1" in other.stderr
    assert json.loads(run(CLOSED, "recall", str(tmp_path), "run-2").stdout)["services"] == []
    run(CLOSED, "forget", str(tmp_path), "run-1")
    assert json.loads(run(CLOSED, "recall", str(tmp_path), "run-1").stdout)["services"] == []


def test_what_a_closed_run_left_shut_is_opened_by_the_run_that_holds_the_host_now(tmp_path: Path) -> None:
    """Its lock was given back by a person: the next run that takes the host opens what the first one had found open."""
    held_by = {
        name: json.dumps({"run": name, "step": "restore_point", "environment": "e"}) for name in ("run-1", "run-2")
    }
    assert run(LOCK, "take", str(tmp_path), held_by["run-1"]).returncode == 0
    run(CLOSED, "remember", str(tmp_path), "run-1", '["roundup", "feed"]')
    refused = run(CLOSED, "remember", str(tmp_path), "run-2", "[]")
    assert "run run-2 does not hold the host" in refused.stderr
    run(LOCK, "release", str(tmp_path), held_by["run-1"])
    assert run(LOCK, "take", str(tmp_path), held_by["run-2"]).returncode == 0
    taken = json.loads(run(CLOSED, "remember", str(tmp_path), "run-2", '["mail"]').stdout)
    assert taken == {"changed": True, "mine": True, "services": ["roundup", "feed", "mail"]}
    assert json.loads(run(CLOSED, "recall", str(tmp_path), "run-1").stdout)["services"] == []
    assert json.loads(run(CLOSED, "forget", str(tmp_path), "run-2").stdout)["changed"] is True


def test_a_torn_memory_of_what_was_closed_is_told_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "quiesced.json").write_text('{"run": "ru', encoding="utf-8")
    torn = run(CLOSED, "remember", str(tmp_path), "run-1", "[]")
    assert f"{tmp_path}/quiesced.json cannot be read" in torn.stderr
    assert "Traceback" not in torn.stderr


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
