"""The lock and the marker of a host: who may change it, and how far they got. Survives the loss of the controller.

Usage: host_lock.py take|release|mark|show STATE_DIR [RECORD as JSON]; the answer is one line of JSON.
"""

import datetime
import json
import os
import sys
from pathlib import Path


def read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


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
    return "held by run %(run)s (step %(step)s, environment %(environment)s) since %(taken_at)s" % lock


def take(directory, lock_path, record, now):
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = stage(lock_path, dict(record, taken_at=now))
    try:
        os.link(staged, lock_path)  # atomic, and never over an existing lock
    except FileExistsError:
        lock = read(lock_path)
        if lock["run"] == record["run"]:
            return {"changed": False, "lock": lock}
        held = "This host is locked: %s. That run, or a person who knows it is dead, releases it." % held_by(lock)
        raise SystemExit(held) from None
    finally:
        staged.unlink()
    settle(directory)
    return {"changed": True, "lock": read(lock_path)}


def release(directory, lock_path, record):
    lock = read(lock_path)
    if lock is None or lock["run"] != record["run"]:  # never another run's: say whose it is, and leave it
        return {"changed": False, "lock": lock}
    lock_path.unlink()
    settle(directory)
    return {"changed": True, "lock": None}


def mark(directory, lock_path, marker_path, record, now):
    lock = read(lock_path)
    if lock is None or lock["run"] != record["run"]:
        state = held_by(lock) if lock else "not taken"
        raise SystemExit("Nothing may be changed here by run %s: the host's lock is %s." % (record["run"], state))
    stage(marker_path, dict(record, at=now)).replace(marker_path)
    settle(directory)
    return {"changed": True, "lock": lock}


def main(verb, place, text="{}"):
    record, now = json.loads(text), datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    directory = Path(place)
    lock_path, marker_path = directory / "lock.json", directory / "marker.json"
    if verb == "take":
        answer = take(directory, lock_path, record, now)
    elif verb == "release":
        answer = release(directory, lock_path, record)
    elif verb == "mark":
        answer = mark(directory, lock_path, marker_path, record, now)
    else:
        answer = {"changed": False, "lock": read(lock_path)}
    print(json.dumps(dict(answer, marker=read(marker_path))))


main(*sys.argv[1:])
