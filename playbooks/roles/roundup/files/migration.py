"""The vendor's steps by hand around `roundup-admin migrate`.

Usage: migration.py before|after ABOUT as JSON; answers JSON. before: refuses what the new release refuses, then makes
the documented edits and brings files the client never changed to the new release's form. after: takes the new settings
file and the new release into use. The numbers in brackets are the releases whose upgrading notes ask for a step.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

ANONYMOUS_CREATE = re.compile(r"(addPermissionToRole\('Anonymous', )'Create'(, 'user'\))")
REST_ENDPOINT = re.compile(r"def \w+\(self, input\b")
CLASS_NAME = re.compile(r"""Class\(\s*db,\s*["'](\w+)["']""")
XHTML = re.compile(r"^html_version\s*=\s*xhtml", re.MULTILINE)
STOCK_PARTS = ("html", "detectors", "extensions")
# Roundup stamps what it installs; the stamp is no part of the file.
STAMP = re.compile(rb"^(#SHA: \w+|<!-- SHA: \w+ -->|/\* SHA: \w+ \*/)\n?\Z", re.MULTILINE)
OLD_SESSIONS = re.compile(r"(otks|sessions)(\.(db|dat|dir|bak|pag))?")


def body_digest(path):
    return hashlib.sha256(STAMP.sub(b"", path.read_bytes())).hexdigest()


def text_of(path):
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return ""


def refusals(tracker):
    """What a person of the client's has to port first."""
    for name in CLASS_NAME.findall(text_of(tracker / "schema.py")):
        if not re.fullmatch(r"[a-zA-Z]\w*[a-zA-Z_]|[a-zA-Z]", name):
            yield "schema.py: the class name %r must begin with a letter and not end with a digit (2.1)" % name
    if REST_ENDPOINT.search(text_of(tracker / "interfaces.py")):
        yield "interfaces.py: the argument `input` of REST endpoints is called `input_payload` now (2.5)"
    if XHTML.search(text_of(tracker / "config.ini")):
        yield "config.ini: html_version xhtml is no longer supported; port the templates to html (2.4)"


def allow_registration(tracker):
    """Anonymous visitors register, they do not create users (2.3)."""
    path = tracker / "schema.py"
    text = text_of(path)
    ported = ANONYMOUS_CREATE.sub(r"\1'Register'\2", text)
    if ported == text:
        return []
    path.write_text(ported, encoding="utf-8")
    return ["schema.py"]


def refresh(tracker, old, new):
    """Files as the old release shipped them become as the new one ships them (2.4: a CVE; 2.5: userauditor)."""
    changed = []
    for was in (file for part in STOCK_PARTS for file in (old / part).rglob("*") if file.is_file()):
        name = was.relative_to(old)
        mine, becomes = tracker / name, new / name
        if not (mine.is_file() and becomes.is_file()) or body_digest(mine) != body_digest(was):
            continue
        if body_digest(mine) != body_digest(becomes):
            shutil.copyfile(becomes, mine)
            changed.append(str(name))
    return sorted(changed)


def before(about):
    tracker = Path(about["tracker"])
    faults = list(refusals(tracker))
    if faults:
        raise SystemExit("The client's own parts are not ported: %s" % "; ".join(faults))
    with contextlib.suppress(FileNotFoundError):  # the try begins: what was restored before it is history
        Path(about["app_root"], "backed_out.json").unlink()
    old, new = (Path(about[name], "share/roundup/templates", about["template"]) for name in ("old", "new"))
    changed = allow_registration(tracker) + refresh(tracker, old, new)
    return {"changed": bool(changed), "files": changed}


def after(about):
    tracker, app_root = Path(about["tracker"]), Path(about["app_root"])
    fresh = Path(about["settings"])
    shutil.copymode(tracker / "config.ini", fresh)
    fresh.replace(tracker / "config.ini")
    # Sessions and one-time keys are kept in SQLite now (2.3); the old files hold nothing that is carried over.
    for file in (tracker / "db").iterdir():
        if OLD_SESSIONS.fullmatch(file.name):
            file.unlink()
    link = app_root / "current.new"
    with contextlib.suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(os.path.relpath(about["new"], app_root))
    link.replace(app_root / "current")
    return {"changed": True}


print(json.dumps({"before": before, "after": after}[sys.argv[1]](json.loads(sys.argv[2]))))
