"""The monitoring reference: a sample that repeats and merges."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from include.mlops.learner.fit import Examples, fit
from include.mlops.learner.predict import load
from include.mlops.learner.profile import draw, from_parquet, hashes, profile, to_parquet
from include.mlops.learner.recipe import Recipe

KEYS = ["carrier", "flight", "ds"]


def _skip(_number: int, _metrics: Mapping[str, float]) -> None:
    """The rounds are of no interest here."""


def _rows(first: int, days: int, a_day: int = 300) -> pa.Table:
    ds = [date(2013, 1, 1) + timedelta(days=first + n // a_day) for n in range(days * a_day)]
    flight = [n % a_day for n in range(days * a_day)]
    return pa.table(
        {
            "carrier": ["AA" if f % 2 else "UNITED" for f in flight],
            "flight": flight,
            "ds": ds,
            "x": [float(f) for f in flight],
        }
    )


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows = _rows(0, 3)
    shuffled = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    assert draw(rows, KEYS, 50).equals(draw(shuffled, KEYS, 50))


def test_the_sample_of_two_windows_is_the_sample_of_their_samples() -> None:
    early, late = _rows(0, 3), _rows(3, 2)
    whole = draw(pa.concat_tables([early, late]), KEYS, 60)
    merged = draw(pa.concat_tables([draw(early, KEYS, 60), draw(late, KEYS, 60)]), KEYS, 60)
    assert whole.equals(merged)


def test_a_row_is_drawn_alike_beside_longer_keys() -> None:
    short, long = (pa.table({"k": [f"{start}{n}" for n in range(40)]}) for start in ("a", "a much longer key "))
    alone = hashes(short, ["k"])
    beside = hashes(pa.concat_tables([short, long]), ["k"])
    np.testing.assert_array_equal(alone, beside[:40])


def test_all_rows_come_where_there_are_fewer_than_asked_for() -> None:
    assert draw(_rows(0, 1, 20), KEYS, 100).num_rows == 20
    assert draw(_rows(0, 1, 20).slice(0, 0), KEYS, 100).num_rows == 0


def test_a_sample_is_spread_evenly_over_days_and_values() -> None:
    sample = draw(_rows(0, 10), KEYS, 1000)
    days = np.unique(sample.column("ds").to_pylist(), return_counts=True)[1]
    assert days.min() > 65
    assert np.mean(sample.column("x").to_numpy()) == pytest.approx(149.5, abs=9)


def test_null_keys_are_drawn_like_others() -> None:
    rows = pa.table({"k": ["a", None, "b"], "ds": [date(2013, 1, 1)] * 3})
    assert draw(rows, ["k", "ds"], 3).num_rows == 3


def test_a_profile_holds_keys_features_label_and_the_models_own_score() -> None:
    rows = _rows(0, 2)
    examples = Examples(rows, (rows.column("x").to_numpy() > 100).astype(float))
    fitted = fit(examples, examples, Recipe("binary", ("carrier", "x"), 3, 7, 1), _skip)
    predictor = load(fitted.model)
    found = from_parquet(to_parquet(profile(examples, predictor, KEYS, 40)))
    assert found.column_names == ["carrier", "flight", "ds", "x", "label", "score"]
    assert found.num_rows == 40
    np.testing.assert_array_equal(found.column("score").to_numpy(), predictor.predict(found))
    np.testing.assert_array_equal(found.column("label").to_numpy(), (found.column("x").to_numpy() > 100).astype(float))
