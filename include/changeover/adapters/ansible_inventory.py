"""The files one execution gives to ansible-playbook: inventory, variables, known hosts. None holds a secret."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from changeover.adapters.execution_directory import Order, Target
from changeover.errors import ExecutionError

TOKEN_VARIABLE = "CHANGEOVER_TOKEN"  # noqa: S105  # a name
"""Environment variable by which every process of an execution is known on its host."""
BECOME_SECRET = "become_password"  # noqa: S105  # a name
_OURS = {
    "ansible_become_pass",
    "ansible_become_password",
    "ansible_connection",
    "ansible_host",
    "ansible_host_key_checking",
    "ansible_password",
    "ansible_port",
    "ansible_private_key_file",
    "ansible_remote_user",
    "ansible_user",
}
_OUR_PREFIXES = ("ansible_ssh_", "ansible_sudo_")
_TEMPLATE_MARKS = ("{{", "{%", "{#")


def check_variables(targets: Iterable[Target]) -> None:
    """How a host is reached and trusted comes from its record, never from a variable."""
    for target in targets:
        for name in target.variables:
            if name in _OURS or name.startswith(_OUR_PREFIXES):
                raise ExecutionError(
                    f"the variable {name} may not be set on a host",
                    where=f"host {target.name}",
                    then="remove it from the CMDB: address, user, key and host keys come from the host's record",
                )


def write_inventory(order: Order, directory: Path, identities: Mapping[str, Path], secrets: Iterable[str]) -> Path:
    """Groups `targets` and `sources` hold exactly the ordered hosts. `identities`: connection → public key file."""
    become = BECOME_SECRET in set(secrets)
    groups = {
        name: {"hosts": {target.name: _host_variables(order, target, identities, become) for target in targets}}
        for name, targets in (("targets", order.hosts), ("sources", order.sources))
        if targets
    }
    path = directory / "inventory.yml"
    path.write_text(yaml_text({"all": {"children": groups}}) + "\n")
    return path


def write_variables(order: Order, directory: Path) -> Path:
    path = directory / "variables.yml"
    path.write_text(yaml_text({**order.variables, "changeover_token": order.token}) + "\n")
    return path


def write_known_hosts(order: Order, directory: Path) -> Path:
    """Only keys on record; a host without one is refused by ssh itself."""
    lines = [line.strip() for target in order.everyone for text in target.host_keys for line in text.splitlines()]
    path = directory / "known_hosts"
    path.write_text("".join(f"{line}\n" for line in dict.fromkeys(lines) if line))
    return path


class _Trusted(str):
    """Text of ours that Ansible is to expand as a template."""

    __slots__ = ()


def _host_variables(order: Order, target: Target, identities: Mapping[str, Path], become: bool) -> dict[str, Any]:
    given = dict(target.variables)
    environment = given.pop("host_environment", None) or {}
    variables: dict[str, Any] = {
        **given,
        "ansible_host": target.address,
        "ansible_port": target.port,
        "ansible_user": target.user,
        "ansible_connection": "ssh",
        "host_environment": {**environment, TOKEN_VARIABLE: order.token},
    }
    if target.connection in identities:
        variables["ansible_ssh_private_key_file"] = str(identities[target.connection])
    if become:
        variables["ansible_become_password"] = _Trusted(f"{{{{ lookup('changeover_secret', '{BECOME_SECRET}') }}}}")
    return variables


def yaml_text(value: Any) -> str:
    """YAML in flow style. Text that looks like a template is marked so that Ansible never expands it:
    variables come from plans and records, and a template is a program on the controller.
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(str(key))}: {yaml_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(yaml_text(item) for item in value) + "]"
    if isinstance(value, _Trusted):
        return _quoted(value)
    if isinstance(value, str):
        return f"!unsafe {_quoted(value)}" if any(mark in value for mark in _TEMPLATE_MARKS) else _quoted(value)
    return json.dumps(value)


def _key(text: str) -> str:
    """YAML takes a key for one without a mark only as far as its 1024th character."""
    written = _quoted(text)
    return written if len(written) < 1000 else f"? {written} "


def _quoted(text: str) -> str:
    """Double-quoted YAML: JSON's escapes, and code points instead of JSON's surrogate pairs."""
    return "".join(char if " " <= char <= "~" and char not in '"\\' else f"\\U{ord(char):08x}" for char in text).join(
        '""'
    )
