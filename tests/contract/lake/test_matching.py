"""Which records that were set aside are of an entity."""

from __future__ import annotations

import pyarrow as pa
import pytest

from include.mlops.lake.matching import by_records


@pytest.mark.parametrize(
    ("record", "hit"),
    [
        ('{"passenger": 81723}', True),
        ('{"passenger": "81723"}', True),
        ('{"passenger": 81723.0}', True),
        ('{"passenger": "81723.0"}', True),
        ('{"passenger": " 81723"}', True),
        ('{"passenger": "081723"}', True),
        ("81723,7,unreadable", True),
        ('{"passenger": 81724}', False),
        ('{"passenger": "A81723"}', False),
        ('{"passenger": null}', False),
        ('{"passenger": "NaN"}', False),
        ('{"flight": 81723}', False),
        ("817231,7,unreadable", False),
    ],
)
def test_every_spelling_of_the_same_number_is_of_that_entity(record: str, hit: bool) -> None:
    assert by_records({"passenger": "81723"}).hits(pa.table({"record": [record]})).to_pylist() == [hit]


def test_texts_are_compared_as_they_are() -> None:
    rows = pa.table({"record": ['{"carrier": "AA"}', '{"carrier": "A"}', '{"carrier": "aa"}']})
    assert by_records({"carrier": "AA"}).hits(rows).to_pylist() == [True, False, False]
