"""Commands that started something are ended in order by a service manager and by a closed terminal, too."""

from __future__ import annotations

import os
import signal

import pytest

from changeover.interrupts import ended_as_by_ctrl_c


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP])
def test_being_terminated_is_like_ctrl_c(signum: signal.Signals) -> None:
    """Only for as long as something runs."""
    before = signal.getsignal(signum)
    with pytest.raises(KeyboardInterrupt), ended_as_by_ctrl_c():
        os.kill(os.getpid(), signum)
    assert signal.getsignal(signum) == before
