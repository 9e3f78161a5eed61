"""Artefacts of a release on this host. Usage: release.py check|install ABOUT as JSON; answers JSON.

check says whether files are missing or differ from the manifest; install unpacks the bundle if there is one, verifies
every file once more and builds the release's environment beside the running one. Both take: {artefacts, bundle,
release, python, sums: {file: sha256}}.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differing(about):
    paths = {name: Path(about["artefacts"], name) for name in about["sums"]}
    return [name for name, path in paths.items() if not path.is_file() or digest(path) != about["sums"][name]]


def unpack(about):
    """Only files that the manifest names, and nothing that was there before."""
    bundle, here = Path(about["bundle"]), Path(about["artefacts"])
    if not bundle.exists():
        return
    shutil.rmtree(str(here), ignore_errors=True)
    here.mkdir(parents=True)
    with tarfile.open(str(bundle)) as stream:
        for member in stream.getmembers():
            if member.isfile() and member.name in about["sums"]:
                with (here / member.name).open("wb") as out:
                    shutil.copyfileobj(stream.extractfile(member), out)
    bundle.unlink()


def build(about):
    """In place, since an environment cannot be moved; its seal is written last, and what has none is built anew."""
    release, here = Path(about["release"]), Path(about["artefacts"])
    seal, wanted = release / ".complete", json.dumps(about["sums"], sort_keys=True)
    if seal.exists() and seal.read_text(encoding="utf-8") == wanted:
        return False
    shutil.rmtree(str(release), ignore_errors=True)
    run([about["python"], "-m", "venv", "--without-pip", release])
    pip = here / next(name for name in sorted(about["sums"]) if name.startswith("pip-")) / "pip"
    options = ["--isolated", "--no-index", "--no-input", "--disable-pip-version-check", "--no-compile", "--quiet"]
    sources = ["--find-links", here, "--requirement", here / "requirements.txt"]
    run([release / "bin/python", pip, "install", *options, *sources])
    # Compiled now, for the server and for the migration (with -O): the maintenance window does not wait for it.
    compiling = ["-m", "compileall", "-q", "-j", "0", "-o", "0", "-o", "1"]
    # A file that cannot be compiled is no reason to stop: packages carry some that nobody imports.
    run([release / "bin/python", *compiling, release / "lib"], check=False)
    run([release / "bin/python", "-c", "import trytond.backend.postgresql"])
    seal.write_text(wanted, encoding="utf-8")
    return True


def run(command, check=True):
    done = subprocess.run(
        list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if check and done.returncode != 0:
        said = (done.stderr or done.stdout)[-1500:]
        raise SystemExit("%s ended with code %d: %s" % (command[0], done.returncode, said))


def main(verb, text):
    about = json.loads(text)
    if verb == "install":
        unpack(about)
    wrong = differing(about)
    if verb == "check":
        print(json.dumps({"complete": not wrong}))
        return
    if wrong:
        raise SystemExit("Not as in SHA256SUMS: %s. Stage the release again from a clean source." % ", ".join(wrong))
    print(json.dumps({"changed": build(about), "artefacts": about["sums"], "verified": True}))


main(*sys.argv[1:])
