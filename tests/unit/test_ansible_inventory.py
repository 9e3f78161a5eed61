"""The files given to Ansible say what was ordered, and nothing in them is expanded or holds a secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from changeover.adapters.ansible_inventory import (
    check_variables,
    write_inventory,
    write_known_hosts,
    write_variables,
    yaml_text,
)
from changeover.adapters.execution_directory import Order, Target, plain
from changeover.errors import ExecutionError


class _Loader(yaml.SafeLoader):
    """Ansible's YAML: like YAML's, and `!unsafe` marks text that is no template."""


def _unsafe(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> tuple[str, Any]:
    return "unsafe", loader.construct_scalar(node)


_Loader.add_constructor("!unsafe", _unsafe)

APP01 = Target(
    "app01", "10.0.0.1", 2222, "deployer", "ssh_client", ("[10.0.0.1]:2222 ssh-ed25519 AAAA",),
    {"app_root": "/srv/app", "host_environment": {"LANG": "C"}, "note": "{{ 1 + 1 }}"},
)  # fmt: skip
SOURCE = Target("prod01", "10.0.0.9", 22, "reader", "ssh_other", ("10.0.0.9 ssh-ed25519 BBBB",))
ORDER = Order(
    run_key="run", environment="production", step="implement", generation=1, token="f" * 32, playbook="/p/i.yml",
    playbooks="/p", hosts=(APP01,), sources=(SOURCE,), variables={"to_version": "8.0", "port": 1, "off": None},
    timeout_seconds=60,
)  # fmt: skip


def loaded(path: Path) -> Any:
    return yaml.load(path.read_text(), _Loader)  # noqa: S506  # a safe loader of ours


def test_groups_hold_exactly_the_ordered_hosts(tmp_path: Path) -> None:
    groups = loaded(write_inventory(ORDER, tmp_path, {"ssh_client": Path("/k/0.pub")}, ()))["all"]["children"]
    assert {name: list(group["hosts"]) for name, group in groups.items()} == {
        "targets": ["app01"],
        "sources": ["prod01"],
    }
    assert groups["targets"]["hosts"]["app01"] == {
        "app_root": "/srv/app",
        "note": ("unsafe", "{{ 1 + 1 }}"),
        "ansible_host": "10.0.0.1",
        "ansible_port": 2222,
        "ansible_user": "deployer",
        "ansible_connection": "ssh",
        "ansible_ssh_private_key_file": "/k/0.pub",
        "host_environment": {"LANG": "C", "CHANGEOVER_TOKEN": "f" * 32},
    }


def test_a_become_password_is_looked_up_and_never_written(tmp_path: Path) -> None:
    host = loaded(write_inventory(ORDER, tmp_path, {}, ("become_password", "other")))["all"]["children"]["targets"][
        "hosts"
    ]
    assert host["app01"]["ansible_become_password"] == "{{ lookup('changeover_secret', 'become_password') }}"


def test_variables_carry_the_token(tmp_path: Path) -> None:
    assert loaded(write_variables(ORDER, tmp_path)) == {
        "to_version": "8.0",
        "port": 1,
        "off": None,
        "changeover_token": "f" * 32,
    }


def test_known_hosts_are_the_recorded_lines(tmp_path: Path) -> None:
    order = replace(ORDER, hosts=(APP01, replace(APP01, name="app02")))
    assert write_known_hosts(order, tmp_path).read_text() == "".join(
        f"{target.host_keys[0]}\n" for target in (APP01, SOURCE)
    )


@pytest.mark.parametrize(
    "name", ["ansible_host", "ansible_user", "ansible_ssh_args", "ansible_ssh_extra_args", "ansible_become_password"]
)
def test_how_a_host_is_reached_is_no_variable(name: str) -> None:
    with pytest.raises(ExecutionError, match=f"{name} may not be set.*host app01"):
        check_variables([replace(APP01, variables={name: "x"})])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_any_value_arrives_as_it_was(value: Any) -> None:
    def bare(found: Any) -> Any:
        if isinstance(found, tuple):
            return found[1]
        if isinstance(found, dict):
            return {key: bare(item) for key, item in found.items()}
        return [bare(item) for item in found] if isinstance(found, list) else found

    assert bare(yaml.load(yaml_text(value), _Loader)) == value  # noqa: S506  # a safe loader of ours


@pytest.mark.parametrize("value", ["{{ x }}", "{% if x %}", "{# x #}", "a {{ b"])
def test_what_looks_like_a_template_is_marked(value: str) -> None:
    assert yaml_text({"x": [value]}).count("!unsafe") == 1


def test_an_order_survives_its_file() -> None:
    assert Order.from_json(ORDER.to_json()) == ORDER


def test_values_that_are_not_plain_are_refused_with_their_place() -> None:
    assert plain({"a": (1, Path("/x")), "b": {"z", "y"}}, "v") == {"a": [1, "/x"], "b": ["y", "z"]}
    with pytest.raises(ExecutionError, match=r"object cannot be given to Ansible \[v\.a\[0\]\]"):
        plain({"a": [object()]}, "v")
    with pytest.raises(ExecutionError, match="the key 1 is not text"):
        plain({1: 2}, "v")


@pytest.mark.parametrize("length", [990, 1020, 1030, 5000])
def test_a_long_key_arrives_as_it_was(length: int) -> None:
    value = {"k" * length: None, "ü" * (length // 10): ["x"]}
    assert yaml.load(yaml_text(value), _Loader) == value  # noqa: S506  # a safe loader of ours
