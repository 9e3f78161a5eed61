"""The path planner: supported hops, mandatory stops, recalls, downgrades, and what each leg carries."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from changeover.domain.legs import hops_from, hops_of
from changeover.domain.named import Named
from changeover.domain.path import Answer, Product, UpgradePath, along, plan_path, product_of
from changeover.domain.path_findings import path_told, release_findings
from changeover.domain.release import ReleaseRecord
from changeover.domain.release_misfits import between_faults

RECALL = {
    "since": date(2026, 2, 1),
    "reason": "loses invoices",
    "may_lift": ["vendor", "head of change"],
    "source": "x",
}
LIFTED = {"by": "Ann Berg", "role": "head of change", "on": date(2026, 2, 3), "reason": "we have no invoices"}


def record(version: str, *supported_from: str, stops: tuple[str, ...] = (), **more: Any) -> ReleaseRecord:
    return ReleaseRecord.model_validate(
        {
            "schema_version": 1,
            "product": "app",
            "release": version,
            "version": version,
            "version_scheme": "pep440",
            "released": date(2026, 1, 1),
            "supported_from": list(supported_from),
            "mandatory_stops": [{"release": stop, "reason": "it migrates", "source": "notes"} for stop in stops],
            "artefacts": {"requirements": [f"app=={version}"]},
            "sources": ["notes"],
        }
        | more
    )


def product(*records: ReleaseRecord, faults: tuple[str, ...] = ()) -> Product:
    return Product("app", records, faults)


def path(known: Product, old: str, new: str, **more: Any) -> UpgradePath:
    return plan_path(known, from_version=old, to_version=new, **more)


def stops(found: UpgradePath) -> list[str]:
    return [leg.to_version for leg in found.legs]


LINE = product(
    record("2", ">=1,<2"),
    record("3", ">=1,<3"),
    record("4", ">=3,<4"),
    record("5", ">=3,<5"),
)


def test_the_direct_hop_is_taken_where_it_is_supported() -> None:
    found = path(LINE, "1.5", "3")
    assert (found.answer, stops(found), found.detours) == (Answer.PATH, ["3"], ())
    assert found.ok


def test_the_fewest_supported_hops_are_found_and_the_blocked_one_is_explained() -> None:
    found = path(LINE, "1", "5")
    assert stops(found) == ["3", "5"]
    assert found.detours == ("the vendor supports coming from >=3,<5, not from 1",)


def test_a_far_hop_is_not_taken_where_a_near_one_makes_the_way_shorter() -> None:
    known = product(record("2", "==1"), record("3", "==2"), record("7", "==1"), record("8", "==3", "==7"))
    assert stops(path(known, "1", "8")) == ["7", "8"]


def test_of_equal_ways_the_one_with_the_newest_stops_is_taken() -> None:
    assert stops(path(product(record("2", "==1"), record("3", "==1"), record("4", ">=2,<4")), "1", "4")) == ["3", "4"]


def test_a_mandatory_stop_is_made_though_the_hop_over_it_is_supported() -> None:
    known = product(record("2", ">=1,<2"), record("3", ">=1,<3", stops=("2",)))
    found = path(known, "1", "3")
    assert stops(found) == ["2", "3"]
    assert found.detours == ("3 demands a stop at 2 (2): it migrates",)


def test_a_stop_demands_its_own_stops_in_turn() -> None:
    known = product(
        record("2", ">=1,<2"),
        record("3", ">=1,<3", stops=("2",)),
        record("4", ">=1,<4"),
        record("5", ">=1,<5", stops=("3",)),
    )
    assert stops(path(known, "1", "5")) == ["2", "3", "5"]


def test_a_stop_that_only_a_release_which_is_passed_demands_is_made_too() -> None:
    """Its manual steps are taken over, and so are its stops: every mandatory stop between the two versions."""
    known = product(
        record("2", ">=1,<2"),
        record("3", ">=1,<3", stops=("2",)),
        record("4", ">=1,<4"),
    )
    found = path(known, "1", "4")
    assert stops(found) == ["2", "4"]
    assert found.detours == ("3 demands a stop at 2 (2): it migrates",)
    assert stops(path(known, "2", "4")) == ["4"]


def test_whoever_is_on_a_series_has_the_stops_of_its_record_behind() -> None:
    """2.9 is the series' newest, 2.7 is installed: what 2.9 wants of those who come from before 2 is done."""
    known = product(
        record("2.1", ">=1,<2.1"),
        record("2.9", ">=1,<2.9", covers=[">=2.5,<3"], stops=("2.1",)),
        record("3", ">=2.5,<3"),
    )
    assert stops(path(known, "2.7", "3")) == ["3"]


