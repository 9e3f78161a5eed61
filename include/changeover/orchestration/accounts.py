"""The accounts of a production Airflow: those of its FAB provider, known by their login."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.models import User


class Accounts(FabAuthManager):  # type: ignore[misc] # installed in production alone
    """Plans name the people who decide by their login; FAB's own ids are numbers of rows, which nobody can name."""

    def deserialize_user(self, token: dict[str, Any]) -> User:
        """The account behind a token; whoever asks for its id, an approval above all, is told the login."""
        user = super().deserialize_user(token)
        login = str(user.username)
        user.get_id = lambda: login
        return user
