"""Count the lines of the services' logs that tell of an error: how many there are by now, for looks to be compared."""

import json
import re
import subprocess
import sys
from pathlib import Path


def from_files(directory, name, pattern):
    """The log and the one it followed; what is older is gone, and a smaller count is a log begun anew."""
    count = 0
    for path in (Path(directory, f"{name}.log.1"), Path(directory, f"{name}.log")):
        try:
            with path.open("rb") as log:
                count += sum(1 for line in log if pattern.search(line))
        except FileNotFoundError:
            continue
    return count


def from_journal(name, since, pattern):
    """Of this unit since the watch began."""
    read = subprocess.Popen(
        ["journalctl", "--no-pager", "--quiet", "--output", "cat", "--unit", name, "--since", f"@{since}"],  # noqa: S607 -- wherever the host has it
        stdout=subprocess.PIPE,
    )
    count = sum(1 for line in read.stdout if pattern.search(line))
    if read.wait():
        sys.exit(f"journalctl ended with {read.returncode} for {name}")
    return count


asked = json.loads(sys.argv[1])
pattern = re.compile(asked["pattern"].encode())
counts = {
    name: from_files(asked["directory"], name, pattern)
    if asked["manager"] == "supervisor"
    else from_journal(name, asked["since"], pattern)
    for name in asked["names"]
}
print(json.dumps(counts))
