"""What the release asks of a host beside Python and database: each requirement of its record is compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from changeover.domain.analysis_facts import AnalysisFacts, Stop
from changeover.domain.artefacts import Wheel
from changeover.domain.release import ReleaseRecord, Requirements
from tests.support.analysed import ARTEFACTS, NAMES, RELEASE, analysed, facts, inhibitors, keys, reported, without


def record(**requires: Any) -> ReleaseRecord:
    return RELEASE.model_copy(update={"requires": Requirements.model_validate(requires)})


def needing(of: AnalysisFacts, **requires: Any) -> AnalysisFacts:
    return replace(of, release=record(**requires))


RESOURCES = {"memory_mib": 8192, "processors": 4, "disk_mib": 40960, "source": "the vendor's guide"}


def test_a_host_with_what_the_vendor_asks_for_is_no_finding() -> None:
    assert keys(needing(facts(), resources=RESOURCES)) == []


@pytest.mark.parametrize(
    ("change", "subject", "told"),
    [
        (
            lambda report: report["host"].update(memory_bytes=4 << 30),
            "prod1/memory",
            "the vendor asks for 8192 MiB of memory, the host has 4096",
        ),
        (
            lambda report: report["host"].update(processors=2),
            "prod1/processors",
            "the vendor asks for 4 processors, the host has 2",
        ),
        (
            lambda report: report["free"]["/srv/app"].update(bytes=(40 << 30) - 1),
            "prod1/disk",
            "the vendor asks for 40960 MiB of free disk space, the host has 40959",
        ),
        (lambda report: report["host"].pop("memory_bytes"), "prod1/memory", "that could not be read"),
        (lambda report: report["host"].update(processors=None), "prod1/processors", "that could not be read"),
        (lambda report: report.pop("free"), "prod1/disk", "that could not be read"),
    ],
)
def test_too_little_or_unread_inhibits_with_both_numbers(change: Any, subject: str, told: str) -> None:
    (found,) = inhibitors(needing(reported(change, "prod1"), resources=RESOURCES))
    assert (found.key, found.subject, found.environment) == ("runtime-resources", subject, "production")
    assert told in found.summary


def test_what_kernel_and_firmware_keep_of_the_memory_is_not_missing() -> None:
    """A machine of 8 GiB tells some 7900 MiB."""
    told = reported(lambda report: report["host"].update(memory_bytes=7900 << 20))
    assert keys(needing(told, resources=RESOURCES)) == []
    told = reported(lambda report: report["host"].update(memory_bytes=7700 << 20), "prod1")
    assert keys(needing(told, resources=RESOURCES)) == [("runtime-resources", "prod1/memory")]


def test_a_library_that_the_artefacts_bring_counts_whatever_the_host_has() -> None:
    """The new release gets an environment of its own: what the old one runs with is no matter."""
    assert keys(needing(facts(), runtimes={"psycopg": ">=3.2"})) == []
    (found,) = inhibitors(needing(facts(), runtimes={"psycopg": ">=4"}))
    assert (found.key, found.subject) == ("runtime-library", "psycopg")
    assert found.summary == "the release needs psycopg >=4, the artefacts bring 3.3.9"


def test_one_that_they_do_not_bring_has_to_be_on_every_host() -> None:
    there = reported(lambda report: report.update(installed={"Java": "17.0.9"}))
    assert keys(needing(there, runtimes={"java": ">=17", "psycopg2": ">=2.7"})) == []
    old = reported(lambda report: report.update(installed={"java": "11.0.2"}), "train1")
    found = {f.subject: f.summary for f in inhibitors(needing(old, runtimes={"java": ">=17"}))}
    assert set(found) == {f"{name}/java" for name in NAMES}
    assert found["train1/java"] == "the release needs java >=17, the artefacts bring none, the host has 11.0.2"
    assert found["prod1/java"].endswith("its version could not be read")


def test_one_that_the_record_pins_is_missed_among_the_artefacts_once() -> None:
    lacking = needing(facts(artefacts=without("psycopg")), runtimes={"psycopg": ">=3.2"})
    assert {f.key for f in inhibitors(lacking)} == {"artefact-driver", "artefact-requirement", "artefact-dependency"}


def test_a_version_that_is_none_does_not_fit() -> None:
    odd = reported(lambda report: report.update(installed={"java": "seventeen"}), *NAMES)
    assert {f.key for f in inhibitors(needing(odd, runtimes={"java": ">=17"}))} == {"runtime-library"}


@pytest.mark.parametrize("platform", ["Debian 12", "debian 12 x86_64"])
def test_a_platform_that_the_host_calls_itself_is_no_finding(platform: str) -> None:
    found = analysed(needing(facts(), platforms=["Windows Server 2022", platform])).findings
    assert found == ()


@pytest.mark.parametrize("platform", ["Debian 13", "Debian 12 or newer", "RHEL 9"])
def test_another_one_is_for_a_person_to_compare(platform: str) -> None:
    found = analysed(needing(facts(), platforms=[platform])).findings
    assert {(f.key, f.subject, f.inhibits) for f in found} == {("runtime-platform", name, False) for name in NAMES}
    assert found[0].summary == f"the vendor supports {platform}; the host is Debian 12 x86_64"


def test_a_stop_on_the_way_is_asked_too() -> None:
    stop = record(resources={"memory_mib": 16384, "source": "s"}).model_copy(update={"version": "2.3.0"})
    wheels = (*ARTEFACTS.wheels[1:], Wheel("tracker-2.3.0-py3-none-any.whl", "tracker", "2.3.0"))
    found = inhibitors(facts(stops=(Stop(stop, replace(ARTEFACTS, wheels=wheels)),)))
    memory = [f for f in found if f.key == "runtime-resources"]
    assert {f.subject for f in memory} == {f"{name}/memory at 2.3.0" for name in NAMES}
