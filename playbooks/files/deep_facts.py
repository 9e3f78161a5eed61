"""What an analysis wants to know of any host; reads only. Usage: deep_facts.py ABOUT, JSON in and out.

ABOUT: {app_root, port, integrations: [{name, program, settings, state}], own: {names, below}, certificates: [glob]}.
`below` is a glob, of the current release unless it is absolute. A part that cannot be read is null, never empty.
"""

import ast
import base64
import contextlib
import csv
import glob
import hashlib
import json
import os
import platform
import pwd
import re
import ssl
import subprocess
import sys
from collections import Counter
from pathlib import Path

NOT_TOLD = re.compile(r"pass|secret|token|key|salt|credential", re.IGNORECASE)
PLACE = re.compile(r"[A-Za-z0-9_.<>{}:@?=&%-]*(/[A-Za-z0-9_.<>{}:@?=&%-]*)+")
METHOD = re.compile(r"[a-z_]\w*(\.[a-z_]\w*)+")
VERB = re.compile(r"GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS")
QUOTED = re.compile(r"""["']([^"'\n]{1,80})["']""")
LONGEST_PROGRAM = 1 << 20
CONNECTED = {"01", "06"}  # established, and closed a moment ago
PACKAGES = "lib/python*/site-packages"


def quietly(*command):
    """Standard output, or None when there is none to be had."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=20
        )
        if done.returncode == 0:
            return done.stdout
    return None


def host():
    about = {}
    with contextlib.suppress(OSError, ValueError):
        lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
        about = dict(line.split("=", 1) for line in lines if "=" in line)
    return {
        "system": about.get("PRETTY_NAME", "").strip('"') or platform.system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "processors": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
        "account": pwd.getpwuid(os.getuid()).pw_name,
    }


def packages(release):
    found = {}
    for path in release.glob(PACKAGES + "/*.dist-info"):
        name, version = path.name[: -len(".dist-info")].split("-", 1)
        found[re.sub("[-_.]+", "-", name).lower()] = version
    return found


def runtime(release):
    """The Python that runs the application, and what is installed beside it."""
    python = release / "bin/python"
    told = quietly(python, "-B", "-c", "import platform; print(platform.python_version())") if python.exists() else None
    return {"python": told.strip() if told else None, "packages": packages(release)}


def recorded(info):
    """Path -> sha256 of what the distribution shipped; what pip wrote itself has no digest."""
    with (info / "RECORD").open(encoding="utf-8", newline="") as text:
        for row in csv.reader(text):
            if len(row) == 3 and row[1].startswith("sha256="):
                digest = row[1][len("sha256=") :]
                yield row[0], base64.urlsafe_b64decode(digest + "=" * (-len(digest) % 4)).hex()


def vendor_files(release, own):
    """Files that are not as their distribution shipped them, and files beside them that none shipped."""
    edited, missing, shipped, checked = [], [], set(), 0
    for info in release.glob(PACKAGES + "/*.dist-info"):
        if not (info / "RECORD").exists():
            continue
        for name, digest in recorded(info):
            path = Path(os.path.normpath(str(info.parent / name)))
            shipped.add(path)
            checked += 1
            if not path.exists():
                missing.append(name)
            elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                edited.append(name)
    added = [
        str(path.relative_to(place))
        for place in release.glob(PACKAGES)
        for package in {path.relative_to(place).parts[0] for path in shipped if is_below(path, place)}
        for path in (place / package).rglob("*")
        if path.is_file() and path not in shipped and is_ours(path, place, own)
    ]
    return {"checked": checked, "edited": sorted(edited), "missing": sorted(missing), "added": sorted(added)}


def is_below(path, place):
    return str(path).startswith(str(place) + "/") and len(path.relative_to(place).parts) > 1


def is_ours(path, place, own):
    """Neither what Python and pip write beside shipped files, nor the client's own modules."""
    parts = path.relative_to(place).parts
    if "__pycache__" in parts or path.suffix == ".pyc" or parts[0].endswith(".dist-info"):
        return False
    return not any(str(path).startswith(directory + "/") for directory in own)


