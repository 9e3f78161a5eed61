"""Acceptance of packages: the wanted version is installed and whole, and what runs from it runs from it."""

from __future__ import annotations

from typing import Any


def test_the_wanted_version_is_installed(host: Any, wanted: Any) -> None:
    """The package that gives the environment its version, as dpkg knows it."""
    assert host.package(wanted.packages[0]).version == wanted.version


def test_every_package_is_whole(host: Any, wanted: Any) -> None:
    """Installed, configured, and nothing of the host left half-way."""
    states = host.check_output("dpkg-query -W -f '${db:Status-Abbrev}\\n' " + " ".join(wanted.packages)).split("\n")
    assert [state.strip() for state in states if state] == ["ii"] * len(wanted.packages)
    assert host.check_output("dpkg --audit") == ""


def test_services_run(host: Any, wanted: Any) -> None:
    """Every unit that the packages run is active, and none of them restarts over and over."""
    for service in wanted.services:
        assert host.check_output("systemctl is-active %s", service) == "active"
        assert int(host.check_output("systemctl show --property=NRestarts --value %s", service) or 0) == 0


def test_services_run_the_code_that_is_installed(host: Any, wanted: Any) -> None:
    """Nothing still runs from a file that the installation replaced."""
    for service in wanted.services:
        pid = host.check_output("systemctl show --property=MainPID --value %s", service)
        deleted = host.run("readlink /proc/%s/exe | grep -F ' (deleted)'", pid)
        assert deleted.rc != 0, f"{service} runs a program that was replaced"
