"""ansible-playbook that ends when the process that started it dies: nobody would record what it does then."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

PARENT_VARIABLE = "CHANGEOVER_PARENT"
_PR_SET_PDEATHSIG = 1
_RARELY = (100_000, 20, 20)
"""What a playbook holds lives as long as it: looking for garbage after every 700 objects took an eighth of its CPU."""


def end_with_parent() -> None:
    """SIGTERM on the parent's death; at once when it died before this was arranged."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.environ.get(PARENT_VARIABLE) not in (None, str(os.getppid())):
        sys.exit(128 + signal.SIGTERM)


def main() -> None:
    end_with_parent()
    gc.set_threshold(*_RARELY)
    from ansible.cli.playbook import main as ansible_playbook

    sys.argv[0] = "ansible-playbook"
    ansible_playbook()


if __name__ == "__main__":
    main()
