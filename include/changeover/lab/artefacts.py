"""Artefacts of releases: wheels fetched once, with a manifest, and environments built from them offline."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from changeover.errors import LabError
from changeover.lab.account import Account, Entry

WANTED = "requirements.in"


def fetch(
    account: Account, root: Path, python: Path, application: str, version: str, requirements: Sequence[str]
) -> Path:
    """Fetch the wheels of `requirements` for the hosts' Python into root/<application>/<version>, unless there.

    Sources are built into wheels here, so that a host needs neither a network nor a compiler. `pip` itself is among the
    wheels: an environment can then be filled on a host whose Python comes without it.
    """
    directory = root / application / version
    wanted = "\n".join((*requirements, "pip")) + "\n"
    lock = directory.with_name(f".{directory.name}.lock")
    account.directories(root, lock)
    with _locked(root):  # labs may share their artefacts
        pip = _pip(account, root)
    with _locked(lock):  # and fetch different releases at the same time
        if not _holds(directory, wanted):
            _fetch(account, pip, python, directory, wanted)
    return directory


def _fetch(account: Account, pip: Path, python: Path, directory: Path, wanted: str) -> None:
    part = directory.with_name(f".{directory.name}.part")
    account.remove(part)
    account.directories(part)
    account.run(
        [
            python,
            pip / "pip",
            "wheel",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--wheel-dir",
            part,
            *wanted.split("\n")[:-1],
        ],
        env={"PIP_CACHE_DIR": str(pip.parent.parent / ".pip")},
    )
    _describe(account, part, wanted)
    account.remove(directory)
    account.run(["mv", part, directory])


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def make_venv(account: Account, root: Path, python: Path, path: Path, release: Path) -> None:
    """Build a virtual environment from a fetched release alone, compiled: no index, no user configuration.

    By uv where this project has it, which takes a fifth of the time, else by the release's pip. `root` is the lab's.
    """
    account.run([python, "-m", "venv", "--without-pip", path])
    from_release: list[str | Path] = [
        "--no-index",
        "--find-links",
        release,
        "--requirement",
        release / "requirements.txt",
    ]
    if uv := _uv(account, root):
        options = ["--no-config", "--no-cache", "--link-mode", "copy", "--compile-bytecode", "--quiet"]
        account.run([uv, "pip", "install", "--python", path / "bin/python", *options, *from_release])
        return
    pip = next(iter(sorted(release.glob("pip-*.whl"))))
    options = ["--isolated", "--no-input", "--disable-pip-version-check", "--no-compile", "--quiet"]
    account.run([path / "bin/python", pip / "pip", "install", *options, *from_release])
    account.run([path / "bin/python", "-m", "compileall", "-q", "-j", "0", path / "lib"], check=False)


def _uv(account: Account, root: Path) -> Path | None:
    """The uv of this project's own environment, copied where the lab's account can run it."""
    own = Path(sys.executable).with_name("uv")
    if not own.exists() or not account.switched:
        return own if own.exists() else None
    kept = root / ".uv"
    if not (kept / "uv").exists():
        account.write(kept, {"uv.part": Entry(own.read_bytes(), 0o755)})
        account.run(["mv", kept / "uv.part", kept / "uv"])
    return kept / "uv"


def digests(directory: Path) -> dict[str, str]:
    """File name -> SHA-256 of every wheel and the requirements of a release."""
    files = sorted((*directory.glob("*.whl"), directory / "requirements.txt"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _holds(directory: Path, wanted: str) -> bool:
    try:
        if (directory / WANTED).read_text(encoding="utf-8") != wanted:
            return False
        manifest = (directory / "SHA256SUMS").read_text(encoding="utf-8")
        return manifest == _manifest(digests(directory))
    except FileNotFoundError:
        return False


def _describe(account: Account, directory: Path, wanted: str) -> None:
    """Pin what was fetched and write the manifest over it."""
    pins = [
        f"{name}=={release}"
        for name, release in map(_name_and_version, sorted(directory.glob("*.whl")))
        if name != "pip"
    ]
    account.write(directory, {"requirements.txt": Entry("\n".join(pins) + "\n"), WANTED: Entry(wanted)})
    account.write(directory, {"SHA256SUMS": Entry(_manifest(digests(directory)))})


def _manifest(found: dict[str, str]) -> str:
    return "".join(f"{digest}  {name}\n" for name, digest in found.items())


def _name_and_version(wheel: Path) -> tuple[str, str]:
    name, release = wheel.name.split("-")[:2]
    return re.sub(r"[-_.]+", "-", name).lower(), release


def _pip(account: Account, root: Path) -> Path:
    """A pip wheel that any Python can run: the one that comes with Python, else one from the package index."""
    kept = root / ".bootstrap"
    have = sorted(kept.glob("pip-*.whl"))
    if have:
        return have[0]
    found = [wheel for place in _bundled() for wheel in place.glob("pip-*.whl")]
    wheel = found[0] if found else _download_pip()
    account.write(kept, {wheel.name: Entry(wheel.read_bytes())})
    return kept / wheel.name


def _bundled() -> list[Path]:
    """Where Python brings pip along; some distributions leave ensurepip out, others keep its wheels elsewhere."""
    configured = sysconfig.get_config_var("WHEEL_PKG_DIR")
    spec = find_spec("ensurepip")
    own = [Path(spec.origin).parent / "_bundled"] if spec and spec.origin else []
    return [*([Path(configured)] if configured else []), *own]


def _download_pip() -> Path:
    target = tempfile.mkdtemp(prefix="changeover-pip-")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", target, "pip"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(Path(target).glob("pip-*.whl"))
    if done.returncode != 0 or not wheels:
        raise LabError(
            f"pip could not be fetched: {done.stderr.strip()[-500:]}",
            then="give this machine a reachable package index (PIP_INDEX_URL)",
        )
    return wheels[0]
