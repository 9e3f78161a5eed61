"""A probe always comes back, and accepts no host key that is not on record (case C16)."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import paramiko  # noqa: TID253  # it plays the odd servers
import pytest

from changeover.adapters.ssh_command import ProbeOutcome, ProbeResult, probe
from changeover.errors import TransportError
from tests.support.sshd import Sshd, free_port, make_key, sshd

LIMIT = timedelta(seconds=2)


@dataclass(frozen=True)
class Target:
    name: str
    address: str
    port: int
    user: str
    connection: str
    host_keys: tuple[str, ...]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def target(server: Sshd) -> Target:
    return Target("app01", server.address, server.port, server.user, "ssh_client", (server.known_hosts,))


def run(target: Target, server: Sshd, command: str = "true", **more: object) -> ProbeResult:
    return probe([target], command, keys={"ssh_client": server.key}, timeout=LIMIT, **more)["app01"]  # type: ignore[arg-type]


def test_a_command_gives_status_and_both_streams(target: Target, server: Sshd) -> None:
    result = run(target, server, "echo out; echo err >&2")
    assert (result.outcome, result.exit_status, result.stdout, result.stderr) == (
        ProbeOutcome.OK,
        0,
        b"out\n",
        b"err\n",
    )


def test_standard_input_reaches_the_command(target: Target, server: Sshd) -> None:
    text = "echo from-script\n" + "# filler\n" * 50_000
    assert run(target, server, "/bin/sh -s", stdin=text.encode()).stdout == b"from-script\n"


def test_five_mebibytes_on_both_streams_are_complete(target: Target, server: Sshd) -> None:
    half = "head -c 5242880 /dev/zero"
    result = probe([target], f"{half}; {half} >&2", keys={"ssh_client": server.key}, timeout=timedelta(seconds=20))[
        "app01"
    ]
    assert (result.outcome, len(result.stdout), len(result.stderr)) == (ProbeOutcome.OK, 5242880, 5242880)


def test_a_command_that_never_answers_is_hung_at_the_limit(target: Target, server: Sshd) -> None:
    begun = time.monotonic()
    result = run(target, server, "echo begun; sleep 60")
    assert result.outcome is ProbeOutcome.HUNG
    assert 1.5 < time.monotonic() - begun < 4
    assert result.stdout == b"begun\n"


def test_exit_255_is_a_failed_command_and_not_an_unreachable_host(target: Target, server: Sshd) -> None:
    result = run(target, server, "exit 255")
    assert (result.outcome, result.exit_status) == (ProbeOutcome.FAILED, 255)
    assert result.reason.endswith("exit 255")


def test_a_command_killed_by_a_signal_has_no_exit_status(target: Target, server: Sshd) -> None:
    result = run(target, server, "kill -9 $$")
    assert (result.outcome, result.exit_status) == (ProbeOutcome.FAILED, None)
    assert result.reason.endswith("no exit status")


def test_a_hashed_known_hosts_entry_with_the_port_is_found(target: Target, server: Sshd) -> None:
    name = f"[{server.address}]:{server.port}"
    hashed = paramiko.HostKeys.hash_host(name)
    line = server.known_hosts.replace(name, hashed)
    assert run(replace(target, host_keys=(line,)), server).ok


def test_a_plain_entry_does_not_serve_another_port_and_the_message_names_both(target: Target, server: Sshd) -> None:
    line = server.known_hosts.replace(f"[{server.address}]:{server.port}", server.address)
    result = run(replace(target, host_keys=(line,)), server)
    assert result.outcome is ProbeOutcome.REFUSED
    assert server.address in result.reason
    assert str(server.port) in result.reason


def test_a_changed_host_key_is_refused_with_host_and_port(target: Target, server: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "other")
    other = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    line = f"[{server.address}]:{server.port} {other}"
    result = run(replace(target, host_keys=(line,)), server)
    assert result.outcome is ProbeOutcome.REFUSED
    assert "not the one on record" in result.reason
    assert server.address in result.reason
    assert str(server.port) in result.reason


def test_of_two_recorded_kinds_of_key_either_will_do(target: Target, server: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "rsa", "rsa")
    rsa = " ".join((tmp_path / "rsa.pub").read_text().split()[:2])
    lines = (f"[{server.address}]:{server.port} {rsa}", server.known_hosts)
    assert run(replace(target, host_keys=lines), server).ok


def test_only_a_kind_of_key_the_server_lacks_is_refused(target: Target, server: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "rsa", "rsa")
    rsa = " ".join((tmp_path / "rsa.pub").read_text().split()[:2])
    result = run(replace(target, host_keys=(f"[{server.address}]:{server.port} {rsa}",)), server)
    assert result.outcome is ProbeOutcome.REFUSED


def test_a_key_the_host_does_not_know_is_refused(target: Target, server: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    result = probe([target], "true", keys={"ssh_client": (tmp_path / "stranger").read_text()}, timeout=LIMIT)["app01"]
    assert result.outcome is ProbeOutcome.REFUSED


def test_something_that_is_no_key_is_an_error_naming_the_connection(target: Target) -> None:
    with pytest.raises(TransportError, match="ssh_client"):
        probe([target], "true", keys={"ssh_client": "no key"}, timeout=LIMIT)


def test_a_closed_port_is_unreachable(target: Target, server: Sshd) -> None:
    port = free_port()
    line = server.known_hosts.replace(str(server.port), str(port))
    result = run(replace(target, port=port, host_keys=(line,)), server)
    assert result.outcome is ProbeOutcome.UNREACHABLE
    assert str(port) in result.reason


def test_twenty_hosts_take_hardly_longer_than_one(target: Target, server: Sshd) -> None:
    hosts = [replace(target, name=f"app{number:02}") for number in range(20)]
    begun = time.monotonic()
    results = probe(hosts, "sleep 1; echo $((6*7))", keys={"ssh_client": server.key}, timeout=timedelta(seconds=30))
    assert {result.stdout for result in results.values()} == {b"42\n"}
    assert len(results) == 20
    assert time.monotonic() - begun < 12


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A one-connection server on loopback; `serve` gets the accepted socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def accept() -> None:
        with contextlib.suppress(OSError):
            conversation, _ = listener.accept()
            with conversation:
                serve(conversation)
                ended.wait(20)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        listener.close()


def test_a_port_that_accepts_without_a_banner_says_so_within_the_limit(target: Target, server: Sshd) -> None:
    with listening(lambda _: None) as port:
        line = server.known_hosts.replace(str(server.port), str(port))
        begun = time.monotonic()
        result = run(replace(target, port=port, host_keys=(line,)), server)
    assert result.outcome is ProbeOutcome.NO_BANNER
    assert time.monotonic() - begun < 6


class _Accepting(paramiko.ServerInterface):
    """Lets anyone in; what it does with a command is the test's business."""

    def __init__(self, on_exec: Callable[[paramiko.Channel], None]) -> None:
        self._on_exec = on_exec

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.common.AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=self._on_exec, args=(channel,), daemon=True).start()
        return True


