"""The lock and the marker of a host: who may change it, and how far they got. Survives the loss of the controller.

Usage: host_lock.py take|release|mark|show STATE_DIR [RECORD as JSON]; the answer is one line of JSON.
"""

import datetime
import json
import os
import sys


def read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None


def stage(directory, name, record):
    """Write the record beside its final place and on to the disk: a marker counts only when it survives a power cut."""
    path = os.path.join(directory, ".%s.%d" % (name, os.getpid()))
    with open(path, "w", encoding="utf-8") as stream:
        json.dump(record, stream, sort_keys=True)
        stream.flush()
        os.fsync(stream.fileno())
    return path


def settle(directory):
    handle = os.open(directory, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def held_by(lock):
    return "held by run %(run)s (step %(step)s, environment %(environment)s) since %(taken_at)s" % lock


def take(directory, lock_path, record, now):
    os.makedirs(directory, mode=0o700, exist_ok=True)
    staged = stage(directory, "lock.json", dict(record, taken_at=now))
    try:
        os.link(staged, lock_path)  # atomic, and never over an existing lock
        settle(directory)
        return {"changed": True, "lock": read(lock_path)}
    except FileExistsError:
        lock = read(lock_path)
        if lock["run"] != record["run"]:
            raise SystemExit("This host is locked: %s. That run, or a person who knows it is dead, releases it." % held_by(lock))
        return {"changed": False, "lock": lock}
    finally:
        os.unlink(staged)


def release(directory, lock_path, record):
    lock = read(lock_path)
    if lock is None:
        return {"changed": False, "lock": None}
    if lock["run"] != record["run"]:  # never another run's: say whose it is, and leave it
        return {"changed": False, "lock": lock}
    os.unlink(lock_path)
    settle(directory)
    return {"changed": True, "lock": None}


def mark(directory, lock_path, marker_path, record, now):
    lock = read(lock_path)
    if lock is None or lock["run"] != record["run"]:
        raise SystemExit(
            "Nothing may be changed here by run %s: the host's lock is %s." % (record["run"], held_by(lock) if lock else "not taken")
        )
    os.replace(stage(directory, "marker.json", dict(record, at=now)), marker_path)
    settle(directory)
    return {"changed": True, "lock": lock, "marker": read(marker_path)}


def main(verb, directory, text="{}"):
    record, now = json.loads(text), datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    lock_path, marker_path = os.path.join(directory, "lock.json"), os.path.join(directory, "marker.json")
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
