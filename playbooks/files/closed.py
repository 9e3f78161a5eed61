"""What a run closed on this host, remembered until it is reopened.

Usage: closed.py remember|recall|forget STATE_DIR RUN [SERVICES]; answers JSON. Another run's memory is never used: it
reopens what it closed itself.
"""

import json
import os
import sys
from pathlib import Path


def remember(path, run, services):
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = path.with_name(path.name + ".new")
    with staged.open("w", encoding="utf-8") as stream:
        json.dump({"run": run, "services": services}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    staged.replace(path)


def main(verb, directory, run, services="[]"):
    path = Path(directory, "quiesced.json")
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    mine, changed = known is not None and known["run"] == run, False
    if verb == "remember" and known is None:
        known = {"run": run, "services": json.loads(services)}
        remember(path, run, known["services"])
        mine = changed = True
    elif verb == "remember" and not mine:
        raise SystemExit("traffic was closed by run %s, which has not reopened it" % known["run"])
    elif verb == "forget" and mine:
        path.unlink()
        changed = True
    print(json.dumps({"changed": changed, "mine": mine, "services": known["services"] if mine else []}))


main(*sys.argv[1:])
