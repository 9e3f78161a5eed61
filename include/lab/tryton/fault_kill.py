"""The lab's fault `kill`: waits for a migration of the application below APP_ROOT, and ends it half-way with SIGKILL.

Usage: fault_kill.py APP_ROOT SECONDS. Half-way is told by the processor time the migration has used, since its wall
time depends on what else the machine does. Afterwards the process stays, and does nothing.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def processor_seconds(process):
    """Of a process and the children it has waited for; fields as in proc(5)."""
    fields = (process / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def migrations(app_root):
    """Every running trytond-admin of that application, as its directory below /proc."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if any(word.startswith(f"{app_root}/") and word.endswith("/bin/trytond-admin") for word in words):
                yield process


def kill_one(app_root, seconds):
    for process in migrations(app_root):
        with contextlib.suppress(OSError):
            used = processor_seconds(process)
            if used >= seconds:
                os.kill(int(process.name), signal.SIGKILL)
                sys.stdout.write(f"killed the migration, process {process.name}, after {used:.1f} processor seconds\n")
                sys.stdout.flush()
                return True
    return False


def main(app_root, seconds):
    while not kill_one(app_root, float(seconds)):
        time.sleep(0.2)
    while True:
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
