"""The lock and the marker of a host: who may change it, and how far they got. Survives the loss of the controller.

Usage: host_lock.py take|release|mark|free|show STATE_DIR [RECORD as JSON]; the answer is one line of JSON.

A record names its run, its execution (`token`), and the execution's number in the run (`fence`), which only grows. The
lock goes over to a later execution of its run; from then on nothing of an earlier one is written here any more.
"""

import datetime
import fcntl
import json
import os
import sys
from pathlib import Path

BEGINS = ("implementing", "backing_out", "fixing")


def read(path):
    """A file that holds no record of a run is held by nobody knows whom, and stays as it is."""
    try:
        text = path.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    if isinstance(record, dict) and isinstance(record.get("run"), str) and record["run"]:
        return record
    return {"unreadable": text[:200] or "an empty file"}


def stage(path, record):
    """Write the record beside its final place and on to the disk: a marker counts only when it survives a power cut."""
    staged = path.with_name(".%s.%d" % (path.name, os.getpid()))
    with staged.open("w", encoding="utf-8") as stream:
        json.dump(record, stream, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    return staged


def settle(directory):
    handle = os.open(directory, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def held_by(lock):
    if "unreadable" in lock:
        return "held, by nobody knows whom: lock.json says %r (see `changeover host status`)" % lock["unreadable"]
    known = {"step": "?", "environment": "?", "taken_at": "?"}
    known.update(lock)
    return "held by run %(run)s (step %(step)s, environment %(environment)s) since %(taken_at)s" % known


def is_own(lock, record):
    return lock.get("run") == record["run"]


def is_current(lock, record):
    """The execution that holds the lock, or a later one of its run."""
    return lock.get("token") == record.get("token") or record.get("fence", 0) > lock.get("fence", 0)


def replaced(lock, record):
    told = (record.get("step", "?"), record["run"], lock.get("step", "?"))
    raise SystemExit("Nothing may be changed here by this execution of step %s: run %s went on to step %s." % told)


def hand_over(directory, lock_path, lock, record):
    """To a later execution of the run that holds it, which is told the same since when."""
    if lock.get("token") == record.get("token"):
        return False
    kept = {"taken_at": lock.get("taken_at"), "environment": lock.get("environment")}
    stage(lock_path, {**kept, **{key: record[key] for key in LOCKED if key in record}}).replace(lock_path)
    settle(directory)
    return True


LOCKED = ("run", "step", "environment", "token", "fence")


def take(directory, lock_path, record, now):
    staged = stage(lock_path, dict(record, taken_at=now))
    try:
        os.link(str(staged), str(lock_path))  # atomic, and never over an existing lock
    except FileExistsError:
        lock = read(lock_path)
    else:
        settle(directory)
        return {"changed": True, "lock": read(lock_path)}
    finally:
        staged.unlink()
    if not is_own(lock, record):
        raise SystemExit(
            "This host is locked: %s. That run, or a person who knows it is dead, releases it." % held_by(lock)
        )
    if not is_current(lock, record):
        replaced(lock, record)
    return {"changed": hand_over(directory, lock_path, lock, record), "lock": read(lock_path)}


def release(directory, lock_path, record):
    lock = read(lock_path)
    if lock is None or not is_own(lock, record) or not is_current(lock, record):
        return {"changed": False, "lock": lock}  # never another's: say whose it is, and leave it
    lock_path.unlink()
    settle(directory)
    return {"changed": True, "lock": None}


def mark(directory, lock_path, marker_path, record, now):
    lock, marker = read(lock_path), read(marker_path)
    if lock is None or not is_own(lock, record):
        state = held_by(lock) if lock else "not taken"
        raise SystemExit("Nothing may be changed here by run %s: the host's lock is %s." % (record["run"], state))
    if not is_current(lock, record):
        replaced(lock, record)
    before = marker is not None and is_own(marker, record) and marker.get("token") == record.get("token")
    if before and record["phase"] in BEGINS:
        told = (marker.get("step", "?"), marker.get("phase", "?"))
        raise SystemExit("This execution of step %s was here before (%s): it does nothing a second time." % told)
    hand_over(directory, lock_path, lock, record)
    stage(marker_path, dict(record, at=now)).replace(marker_path)
    settle(directory)
    return {"changed": True, "lock": read(lock_path)}


def free(directory, lock_path, record, now):
    """A person takes the lock from its run, as it was seen a moment ago; who, why and what it said stays here."""
    lock = read(lock_path)
    if lock is None:
        return {"changed": False, "lock": None}
    if (lock.get("run", ""), lock.get("token", "")) != (record["run"], record["token"]):
        raise SystemExit("The lock is another one by now: %s. Look again." % held_by(lock))
    with (directory / "released.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"lock": lock, "by": record["by"], "reason": record["reason"], "at": now}) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    lock_path.unlink()
    settle(directory)
    return {"changed": True, "lock": None}


def main(verb, place, text="{}"):
    record, now = json.loads(text), datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    directory = Path(place)
    lock_path, marker_path = directory / "lock.json", directory / "marker.json"
    if verb == "take":
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if verb != "show" and directory.is_dir():
        alone = os.open(str(directory), os.O_RDONLY)
        fcntl.flock(alone, fcntl.LOCK_EX)  # until this process ends: what is read here is what is written over
    if verb == "take":
        answer = take(directory, lock_path, record, now)
    elif verb == "release":
        answer = release(directory, lock_path, record)
    elif verb == "free":
        answer = free(directory, lock_path, record, now)
    elif verb == "mark":
        answer = mark(directory, lock_path, marker_path, record, now)
    else:
        answer = {"changed": False, "lock": read(lock_path)}
    print(json.dumps(dict(answer, marker=read(marker_path))))


main(*sys.argv[1:])
