"""The lookup by which a role gets a secret: from the execution's socket, and from nowhere else."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.playbooks.bench import PLAYBOOKS, Secrets


@pytest.fixture
def lookup() -> Any:
    path = PLAYBOOKS / "plugins/lookup/changeover_secret.py"
    spec = importlib.util.spec_from_file_location("changeover_secret", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plugin = module.LookupModule()
    plugin._load_name = "changeover_secret"
    plugin.set_options = lambda **_: None  # options are declared to Ansible, which did not load it here
    return plugin


def test_secrets_come_from_the_executions_socket(lookup: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name is asked for in turn."""
    with Secrets(tmp_path / "s", {"one": "first", "two": "second"}) as path:
        monkeypatch.setenv("CHANGEOVER_SECRETS", path)
        assert lookup.run(["two", "one"]) == ["second", "first"]


@pytest.mark.parametrize("name", ["unknown", "one\ntwo"])
def test_a_secret_that_was_not_given_ends_the_play(
    lookup: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The message names the secret, never a value."""
    from ansible.errors import AnsibleLookupError

    with Secrets(tmp_path / "s", {"one": "first"}) as path:
        monkeypatch.setenv("CHANGEOVER_SECRETS", path)
        with pytest.raises(AnsibleLookupError, match="was not given") as raised:
            lookup.run([name])
    assert "first" not in str(raised.value)


def test_without_an_execution_there_are_no_secrets(lookup: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A playbook started by hand is told why."""
    from ansible.errors import AnsibleLookupError

    monkeypatch.delenv("CHANGEOVER_SECRETS", raising=False)
    with pytest.raises(AnsibleLookupError, match="CHANGEOVER_SECRETS is not set"):
        lookup.run(["one"])
