"""Artefacts of a release on this host. Usage: release.py check|install ABOUT as JSON; answers JSON.

check names the files that are missing or differ from the manifest; install verifies all of them once more and builds the
release's environment beside the running one. Both take: {artefacts, release, python, sums: {file: sha256}}.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys


def digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def differing(about):
    here = about["artefacts"]
    paths = {name: os.path.join(here, name) for name in about["sums"]}
    return [name for name, path in paths.items() if not os.path.isfile(path) or digest(path) != about["sums"][name]]


def platform_fault():
    """What the vendor asks of the platform and pip does not check."""
    options = [row[0] for row in sqlite3.connect(":memory:").execute("pragma compile_options")]
    if "ENABLE_FTS5" in options:
        return ""
    return (
        "Roundup needs an SQLite with FTS5 (since 2.2); this host's Python has %s without it" % sqlite3.sqlite_version
    )


def build(about):
    """In place, since an environment cannot be moved; its seal is written last, and what has none is built anew."""
    release, here = about["release"], about["artefacts"]
    seal, wanted = os.path.join(release, ".complete"), json.dumps(about["sums"], sort_keys=True)
    if os.path.exists(seal):
        with open(seal, encoding="utf-8") as stream:
            if stream.read() == wanted:
                return False
    shutil.rmtree(release, ignore_errors=True)
    run([about["python"], "-m", "venv", "--without-pip", release])
    pip = next(name for name in sorted(about["sums"]) if name.startswith("pip-"))
    options = ["--isolated", "--no-index", "--no-input", "--disable-pip-version-check", "--no-compile", "--quiet"]
    sources = ["--find-links", here, "--requirement", os.path.join(here, "requirements.txt")]
    run([os.path.join(release, "bin", "python"), os.path.join(here, pip, "pip"), "install", *options, *sources])
    with open(seal, "w", encoding="utf-8") as stream:
        stream.write(wanted)
    return True


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(
            "%s ended with code %d: %s" % (command[0], done.returncode, (done.stderr or done.stdout)[-1500:])
        )


def main(verb, text):
    about = json.loads(text)
    wrong = differing(about)
    if verb == "check":
        os.makedirs(about["artefacts"], exist_ok=True)
        print(json.dumps({"wanted": wrong}))
        return
    if wrong:
        raise SystemExit("Not as in SHA256SUMS: %s. Stage the release again from a clean source." % ", ".join(wrong))
    if platform_fault():
        raise SystemExit(platform_fault())
    print(json.dumps({"changed": build(about), "artefacts": about["sums"], "verified": True}))


main(*sys.argv[1:])
