"""A cure that a check or a release record declares; in mode `fix` a person has it carried out where it is needed."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator

from changeover.domain.estate import Document
from changeover.domain.finding import Action, ActionKind

_TASKS = r"[a-z][a-z0-9_]*"


class Remedy(Document):
    """What cures a finding; nothing of it comes from a host."""

    kind: Literal["command", "playbook"]
    """`command`: for the host's shell, in `app_root`; `playbook`: tasks that the application's role brings along."""
    run: Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\n\r]*$")]
    """The command, which has the subject in `CHANGEOVER_SUBJECT`; or <name> of the role's `tasks/fix_<name>.yml`."""

    @model_validator(mode="after")
    def _names_tasks(self) -> Remedy:
        if self.kind == "playbook" and not re.fullmatch(_TASKS, self.run):
            raise ValueError("run: is the name of the role's tasks/fix_<name>.yml: small letters, digits and _")
        return self

    def action(self) -> Action:
        return Action(ActionKind(self.kind), self.run, declared=True)
