"""What a run closed on this host, remembered until it is reopened.

Usage: closed.py remember|recall|forget STATE_DIR RUN [SERVICES]; answers JSON. Another run's memory is used in one case
only: that run holds the host no more, and the one that does takes over what it left closed.
"""

import json
import os
import sys
from pathlib import Path


def read(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise SystemExit("%s cannot be read: %s" % (path, AWAY)) from None


AWAY = "a person sees which services of the application were closed, starts them, and removes that file"


def remember(path, run, services):
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = path.with_name(path.name + ".new")
    with staged.open("w", encoding="utf-8") as stream:
        json.dump({"run": run, "services": services}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(path)


def taken_over(path, known, run, services):
    """The left-over of a run that lost its lock: what it had found open is opened again by the run that holds it."""
    lock = read(path.with_name("lock.json")) or {}
    if lock.get("run") != run:
        who = "run %s left traffic closed here (%s), and run %s does not hold the host" % (known["run"], path, run)
        raise SystemExit("%s: settle that run with `changeover settle %s`, or %s." % (who, known["run"], AWAY))
    return known["services"] + [name for name in services if name not in known["services"]]


def main(verb, directory, run, services="[]"):
    path = Path(directory, "quiesced.json")
    known = read(path)
    mine, changed = known is not None and known["run"] == run, False
    if verb == "remember" and not mine:
        named = json.loads(services)
        known = {"run": run, "services": named if known is None else taken_over(path, known, run, named)}
        remember(path, run, known["services"])
        mine = changed = True
    elif verb == "forget" and mine:
        path.unlink()
        changed = True
    print(json.dumps({"changed": changed, "mine": mine, "services": known["services"] if mine else []}))


main(*sys.argv[1:])
