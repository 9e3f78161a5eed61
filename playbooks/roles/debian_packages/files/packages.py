"""Debian packages of a host: what is installed, who holds the package lock, installing, and the way back.

Usage: packages.py report|audit|stage|install|take|drill|restore|export|import ABOUT as JSON; answers JSON. A restore
point is <app_root>/restore_points/<label>/ with debs/, settings/, data.tar.gz, point.json and SHA256SUMS over all of
it. It is made under another name and renamed when whole; nothing here writes into one that exists.
"""

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

PLACES = ("/var/cache/apt", "/usr", "/boot")
LOCKS = ("/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/cache/apt/archives/lock")
QUIET = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    "NEEDRESTART_MODE": "l",
    "LC_ALL": "C.UTF-8",
}
# No question is asked: where the client changed a file of settings, the client's stays, the package's lies beside it.
KEEP = ("-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold")


def run(command, check=True, limit=None):
    """A program without a terminal, in a group of its own, ended as a whole when its time is over."""
    process = subprocess.Popen(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(os.environ, **QUIET),
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said = process.communicate()[0]
        raise SystemExit("%s did not end within %d s and was ended: %s" % (command[0], limit, said[-600:])) from None
    if check and process.returncode:
        raise SystemExit("%s ended with code %d: %s" % (command[0], process.returncode, said.strip()[-900:]))
    return said if check else (process.returncode, said)


def digest(path, kind="sha256"):
    found = hashlib.new(kind)
    with open(path, "rb") as stream:
        for part in iter(lambda: stream.read(1 << 20), b""):
            found.update(part)
    return found.hexdigest()


def write(path, text):
    with Path(path).open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def manifest(directory):
    files = sorted(file for file in directory.rglob("*") if file.is_file() and file != directory / "SHA256SUMS")
    return "".join("%s  %s\n" % (digest(file), file.relative_to(directory)) for file in files)


# ---- what is installed


def field(deb, name):
    return run(["dpkg-deb", "--field", deb, name]).strip()


def installed(package):
    """Version and state; an absent package has neither."""
    code, said = run(["dpkg-query", "-W", "-f", "${Version}\t${db:Status-Abbrev}", package], check=False)
    version, _, state = said.partition("\t") if not code else ("", "", "")
    return {"version": version if state.startswith("ii") else "", "state": state.strip() or "absent"}


def conffiles(package):
    """Path -> whether the client changed it."""
    code, said = run(["dpkg-query", "-W", "-f", "${Conffiles}", package], check=False)
    found = {}
    for line in said.splitlines() if not code else ():
        parts = line.split()
        if len(parts) == 2 and os.path.exists(parts[0]):
            found[parts[0]] = digest(parts[0], "md5") != parts[1]
    return found


def offered(path):
    """What the package would have put there, left beside it."""
    return [name for name in (path + ".dpkg-dist", path + ".dpkg-new", path + ".ucf-dist") if os.path.exists(name)]


def holder(lock):
    """Who has the lock, as the kernel knows it; "" when nobody has."""
    if not os.path.exists(lock):
        return ""
    inode = os.stat(lock).st_ino
    with open("/proc/locks", encoding="ascii") as stream:
        for line in stream:
            parts = line.split()
            if "POSIX" in parts and parts[5].rsplit(":", 1)[-1] == str(inode):
                return named(parts[4])
    with open(lock, "rb+") as stream:  # a lock of another namespace is not listed by its process
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return "a process that cannot be seen"
    return ""


def named(pid):
    with contextlib.suppress(OSError):
        command = Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        return "process %s (%s)" % (pid, command[:120])
    return "process %s" % pid


def wait_for_lock(seconds):
    """Bounded; whoever still has it then is named."""
    until = time.monotonic() + seconds
    while True:
        held = [(lock, who) for lock, who in ((lock, holder(lock)) for lock in LOCKS) if who]
        if not held:
            return
        if time.monotonic() >= until:
            lock, who = held[0]
            raise SystemExit("waited %d s for the package lock %s: it is held by %s" % (seconds, lock, who))
        time.sleep(0.5)


def broken():
    """Packages that an interrupted run left half-way."""
    return [line.strip() for line in run(["dpkg", "--audit"], check=False)[1].splitlines() if line.startswith(" ")]


def held_back():
    return run(["apt-mark", "showhold"], check=False)[1].split()


def kernel():
    """What runs, and the newest that is installed; a container has none of its own."""
    code, said = run(["dpkg-query", "-W", "-f", "${Package}\t${db:Status-Abbrev}\n", "linux-image-[0-9]*"], check=False)
    names = [line.split("\t")[0] for line in said.splitlines() if not code and "\tii" in line]
    newest = ""
    for name in names:
        release = name[len("linux-image-") :]
        if not newest or run(["dpkg", "--compare-versions", release, "gt", newest], check=False)[0] == 0:
            newest = release
    return {"running": os.uname().release, "installed": newest}


def boot_id():
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def files(places):
    """Every file of the business data with its digest."""
    found = [path for place in map(Path, places) for path in (sorted(place.rglob("*")) if place.is_dir() else [place])]
    return [{"path": str(path), "digest": digest(path)} for path in found if path.is_file()]


def contents(places, root="/"):
    """One digest over the whole of the business data: every path with what is in it, or where it leads."""
    lines = []
    for top in (Path(root, place.lstrip("/")) for place in places):
        for path in sorted([top, *top.rglob("*")]):
            name = path.relative_to(root)
            if path.is_symlink():
                lines.append("%s -> %s" % (name, os.readlink(str(path))))
            elif path.is_file():
                lines.append("%s  %s" % (digest(path), name))
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def free(place):
    path = Path(place)
    while not path.exists():
        path = path.parent
    about = os.statvfs(path)
    sizes = {
        "device": path.stat().st_dev,
        "bytes": about.f_bavail * about.f_frsize,
        "total_bytes": about.f_blocks * about.f_frsize,
    }
    return dict(sizes, inodes=about.f_favail, total_inodes=about.f_files)


def settings(packages):
    """Changed files of settings of these packages: kept, and told of."""
    found = {}
    for package in packages:
        for path, changed in conffiles(package).items():
            if changed or offered(path):
                found[path] = {"package": package, "changed": changed, "offered": offered(path)}
    return found


def report(about):
    found = {package: installed(package) for package in about["packages"]}
    answer = {
        "application": "debian_packages",
        "version": found[about["lead"]]["version"] or None,
        "installed_version": found[about["lead"]]["version"] or None,
        "services": about["services"],
        "schema": {},
        "modules": {package: one["version"] for package, one in found.items()},
        "customisations": {path: {"kind": "settings"} for path in settings(about["packages"])},
        "settings": {},
        "integrations": {},
        "sizes": {"database_bytes": 0, "app_bytes": 0, "copies": {}},
        "free": {place: free(place) for place in (about["app_root"], about["state_dir"], *PLACES)},
        "packages": {
            "states": found,
            "settings_kept": settings(about["packages"]),
            "broken": broken(),
            "held": held_back(),
            "lock": next((who for who in map(holder, LOCKS) if who), ""),
            "reboot_required": os.path.exists("/run/reboot-required"),
        },
        "boot": {"id": boot_id(), "kernel": kernel()},
    }
    if about.get("datasets") is not None:
        answer["data"] = {"files": files(about["data"])}
    return answer


def audit(about):
    """Ends with the reason why nothing may be installed here; a hold is somebody's decision, and is not overridden."""
    if found := broken():
        raise SystemExit("an interrupted run left packages half-way: %s; first: dpkg --configure -a" % "; ".join(found))
    if held := sorted(set(held_back()) & set(about["packages"])):
        raise SystemExit("held on this host, by somebody's decision: %s; see apt-mark unhold" % ", ".join(held))
    return {"changed": False}


# ---- artefacts


def debs(directory):
    return sorted(Path(directory).glob("*.deb"))


def stage(about):
    """The packages that were copied are the vendor's, hold the wanted release, and could be installed as they are."""
    place = Path(about["artefacts"])
    wanted = dict(line.split("  ", 1)[::-1] for line in about["sums"].splitlines())
    found = {path.name: digest(path) for path in debs(place)}
    bad = [name for name, value in wanted.items() if name.endswith(".deb") and found.get(name) != value]
    if bad or set(found) - set(wanted):
        raise SystemExit("not as SHA256SUMS has it: %s" % ", ".join(sorted({*bad, *(set(found) - set(wanted))})))
    leads = [path for path in debs(place) if field(path, "Package") == about["lead"]]
    versions = [field(path, "Version") for path in leads]
    if versions != [about["version"]]:
        staged = ", ".join(versions) or "none"
        raise SystemExit("%s %s is wanted, %s is staged" % (about["lead"], about["version"], staged))
    wait_for_lock(about["lock_wait"])
    run(["apt-get", "install", "--simulate", "--allow-downgrades", "-y", *debs(place)])
    return {"changed": False, "verified": True, "files": len(found)}


def install(about):
    """All at once, without a question, within the limit; afterwards every package is what its file says."""
    wanted = {field(path, "Package"): field(path, "Version") for path in debs(about["debs"])}
    if all(installed(name)["version"] == version for name, version in wanted.items()):
        return {"changed": False, "settings_kept": settings(wanted)}
    wait_for_lock(about["lock_wait"])
    timeout = "DPkg::Lock::Timeout=%d" % about["lock_wait"]
    command = ["apt-get", "install", "-y", "--allow-downgrades", "-o", timeout, *KEEP]
    run([*command, *debs(about["debs"])], limit=about["limit"])
    wrong = {name: installed(name) for name, version in wanted.items() if installed(name)["version"] != version}
    if wrong or broken():
        raise SystemExit("after the installation: %s" % json.dumps({"wrong": wrong, "broken": broken()}))
    return {"changed": True, "settings_kept": settings(wanted)}


# ---- the way back


def place_of(about):
    return Path(about["app_root"], "restore_points", about["label"])


def old_deb(package, version, sources, target):
    """The very package that is installed: from what was brought along, from apt's own store, or from its mirror."""
    for source in (*sources, "/var/cache/apt/archives"):
        for path in debs(source):
            if (field(path, "Package"), field(path, "Version")) == (package, version):
                shutil.copy2(path, target)
                return
    code, said = run(["sh", "-c", 'cd "$0" && apt-get download "$1=$2"', target, package, version], check=False)
    if code:
        raise SystemExit("no way back: %s %s can be had nowhere: %s" % (package, version, said[-400:]))


def identity(about):
    """Whose copy this is: it goes back to no other host and to no other data."""
    return {"host": about["host"], "data": " ".join(about["data"])}


@contextlib.contextmanager
def alone(app_root):
    """One copy at a time. What a killed try left half made is nobody's then; readiness counted its space as free."""
    with (app_root / ".copying").open("a", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for place in [*app_root.glob("restore_points/*.part"), app_root / "imported.part", app_root / ".drill"]:
            shutil.rmtree(place, ignore_errors=True)
        yield


def take(about):
    point = place_of(about)
    if point.exists():
        fault = damage(point)
        if fault:
            raise SystemExit("the restore point %s exists, and %s; it is never overwritten" % (about["label"], fault))
        known = described(point)
        now = {package: installed(package)["version"] for package in about["packages"]}
        current = (now, contents(about["data"])) == (known["versions"], known["contents"])
        return dict(known, changed=False, current=current)
    part = point.with_name(point.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "debs").mkdir(mode=0o700, parents=True)
    versions = {package: installed(package)["version"] for package in about["packages"]}
    for package, version in versions.items():
        if version:
            old_deb(package, version, about["sources"], part / "debs")
    for path in (path for package in versions for path in conffiles(package)):
        kept = part / "settings" / path.lstrip("/")
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, kept)
    pack(about["data"], part / "data.tar.gz")
    known = {
        "label": about["label"],
        "taken_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "identity": identity(about),
        "versions": versions,
        "contents": contents(about["data"]),
        "canary": {"files": len(files(about["data"])), "packages": sum(map(bool, versions.values()))},
    }
    write(part / "point.json", json.dumps(known, indent=1))
    write(part / "SHA256SUMS", manifest(part))
    part.rename(point)
    return dict(described(point), changed=True, current=True)


def pack(places, archive):
    with tarfile.open(str(archive), mode="w:gz") as stream:
        for place in places:
            if os.path.exists(place):
                stream.add(place, arcname=place.lstrip("/"))
    os.chmod(archive, 0o600)


def damage(point):
    if not (point / "SHA256SUMS").exists():
        return "it has no SHA256SUMS"
    wanted, found = (point / "SHA256SUMS").read_text(encoding="utf-8"), manifest(point)
    changed = sorted({line.split("  ", 1)[1] for line in set(wanted.splitlines()) ^ set(found.splitlines())})
    return "not as recorded: %s" % ", ".join(changed[:5]) if changed else ""


def described(point):
    known = json.loads((point / "point.json").read_text(encoding="utf-8"))
    total = sum(file.stat().st_size for file in point.rglob("*") if file.is_file())
    return dict(known, path=str(point), digest=digest(point / "SHA256SUMS"), bytes=total)


def usable(about):
    point = place_of(about)
    fault = damage(point) if point.is_dir() else "there is none"
    if fault:
        raise SystemExit("the restore point %s cannot be used: %s" % (about["label"], fault))
    known = described(point)
    if known.get("identity") != identity(about):
        raise SystemExit(
            "the restore point %s is of %s, this is %s" % (about["label"], known.get("identity"), identity(about))
        )
    return point, known


def drill(about):
    """Digests; every kept package unpacked into scratch, its files as its own list says; apt would install them."""
    point, known = usable(about)
    scratch = Path(about["app_root"], ".drill")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        for deb in debs(point / "debs"):
            checked_unpack(deb, scratch / deb.stem)
        unpack(point / "data.tar.gz", scratch / "data")
        count = sum(1 for path in (scratch / "data").rglob("*") if path.is_file())
        found = {"files": count, "packages": len(debs(point / "debs"))}
        held = contents(about["data"], scratch / "data")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if found != known["canary"]:
        raise SystemExit("the restored copy holds %s, the restore point had %s" % (found, known["canary"]))
    if held != known["contents"]:
        raise SystemExit("what is in the restored copy is not what the restore point was taken of")
    wait_for_lock(about["lock_wait"])
    run(["apt-get", "install", "--simulate", "--allow-downgrades", "-y", *debs(point / "debs")])
    return dict(known, readable=True)


def checked_unpack(deb, target):
    target.mkdir(parents=True)
    run(["dpkg-deb", "--raw-extract", deb, target])
    sums = target / "DEBIAN/md5sums"
    for line in sums.read_text(encoding="utf-8").splitlines() if sums.exists() else ():
        value, name = line.split(None, 1)
        if digest(target / name, "md5") != value:
            raise SystemExit("%s of %s is not as the package's own list says" % (name, deb.name))


@contextlib.contextmanager
def opened(archive):
    """An archive of our own, whose digest was compared: owners and modes come back as they were."""
    with tarfile.open(str(archive), mode="r:gz") as stream:
        if hasattr(tarfile, "fully_trusted_filter"):
            stream.extraction_filter = tarfile.fully_trusted_filter
        yield stream


def unpack(archive, target):
    target.mkdir(parents=True, exist_ok=True)
    with opened(archive) as stream:
        stream.extractall(str(target))  # noqa: S202 - made by us, and its digest compared


def replace_data(archive, places):
    """Everything is unpacked beside what is there before anything is taken away: a full disk costs no data."""
    fresh = {}
    try:
        for place in map(Path, places):
            inside = os.path.ismount(str(place))
            parent, name = (place, ".restored") if inside else (place.parent, place.name + ".restored")
            remove(parent / name)
            fresh[place] = parent / name
            unpack_one(archive, place, parent, name)
        for place, new in fresh.items():
            put_in_place(new, place)
    finally:
        for new in fresh.values():
            remove(new)


def unpack_one(archive, place, parent, name):
    """The place's part of the archive, under another name."""
    own, taken = str(place).lstrip("/"), []
    with opened(archive) as stream:
        for member in stream.getmembers():
            if member.name == own or member.name.startswith(own + "/"):
                member.name = name + member.name[len(own) :]
                if member.islnk():
                    member.linkname = name + member.linkname[len(own) :]
                taken.append(member)
        parent.mkdir(parents=True, exist_ok=True)
        stream.extractall(str(parent), members=taken)  # noqa: S202 - the same


def put_in_place(new, place):
    """By renaming; of a mounted directory, which cannot be renamed, everything that is in it."""
    if new.parent == place:
        failed = place / ".failed"
        failed.mkdir(exist_ok=True)
        for path in [path for path in place.iterdir() if path not in (new, failed)]:
            remove(failed / path.name)
            path.rename(failed / path.name)
        for path in list(new.iterdir()) if new.is_dir() else []:
            path.rename(place / path.name)
    else:
        failed = place.with_name(place.name + ".failed")
        if place.exists() or place.is_symlink():
            remove(failed)
            place.rename(failed)
        if new.exists() or new.is_symlink():
            new.rename(place)
    remove(failed)


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(str(path))
    elif path.exists() or path.is_symlink():
        path.unlink()


def restore(about):
    """Once per try: a second call must not lose what was written since the first."""
    point, known = usable(about)
    done = Path(about["app_root"], "backed_out.json")
    if done.exists() and json.loads(done.read_text(encoding="utf-8"))["label"] == about["label"]:
        return dict(known, changed=False)
    wait_for_lock(about["lock_wait"])
    # Over what an interrupted run left half-way, whose own scripts are not run again: the old packages come first.
    settled = ("--force-confdef", "--force-confold")
    run(["dpkg", "--install", *settled, *debs(point / "debs")], check=False, limit=about["limit"])
    run(["dpkg", "--configure", "-a", *settled], check=False, limit=about["limit"])
    install(dict(about, debs=str(point / "debs")))
    for kept in sorted((point / "settings").rglob("*")) if (point / "settings").exists() else ():
        if kept.is_file():
            shutil.copy2(kept, Path("/", kept.relative_to(point / "settings")))
    replace_data(point / "data.tar.gz", about["data"])
    write(done, json.dumps({"label": about["label"], "run": about["run"]}))
    return dict(known, changed=True)


def export(about):
    pack(about["data"], about["archive"])
    return {"changed": False, "digest": digest(about["archive"])}


def take_over(about):
    """A baseline's data from an exported archive, at the old release."""
    install(about)
    replace_data(about["archive"], about["data"])
    with contextlib.suppress(FileNotFoundError):
        Path(about["app_root"], "backed_out.json").unlink()
    return {"changed": True}


VERBS = {
    "report": report,
    "audit": audit,
    "stage": stage,
    "install": install,
    "take": take,
    "drill": drill,
    "restore": restore,
    "export": export,
    "import": take_over,
}


def main(verb, text):
    about = json.loads(text)
    if verb not in ("take", "drill"):
        return VERBS[verb](about)
    with alone(Path(about["app_root"])):
        return VERBS[verb](about)


print(json.dumps(main(*sys.argv[1:])))