def test_a_stop_made_already_is_not_made_again() -> None:
    known = product(record("2", ">=1,<2", covers=[">=2,<3"]), record("3", ">=1,<3", stops=("2",)))
    assert stops(path(known, "2.7", "3")) == ["3"]
    assert stops(path(product(*LINE.records, record("6", ">=1,<6", stops=("3",))), "4", "6")) == ["6"]


def test_a_stop_that_nobody_describes_blocks_the_way() -> None:
    found = path(product(record("3", ">=1,<3", stops=("2",))), "1", "3")
    assert found.answer is Answer.BLOCKED
    assert found.reasons == ("3 demands a stop at 2 (and there is no record of it): it migrates",)


def test_where_there_is_no_way_the_starts_that_have_one_are_told() -> None:
    found = path(LINE, "0.9", "5")
    assert found.answer is Answer.BLOCKED
    assert found.reasons == (
        "the vendor supports coming from >=3,<5, not from 0.9",
        "4 can be reached from >=3,<4",
        "3 can be reached from >=1,<3",
        "2 can be reached from >=1,<2",
        "a way to 5 begins at 2 or 3 or 4",
        (
            "no record says how 0.9 becomes >=1,<2, from where 2 can be reached: "
            "go there by the vendor's own notes, or write the record of a release there"
        ),
    )


def test_a_recalled_release_is_avoided_and_told() -> None:
    known = product(record("2", "==1"), record("3", "==1", recall=RECALL), record("4", ">=2,<4"))
    found = path(known, "1", "4")
    assert stops(found) == ["2", "4"]
    (told,) = found.recalled
    assert told == "app 3 was recalled on 2026-02-01: loses invoices; only vendor or head of change may lift that"


def test_a_recalled_release_is_never_the_wanted_one_until_who_may_lifts_it() -> None:
    recalled = record("2", "==1", recall=RECALL)
    assert path(product(recalled), "1", "2").answer is Answer.RECALLED
    lifted = record("2", "==1", recall={**RECALL, "lifted": LIFTED})
    assert stops(path(product(lifted), "1", "2")) == ["2"]
    keys = {f.key: f.inhibits for f in release_findings(lifted, product(lifted), from_version="1", to_version="2")}
    assert keys == {"release-recall-lifted": False, "release-leg": False}


def test_a_recall_cannot_be_lifted_by_somebody_else() -> None:
    with pytest.raises(ValueError, match="'Jo Day' may not lift this recall; vendor, head of change may"):
        record("2", "==1", recall={**RECALL, "lifted": {**LIFTED, "by": "Jo Day", "role": ""}})


def test_a_recalled_stop_blocks_the_way() -> None:
    known = product(record("2", "==1", recall=RECALL), record("3", ">=1,<3", stops=("2",)))
    found = path(known, "1", "3")
    assert found.answer is Answer.BLOCKED
    assert any("and it is recalled" in reason for reason in found.reasons)


def test_already_there_is_nothing_to_do_and_says_so() -> None:
    found = path(LINE, "3.0", "3")
    assert (found.answer, found.legs, found.ok) == (Answer.NO_OP, (), True)
    assert found.reasons == ("already on 3: no upgrade is needed",)
    assert path(product(record("3", ">=1,<3", covers=["==3.*"])), "3.4", "3.4").answer is Answer.NO_OP


