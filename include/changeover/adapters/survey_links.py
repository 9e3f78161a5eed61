"""Links under which one run's survey can be answered: signed, expiring, worth nothing for anything else."""

from __future__ import annotations

import os
import secrets
from datetime import datetime
from pathlib import Path

from itsdangerous import BadData, URLSafeSerializer

from changeover.errors import ChangeoverError

SHORTEST_KEY = 32
_THEN = f"set CHANGEOVER_SURVEY_KEY to at least {SHORTEST_KEY} random characters, or remove the key's file"


class SurveyLinks:
    """Signs and reads the last part of a link."""

    def __init__(self, key: str) -> None:
        if len(key) < SHORTEST_KEY:
            raise ChangeoverError("the key of the survey's links is too short", where="survey", then=_THEN)
        self._serializer = URLSafeSerializer(key, salt="changeover.survey.1")

    def token(self, run: str, until: datetime) -> str:
        return self._serializer.dumps([run, int(until.timestamp())])

    def run_of(self, token: str, now: datetime) -> str | None:
        """The run; None for a token that is not ours, was changed, or has expired."""
        try:
            data = self._serializer.loads(token)
        except BadData:
            return None
        match data:
            case [str(run), int(until)] if now.timestamp() < until:
                return run
        return None


def key_in(file: Path) -> str:
    """The key that is kept there, for its owner alone; made when there is none. Several may ask at once."""
    try:
        return file.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as made:
        made.write(secrets.token_urlsafe(48))
    try:
        os.link(part, file)  # the first one wins, and its key is whole
    except FileExistsError:
        pass
    finally:
        part.unlink()
    return file.read_text(encoding="ascii").strip()
