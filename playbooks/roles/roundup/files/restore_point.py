"""Copies of the tracker: take, prove and restore.

Usage: restore_point.py take|drill|restore|export|import ABOUT as JSON; answers JSON. A restore point is
<app_root>/restore_points/<label>/ with tracker/, point.json and SHA256SUMS over both. It is made under another name and
renamed when whole; nothing here writes into one that exists.
"""

import configparser
import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

DATABASE = "db/db"
# Lasts for a login at most, and changes while it is copied.
PASSING = ("otks", "sessions", "db-otk", "db-session", "backup", "lock")
CANARY = {
    "issue": "select count(*) from _issue",
    "user": "select count(*) from _user",
    "msg": "select count(*) from _msg",
}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(directory):
    files = sorted(file for file in directory.rglob("*") if file.is_file() and file != directory / "SHA256SUMS")
    return "".join("%s  %s\n" % (digest(file), file.relative_to(directory)) for file in files)


def write(path, text):
    with path.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def reading(tracker):
    return contextlib.closing(sqlite3.connect("file:%s?mode=ro" % (tracker / DATABASE), uri=True, timeout=30))


def copy_tracker(source, target):
    """Every file but the database and what is passing; the database by SQLite's own backup, consistent while in use."""

    def left_out(directory, names):
        if Path(directory) != source / "db":
            return [name for name in names if name == "__pycache__"]
        return [name for name in names if name.split(".")[0] in PASSING or name == "db" or name.startswith("db-")]

    shutil.copytree(source, target, symlinks=True, ignore=left_out)
    with reading(source) as old, contextlib.closing(sqlite3.connect(str(target / DATABASE))) as new:
        old.backup(new)


def counts(tracker):
    """Rows of the tables that matter; fails when SQLite finds the file damaged."""
    with reading(tracker) as connection:
        state = connection.execute("pragma integrity_check").fetchone()[0]
        if state != "ok":
            raise SystemExit("the database copy is damaged: %s" % state)
        return {name: connection.execute(query).fetchone()[0] for name, query in CANARY.items()}


def canary_row(tracker):
    """Digest of the newest issue, every column of it: a copy that counts right may still hold another one."""
    with reading(tracker) as connection:
        row = connection.execute("select * from _issue order by id desc limit 1").fetchone()
    return hashlib.sha256(repr(row).encode()).hexdigest() if row else ""


def identity(about):
    """Whose copy this is: it goes back to no other host and no other place."""
    return {"host": about["host"], "database": str(Path(about["tracker"], DATABASE))}


def damage(point):
    """Why the restore point cannot be trusted, or an empty text."""
    if not point.is_dir():
        return "there is none"
    if not (point / "SHA256SUMS").exists():
        return "it has no SHA256SUMS"
    wanted, found = (point / "SHA256SUMS").read_text(encoding="utf-8"), manifest(point)
    changed = sorted({line.split("  ", 1)[1] for line in set(wanted.splitlines()) ^ set(found.splitlines())})
    return "not as recorded: %s" % ", ".join(changed[:5]) if changed else ""


def usable(about):
    """The restore point and what is known of it; ends the program when it is missing or not whole."""
    point = place(about)
    fault = damage(point)
    if fault:
        raise SystemExit("the restore point %s cannot be used: %s" % (about["label"], fault))
    known = described(point)
    if known.get("identity") != identity(about):
        raise SystemExit(
            "the restore point %s is of %s, this is %s" % (about["label"], known.get("identity"), identity(about))
        )
    return point, known


def place(about):
    return Path(about["app_root"], "restore_points", about["label"])


def described(point):
    known = json.loads((point / "point.json").read_text(encoding="utf-8"))
    total = sum(file.stat().st_size for file in point.rglob("*") if file.is_file())
    return dict(known, path=str(point), digest=digest(point / "SHA256SUMS"), bytes=total)