def test_a_version_that_nobody_describes_is_not_already_there() -> None:
    assert path(LINE, "9", "9").answer is Answer.TARGET


def test_a_downgrade_is_refused_unless_it_is_named_and_the_vendor_offers_it() -> None:
    known = product(record("2", "==1"), record("3", "==2", downgrade_to=[">=2,<3"]))
    assert path(known, "3", "2").answer is Answer.DOWNGRADE
    assert stops(path(known, "3", "2", named=Named(downgrade=True))) == ["2"]
    back = path(product(*LINE.records), "5", "3", named=Named(downgrade=True))
    assert back.reasons == ("the vendor supports going back from 5 to nothing older, not to 3",)


def test_a_version_that_is_none_and_one_that_nobody_describes() -> None:
    assert path(LINE, "latest", "5").answer is Answer.VERSION
    found = path(LINE, "1", "9")
    assert (found.answer, found.reasons) == (
        Answer.TARGET,
        ("no release record of app describes 9; described: 2, 3, 4, 5",),
    )
    assert path(product(), "1", "2").answer is Answer.TARGET


def test_a_record_that_cannot_be_read_inhibits_though_there_is_a_path() -> None:
    found = path(product(*LINE.records, faults=("app/2.5.yaml:3: version: is missing",)), "1", "3")
    assert stops(found) == ["3"]
    assert not found.ok
    inhibitors = [finding for finding in path_told(found) if finding.inhibits]
    assert [(f.key, f.summary) for f in inhibitors] == [
        ("release-record-unreadable", "app/2.5.yaml:3: version: is missing")
    ]


def test_several_legs_are_told_and_inhibit_nothing() -> None:
    (finding, *legs) = path_told(path(LINE, "1", "5"))
    assert [(leg.key, leg.subject) for leg in legs] == [("release-leg", "app 1 -> 3"), ("release-leg", "app 3 -> 5")]
    assert finding.key == "release-legs"
    assert not finding.inhibits
    assert finding.summary == (
        "the vendor supports coming from >=3,<5, not from 1; "
        "every environment goes through 2 legs: 1. 1 -> 3 (app/3); 2. 3 -> 5 (app/5)"
    )


def test_a_condition_before_the_next_leg_that_nothing_proves_inhibits() -> None:
    """V15: the next hop only when what the vendor asks for is finished; a leg that ends the way waits for nothing."""
    waits = {"what": "the migrations in the background have ended", "source": "notes"}
    known = product(record("2", "==1", before_leaving=[waits]), record("3", "==2", before_leaving=[waits]))
    (finding,) = (finding for finding in path_told(path(known, "1", "3")) if finding.inhibits)
    assert (finding.key, finding.subject) == ("release-leg-condition", "app 1 -> 2")
    proven = waits | {"acceptance_test": "test_no_migration_is_left"}
    known = product(record("2", "==1", before_leaving=[proven]), record("3", "==2", before_leaving=[waits]))
    assert not [finding for finding in path_told(path(known, "1", "3")) if finding.inhibits]
    first, last = hops_of(path(known, "1", "3"))
    assert [retest.tests for retest in first.retests()] == [("test_no_migration_is_left",)]
    assert last.retests() == ()


GITLAB = {"what": "every migration in the background has ended", "source": "the vendor's upgrade notes"}


@pytest.mark.parametrize("proof", ["", "test_no_migration_is_active"])
def test_what_the_installed_release_wants_before_it_is_left_comes_before_the_first_leg(proof: str) -> None:
    """V15: 14.3.0 -> 14.10.0 in one hop broke on a migration of 14.3 that was still active."""
    waits = GITLAB | ({"acceptance_test": proof} if proof else {})
    known = product(
        record(
            "14.0.5",
            ">=13.12.0,<14.0.0",
            version_scheme="semver",
            covers=[">=14.0.0,<14.10.0"],
            before_leaving=[waits],
        ),
        record("14.10.0", ">=14.0.0,<14.10.0", version_scheme="semver"),
    )
    found = path(known, "14.3.0", "14.10.0")
    assert stops(found) == ["14.10.0"]
    told = [(f.key, f.subject) for f in path_told(found) if f.inhibits]
    assert told == ([] if proof else [("release-leg-condition", "app 14.3.0")])
    (hop,) = hops_of(found)
    assert [retest.subjects for retest in hop.beforehand()] == [("every migration in the background has ended",)]
    assert [retest.tests for retest in hop.beforehand()] == [(proof,) if proof else ()]
    assert hop.retests() == ()
    assert hops_from([hop.as_json()]) == (hop,), "what is pinned is what is asked"