@pytest.fixture
def odd_host(tmp_path: Path, target: Target) -> Callable[..., contextlib.AbstractContextManager[Target]]:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "odd")], check=True)
    host_key = paramiko.Ed25519Key.from_private_key_file(str(tmp_path / "odd"))

    @contextlib.contextmanager
    def make(on_exec: Callable[[paramiko.Channel], None]) -> Iterator[Target]:
        def serve(conversation: socket.socket) -> None:
            transport = paramiko.Transport(conversation)
            transport.add_server_key(host_key)
            transport.start_server(server=_Accepting(on_exec))
            transport.join(10)

        with listening(serve) as port:
            line = f"[127.0.0.1]:{port} {host_key.get_name()} {host_key.get_base64()}"
            yield replace(target, port=port, host_keys=(line,))

    return make


def test_a_host_that_accepts_the_command_and_never_answers_is_hung(
    odd_host: Callable[..., contextlib.AbstractContextManager[Target]], server: Sshd
) -> None:
    begun = time.monotonic()
    with odd_host(lambda channel: time.sleep(20)) as odd:
        result = run(odd, server)
    assert result.outcome is ProbeOutcome.HUNG
    assert time.monotonic() - begun < 6


def test_a_channel_closed_without_exit_status_is_a_failure(
    odd_host: Callable[..., contextlib.AbstractContextManager[Target]], server: Sshd
) -> None:
    def close(channel: paramiko.Channel) -> None:
        time.sleep(0.3)
        channel.sendall(b"some output")
        channel.close()

    with odd_host(close) as odd:
        result = run(odd, server)
    assert (result.outcome, result.stdout) == (ProbeOutcome.FAILED, b"some output")
    assert result.reason.endswith("no exit status")


def test_a_status_that_never_comes_does_not_block_beyond_the_limit(
    odd_host: Callable[..., contextlib.AbstractContextManager[Target]], server: Sshd
) -> None:
    def end_output_only(channel: paramiko.Channel) -> None:
        time.sleep(0.2)
        channel.sendall(b"all there is")
        channel.shutdown_write()
        time.sleep(20)

    begun = time.monotonic()
    with odd_host(end_output_only) as odd:
        result = run(odd, server)
    assert (result.outcome, result.stdout) == (ProbeOutcome.HUNG, b"all there is")
    assert time.monotonic() - begun < 6
