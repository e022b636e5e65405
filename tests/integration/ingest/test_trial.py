"""A trial of a feature group: what it tells of real rows, and that it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from include.mlops.errors import MlopsError, NotReady, SpecError
from include.mlops.steps.authoring.trial import Trial
from include.mlops.steps.authoring.trial_of_group import try_group
from tests.integration.ingest.bundle import COLUMNS, Bundle, change, csv, day, plans, readings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bundle(new_bundle: Callable[[], Bundle]) -> Bundle:
    made = new_bundle()
    made.write_readings()
    made.write_plans()
    for number in (5, 6):
        made.land(made.readings, day(number), readings(day(number)))
    made.land(made.plans, day(6), plans(day(6)))
    return made


def _try(bundle: Bundle, name: str, number: int | None = None, rows: int = 100) -> Trial:
    platform = bundle.platform()
    return try_group(platform, platform.specs.group(name), day(number) if number else None, rows)


@contextmanager
def _nothing_left_behind(bundle: Bundle) -> Iterator[None]:
    def state() -> object:
        platform = bundle.platform()
        named = [f"features.{name}_v1" for name in (bundle.readings, bundle.plans)]
        tables = [*named, *(f"quarantine.{name}" for name in (bundle.readings, bundle.plans))]
        snapshots = {t: platform.lake.exists(t) and len(platform.lake.table(t).snapshots()) for t in tables}
        told = [platform.ledger.publications.validations(t, day(n)) for t in named for n in (5, 6, 7)]
        return snapshots, told, [platform.ledger.publications.frontier(t) for t in named], len(platform.alerts.outbox())

    before = state()
    yield
    assert state() == before


def test_the_newest_day_is_tried_and_its_columns_told(bundle: Bundle) -> None:
    with _nothing_left_behind(bundle):
        found = _try(bundle, bundle.readings)
    assert found.facts == {"day": str(day(6)), "rows": "6", "malformed": "none", "published": "6 rows"}
    assert {one.name: (one.nulls, one.distinct) for one in found.columns} == {
        "sensor": (0, 3),
        "slot": (0, 2),
        "value": (0, 6),
        "note": (0, 6),
        "hour": (0, 2),
    }
    assert (found.notes, found.wrong) == ((), ())


def test_malformed_rows_a_new_column_and_expectations_are_told_with_what_is_wrong(bundle: Bundle) -> None:
    bundle.write_readings(
        limit=0.1,
        expectations="""\
            - expect_column_values_to_be_between: {column: value, max_value: 6.5}
            - expect_column_values_to_not_be_null: {column: note}
              severity: warning
            """,
    )
    rows = change(change(readings(day(7)), 0, value="odd"), 1, note="")
    text = csv([{**row, "extra": 1} for row in rows], [*COLUMNS, "extra"])
    path = bundle.land(bundle.readings, day(7), text)
    try:
        with _nothing_left_behind(bundle):
            found = _try(bundle, bundle.readings, 7)
    finally:
        path.unlink()
        bundle.write_readings()
    assert found.facts["malformed"] == "1 x value is not of type double"
    share, expectation = found.wrong
    assert share == "expected at most 10.0% malformed rows, found 1 of 6"
    assert expectation.startswith("critical: expect_column_values_to_be_between (value) is not met, found 5 of 5")
    assert any("extra" in note for note in found.notes), found.notes
    assert any(note.startswith("warning: expect_column_values_to_not_be_null (note)") for note in found.notes)


def test_of_a_large_day_a_part_is_tried_the_same_each_time(bundle: Bundle) -> None:
    bundle.write_readings(expectations="- expect_table_row_count_to_be_between: {min_value: 6}")
    try:
        found, again = _try(bundle, bundle.readings, 6, rows=4), _try(bundle, bundle.readings, 6, rows=4)
    finally:
        bundle.write_readings()
    assert found == again
    assert found.facts["rows"] == "6, of which 4 are tried"
    assert found.notes[0] == "not judged on a part of a day: expect_table_row_count_to_be_between"
    assert found.wrong == ()


def test_a_group_that_reads_another_is_tried_before_that_is_published(bundle: Bundle) -> None:
    with _nothing_left_behind(bundle):
        found = _try(bundle, bundle.plans)
    assert "made without 3 partition(s) that it reads" in found.notes[0]
    assert "mean_value is null in all rows" in found.notes
    assert found.wrong == ()


def test_a_lost_column_and_a_day_that_is_not_there_are_wrong(bundle: Bundle) -> None:
    path = bundle.land(bundle.readings, day(7), csv(readings(day(7)), [name for name in COLUMNS if name != "value"]))
    try:
        (lost,) = _try(bundle, bundle.readings, 7).wrong
    finally:
        path.unlink()
    assert "expected the column value of type double, found no such column" in lost
    (missing,) = _try(bundle, bundle.readings, 8).wrong
    assert missing.startswith("MissingFile: ")


def test_a_transform_that_fails_is_named_with_its_line(bundle: Bundle) -> None:
    try:
        bundle.write_readings("def transform(rows, reads):\n    return rows / 0\n")
        with pytest.raises(SpecError, match=r"transform\.py:2: transform\(\) raised"):
            _try(bundle, bundle.readings, 6)
        bundle.write_readings("def transform(rows, reads):\n    return rows.selectExpr('*', 'gone as hour')\n")
        with pytest.raises(MlopsError, match=r"look at .*transform\.py"):
            _try(bundle, bundle.readings, 6)
    finally:
        bundle.write_readings()


def test_where_nothing_has_arrived_it_says_what_it_looked_for(new_bundle: Callable[[], Bundle]) -> None:
    empty = new_bundle()
    empty.write_readings()
    with pytest.raises(NotReady, match=r"2013-03-03\.csv; name another day with --day"):
        _try(empty, empty.readings)