def constants(text):
    """Strings of a program, documentation and what looks like a secret left out."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return set(QUOTED.findall(text))
    hidden = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            hidden.add(id(node.value))
        if isinstance(node, ast.Assign) and NOT_TOLD.search(" ".join(ast.dump(target) for target in node.targets)):
            hidden.update(id(part) for part in ast.walk(node.value))
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in hidden
    }


def mentions(text):
    """Places, remote methods and HTTP verbs that a program names."""
    told = [word for word in constants(text) if len(word) <= 80]
    return sorted(word for word in told if any(kind.fullmatch(word) for kind in (PLACE, METHOD, VERB)))


def program(path):
    if not path or not Path(path).is_file() or Path(path).stat().st_size > LONGEST_PROGRAM:
        return None
    raw = Path(path).read_bytes()
    digest = hashlib.sha256(raw).hexdigest()
    return {"path": path, "digest": digest, "mentions": mentions(raw.decode("utf-8", "replace"))}


def said(path, key):
    """One text of a JSON file of the client's, or nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError, TypeError):
        return str(json.loads(Path(path).read_text(encoding="utf-8")).get(key) or "")
    return ""


def integrations(declared):
    found = {}
    for one in declared:
        address, user = said(one.get("state"), "endpoint"), said(one.get("settings"), "user")
        address = re.sub(r"(?<=://)[^/@\s]+@", "", address)
        found[one["name"]] = {"address": address, "user": user, "program": program(one.get("program"))}
    return found


def imports(files):
    found = set()
    for path in files:
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found.update(name.name for name in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.update("%s.%s" % (node.module, name.name) for name in node.names)
    return sorted(found)


def places(release, own):
    """Name -> the directories and files that are the client's own."""
    return {name: sorted(glob.glob(os.path.join(str(release), own["below"], name))) for name in own["names"]}


def customisations(found):
    return {
        name: {"imports": imports([file for path in paths for file in python_files(Path(path))])}
        for name, paths in found.items()
        if paths
    }


def python_files(path):
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def connections(port):
    """Who speaks with the service's port now: address -> how often. Null where the kernel does not tell."""
    peers = Counter()
    try:
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                local, remote, state = line.split()[1:4]
                if int(local.rpartition(":")[2], 16) == int(port) and state in CONNECTED:
                    peers[dotted(remote.rpartition(":")[0])] += 1
    except (OSError, ValueError):
        return None
    return [{"peer": peer, "count": count} for peer, count in sorted(peers.items())]


def dotted(text):
    """The kernel's hexadecimal address; the last four bytes of a longer one are enough for an IPv4 in IPv6."""
    return ".".join(str(int(text[place : place + 2], 16)) for place in range(len(text) - 2, len(text) - 10, -2))


def schedules():
    """What the account's crontab and the system's start; a line's command only, for its arguments may be secret."""
    found = []
    texts = [("crontab", quietly("crontab", "-l") or "")]
    for path in ["/etc/crontab", *sorted(glob.glob("/etc/cron.d/*"))]:
        with contextlib.suppress(OSError):
            texts.append((path, Path(path).read_text(encoding="utf-8", errors="replace")))
    for source, text in texts:
        for line in text.splitlines():
            words = line.split()
            if len(words) > 6 - (source == "crontab") and not line.lstrip().startswith("#") and "=" not in words[0]:
                command = words[5 if source == "crontab" else 6]
                found.append({"source": source, "when": " ".join(words[:5]), "command": command})
    return found


def certificates(patterns):
    found = []
    for path in sorted({path for pattern in patterns for path in glob.glob(pattern, recursive=True)}):
        until = quietly("openssl", "x509", "-enddate", "-noout", "-in", path)
        after = int(ssl.cert_time_to_seconds(until.strip().partition("=")[2])) if until else None
        found.append({"path": path, "not_after": after})
    return found


def attempt(part, *about):
    """One part that breaks must not hide the others: it is told as not read."""
    try:
        return part(*about)
    except (OSError, ValueError, KeyError, subprocess.SubprocessError):
        return None


def main(text):
    about = json.loads(text)
    release = Path(about["app_root"], "current").resolve()
    found = places(release, about["own"])
    own = [path for paths in found.values() for path in paths]
    told = {
        "host": attempt(host),
        "runtime": attempt(runtime, release),
        "vendor_files": attempt(vendor_files, release, own),
        "programs": attempt(integrations, about["integrations"]),
        "own": attempt(customisations, found),
        "connections": attempt(connections, about["port"]),
        "schedules": attempt(schedules),
        "certificates": attempt(certificates, about["certificates"]),
    }
    print(json.dumps(told))


main(sys.argv[1])
