"""Artefacts of a release on this host. Usage: release.py check|install ABOUT as JSON; answers JSON.

check names the files that are missing or differ from the manifest; install verifies all of them once more and builds
the release's environment beside the running one. Both take: {artefacts, release, python, sums: {file: sha256}}.
"""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path


def differing(about):
    paths = {name: Path(about["artefacts"], name) for name in about["sums"]}
    return [name for name, path in paths.items() if not path.is_file() or digest(path) != about["sums"][name]]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def platform_fault():
    """What the vendor asks of the platform and pip does not check."""
    options = [row[0] for row in sqlite3.connect(":memory:").execute("pragma compile_options")]
    if "ENABLE_FTS5" in options:
        return ""
    return "Roundup needs SQLite with FTS5 (since 2.2); this host's Python has %s without it" % sqlite3.sqlite_version


def build(about):
    """In place, since an environment cannot be moved; its seal is written last, and what has none is built anew."""
    release, here = Path(about["release"]), Path(about["artefacts"])
    seal, wanted = release / ".complete", json.dumps(about["sums"], sort_keys=True)
    if seal.exists() and seal.read_text(encoding="utf-8") == wanted:
        return False
    shutil.rmtree(release, ignore_errors=True)
    run([about["python"], "-m", "venv", "--without-pip", release])
    pip = here / next(name for name in sorted(about["sums"]) if name.startswith("pip-")) / "pip"
    options = ["--isolated", "--no-index", "--no-input", "--disable-pip-version-check", "--no-compile", "--quiet"]
    sources = ["--find-links", here, "--requirement", here / "requirements.txt"]
    run([release / "bin/python", pip, "install", *options, *sources])
    seal.write_text(wanted, encoding="utf-8")
    return True


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout)[-1500:]
        raise SystemExit("%s ended with code %d: %s" % (command[0], done.returncode, said))


def main(verb, text):
    about = json.loads(text)
    wrong = differing(about)
    if verb == "check":
        Path(about["artefacts"]).mkdir(parents=True, exist_ok=True)
        print(json.dumps({"wanted": wrong}))
        return
    if wrong:
        raise SystemExit("Not as in SHA256SUMS: %s. Stage the release again from a clean source." % ", ".join(wrong))
    if platform_fault():
        raise SystemExit(platform_fault())
    print(json.dumps({"changed": build(about), "artefacts": about["sums"], "verified": True}))


main(*sys.argv[1:])
