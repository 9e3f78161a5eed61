"""What every playbook of ours has to say of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from changeover.settings import PROJECT

PLAYBOOKS = sorted((PROJECT / "playbooks").glob("*.yml"))


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_no_value_of_a_clients_is_expanded_as_a_variable_of_the_hosts_environment(playbook: Path) -> None:
    """Ansible's `command` puts `$NAME` of the host's environment into its arguments unless it is told not to."""
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        assert play["module_defaults"]["ansible.builtin.command"] == {"expand_argument_vars": False}
