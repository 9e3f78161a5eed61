"""Errors: a broken tool, never a "no"; each says what happened, where, and who does what next."""

from __future__ import annotations


class ChangeoverError(Exception):
    """A tool broke or an input could not be used. `what` happened, `where`, and `then` (who does what next)."""

    def __init__(self, what: str, *, where: str = "", then: str = "") -> None:
        self.what, self.where, self.then = what, where, then
        super().__init__(
            " ".join(part for part in (what, f"[{where}]" if where else "", f"Next: {then}" if then else "") if part)
        )


class PlanError(ChangeoverError):
    """A plan, release record or other document cannot be used; carries every fault found in it."""

    def __init__(self, what: str, *, faults: tuple[str, ...] = (), where: str = "", then: str = "") -> None:
        self.faults = faults
        super().__init__("\n".join((what, *faults)) if faults else what, where=where, then=then)


class LedgerError(ChangeoverError):
    """The ledger refused a write (a key used for something else) or could not be reached."""


class CmdbError(ChangeoverError):
    """The CMDB could not be read or written, or its answer is ambiguous."""


class CmdbAmbiguous(CmdbError):
    """One name means two things there, or would after this write: somebody has to tell them apart."""


class CmdbUnavailable(CmdbError):
    """The CMDB could not be asked at all (an outage): nothing is known to be wrong with the question."""


class ExecutionError(ChangeoverError):
    """Ansible could not be started, or its records cannot be read."""


class TransportError(ChangeoverError):
    """A host could not be spoken to over SSH."""


class GateError(ChangeoverError):
    """A gate's tool (pytest, Great Expectations) broke: the gate's answer is unknown, never passed."""


class LabError(ChangeoverError):
    """The lab could not be made, changed or reached."""


class ToolError(ChangeoverError):
    """A library that makes a file (typst) could not."""


class DocumentRefused(ChangeoverError):
    """A document that cannot be printed as it is meant: nobody gets one with something missing."""


class NoticeError(ChangeoverError):
    """A channel to people (mail server, webhook) could not be used; the notice is sent later."""


class NoticeRefused(NoticeError):
    """The channel will never take this notice (unknown address, wrong key): trying again changes nothing."""
