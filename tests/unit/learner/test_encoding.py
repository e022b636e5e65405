"""Columns to matrix: categories, nulls, and what is refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from include.mlops.errors import FeaturesUnusable
from include.mlops.learner import encoding
from include.mlops.learner.encoding import Encoder

TRAINING = pa.table(
    {
        "carrier": ["UA", "AA", None, "UA"],
        "distance": [1.5, None, 3.0, 4.0],
        "seats": pa.array([1, 2, None, 4], pa.int32()),
    }
)


def test_texts_become_codes_of_the_sorted_vocabulary_and_nulls_become_nan() -> None:
    encoder = Encoder.learn(TRAINING, ["seats", "carrier", "distance"])
    assert encoder.feature_types == ["q", "c", "q"]
    np.testing.assert_array_equal(
        encoder.encode(TRAINING), np.array([[1, 1, 1.5], [2, 0, np.nan], [np.nan, np.nan, 3], [4, 1, 4]], "f4")
    )


def test_a_category_that_training_never_saw_is_missing() -> None:
    encoder = Encoder.learn(TRAINING, ["carrier"])
    assert np.isnan(encoder.encode(pa.table({"carrier": ["ZZ"]}))).all()


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["UA", None], pa.large_string()),
        pa.array(["UA", None]).dictionary_encode(),
        pa.array(["UA", None], pa.string_view()),
    ],
    ids=["large", "dictionary", "view"],
)
def test_every_arrow_text_type_gives_the_same_codes(values: pa.Array) -> None:
    encoder = Encoder.learn(TRAINING, ["carrier"])
    found = encoder.encode(pa.table({"carrier": values}))
    np.testing.assert_array_equal(found, np.array([[1], [np.nan]], "f4"))


def test_a_vocabulary_is_learned_from_dictionary_encoded_texts() -> None:
    assert Encoder.learn(pa.table({"c": pa.array(["b", "a", "b"]).dictionary_encode()}), ["c"]).vocabularies == {
        "c": ("a", "b")
    }


def test_booleans_are_numbers() -> None:
    table = pa.table({"late": [True, False, None]})
    np.testing.assert_array_equal(Encoder.learn(table, ["late"]).encode(table), np.array([[1], [0], [np.nan]], "f4"))


def test_a_batch_is_encoded_as_the_table_is() -> None:
    encoder = Encoder.learn(TRAINING, ["carrier", "distance"])
    batches = [encoder.encode(batch) for batch in TRAINING.to_batches(max_chunksize=1)]
    np.testing.assert_array_equal(np.vstack(batches), encoder.encode(TRAINING))


def test_an_encoder_survives_its_json() -> None:
    encoder = Encoder.learn(TRAINING, ["carrier", "distance"])
    assert Encoder.from_json(encoder.to_json()) == encoder


def test_a_missing_column_is_named_with_what_was_found() -> None:
    encoder = Encoder.learn(TRAINING, ["carrier", "distance"])
    with pytest.raises(FeaturesUnusable, match="missing distance; found carrier"):
        encoder.encode(pa.table({"carrier": ["UA"]}))


def test_an_infinite_number_is_refused_with_its_column() -> None:
    encoder = Encoder.learn(TRAINING, ["distance"])
    with pytest.raises(FeaturesUnusable, match=r"'distance'.*found 2 that do not"):
        encoder.encode(pa.table({"distance": [float("inf"), 1e39, 1.0]}))


@pytest.mark.parametrize(("values", "expected"), [([1.0], "expected texts"), ([None], None)])
def test_a_text_column_that_became_numbers_is_refused_but_one_of_nulls_alone_is_missing(
    values: list[float | None], expected: str | None
) -> None:
    encoder = Encoder.learn(TRAINING, ["carrier"])
    if expected is None:
        assert np.isnan(encoder.encode(pa.table({"carrier": values}))).all()
    else:
        with pytest.raises(FeaturesUnusable, match=expected):
            encoder.encode(pa.table({"carrier": values}))


def test_a_number_column_that_became_texts_is_refused() -> None:
    with pytest.raises(FeaturesUnusable, match="expected a number"):
        Encoder.learn(TRAINING, ["distance"]).encode(pa.table({"distance": ["far"]}))


def test_too_many_categories_are_refused_with_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "MAX_CATEGORIES", 2)
    with pytest.raises(FeaturesUnusable, match="at most 2 different texts, found 3"):
        Encoder.learn(pa.table({"c": ["x", "y", "z"]}), ["c"])
