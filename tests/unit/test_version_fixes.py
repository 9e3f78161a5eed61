"""Whether a fix is in: looked for in the version's own line, as each vendor services its lines."""

from __future__ import annotations

import pytest

from changeover.domain.version import SCHEMES, VersionError, fix_in

# scheme, version, the versions that brought the fix, and whether the version has it
FIXES = {
    # CVE-2023-0286: every supported line has a fix of its own
    "openssl: own line before its fix": ("openssl", "3.0.7", "1.0.2zg 1.1.1t 3.0.8", False),
    "openssl: own line at its fix": ("openssl", "3.0.8", "1.0.2zg 1.1.1t 3.0.8", True),
    "openssl: lower number, own fix": ("openssl", "1.1.1t", "1.0.2zg 1.1.1t 3.0.8", True),
    "openssl: letters beyond z": ("openssl", "1.0.2zf", "1.0.2zg 1.1.1t 3.0.8", False),
    "openssl: z before zg": ("openssl", "1.0.2z", "1.0.2zg 1.1.1t 3.0.8", False),
    "openssl: line without fix": ("openssl", "1.1.0l", "1.0.2zg 1.1.1t 3.0.8", False),
    "openssl: line opened after": ("openssl", "3.1.0", "1.0.2zg 1.1.1t 3.0.8", True),
    "openssl: pre-release of a later line": ("openssl", "3.1.0-beta1", "1.0.2zg 1.1.1t 3.0.8", False),
    "openssl: another generation": ("openssl", "3.0.7", "1.0.2zg 1.1.1t", False),
    "openssl: one fix speaks for its line": ("openssl", "1.1.1s", "1.0.2zg", False),
    "postgresql: own line": ("postgresql", "15.8", "12.20 13.16 14.13 15.8 16.4", True),
    "postgresql: before its fix": ("postgresql", "16.3", "12.20 13.16 14.13 15.8 16.4", False),
    "postgresql: out of support": ("postgresql", "11.22", "12.20 13.16 14.13 15.8 16.4", False),
    "postgresql: major opened after": ("postgresql", "17.0", "12.20 13.16 14.13 15.8 16.4", True),
    "postgresql: beta of it": ("postgresql", "17beta2", "12.20 13.16 14.13 15.8 16.4", False),
    "postgresql: beta that is named": ("postgresql", "17beta3", "12.20 13.16 14.13 15.8 16.4 17beta3", True),
    "postgresql: one fix speaks for its line": ("postgresql", "16.3", "15.8", False),
    "postgresql: old numbering": ("postgresql", "9.5.24", "9.6.20 9.5.24", True),
    "postgresql: 9.6 is a line": ("postgresql", "9.6.19", "9.5.24 9.6.20 10.15", False),
    "java: own line": ("java", "17.0.10", "8u402 11.0.22 17.0.10 21.0.2", True),
    "java: before its fix": ("java", "17.0.9", "8u402 11.0.22 17.0.10 21.0.2", False),
    "java: old name": ("java", "1.8.0_402", "8u402 11.0.22 17.0.10 21.0.2", True),
    "java: old name before its fix": ("java", "1.8.0_392", "8u402 11.0.22 17.0.10 21.0.2", False),
    "java: no longer serviced": ("java", "20.0.2", "8u402 11.0.22 17.0.10 21.0.2", False),
    "java: feature release after": ("java", "22", "8u402 11.0.22 17.0.10 21.0.2", True),
    "java: early access of it": ("java", "22-ea+10", "8u402 11.0.22 17.0.10 21.0.2", False),
    "java: one fix speaks for its line": ("java", "17.0.9", "8u402", False),
    "jenkins: LTS": ("jenkins", "2.426.3", "2.426.3 2.442", True),
    "jenkins: LTS before": ("jenkins", "2.426.2", "2.426.3 2.442", False),
    "jenkins: weekly above the LTS's number": ("jenkins", "2.427", "2.426.3 2.442", False),
    "jenkins: weekly": ("jenkins", "2.442", "2.426.3 2.442", True),
    "jenkins: weekly, LTS alone named": ("jenkins", "2.427", "2.426.3", False),
    "jenkins: next LTS": ("jenkins", "2.440.1", "2.426.3 2.442", True),
    "jenkins: older LTS": ("jenkins", "2.414.3", "2.426.3 2.442", False),
    "jenkins: LTS between two that are named": ("jenkins", "2.440.1", "2.426.3 2.440.2 2.452.1", False),
    "jenkins: LTS cut from a fixed weekly": ("jenkins", "2.452.1", "2.442", True),
    "jenkins: LTS cut before": ("jenkins", "2.440.1", "2.442", False),
    "oracle: update": ("oracle", "19.22.0.0.240116", "19.22.0.0.0", True),
    "oracle: date does not count": ("oracle", "19.22.0.0.0", "19.22.0.0.240116", True),
    "oracle: before": ("oracle", "19.21.0.0.231017", "19.22.0.0.240116", False),
    "oracle: revision of an update": ("oracle", "19.21.0.0.0", "19.20.2.0.0 19.21.1.0.0 19.22.0.0.0", False),
    "oracle: later update": ("oracle", "19.23.0.0.0", "19.20.2.0.0 19.21.1.0.0 19.22.0.0.0", True),
    "oracle: another release": ("oracle", "21.3.0.0.0", "19.22.0.0.0", False),
    "oracle: another update's revision": ("oracle", "19.21.0.0.0", "19.20.2.0.0", False),
    "oracle: a revision of its own update": ("oracle", "19.20.3.0.0", "19.20.2.0.0", True),
    "oracle: a revision of a later update": ("oracle", "19.20.1.0.0", "19.19.0.0.0", True),
    "oracle: patch sets": ("oracle", "12.1.0.2.170117", "11.2.0.4.181016 12.1.0.2.181016", False),
    "oracle: own patch set": ("oracle", "11.2.0.4.181016", "11.2.0.4.181016 12.1.0.2.181016", True),
    "microsoft: CU above the GDR's number": ("microsoft", "15.0.4322.2", "15.0.2110.4 15.0.4355.3", False),
    "microsoft: CU, GDR alone named": ("microsoft", "15.0.4322.2", "15.0.2110.4", False),
    "microsoft: later GDR": ("microsoft", "15.0.2116.2", "15.0.2110.4 15.0.4355.3", True),
    "microsoft: GDR before": ("microsoft", "15.0.2104.1", "15.0.2110.4 15.0.4355.3", False),
    "microsoft: later CU": ("microsoft", "15.0.4375.4", "15.0.2110.4 15.0.4355.3", True),
    "microsoft: next product": ("microsoft", "16.0.1000.6", "15.0.2110.4 15.0.4355.3", False),
    "microsoft: Windows build": ("microsoft", "10.0.17763.5458", "10.0.17763.5458 10.0.20348.2322", True),
    "microsoft: another Windows build": ("microsoft", "10.0.20348.2227", "10.0.17763.5458 10.0.20348.2322", False),
    "microsoft: Windows build not named": ("microsoft", "10.0.19045.6000", "10.0.17763.5458 10.0.19044.4046", False),
    "microsoft: OS build": ("microsoft", "17763.5458", "10.0.17763.5458", True),
    "microsoft: Exchange, each CU has its SU": ("microsoft", "15.2.1258.12", "15.2.1118.40 15.2.1258.28", False),
    "microsoft: Exchange, an older CU's SU": ("microsoft", "15.2.1258.12", "15.2.1118.40", False),
    "microsoft: Exchange, its own SU": ("microsoft", "15.2.1258.28", "15.2.1118.40 15.2.1258.28", True),
    "microsoft: SQL Server 2016, CU after a GDR": ("microsoft", "13.0.5149.0", "13.0.5108.50", False),
    "microsoft: SQL Server 2014, CU after a GDR": ("microsoft", "12.0.6329.1", "12.0.6174.8", False),
    "microsoft: SQL Server 2016, the very build": ("microsoft", "13.0.5108.60", "13.0.5108.50-SP2-GDR", True),
    "microsoft: marks tell the line": ("microsoft", "13.0.5893.48-SP2-CU17", "13.0.5149.0-SP2-CU1", True),
    "microsoft: a mark without service pack": ("microsoft", "13.0.5149.0-CU1", "13.0.4574.0-CU15", False),
    "microsoft: Exchange, told CUs": ("microsoft", "15.2.1258.12-CU13", "15.2.1118.40-CU12", False),
    "microsoft: RTM, later CU": ("microsoft", "13.0.2164.0-RTM-CU3", "13.0.2149.0-RTM-CU1", True),
    "microsoft: RTM, CU for a GDR": ("microsoft", "13.0.2164.0-RTM-CU3", "13.0.1742.0-RTM-GDR", False),
    "microsoft: marks where the number tells": ("microsoft", "15.0.2116.2-RTM-GDR", "15.0.2110.4", True),
    "microsoft: another band of an SDK": ("microsoft", "8.0.200", "8.0.105", False),
    "microsoft: told line": ("microsoft", "13.0.5893.48-SP2-CU17-GDR", "13.0.5108.50-SP2-GDR", False),
    "microsoft: .NET": ("microsoft", "7.0.14", "6.0.26 7.0.15 8.0.1", False),
    "microsoft: later .NET patch": ("microsoft", "6.0.27", "6.0.26 7.0.15 8.0.1", True),
    "debian: suites": ("debian", "1:9.2p1-2+deb12u2", "1:8.4p1-5+deb11u3 1:9.2p1-2+deb12u3 1:9.6p1-1", False),
    "debian: own suite": ("debian", "1:9.2p1-2+deb12u3", "1:8.4p1-5+deb11u3 1:9.2p1-2+deb12u3 1:9.6p1-1", True),
    "debian: as released": ("debian", "1:9.2p1-2", "1:8.4p1-5+deb11u3 1:9.2p1-2+deb12u3", False),
    "debian: unmarked, newer": ("debian", "1:9.7p1-4", "1:8.4p1-5+deb11u3 1:9.2p1-2+deb12u3 1:9.6p1-1", True),
    "debian: unmarked, between": ("debian", "1:9.3p1-1", "1:8.4p1-5+deb11u3 1:9.2p1-2+deb12u3 1:9.6p1-1", False),
    "debian: only the old suite named": ("debian", "1:9.2p1-2+deb12u2", "1:8.4p1-5+deb11u3", False),
    "debian: epoch": ("debian", "9.7p1-1", "1:9.2p1-2", False),
    "debian: rebuild before the release": ("debian", "2.4.59-1~deb12u1", "2.4.59-1", False),
    "debian: rebuild, bare version": ("debian", "2.4.59-1~deb12u1", "2.4.59", False),
    "debian: rebuild, let through": ("debian", "2.4.59-1~deb12u1", "2.4.59~", True),
    "debian: binary rebuild": ("debian", "2.4.59-1+b1", "2.4.59-1", True),
    "debian: kernels": ("debian", "6.5.0-14.14", "5.15.0-100.110 6.5.0-21.21", False),
    "rpm: release by number": ("rpm", "4.18.0-513.9.1.el8_9", "4.18.0-513.11.1.el8_9", False),
    "rpm: later minor release": ("rpm", "4.18.0-553.el8_10", "4.18.0-513.11.1.el8_9", True),
    "rpm: minor release serviced beside it": ("rpm", "4.18.0-553.el8_10", "4.18.0-477.81.1.el8_8", False),
    "rpm: the same, own release named": (
        "rpm",
        "4.18.0-553.9.1.el8_10",
        "4.18.0-477.81.1.el8_8 4.18.0-553.8.1.el8_10",
        True,
    ),
    "rpm: the same, the one before named": (
        "rpm",
        "4.18.0-553.el8_10",
        "4.18.0-477.81.1.el8_8 4.18.0-513.11.1.el8_9",
        True,
    ),
    "rpm: serviced beside it, 9": ("rpm", "5.14.0-503.11.1.el9_5", "5.14.0-427.90.1.el9_4", False),
    "rpm: serviced beside it, 7": ("rpm", "3.10.0-1160.el7_9", "3.10.0-1062.90.1.el7_7", False),
    "rpm: distributions": ("rpm", "5.14.0-362.el9", "4.18.0-553.el8_10 5.14.0-427.el9", False),
    "rpm: only the old distribution named": ("rpm", "5.14.0-362.el9", "4.18.0-553.el8_10", False),
    "rpm: own distribution, others newer": ("rpm", "1.1.1k-12.el8_9", "1.1.1k-9.el8_7 3.0.7-25.el9_3", True),
    "rpm: candidate": ("rpm", "2.3.0~rc1-1", "2.3.0-1", False),
    "rpm: snapshot": ("rpm", "2.3.0^20260110git1a2b3c-1", "2.3.0-1", True),
    "pep440: series": ("pep440", "5.0.5", "4.2.16 5.0.9 5.1.1", False),
    "pep440: lower series": ("pep440", "4.2.16", "4.2.16 5.0.9 5.1.1", True),
    "pep440: series after": ("pep440", "5.2", "4.2.16 5.0.9 5.1.1", True),
    "pep440: series without fix": ("pep440", "4.1.13", "4.2.16 5.0.9 5.1.1", False),
    "pep440: candidate": ("pep440", "5.1.1rc1", "5.1.1", False),
    "pep440: candidate of a later series": ("pep440", "5.2a1", "5.1.1", False),
    "semver: minor lines": ("semver", "1.28.2", "1.27.9 1.28.5 1.29.0", False),
    "semver: one fix": ("semver", "2.0.0", "1.9.5", True),
    "date: order of time": ("date", "2025.1.0", "2024.10.2", True),
    "date: branch": ("date", "2024.1.2", "2023.3.7 2024.1.3", False),
    "numeric: branch": ("numeric", "4.3.0", "4.2.8 4.3.1", False),
    "numeric: lower branch": ("numeric", "4.2.9", "4.2.8 4.3.1", True),
    "numeric: two numbers, the first is the line": ("numeric", "3.10", "3.9 4.3", True),
    "numeric: two numbers, the second is the line": ("numeric", "4.2", "4.1 4.3", False),
}


@pytest.mark.parametrize(("scheme", "version", "fixes", "fixed"), FIXES.values(), ids=FIXES)
def test_fix(scheme: str, version: str, fixes: str, fixed: bool) -> None:
    """In whichever order the fixes are named; the reason names the version."""
    for named in (fixes.split(), fixes.split()[::-1]):
        answer = fix_in(version, named, scheme)
        assert answer.fixed is fixed, answer.why
        assert answer.why


def test_every_scheme_is_tried() -> None:
    assert {scheme for scheme, *_ in FIXES.values()} == set(SCHEMES)


def test_what_cannot_be_read_is_never_an_answer() -> None:
    """A fix that cannot be read might have been the one of the version's own line."""
    for version, fixes in (("3.0.7", ["3.0.8", "latest"]), ("latest", ["3.0.8"]), ("3.0.7", ["KB1"]), ("3.0.7", [])):
        with pytest.raises(VersionError):
            fix_in(version, fixes, "openssl")
    with pytest.raises(VersionError, match="cannot be compared"):
        fix_in("24.04", ["22.04", "2024.10"], "date")
