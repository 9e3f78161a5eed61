"""Outcomes come from positive proof: what is not proven is neither a success nor a back-out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changeover.domain.outcome import EnvironmentProofs, Outcome, Verdict, environment_verdict, run_verdict

DONE = EnvironmentProofs(
    hosts_planned=("a", "b"),
    from_version="7.0.59",
    to_version="8.0.12",
    change_began=True,
    versions={"a": "8.0.12", "b": "8.0.12"},
    acceptance_passed=True,
    data_whole=True,
    signed_off=True,
    committed=True,
    back_out_began=False,
    old_release_accepted=None,
    old_data_whole=None,
)
BACK = replace(
    DONE,
    versions={"a": "7.0.59", "b": "7.0.59"},
    acceptance_passed=False,
    signed_off=False,
    committed=False,
    back_out_began=True,
    old_release_accepted=True,
    old_data_whole=True,
)


def outcome(proofs: EnvironmentProofs, **changes: object) -> Outcome:
    return environment_verdict(replace(proofs, **changes)).outcome  # type: ignore[arg-type]  # each of its own type


def test_every_proof_makes_a_success() -> None:
    assert outcome(DONE) is Outcome.SUCCESSFUL
    assert outcome(DONE, issues=("a warning",)) is Outcome.SUCCESSFUL_WITH_ISSUES


@pytest.mark.parametrize(
    "missing",
    [
        {"versions": {"a": "8.0.12"}},
        {"versions": {"a": "8.0.12", "b": None}},
        {"versions": {"a": "8.0.12", "b": "7.0.59"}},
        {"versions": {"a": "8.0.12", "b": "eight"}},
        {"acceptance_passed": None},
        {"acceptance_passed": False},
        {"data_whole": None},
        {"data_whole": False},
        {"signed_off": False},
        {"committed": False},
        {"hosts_planned": ()},
    ],
)
def test_one_proof_missing_means_a_person_must_look(missing: dict[str, object]) -> None:
    verdict = environment_verdict(replace(DONE, **missing))  # type: ignore[arg-type]
    assert verdict.outcome is Outcome.UNKNOWN
    assert len(verdict.reasons) == 2


def test_a_version_written_otherwise_proves_as_much() -> None:
    """V14: 8.0.12 and 8.0.12.0 are one version."""
    assert outcome(DONE, versions={"a": "8.0.12.0", "b": "8.0.12"}) is Outcome.SUCCESSFUL
    assert outcome(BACK, versions={"a": "7.0.59.0", "b": "7.0.59"}) is Outcome.BACKED_OUT


def test_a_proven_back_out() -> None:
    assert outcome(BACK) is Outcome.BACKED_OUT
    assert outcome(BACK, committed=True, signed_off=True) is Outcome.BACKED_OUT


@pytest.mark.parametrize(
    "missing",
    [
        {"versions": {"a": "7.0.59", "b": None}},
        {"versions": {"a": "7.0.59", "b": "8.0.12"}},
        {"old_release_accepted": None},
        {"old_release_accepted": False},
        {"old_data_whole": False},
        {"old_data_whole": None},
        {"hosts_planned": ()},
    ],
)
def test_a_back_out_without_its_proofs_has_failed(missing: dict[str, object]) -> None:
    assert outcome(BACK, **missing) is Outcome.BACK_OUT_FAILED


def test_a_back_out_of_some_hosts_leaves_the_environment_to_a_person() -> None:
    some = replace(BACK, hosts_backed_out=("a",), versions={"a": "7.0.59", "b": "8.0.12"})
    assert outcome(some) is Outcome.UNKNOWN
    assert "b keeps 8.0.12" in environment_verdict(some).reasons[0]


def test_before_the_change_nothing_was_touched() -> None:
    before = replace(DONE, change_began=False, versions={"a": "7.0.59", "b": None}, committed=False)
    assert outcome(before) is Outcome.REFUSED
    assert outcome(before, window_missed=True) is Outcome.MISSED
    strange = environment_verdict(replace(before, versions={"a": "7.1"}))
    assert "a: 7.1 found, 7.0.59 expected" in strange.reasons


@given(
    began=st.booleans(),
    back=st.booleans(),
    versions=st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from(["7.0.59", "8.0.12", None])),
    accepted=st.sampled_from([True, False, None]),
    whole=st.sampled_from([True, False, None]),
    signed=st.booleans(),
    committed=st.booleans(),
    old=st.sampled_from([True, False, None]),
    old_whole=st.sampled_from([True, False, None]),
)
def test_no_success_and_no_back_out_without_proof(
    began: bool,
    back: bool,
    versions: dict[str, str | None],
    accepted: bool | None,
    whole: bool | None,
    signed: bool,
    committed: bool,
    old: bool | None,
    old_whole: bool | None,
) -> None:
    """Whatever combination the ledger holds."""
    proofs = EnvironmentProofs(
        ("a", "b"), "7.0.59", "8.0.12", began, versions, accepted, whole, signed, committed, back, old, old_whole
    )
    said = environment_verdict(proofs).outcome
    if said.is_success:
        assert began
        assert not back
        assert accepted
        assert whole
        assert signed
        assert committed
        assert [versions.get(host) for host in ("a", "b")] == ["8.0.12", "8.0.12"]
    if said is Outcome.BACKED_OUT:
        assert began
        assert back
        assert old
        assert old_whole
        assert [versions.get(host) for host in ("a", "b")] == ["7.0.59", "7.0.59"]
    if said is Outcome.REFUSED:
        assert not began


GOOD, BACKED = Verdict(Outcome.SUCCESSFUL), Verdict(Outcome.BACKED_OUT, ("why",))


@pytest.mark.parametrize(
    ("environments", "planned", "blockers", "wanted"),
    [
        ({"t": GOOD, "p": GOOD}, ("t", "p"), (), Outcome.SUCCESSFUL),
        ({"t": GOOD, "p": Verdict(Outcome.SUCCESSFUL_WITH_ISSUES)}, ("t", "p"), (), Outcome.SUCCESSFUL_WITH_ISSUES),
        ({"t": GOOD, "p": BACKED}, ("t", "p"), (), Outcome.BACKED_OUT),
        ({"t": BACKED}, ("t", "p"), (), Outcome.BACKED_OUT),
        ({"t": Verdict(Outcome.BACK_OUT_FAILED), "p": BACKED}, ("t", "p"), (), Outcome.BACK_OUT_FAILED),
        ({"t": Verdict(Outcome.UNKNOWN), "p": BACKED}, ("t", "p"), (), Outcome.UNKNOWN),
        ({"t": GOOD}, ("t", "p"), (), Outcome.REFUSED),
        ({}, ("t", "p"), (), Outcome.REFUSED),
        ({}, (), (), Outcome.REFUSED),
        ({"t": Verdict(Outcome.BACK_OUT_FAILED)}, (), (), Outcome.BACK_OUT_FAILED),
        ({"t": GOOD, "p": GOOD}, ("t", "p"), ("the change is not closed",), Outcome.UNKNOWN),
        ({"t": GOOD, "p": BACKED}, ("t", "p"), ("the change is not closed",), Outcome.BACKED_OUT),
        ({"t": Verdict(Outcome.MISSED)}, ("t",), (), Outcome.MISSED),
    ],
)
def test_the_gravest_environment_decides(
    environments: dict[str, Verdict], planned: tuple[str, ...], blockers: tuple[str, ...], wanted: Outcome
) -> None:
    verdict = run_verdict(environments, planned=planned, blockers=blockers)
    assert verdict.outcome is wanted
    assert all(blocker in verdict.reasons for blocker in blockers)


def test_environments_that_were_not_reached_are_named() -> None:
    assert "p: not reached, not touched" in run_verdict({"t": BACKED}, planned=("t", "p")).reasons


@pytest.mark.parametrize(
    ("recorded", "found", "scheme", "equal"),
    [
        ("7.4.052-1", "7.4.52-1", "debian", True),
        ("1.0", "1.0.0", "pep440", True),
        ("1.0rc1", "1.0", "debian", False),
        ("build-x", "build-x", "pep440", True),
        ("build-x", "1.0", "pep440", False),
        (None, "1.0", "pep440", False),
        (None, None, "pep440", False),
    ],
)
def test_the_cmdb_equals_discovery_by_the_products_scheme(
    recorded: str | None, found: str | None, scheme: str, equal: bool
) -> None:
    from changeover.usecases.closeout import _equal

    assert _equal(recorded, found, scheme) is equal
