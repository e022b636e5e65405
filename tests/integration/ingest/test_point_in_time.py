"""A feature of a day does not change when a record that was known only after its cut-off does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.ingest.bundle import Bundle, change, day, local, plans, readings

pytestmark = pytest.mark.slow
TARGET = day(12)  # reads the days 8 to 10; clocks went forward on the 10th


@pytest.fixture(scope="module")
def bundle(new_bundle: Callable[[], Bundle]) -> Bundle:
    """Readings of eight days and the plans of TARGET, published."""
    made = new_bundle()
    made.write_readings(limit=0.9)
    made.write_plans(limit=0.9)
    for ds in (day(number) for number in range(6, 15)):
        made.land(made.readings, ds, readings(ds))
    made.land(made.plans, TARGET, plans(TARGET))
    made.run(made.readings, day(6), day(14))
    made.run(made.plans, TARGET)
    return made


def _again(bundle: Bundle) -> list[dict[str, Any]]:
    bundle.run(bundle.readings, day(6), day(14), "again")
    bundle.run(bundle.plans, TARGET, run_id="again")
    return bundle.rows(bundle.plans, TARGET)


def test_features_are_what_the_window_gives_by_hand(bundle: Bundle) -> None:
    rows = bundle.rows(bundle.plans, TARGET)
    window = [row for number in (8, 9, 10) for row in readings(day(number))]
    assert [row["sensor"] for row in rows] == ["a", "a", "b", "b", "c", "c"]
    for row in rows:
        mine = [reading for reading in window if reading["sensor"] == row["sensor"]]
        assert row["mean_value"] == pytest.approx(sum(reading["value"] for reading in mine) / 6)
        assert (row["last_value"], row["last_note"]) == (mine[-1]["value"], mine[-1]["note"])


def test_nothing_that_was_known_after_the_cut_off_changes_a_feature(bundle: Bundle) -> None:
    """Two things at once: what the read group landed late or later, and what landed late in the group's own file."""
    before = bundle.rows(bundle.plans, TARGET)
    late = {"value": 1e6, "note": "leak"}
    in_window = readings(day(10))  # its cut-off is the midnight of TARGET, to the second
    extra = {**in_window[0], **late, "slot": 7, "at": local(day(10), 23), "known_at": local(TARGET, 0, 0, 1)}
    twin = {**in_window[1], **late, "known_at": local(TARGET, 0, 0, 1)}
    bundle.land(bundle.readings, day(10), [*in_window, extra, twin])
    for number in (11, 12, 13, 14):  # days after the window: of the day before TARGET, of TARGET itself, and later
        bundle.land(bundle.readings, day(number), [{**row, **late} for row in readings(day(number))])
    own = plans(TARGET)
    correction = {**own[0], "value": -1.0, "known_at": local(TARGET, 0, 0, 1)}
    addition = {**own[0], "slot": 9, "known_at": local(TARGET, 8)}
    bundle.land(bundle.plans, TARGET, [*own, correction, addition])
    assert _again(bundle) == before
    assert {row["value"] for row in bundle.rows(bundle.readings, day(11))} == {1e6}, "the changes were published"


def test_a_record_known_at_the_cut_off_itself_changes_the_features(bundle: Bundle) -> None:
    """The control: the same change, a second earlier, inside the window."""
    before = bundle.rows(bundle.plans, TARGET)
    changed = change(readings(day(10)), 1, value=1e6, note="in time", known_at=local(TARGET, 0, 0, 0))
    bundle.land(bundle.readings, day(10), changed)
    after = _again(bundle)
    mine = [row for row in after if row["sensor"] == "a"]
    assert {(row["last_value"], row["last_note"]) for row in mine} == {(1e6, "in time")}
    assert all(row["mean_value"] > 1e5 for row in mine)
    assert [row for row in after if row["sensor"] != "a"] == [row for row in before if row["sensor"] != "a"]
