"""Lookup of a secret from the execution that runs this playbook; nothing is stored here."""

from __future__ import annotations

import json
import os
import socket

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: changeover_secret
short_description: A secret of this execution, by name
description:
  - Asks the execution's Unix socket, whose path is in the environment variable CHANGEOVER_SECRETS.
  - One line of JSON goes out (name), one comes back (value, or error). The value lives in memory alone, so a task that
    uses it must set C(no_log=true).
options:
  _terms:
    description: Names of secrets.
    required: true
    type: list
    elements: str
"""
EXAMPLES = """
- name: Log in
  ansible.builtin.uri:
    url: "{{ url }}"
    url_password: "{{ lookup('changeover_secret', 'roundup_admin') }}"
  no_log: true
"""
RETURN = """
_raw:
  description: The secrets, in the order of the names.
  type: list
  elements: str
"""

TIMEOUT = 10.0


class LookupModule(LookupBase):
    """Ask for each name in turn."""

    def run(self, terms, variables=None, **kwargs):
        self.set_options(var_options=variables, direct=kwargs)
        path = os.environ.get("CHANGEOVER_SECRETS")
        if not path:
            raise AnsibleLookupError(
                "CHANGEOVER_SECRETS is not set: no execution that holds secrets started this playbook"
            )
        return [_ask(path, str(term)) for term in terms]


def _ask(path, name):
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT)
            connection.connect(path)
            connection.sendall(json.dumps({"name": name}).encode() + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline() or b"{}")
    except (OSError, ValueError) as exc:
        raise AnsibleLookupError(f"the secret {name!r} could not be asked for: {exc}") from exc
    if not isinstance(answer.get("value"), str):
        raise AnsibleLookupError(f"the secret {name!r} was not given: {answer.get('error', 'empty answer')}")
    return answer["value"]
