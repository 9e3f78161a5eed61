"""docker-compose.yaml, read by the real compose: complete, closed, and in step with the settings of one machine."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from changeover.orchestration.airflow_settings import SHARED, bundle_configuration
from changeover.settings import PROJECT, load

SETTINGS = {
    "CHANGEOVER_SECRETS": "/etc/changeover/secrets",
    "CHANGEOVER_PLANS": "/srv/plans",
    "CHANGEOVER_ARTEFACTS": "/srv/artefacts",
    "CHANGEOVER_URL": "https://changeover.example.com",
}


def compose(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The program of the package itself: its Python wrapper loses the exit code."""
    spec = find_spec("compose")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).with_name("docker-compose")
    return subprocess.run(
        [program, "--file", PROJECT / "docker-compose.yaml", "--env-file", os.devnull, *arguments],
        env={"PATH": os.defpath, "HOME": "/nonexistent", **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def configuration() -> dict[str, Any]:
    done = compose("--profile", "zone", "config", "--format", "json", **SETTINGS, CHANGEOVER_ZONE="nordwind")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def ours() -> dict[str, Any]:
    """The services that run our image."""
    return {
        name: service
        for name, service in configuration()["services"].items()
        if service["image"].startswith("changeover:")
    }


def test_it_is_valid_when_everything_is_set() -> None:
    done = compose("config", "--quiet", **SETTINGS)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_is_guessed_that_has_to_be_set(name: str) -> None:
    """Each setting without a safe default is asked for by name, with what it is."""
    done = compose("config", "--quiet", **{key: value for key, value in SETTINGS.items() if key != name})
    assert done.returncode != 0
    assert f"required variable {name} is missing a value: set it to" in done.stderr


def test_all_parts_are_there() -> None:
    assert set(configuration()["services"]) == {
        *("postgres", "redis", "init", "api-server", "scheduler", "dag-processor", "triggerer", "worker"),
        "zone-worker",
    }
    assert configuration()["services"]["zone-worker"]["command"][-2:] == ["--queues", "nordwind"]


def test_settings_are_those_of_one_machine() -> None:
    """airflow_settings.py is the one place; compose repeats it, and may not drift."""
    for name, service in ours().items():
        environment = service["environment"]
        assert {key: environment.get(key) for key in SHARED} == dict(SHARED), name


def test_the_bundles_are_those_of_one_machine() -> None:
    environment = ours()["worker"]["environment"]
    settings = replace(load(environment), project=Path("/opt/changeover"))
    bundles = json.loads(environment["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundles == json.loads(bundle_configuration(settings))


def test_secrets_are_files_and_never_in_the_environment() -> None:
    for name, service in configuration()["services"].items():
        for key, value in service.get("environment", {}).items():
            assert not re.search(r"://[^/@]*:[^/@]+@", str(value)), f"{name}: {key} holds a password"
            if re.search(r"PASSWORD|SECRET|FERNET", key):
                assert key.endswith(("_CMD", "_FILE")), f"{name}: {key}"
    for secret in configuration()["secrets"].values():
        assert secret["file"].startswith(SETTINGS["CHANGEOVER_SECRETS"])


def test_our_containers_run_as_nobody_special() -> None:
    for name, service in ours().items():
        assert (service["user"], service["cap_drop"]) == ("10001:10001", ["ALL"]), name
        assert "no-new-privileges:true" in service["security_opt"]
    dockerfile = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
    assert re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE) == ["changeover"]


def test_every_image_is_pinned() -> None:
    images = [service["image"] for service in configuration()["services"].values()]
    images += re.findall(r"^FROM (\S+)", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    for image in images:
        assert re.search(r":\d+\.\d+", image), image


def test_everything_that_stays_up_says_whether_it_is_well() -> None:
    for name, service in configuration()["services"].items():
        assert name == "init" or service["healthcheck"]["test"], name


def test_plans_and_artefacts_cannot_be_written() -> None:
    for service in ours().values():
        mounts = {mount["target"]: mount for mount in service["volumes"]}
        assert mounts["/srv/changeover/plans"]["read_only"]
        assert mounts["/srv/changeover/artefacts"]["read_only"]
        assert mounts["/srv/changeover/freezes"]["read_only"]
        assert mounts["/srv/changeover/fleet"]["read_only"]


def test_only_the_api_server_is_reached_and_only_from_this_machine() -> None:
    open_ports = {name: service["ports"] for name, service in configuration()["services"].items() if "ports" in service}
    assert list(open_ports) == ["api-server"]
    assert [port["host_ip"] for port in open_ports["api-server"]] == ["127.0.0.1"]


def test_the_image_holds_no_secret_and_no_environment_of_the_builder() -> None:
    """Only what the Dockerfile copies reaches the build."""
    allowed = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert allowed[1] == "*"
    copied = re.findall(
        r"^COPY (?!--from)(.*) \S+$", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {f"!{name}" for line in copied for name in line.split()} == {
        line for line in allowed if line.startswith("!")
    }
