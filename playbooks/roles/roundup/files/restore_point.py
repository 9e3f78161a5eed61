"""Copies of the tracker: take, prove and restore. Usage: restore_point.py take|drill|restore|export|import ABOUT as JSON.

A restore point is <app_root>/restore_points/<label>/ with tracker/, point.json and SHA256SUMS over both. It is made under
another name and renamed when whole; nothing here writes into one that exists.
"""

import configparser
import contextlib
import datetime
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile

DATABASE = os.path.join("db", "db")
# Lasts for a login at most, and changes while it is copied.
PASSING = ("otks", "sessions", "db-otk", "db-session", "backup", "lock")
CANARY = ("issue", "user", "msg")


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def manifest(directory):
    lines = []
    for parent, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            path = os.path.join(parent, name)
            if os.path.relpath(path, directory) != "SHA256SUMS":
                lines.append("%s  %s\n" % (digest(path), os.path.relpath(path, directory)))
    return "".join(lines)


def text_of(path):
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def write(path, text):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def copy_tracker(source, target):
    """Every file but the database and what is passing; the database through SQLite's own backup, consistent while in use."""

    def left_out(directory, names):
        if os.path.relpath(directory, source) != "db":
            return [name for name in names if name == "__pycache__"]
        return [name for name in names if name.split(".")[0] in PASSING or name == "db" or name.startswith("db-")]

    shutil.copytree(source, target, symlinks=True, ignore=left_out)
    with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % os.path.join(source, DATABASE), uri=True)) as old:
        with contextlib.closing(sqlite3.connect(os.path.join(target, DATABASE))) as new:
            old.backup(new)


def counts(tracker):
    """Rows of the tables that matter; fails when SQLite finds the file damaged."""
    with contextlib.closing(
        sqlite3.connect("file:%s?mode=ro" % os.path.join(tracker, DATABASE), uri=True)
    ) as connection:
        state = connection.execute("pragma integrity_check").fetchone()[0]
        if state != "ok":
            raise SystemExit("the database copy is damaged: %s" % state)
        return {name: connection.execute("select count(*) from _%s" % name).fetchone()[0] for name in CANARY}


def damage(point):
    """Why the restore point cannot be trusted, or an empty text."""
    try:
        wanted = text_of(os.path.join(point, "SHA256SUMS"))
    except FileNotFoundError:
        return "it has no SHA256SUMS"
    found = manifest(point)
    if wanted == found:
        return ""
    changed = sorted({line.split("  ", 1)[1] for line in set(wanted.splitlines()) ^ set(found.splitlines())})
    return "not as recorded: %s" % ", ".join(changed[:5])


def place(about):
    return os.path.join(about["app_root"], "restore_points", about["label"])


def described(about):
    point = place(about)
    known = json.loads(text_of(os.path.join(point, "point.json")))
    total = sum(os.path.getsize(os.path.join(parent, name)) for parent, _, names in os.walk(point) for name in names)
    return dict(known, path=point, digest=digest(os.path.join(point, "SHA256SUMS")), bytes=total)


def take(about):
    point, part = place(about), place(about) + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part, mode=0o700)
    copy_tracker(about["tracker"], os.path.join(part, "tracker"))
    if os.path.exists(point):
        fault = damage(point)
        if fault:
            shutil.rmtree(part)
            raise SystemExit(
                "the restore point %s exists and is not whole (%s); it is never overwritten" % (about["label"], fault)
            )
        current = manifest(os.path.join(part, "tracker")) == manifest(os.path.join(point, "tracker"))
        shutil.rmtree(part)
        return dict(described(about), changed=False, current=current)
    known = {
        "label": about["label"],
        "taken_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "release": os.readlink(os.path.join(about["app_root"], "current")),
        "canary": counts(os.path.join(part, "tracker")),
    }
    write(os.path.join(part, "point.json"), json.dumps(known, indent=1))
    write(os.path.join(part, "SHA256SUMS"), manifest(part))
    os.rename(part, point)
    return dict(described(about), changed=True, current=True)