def test_what_the_installed_release_wants_is_asked_before_the_first_leg_alone_and_before_a_way_back_too() -> None:
    known = product(
        record("1", "==0", before_leaving=[GITLAB], downgrade_to=["==0"]),
        record("2", "==1", before_leaving=[GITLAB | {"acceptance_test": "test_x"}]),
        record("3", "==2"),
        record("0", "==0.1"),
    )
    assert [len(leg.before) for leg in path(known, "1", "3").legs] == [1, 0]
    assert [len(leg.before) for leg in path(known, "1", "0", named=Named(downgrade=True)).legs] == [1]


JENKINS = product(
    *(
        record(version, since, version_scheme="jenkins")
        for version, since in (("2.427", ">=2.426,<2.427"), ("2.440.1", ">=2.426,<2.440.1"), ("2.426", ">=2.425"))
    )
)


def test_a_change_of_line_is_refused_unless_it_is_named() -> None:
    """V09: from an LTS release to a weekly one, though it is newer; a downgrade is refused all the same."""
    found = path(JENKINS, "2.426.3", "2.427")
    assert (found.answer, found.legs, found.ok) == (Answer.LINE, (), False)
    assert "a change of line has to be named" in found.reasons[0]
    (finding,) = path_told(found)
    assert (finding.key, finding.inhibits) == ("release-line", True)
    assert stops(path(JENKINS, "2.426.3", "2.427", named=Named(change_of_line=True))) == ["2.427"]
    assert stops(path(JENKINS, "2.426.3", "2.440.1")) == ["2.440.1"]
    assert stops(path(JENKINS, "2.426", "2.427")) == ["2.427"]
    down = path(JENKINS, "2.427", "2.426", named=Named(change_of_line=True))
    assert down.answer is Answer.DOWNGRADE


def test_a_way_within_a_line_makes_no_detour_over_another_one() -> None:
    """The weekly release would be a supported stop; nobody wanted it."""
    records = (
        record("2.427", "==2.426.3", version_scheme="jenkins"),
        record("2.440.1", "==2.427", version_scheme="jenkins"),
    )
    assert path(product(*records), "2.426.3", "2.440.1").answer is Answer.BLOCKED
    named = path(product(*records), "2.426.3", "2.440.1", named=Named(change_of_line=True))
    assert stops(named) == ["2.427", "2.440.1"]


def step(name: str) -> dict[str, str]:
    return {"id": name, "series": "x", "when": "before", "title": name.title(), "source": "notes"}


def test_a_leg_takes_the_manual_steps_of_every_release_it_crosses_oldest_first() -> None:
    known = product(
        record("5", ">=1,<5", manual_steps=[step("five")]),
        record("2", "==1", covers=[">=2,<3"], manual_steps=[step("two")]),
        record("3", "==2", manual_steps=[step("three")]),
    )
    (leg,) = path(known, "1", "5").legs
    assert [found.id for found in leg.manual_steps] == ["two", "three", "five"]
    (leg,) = path(known, "2.3", "5").legs
    assert [found.id for found in leg.manual_steps] == ["three", "five"]


def test_a_recalled_release_that_is_passed_still_has_its_steps_taken() -> None:
    known = product(record("2", "==1", recall=RECALL, manual_steps=[step("two")]), record("3", ">=1,<3"))
    (leg,) = path(known, "1", "3").legs
    assert [found.id for found in leg.manual_steps] == ["two"]


