"""Tiny Debian packages, built as a vendor builds them: a program, a unit, a file of settings, scripts of its own."""

from __future__ import annotations

import hashlib
import subprocess
import textwrap
from pathlib import Path

NAME = "ledgerd"
SETTINGS = "/etc/ledgerd.conf"


def build(folder: Path, version: str, *, settings: str, script: str = "") -> Path:
    """One version in `folder`/<version>, with SHA256SUMS; `script` is its postinst."""
    place, tree = folder / version, folder / f"{version}.tree"
    files = {
        "DEBIAN/control": f"""\
            Package: {NAME}
            Version: {version}
            Architecture: all
            Maintainer: Hansson <ops@hansson.example>
            Description: keeps a ledger
            """,
        "DEBIAN/conffiles": f"{SETTINGS}\n",
        "DEBIAN/postinst": f"#!/bin/sh\nset -e\nsystemctl daemon-reload || :\n{script}\n",
        "usr/bin/ledgerd": f"#!/bin/sh\necho {version}\nexec sleep infinity\n",
        f"{SETTINGS[1:]}": settings,
        "lib/systemd/system/ledgerd.service": """\
            [Unit]
            Description=keeps a ledger
            [Service]
            ExecStart=/usr/bin/ledgerd
            [Install]
            WantedBy=multi-user.target
            """,
    }
    for name, text in files.items():
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        if name.startswith(("usr/bin", "DEBIAN/postinst")):
            path.chmod(0o755)
    sums = [
        f"{hashlib.md5((tree / name).read_bytes()).hexdigest()}  {name}"  # noqa: S324 -- the format of Debian's own list
        for name in files
        if not name.startswith("DEBIAN") and name != SETTINGS[1:]
    ]
    (tree / "DEBIAN/md5sums").write_text("\n".join(sums) + "\n", encoding="utf-8")
    place.mkdir(parents=True, exist_ok=True)
    deb = place / f"{NAME}_{version}_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)], check=True, capture_output=True)
    (place / "SHA256SUMS").write_text(f"{hashlib.sha256(deb.read_bytes()).hexdigest()}  {deb.name}\n", encoding="utf-8")
    return deb
