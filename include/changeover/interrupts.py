"""Commands that started something end it in order, however they are ended themselves."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ended_as_by_ctrl_c() -> Iterator[None]:
    """A service manager's SIGTERM and a closed terminal raise `KeyboardInterrupt`, as Ctrl-C does."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [(signum, signal.signal(signum, signal.default_int_handler)) for signum in signals]
    try:
        yield
    finally:
        for signum, handler in before:
            signal.signal(signum, handler)