def takes(text: str) -> list[dict[str, str]]:
    return [{"step": "implement", "takes": text, "basis": "a lab", "source": "measured"}]


def test_the_window_is_shared_by_the_records_durations() -> None:
    known = product(record("2", "==1", estimates=takes("30m")), record("3", "==2", estimates=takes("90m")))
    legs = path(known, "1", "3").legs
    assert [(leg.estimate, leg.share) for leg in legs] == [
        (timedelta(minutes=30), 0.25),
        (timedelta(minutes=90), 0.75),
    ]


def test_without_every_duration_no_share_is_made_up() -> None:
    known = product(record("2", "==1", estimates=takes("30m")), record("3", "==2"))
    assert [leg.share for leg in path(known, "1", "3").legs] == [None, None]


def test_each_leg_has_its_restore_point_and_its_gate() -> None:
    waits = [{"what": "the migrations in the background have ended", "source": "notes"}]
    known = product(record("2", "==1", before_leaving=waits), record("3", "==2", before_leaving=waits))
    first, last = path(known, "1", "3").legs
    assert first.restore_point == "of 1, proven readable before anything changes"
    assert first.gate == "2 accepted on every host; the migrations in the background have ended"
    assert last.gate == "3 accepted on every host"


def test_a_known_defect_of_the_wanted_version_is_told_and_one_that_was_fixed_is_not() -> None:
    defect = {"id": "CVE-1", "title": "It leaks", "affects": [">=1,<3"], "fixed_in": ["3"], "source": "notes"}
    known = product(record("2", "==1"), record("3", ">=1,<3", known_defects=[defect | {"severity": "inhibitor"}]))
    assert [d.id for leg in path(known, "1", "2").legs for d in leg.defects] == ["CVE-1"]
    assert [f.key for f in path_told(path(known, "1", "2")) if f.inhibits] == ["release-defect"]
    assert [finding.key for finding in path_told(path(known, "1", "3"))] == ["release-leg"]


def test_what_does_not_fit_between_records_is_told() -> None:
    known = (
        record("2", "==1", follows="1"),
        record("3", "==2", stops=("4",)),
        record("4", "==3", follows="3"),
    )
    assert [(misfit.release, misfit.path, misfit.message) for misfit in between_faults(known)] == [
        ("2", ("follows",), "there is no release record 'app/1'"),
        ("3", ("mandatory_stops", 0, "release"), "4 is not older than 3"),
    ]
    twice = (record("2", "==1"), record("2.0", "==1"))
    assert [misfit.message for misfit in between_faults(twice)] == ["2.0 is described by app/2 too"]
    mixed = (record("2", "==1"), record("3", "==2").model_copy(update={"version_scheme": "numeric"}))
    assert [misfit.release for misfit in between_faults(mixed)] == ["2", "3"]


@pytest.mark.parametrize(
    ("covers", "of_three", "told"),
    [
        ([">=1,<9"], [], "'>=1,<9' holds 3, which app/3 describes"),
        ([">=2,<2.8"], [">=2.5,<4"], "'>=2,<2.8' overlaps with what app/3 covers"),
        (["==2.*"], [">=2.5,<4"], "'==2.*' overlaps with what app/3 covers"),
        ([">=2,<3"], ["==3.*"], ""),
    ],
)
def test_a_version_is_spoken_for_by_one_record_alone(covers: list[str], of_three: list[str], told: str) -> None:
    """Whoever is on it would have a mandatory stop behind that was never made: 1.5 -> 3 would not stop at 2."""
    known = (record("2", ">=1,<2", covers=covers), record("3", ">=1,<3", stops=("2",), covers=of_three))
    found = {misfit.release: misfit for misfit in between_faults(known)}
    assert (found["2"].path, found["2"].message) == (("covers", 0), told) if told else not found


def test_a_plan_for_another_version_than_its_record_describes_is_told_once() -> None:
    wanted = record("3", ">=1,<3")
    found = release_findings(wanted, product_of(wanted), from_version="1", to_version="3.1")
    assert [finding.key for finding in found] == ["release-target"]