def drill(about):
    """Digests, a restore into scratch, and the old release itself reading it there."""
    point, scratch = place(about), os.path.join(about["app_root"], ".drill")
    fault = damage(point) if os.path.isdir(point) else "there is none"
    if fault:
        raise SystemExit("the restore point %s cannot be used: %s" % (about["label"], fault))
    known = described(about)
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        shutil.copytree(os.path.join(point, "tracker"), scratch, symlinks=True)
        found = counts(scratch)
        if found != known["canary"]:
            raise SystemExit(
                "the restored copy holds %s, the restore point was taken with %s" % (found, known["canary"])
            )
        read_by_release(os.path.join(about["app_root"], known["release"]), scratch, found["user"])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return dict(known, readable=True)


def read_by_release(release, tracker, users):
    program = [os.path.join(release, "bin", part) for part in ("python", "roundup-admin")]
    done = subprocess.run(
        [*program, "-i", tracker, "-c", "list", "user", "id"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    listed = [name for name in done.stdout.strip().split(",") if name]
    if done.returncode != 0 or not 0 < len(listed) <= users:
        said = (done.stderr or done.stdout)[-800:]
        raise SystemExit("the release of the restore point could not read the restored copy: %s" % said)


def restore(about):
    """Put the tracker back, once per try: a second call after a finished back-out must not lose what was entered since."""
    point, tracker = place(about), about["tracker"]
    done = os.path.join(about["app_root"], "backed_out.json")
    fault = damage(point) if os.path.isdir(point) else "there is none"
    if fault:
        raise SystemExit("the restore point %s cannot be used: %s" % (about["label"], fault))
    known = described(about)
    if os.path.exists(done) and json.loads(text_of(done))["label"] == about["label"]:
        return dict(known, changed=False)
    fresh, failed = tracker + ".restored", tracker + ".failed"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(os.path.join(point, "tracker"), fresh, symlinks=True)
    if os.path.exists(tracker):
        shutil.rmtree(failed, ignore_errors=True)
        os.rename(tracker, failed)
    os.rename(fresh, tracker)
    point_current(about["app_root"], known["release"])
    shutil.rmtree(failed, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):  # settings that a failed try had only begun to make
        os.unlink(os.path.join(about["app_root"], "config.ini.new"))
    write(done, json.dumps({"label": about["label"], "run": about["run"]}))
    return dict(known, changed=True)


def point_current(app_root, release):
    link = os.path.join(app_root, "current")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link + ".new")
    os.symlink(release, link + ".new")
    os.replace(link + ".new", link)


def export(about):
    """A copy of this host's data as one archive in a temporary place; nothing of the application is touched."""
    directory = about["archive"] + ".dir"
    shutil.rmtree(directory, ignore_errors=True)
    try:
        os.makedirs(directory, mode=0o700)
        copy_tracker(about["tracker"], os.path.join(directory, "tracker"))
        with contextlib.closing(
            os.fdopen(os.open(about["archive"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
        ) as stream:
            with tarfile.open(fileobj=stream, mode="w:gz") as archive:
                archive.add(os.path.join(directory, "tracker"), arcname="tracker")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return {"changed": True, "digest": digest(about["archive"])}


def take_over(about):
    """Make the tracker from an exported archive; its addresses become this host's, everything else stays production's."""
    fresh = about["tracker"] + ".imported"
    shutil.rmtree(fresh, ignore_errors=True)
    os.makedirs(fresh)
    with tarfile.open(about["archive"]) as archive:
        archive.extractall(fresh, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(fresh)
    shutil.rmtree(about["tracker"], ignore_errors=True)
    os.rename(os.path.join(fresh, "tracker"), about["tracker"])
    shutil.rmtree(fresh)
    set_address(os.path.join(about["tracker"], "config.ini"), about["url"])
    point_current(about["app_root"], about["release"])
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(about["app_root"], "backed_out.json"))
    return {"changed": True, "canary": counts(about["tracker"])}


def set_address(path, url):
    """One line of the client's settings file; a rewrite by configparser would lose its comments."""
    parser = configparser.RawConfigParser()
    parser.read(path, encoding="utf-8")
    line = "web = %s" % parser.get("tracker", "web")
    write(path, text_of(path).replace("\n%s\n" % line, "\nweb = %s\n" % url))


VERBS = {"take": take, "drill": drill, "restore": restore, "export": export, "import": take_over}
print(json.dumps(VERBS[sys.argv[1]](json.loads(sys.argv[2]))))
