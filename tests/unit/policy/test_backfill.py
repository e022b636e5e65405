"""What a plan says of each day, what it computes, and how it is cut into jobs."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.mlops.policy.backfill import (
    Facts,
    Only,
    Order,
    Plan,
    State,
    chunks,
    judge,
    lines,
    markdown,
    part,
    ranges,
    runs,
)

DAY = date(2013, 3, 1)
MISSING = Facts(DAY)
PRESENT = Facts(DAY, published=True)
STALE = Facts(DAY, published=True, stale="its file changed since")
FOLLOWS = Facts(DAY, published=True, reads_made="readings")
DONE = Facts(DAY, published=True, by_this_run=True)


def _day(number: int) -> date:
    return DAY + timedelta(days=number - 1)


@pytest.mark.parametrize(
    ("facts", "state", "computed"),
    [
        (MISSING, "missing", ["missing", "stale", "all"]),
        (STALE, "stale", ["stale", "all"]),
        (FOLLOWS, "follows", ["stale", "all"]),
        (PRESENT, "present", ["all"]),
        (DONE, "done", []),
        (Facts(DAY, published=True, by_this_run=True, stale="its input changed"), "stale", ["stale", "all"]),
        (Facts(DAY, published=True, by_this_run=True, reads_made="readings"), "done", []),
        (Facts(DAY, published=True, stale="its file changed since", reads_made="readings"), "stale", ["stale", "all"]),
    ],
)
def test_a_day_is_computed_where_its_state_is_asked_for(facts: Facts, state: State, computed: list[Only]) -> None:
    asked: list[Only] = ["missing", "stale", "all"]
    assert {judge(facts, only).state for only in asked} == {state}
    assert [only for only in asked if part("group", "plans", [facts], only).computed] == computed


@pytest.mark.parametrize(
    ("facts", "only", "refused"),
    [
        (Facts(DAY, lacks="waits for its file"), "missing", True),
        (Facts(DAY, published=True, stale="its input changed", lacks="waits for its file"), "missing", False),
        (Facts(DAY, published=True, stale="its input changed", lacks="waits for its file"), "stale", True),
        (Facts(DAY, published=True, lacks="waits for its file"), "stale", False),
        (Facts(DAY, published=True, lacks="waits for its file"), "all", True),
        (Facts(DAY, published=True, by_this_run=True, lacks="waits for its file"), "all", False),
    ],
)
def test_a_day_is_refused_where_it_would_be_computed_and_cannot_be(facts: Facts, only: Only, refused: bool) -> None:
    found = part("group", "plans", [facts], only)
    assert found.refused == ({DAY: "waits for its file"} if refused else {})
    assert found.computed == ()


def test_a_day_that_goes_on_without_an_input_says_so() -> None:
    assert judge(Facts(DAY, without="readings of 2013-02-27"), "missing").reason == (
        "made without readings of 2013-02-27"
    )
    assert judge(Facts(DAY, published=True, without="readings of 2013-02-27"), "missing").reason == ""


@pytest.mark.parametrize(
    ("numbers", "most", "expected"),
    [
        ([], 3, []),
        ([1], 3, [(1, 1)]),
        ([3, 1, 2], 3, [(1, 3)]),
        ([1, 2, 3, 4], 3, [(1, 3), (4, 4)]),
        ([1, 2, 4, 5, 6, 7, 8], 2, [(1, 2), (4, 5), (6, 7), (8, 8)]),
        ([1, 2, 3], 1, [(1, 1), (2, 2), (3, 3)]),
    ],
)
def test_days_are_cut_into_jobs_at_gaps_and_at_the_most_days(
    numbers: list[int], most: int, expected: list[tuple[int, int]]
) -> None:
    assert chunks(map(_day, numbers), most) == [(_day(first), _day(last)) for first, last in expected]


def test_ninety_days_are_three_jobs_of_thirty() -> None:
    assert [(last - first).days + 1 for first, last in chunks(map(_day, range(1, 91)), 30)] == [30, 30, 30]


def test_days_that_follow_each_other_are_shown_as_a_range() -> None:
    days = [_day(number) for number in (1, 2, 3, 5)]
    assert runs(days) == [(_day(1), _day(3)), (_day(5), _day(5))]
    assert ranges(days) == "2013-03-01..2013-03-03, 2013-03-05"


def _plan(only: Only) -> Plan:
    facts = [Facts(_day(1), published=True, in_sample=True), Facts(_day(2), published=True, stale="its file changed")]
    facts += [Facts(_day(number)) for number in (3, 4, 6)]
    facts.append(Facts(_day(5), lacks="no version is live for it and none is named"))
    return Plan(Order("late", _day(1), _day(6), only), (part("scores", "late", facts, only),))


def test_what_is_to_be_done_stands_first_and_days_alike_in_one_line() -> None:
    shown = lines(_plan("stale").parts[0])
    assert [(line.state, line.ranges, line.computed) for line in shown] == [
        ("missing", "2013-03-03..2013-03-04, 2013-03-06", "yes"),
        ("stale", "2013-03-02", "yes"),
        ("refused", "2013-03-05", "no"),
        ("present", "2013-03-01", "no"),
    ]
    assert [line.in_sample for line in shown] == [False, False, False, True]


def test_the_headline_counts_partitions_and_jobs() -> None:
    assert _plan("missing").headline() == (
        "2013-03-01..2013-03-06, only missing: 3 partition(s) to compute in 2 job(s)"
    )
    nothing = Plan(Order("late", _day(1), _day(1)), (part("scores", "late", [PRESENT], "missing"),))
    assert nothing.headline() == "2013-03-01, only missing: nothing to compute"


def test_the_markdown_shows_each_part_and_folds_what_is_too_long() -> None:
    text = markdown(_plan("all"), most=2)
    assert "**scores of late**" in text
    assert "| 2013-03-03..2013-03-04, 2013-03-06 (3) | missing | yes |  |" in text
    assert "| 2 more | | | see the report |" in text
    assert "| 2013-03-01 (1) | present, in-sample | yes |  |" in markdown(_plan("all"))
