"""What a run closed on this host, remembered until it is reopened. Usage: closed.py remember|recall|forget STATE_DIR RUN [SERVICES].

Another run's memory is never used: it reopens what it closed itself.
"""

import json
import os
import sys


def main(verb, directory, run, services="[]"):
    path = os.path.join(directory, "quiesced.json")
    known = None
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            known = json.load(stream)
    mine = known is not None and known["run"] == run
    if verb == "remember":
        if known is not None and not mine:
            raise SystemExit("traffic was closed by run %s, which has not reopened it" % known["run"])
        if known is None:  # a second time would remember what the first time closed as closed before
            os.makedirs(directory, mode=0o700, exist_ok=True)
            with open(path + ".new", "w", encoding="utf-8") as stream:
                json.dump({"run": run, "services": json.loads(services)}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(path + ".new", path)
    if verb == "forget" and mine:
        os.unlink(path)
    print(
        json.dumps(
            {
                "changed": (verb == "remember" and known is None) or (verb == "forget" and mine),
                "services": known["services"] if mine else [],
            }
        )
    )


main(*sys.argv[1:])
