"""The vendor's steps by hand around `roundup-admin migrate`. Usage: migration.py before|after ABOUT as JSON; answers JSON.

before: refuses what the new release refuses, then makes the documented edits and brings files the client never changed to the
new release's form. after: takes the new settings file and the new release into use.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys

ANONYMOUS_CREATE = re.compile(r"(addPermissionToRole\('Anonymous', )'Create'(, 'user'\))")
REST_ENDPOINT = re.compile(r"def \w+\(self, input\b")
CLASS_NAME = re.compile(r"""Class\(\s*db,\s*["'](\w+)["']""")
XHTML = re.compile(r"^html_version\s*=\s*xhtml", re.MULTILINE)
STOCK_PARTS = ("html", "detectors", "extensions")
# Roundup stamps what it installs; the stamp is no part of the file.
STAMP = re.compile(rb"^(#SHA: \w+|<!-- SHA: \w+ -->|/\* SHA: \w+ \*/)\n?\Z", re.MULTILINE)


def body_digest(path):
    with open(path, "rb") as stream:
        return hashlib.sha256(STAMP.sub(b"", stream.read())).hexdigest()


def text_of(path):
    with contextlib.suppress(FileNotFoundError):
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    return ""


def refusals(tracker):
    """What a person of the client's has to port first; each with the section of the vendor's upgrading notes."""
    for name in CLASS_NAME.findall(text_of(os.path.join(tracker, "schema.py"))):
        if not re.fullmatch(r"[a-zA-Z]\w*[a-zA-Z_]|[a-zA-Z]", name):
            yield "schema.py: the class name %r must begin with a letter and not end with a digit (2.1)" % name
    if REST_ENDPOINT.search(text_of(os.path.join(tracker, "interfaces.py"))):
        yield "interfaces.py: the argument `input` of REST endpoints is called `input_payload` now (2.5)"
    if XHTML.search(text_of(os.path.join(tracker, "config.ini"))):
        yield "config.ini: html_version xhtml is no longer supported; port the templates to html (2.4)"


def allow_registration(tracker):
    """2.3: anonymous visitors register, they do not create users."""
    path = os.path.join(tracker, "schema.py")
    text = text_of(path)
    ported = ANONYMOUS_CREATE.sub(r"\1'Register'\2", text)
    if ported == text:
        return []
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(ported)
    return ["schema.py"]


def refresh(tracker, old, new):
    """Files still as the old release shipped them become as the new one ships them (2.4: CVE-2024-39124; 2.5: userauditor)."""
    changed = []
    for part in STOCK_PARTS:
        for directory, _, names in os.walk(os.path.join(old, part)):
            for name in names:
                path = os.path.relpath(os.path.join(directory, name), old)
                mine, was, becomes = (os.path.join(home, path) for home in (tracker, old, new))
                if not (os.path.isfile(mine) and os.path.isfile(becomes)) or body_digest(mine) != body_digest(was):
                    continue
                if body_digest(mine) != body_digest(becomes):
                    shutil.copyfile(becomes, mine)
                    changed.append(path)
    return sorted(changed)


def before(about):
    tracker = about["tracker"]
    faults = list(refusals(tracker))
    if faults:
        raise SystemExit("The client's own parts are not ported: %s" % "; ".join(faults))
    with contextlib.suppress(FileNotFoundError):  # the try begins: what was restored before it is history
        os.unlink(os.path.join(about["app_root"], "backed_out.json"))
    old, new = (
        os.path.join(about[name], "share", "roundup", "templates", about["template"]) for name in ("old", "new")
    )
    changed = allow_registration(tracker) + refresh(tracker, old, new)
    return {"changed": bool(changed), "files": changed}


def after(about):
    tracker = about["tracker"]
    settings, fresh = os.path.join(tracker, "config.ini"), about["settings"]
    shutil.copymode(settings, fresh)
    os.replace(fresh, settings)
    # 2.3 keeps sessions and one-time keys in SQLite; the files of before hold nothing that is carried over.
    for name in os.listdir(os.path.join(tracker, "db")):
        if re.fullmatch(r"(otks|sessions)(\.(db|dat|dir|bak|pag))?", name):
            os.unlink(os.path.join(tracker, "db", name))
    link = os.path.join(about["app_root"], "current")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link + ".new")
    os.symlink(os.path.relpath(about["new"], about["app_root"]), link + ".new")
    os.replace(link + ".new", link)
    return {"changed": True}


print(json.dumps({"before": before, "after": after}[sys.argv[1]](json.loads(sys.argv[2]))))
