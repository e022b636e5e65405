"""What makes a published partition out of date, and what does not."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.mlops.policy.staleness import ABSENT, FILE, Made, stale_because

FIRST = date(2013, 3, 7)
TABLE = "features.flight_outcomes_v1"
AGAIN = "its input flight_outcomes_v1 of 2013-03-07 was published again with other rows"
DAYS = [FIRST + timedelta(days=n) for n in range(5)]
THEN = Made("m1", {TABLE: dict.fromkeys(DAYS, "a"), FILE: {FIRST: "f1"}}, 1)


def _now(*changed: date, **other: object) -> Made:
    inputs = {**THEN.inputs, TABLE: {**THEN.inputs[TABLE], **dict.fromkeys(changed, "b")}}
    return Made(**{"meaning": "m1", "inputs": inputs, "version": 1, **other})


@pytest.mark.parametrize(
    ("then", "now", "reason"),
    [
        (THEN, THEN, None),
        (THEN, _now(FIRST), AGAIN),
        (
            THEN,
            _now(*DAYS),
            AGAIN.replace("07", "07, 2013-03-08, 2013-03-09 and 2 more day(s)"),
        ),
        (THEN, _now(meaning="m2"), "the code or specification of plans changed"),
        (THEN, _now(version=2), "v2 is live for this day, it was scored by v1"),
        (THEN, _now(version=None), None),
        (THEN, _now(meaning=None), None),
        (THEN, _now(inputs={**THEN.inputs, FILE: {FIRST: "f2"}}), "its file changed since"),
        (THEN, _now(inputs={TABLE: THEN.inputs[TABLE]}), None),
        (THEN, _now(inputs={"features.flight_outcomes_v2": {}}), "it reads flight_outcomes_v2 now"),
        (
            Made(inputs={TABLE: {FIRST: ABSENT}}),
            Made(inputs={TABLE: {FIRST: "a"}}),
            "made without flight_outcomes_v1 of 2013-03-07, which is published now",
        ),
        (Made(inputs={TABLE: {FIRST: ABSENT}}), Made(inputs={TABLE: {FIRST: ABSENT}}), None),
        (
            THEN,
            _now(FIRST, meaning="m2"),
            f"the code or specification of plans changed; {AGAIN}",
        ),
        (Made("m1", {TABLE: {}}), _now(FIRST), None),
        (Made("m1"), Made("m1"), None),
    ],
    ids=[
        "nothing changed",
        "one input",
        "many inputs",
        "code",
        "version",
        "no version is live now",
        "code has no part in it",
        "file",
        "a file that was archived",
        "another version of a group",
        "an input that came late",
        "an input that is missing still",
        "several reasons",
        "published before digests were kept",
        "made of nothing else",
    ],
)
def test_a_partition_is_stale_where_what_it_is_made_of_changed(then: Made, now: Made, reason: str | None) -> None:
    assert stale_because(then, now, "plans") == reason