def test_the_wanted_record_along_the_way_brings_what_the_releases_between_bring() -> None:
    first, last = record("2", "==1", manual_steps=[step("two")]), record("3", ">=1,<3", manual_steps=[step("three")])
    whole = along(last, path(product(first, last), "1", "3"))
    assert [found.id for found in whole.manual_steps] == ["two", "three"]
    assert along(last, path(product(last), "9", "3")) == last


# ---- properties, over small graphs, against every way there is


@st.composite
def graphs(draw: st.DrawFn) -> tuple[ReleaseRecord, ...]:
    """Releases 2 to n; each can be reached from some older ones, may demand stops, may be recalled."""
    found = []
    for number in range(2, draw(st.integers(3, 8)) + 1):
        older = st.sets(st.integers(1, number - 1), max_size=4)
        sources = draw(older) or {number - 1}
        demanded = draw(st.sets(st.integers(2, max(number - 1, 2)), max_size=2)) - {number}
        found.append(
            record(
                str(number),
                *(f"=={source}" for source in sorted(sources)),
                stops=tuple(str(stop) for stop in sorted(demanded)) if draw(st.booleans()) else (),
                recall=RECALL if draw(st.integers(0, 7)) == 0 else None,
            )
        )
    return tuple(draw(st.permutations(found)))


def valid(ways: dict[int, ReleaseRecord], way: tuple[int, ...], start: int) -> bool:
    """By the book: hops supported, nothing recalled, every stop that any release up to the last demands is made."""
    froms = (start, *way[:-1])
    return (
        all(ways[new].supports(str(old)) for old, new in zip(froms, way, strict=True))
        and not any(ways[new].recalled for new in way)
        and all(
            int(stop.release) in way
            for number, one in ways.items()
            if start < number <= way[-1]
            for stop in one.mandatory_stops
            if start < int(stop.release)
        )
    )


def shortest_by_force(known: tuple[ReleaseRecord, ...], start: int, end: int) -> int | None:
    ways = {int(found.version): found for found in known}
    between = [number for number in sorted(ways) if start < number < end]
    return next(
        (
            count + 1
            for count in range(len(between) + 1)
            for some in combinations(between, count)
            if valid(ways, (*some, end), start)
        ),
        None,
    )


@settings(max_examples=400, deadline=None)
@given(known=graphs(), start=st.integers(1, 4))
def test_a_path_is_supported_makes_every_stop_and_has_no_shorter_one(
    known: tuple[ReleaseRecord, ...], start: int
) -> None:
    end = len(known) + 1
    if start >= end:
        return
    found = path(product(*known), str(start), str(end))
    best = shortest_by_force(known, start, end)
    if best is None:
        assert found.answer in (Answer.BLOCKED, Answer.RECALLED)
        assert found.legs == ()
        assert found.reasons
        return
    ways = {int(one.version): one for one in known}
    assert found.answer is Answer.PATH
    assert len(found.legs) == best
    assert valid(ways, tuple(int(leg.to_version) for leg in found.legs), start)
    assert [leg.from_version for leg in found.legs] == [str(start), *stops(found)[:-1]]
    assert (len(found.legs) > 1) == bool(found.detours)


@given(known=graphs(), start=st.integers(1, 4))
def test_the_legs_cross_every_release_of_the_span_once(known: tuple[ReleaseRecord, ...], start: int) -> None:
    """No manual step is lost between the legs, and none is asked for twice."""
    found = path(product(*known), str(start), str(len(known) + 1))
    crossed = [int(one.version) for leg in found.legs for one in leg.crossed]
    assert not found.legs or crossed == list(range(start + 1, len(known) + 2))


@given(known=graphs(), start=st.integers(1, 4))
def test_the_order_of_the_records_does_not_matter(known: tuple[ReleaseRecord, ...], start: int) -> None:
    end = str(len(known) + 1)
    assert path(product(*known), str(start), end) == path(product(*known[::-1]), str(start), end)
