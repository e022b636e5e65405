"""Rows that cannot be used: set aside with their reason, up to a limit, until their day is ingested again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from include.mlops.errors import PartitionsFailed
from tests.integration.ingest.bundle import Bundle, change, csv, day, local, readings

pytestmark = pytest.mark.slow
FEW, MANY, FINE = day(1), day(2), day(3)


@pytest.fixture(scope="module")
def bundle(new_bundle: Callable[[], Bundle]) -> Bundle:
    """Limit 0.5: half of the rows may be malformed."""
    made = new_bundle()
    made.write_readings(limit=0.5)
    late = change(readings(FEW), 0, known_at=local(FEW, 0, 0, 1, later=2))
    made.land(made.readings, FEW, csv(change(late, 1, value="x1")) + b"a,7\n")
    made.land(made.readings, MANY, [{**row, "sensor": ""} for row in readings(MANY)])
    made.land(made.readings, FINE, readings(FINE))
    with pytest.raises(PartitionsFailed) as caught:
        made.run(made.readings, FEW, FINE, "first")
    assert list(caught.value.failures) == [MANY]
    return made


def test_a_few_malformed_rows_are_set_aside_and_counted_and_the_rest_is_published(bundle: Bundle) -> None:
    path = bundle.path(bundle.readings, FEW)
    aside = bundle.quarantine(bundle.readings, FEW)
    assert [(row["reason"], row["run_id"], row["file"]) for row in aside] == [
        ("known only after the cut-off", "first", f"file:{path}"),
        ("malformed", "first", f"file:{path}"),
        ("value is not of type double", "first", f"file:{path}"),
    ]
    assert aside[1]["record"] == "a,7", "a line that is no record is kept as it was"
    assert '"value":"x1"' in aside[2]["record"], "a field is kept as it was written"
    published = bundle.published(bundle.readings, FEW)[FEW]
    assert (published.rows, published.quarantined) == (4, 3)
    assert len(bundle.rows(bundle.readings, FEW)) == 4


def test_a_corrected_file_is_published_and_empties_the_quarantine_of_its_day_alone(bundle: Bundle) -> None:
    assert len(bundle.quarantine(bundle.readings, MANY)) == 6
    bundle.land(bundle.readings, MANY, readings(MANY))
    bundle.run(bundle.readings, MANY, run_id="second")
    assert bundle.quarantine(bundle.readings, MANY) == []
    assert len(bundle.quarantine(bundle.readings, FEW)) == 3
    assert bundle.published(bundle.readings, MANY)[MANY].quarantined == 0
    assert len(bundle.rows(bundle.readings, MANY)) == 6


def test_a_malformed_twin_does_not_push_out_the_row_that_is_whole(bundle: Bundle) -> None:
    ds = FINE
    twin = {**readings(ds)[0], "value": 99.0, "known_at": local(ds, 12, later=2)}
    bundle.land(bundle.readings, ds, [*readings(ds), twin])
    before = bundle.rows(bundle.readings, ds)
    bundle.run(bundle.readings, ds)
    assert bundle.rows(bundle.readings, ds) == before
    assert [row["reason"] for row in bundle.quarantine(bundle.readings, ds)] == ["known only after the cut-off"]