@contextlib.contextmanager
def alone(app_root):
    """One copy at a time. What a killed try left half made is nobody's then; readiness counted its space as free."""
    with (app_root / ".copying").open("a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for place in [*app_root.glob("restore_points/*.part"), app_root / "imported.part", app_root / ".drill"]:
            shutil.rmtree(place, ignore_errors=True)
        yield


def take(about):
    point = place(about)
    part = point.with_name(point.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    copy_tracker(Path(about["tracker"]), part / "tracker")
    if point.exists():
        fault, current = damage(point), manifest(part / "tracker") == manifest(point / "tracker")
        shutil.rmtree(part)
        if fault:
            raise SystemExit("the restore point %s exists, and %s; it is never overwritten" % (about["label"], fault))
        return dict(described(point), changed=False, current=current)
    known = {
        "label": about["label"],
        "taken_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "release": os.readlink(Path(about["app_root"], "current")),
        "identity": identity(about),
        "canary": counts(part / "tracker"),
        "canary_row": canary_row(part / "tracker"),
    }
    write(part / "point.json", json.dumps(known, indent=1))
    write(part / "SHA256SUMS", manifest(part))
    part.rename(point)
    return dict(described(point), changed=True, current=True)


def drill(about):
    """Digests, a restore into scratch, and the old release itself reading it there."""
    point, known = usable(about)
    scratch = Path(about["app_root"], ".drill")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        shutil.copytree(point / "tracker", scratch, symlinks=True)
        found = counts(scratch)
        if found != known["canary"]:
            raise SystemExit("the restored copy holds %s, the restore point had %s" % (found, known["canary"]))
        if canary_row(scratch) != known["canary_row"]:
            raise SystemExit("the newest issue of the restored copy is not the one the restore point was taken of")
        read_by_release(Path(about["app_root"], known["release"]), scratch, found["user"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return dict(known, readable=True)


def read_by_release(release, tracker, users):
    command = [release / "bin/python", release / "bin/roundup-admin", "-i", tracker, "-c", "list", "user", "id"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    listed = [name for name in done.stdout.strip().split(",") if name]
    if done.returncode != 0 or not 0 < len(listed) <= users:
        said = (done.stderr or done.stdout)[-800:]
        raise SystemExit("the release of the restore point could not read the restored copy: %s" % said)


def restore(about):
    """Put the tracker back, once per try: a second call must not lose what was entered since the first."""
    point, known = usable(about)
    app_root, tracker = Path(about["app_root"]), Path(about["tracker"])
    done = app_root / "backed_out.json"
    if done.exists() and json.loads(done.read_text(encoding="utf-8"))["label"] == about["label"]:
        return dict(known, changed=False)
    fresh, failed = (tracker.with_name(tracker.name + ending) for ending in (".restored", ".failed"))
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(point / "tracker", fresh, symlinks=True)
    if tracker.exists():
        shutil.rmtree(failed, ignore_errors=True)
        tracker.rename(failed)
    fresh.rename(tracker)
    point_current(app_root, known["release"])
    shutil.rmtree(failed, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):  # settings that a failed try had only begun to make
        (app_root / "config.ini.new").unlink()
    write(done, json.dumps({"label": about["label"], "run": about["run"]}))
    return dict(known, changed=True)


def point_current(app_root, release):
    link = app_root / "current.new"
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(release)
    link.replace(app_root / "current")


def export(about):
    """A copy of this host's data as one archive in a temporary place; nothing of the application is touched."""
    archive = Path(about["archive"])
    directory = archive.with_name(archive.name + ".dir")
    shutil.rmtree(directory, ignore_errors=True)
    try:
        directory.mkdir(mode=0o700)
        copy_tracker(Path(about["tracker"]), directory / "tracker")
        archive.touch(mode=0o600)
        with tarfile.open(str(archive), mode="w:gz") as stream:
            stream.add(str(directory / "tracker"), arcname="tracker")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return {"changed": True, "digest": digest(archive)}


def take_over(about):
    """Make the tracker from an exported archive; its address becomes this host's, all else stays production's."""
    app_root, tracker = Path(about["app_root"]), Path(about["tracker"])
    fresh = tracker.with_name(tracker.name + ".imported")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.unpack_archive(about["archive"], str(fresh), "gztar")
    shutil.rmtree(tracker, ignore_errors=True)
    (fresh / "tracker").rename(tracker)
    fresh.rmdir()
    set_address(tracker / "config.ini", about["url"])
    point_current(app_root, about["release"])
    with contextlib.suppress(FileNotFoundError):
        (app_root / "backed_out.json").unlink()
    return {"changed": True, "canary": counts(tracker)}


def set_address(path, url):
    """One line of the client's settings file; a rewrite by configparser would lose its comments."""
    parser = configparser.RawConfigParser()
    parser.read(path, encoding="utf-8")
    line = "\nweb = %s\n" % parser.get("tracker", "web")
    write(path, path.read_text(encoding="utf-8").replace(line, "\nweb = %s\n" % url))


VERBS = {"take": take, "drill": drill, "restore": restore, "export": export, "import": take_over}


def main(verb, text):
    about = json.loads(text)
    if verb not in ("take", "drill", "import"):
        return VERBS[verb](about)
    with alone(Path(about["app_root"])):
        return VERBS[verb](about)


print(json.dumps(main(*sys.argv[1:])))
