"""Fitting and predicting with the real XGBoost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from include.mlops.errors import FeaturesUnusable, SettingsError, TrainingFailed
from include.mlops.learner.evaluate import evaluate
from include.mlops.learner.fit import Examples, Fitted, Recipe, fit
from include.mlops.learner.predict import load

RECIPE = Recipe(
    task="binary",
    columns=("carrier", "distance", "hour"),
    rounds=8,
    seed=7,
    threads=2,
    parameters={"max_depth": 3, "subsample": 0.8},
)


def _skip(_number: int, _metrics: Mapping[str, float]) -> None:
    """The rounds are of no interest here."""


def _examples(rows: int, seed: int) -> Examples:
    """Carrier ZZ is always late, and so are flights after hour 20."""
    random = np.random.default_rng(seed)
    carrier, hour = random.choice(["AA", "UA", "ZZ"], rows), random.integers(0, 24, rows)
    table = pa.table(
        {
            "carrier": carrier,
            "distance": random.normal(size=rows),
            "hour": pa.array(hour, pa.int32(), mask=random.random(rows) < 0.1),
        }
    )
    return Examples(table, ((carrier == "ZZ") | (hour > 20)).astype(np.float64))


TRAINING, HOLDOUT = _examples(3000, 1), _examples(800, 2)


def _fit(recipe: Recipe = RECIPE, training: Examples = TRAINING, holdout: Examples = HOLDOUT) -> Fitted:
    return fit(training, holdout, recipe, _skip)


def test_the_same_examples_and_recipe_give_the_same_bytes() -> None:
    assert _fit() == _fit()


def test_another_seed_or_another_row_gives_another_model_and_only_the_row_another_digest() -> None:
    first, seed = _fit(), _fit(replace(RECIPE, seed=8))
    assert seed.model != first.model
    assert seed.digest == first.digest
    flipped = Examples(TRAINING.rows, np.concatenate([[1 - TRAINING.labels[0]], TRAINING.labels[1:]]))
    assert _fit(training=flipped).digest != first.digest


def test_what_can_be_learned_is_learned_and_the_gain_says_by_which_columns() -> None:
    fitted = _fit(replace(RECIPE, rounds=40))
    assert evaluate("binary", HOLDOUT.labels, load(fitted.model).predict(HOLDOUT.rows))["roc_auc"] > 0.97
    assert sum(fitted.importances.values()) == pytest.approx(1)
    assert fitted.importances["carrier"] > fitted.importances["distance"]


@pytest.mark.parametrize("size", [1, 7, 333])
def test_batch_by_batch_the_scores_are_those_of_the_whole(size: int) -> None:
    predictor = load(_fit().model)
    batches = [predictor.predict(batch) for batch in HOLDOUT.rows.to_batches(max_chunksize=size)]
    np.testing.assert_array_equal(np.concatenate(batches), predictor.predict(HOLDOUT.rows))


def test_scores_are_doubles_one_a_row_none_for_no_rows() -> None:
    predictor = load(_fit().model)
    assert predictor.predict(HOLDOUT.rows).dtype == np.float64
    assert predictor.predict(HOLDOUT.rows.slice(0, 0)).shape == (0,)


def test_an_unknown_category_and_nulls_are_scored_not_refused() -> None:
    rows = pa.table({"carrier": ["??", None], "distance": [None, 1.0], "hour": pa.array([None, 3], pa.int32())})
    assert np.isfinite(load(_fit().model).predict(rows)).all()


def test_column_order_and_further_columns_do_not_matter() -> None:
    predictor = load(_fit().model)
    shuffled = HOLDOUT.rows.select(["hour", "carrier", "distance"]).append_column("else", HOLDOUT.rows.column("hour"))
    np.testing.assert_array_equal(predictor.predict(shuffled), predictor.predict(HOLDOUT.rows))


def test_each_round_is_reported_with_the_holdout_metrics() -> None:
    seen: list[tuple[int, Mapping[str, float]]] = []
    fit(TRAINING, HOLDOUT, RECIPE, lambda number, metrics: seen.append((number, dict(metrics))))
    assert [number for number, _ in seen] == list(range(1, 9))
    assert set(seen[0][1]) == {"log_loss", "roc_auc"}
    assert seen[-1][1]["log_loss"] < seen[0][1]["log_loss"]


def test_the_holdout_is_only_watched() -> None:
    assert _fit(holdout=_examples(200, 3)).model == _fit().model


def test_a_regression_is_fitted_to_values() -> None:
    values = Examples(TRAINING.rows, TRAINING.labels * 30 + 2)
    recipe = replace(RECIPE, task="regression", rounds=60)
    fitted = fit(values, values, recipe, _skip)
    assert evaluate("regression", values.labels, load(fitted.model).predict(values.rows))["r2"] > 0.8


def test_one_class_is_refused() -> None:
    ones = Examples(TRAINING.rows, np.ones(TRAINING.rows.num_rows))
    with pytest.raises(TrainingFailed, match="both classes in the training window, found only 1"):
        _fit(training=ones)
    with pytest.raises(TrainingFailed, match="both classes in the holdout"):
        _fit(holdout=ones)


def test_no_rows_are_refused() -> None:
    with pytest.raises(TrainingFailed, match="labelled rows in the holdout, found none"):
        _fit(holdout=Examples(HOLDOUT.rows.slice(0, 0), np.empty(0)))


def test_a_parameter_that_xgboost_refuses_is_named() -> None:
    with pytest.raises(TrainingFailed, match=r"XGBoost refused to train: .*max_depth.*look at training.parameters"):
        _fit(replace(RECIPE, parameters={"max_depth": "deep"}))


def test_cuda_is_refused_where_there_is_no_such_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(SettingsError, match="expected a CUDA device"):
        _fit(replace(RECIPE, device="cuda"))


def test_a_file_that_is_no_model_of_ours_is_refused() -> None:
    with pytest.raises(FeaturesUnusable, match="expected an XGBoost model file, found 7 bytes"):
        load(b"nothing")


def test_a_recipe_survives_its_dictionary() -> None:
    assert Recipe.from_dict(RECIPE.to_dict()) == RECIPE
