"""Fitting and predicting with the real XGBoost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from include.mlops.errors import FeaturesUnusable, SettingsError, TrainingFailed
from include.mlops.learner.boosting import Stopping
from include.mlops.learner.evaluate import compare, evaluate
from include.mlops.learner.fit import Examples, Fitted, fit, weights
from include.mlops.learner.predict import load, published
from include.mlops.learner.recipe import Recipe

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
    assert _fit(OF_CLASSES, THREE, JUDGED) == _fit(OF_CLASSES, THREE, JUDGED)


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
    with pytest.raises(TrainingFailed, match="found only true in 3000 rows, none of false"):
        _fit(training=ones)
    with pytest.raises(TrainingFailed, match="at least 2 classes in the holdout"):
        _fit(holdout=ones)


CLASSES = ("on_time", "late", "very_late")
OF_CLASSES = replace(RECIPE, task="multiclass", classes=CLASSES, rounds=20)


def _of_classes(examples: Examples) -> Examples:
    """Carrier ZZ is very late, other flights after hour 20 are late."""
    very = np.array(examples.rows["carrier"].to_pylist()) == "ZZ"
    return Examples(examples.rows, np.where(very, 2.0, examples.labels))


THREE, JUDGED = _of_classes(TRAINING), _of_classes(HOLDOUT)


def test_of_classes_a_model_file_gives_probabilities_in_the_order_that_it_carries() -> None:
    predictor = load(_fit(OF_CLASSES, THREE, JUDGED).model)
    found = predictor.predict(JUDGED.rows)
    assert predictor.classes == CLASSES
    assert found.shape == (800, 3)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert evaluate("multiclass", JUDGED.labels, found)["balanced_accuracy"] > 0.95
    assert predictor.predict(JUDGED.rows.slice(0, 0)).shape == (0, 3)


def test_what_is_published_of_classes_is_the_predicted_one_its_probability_and_that_of_each() -> None:
    predictor = load(_fit(OF_CLASSES, THREE, JUDGED).model)
    found = predictor.predict(JUDGED.rows)
    outputs = pa.table(predictor.outputs(JUDGED.rows))
    assert outputs.column_names == list(predictor.output_types)
    assert outputs["predicted"].to_pylist() == [CLASSES[code] for code in found.argmax(axis=1)]
    np.testing.assert_array_equal(outputs["score"].to_numpy(), found.max(axis=1))
    np.testing.assert_array_equal(outputs["score_late"].to_numpy(), found[:, 1])
    np.testing.assert_array_equal(published(outputs, CLASSES), found)
    assert pa.table(predictor.outputs(JUDGED.rows.slice(0, 0))).schema == outputs.schema


def test_what_is_published_of_other_tasks_is_the_score_alone() -> None:
    predictor = load(_fit().model)
    outputs = pa.table(predictor.outputs(HOLDOUT.rows))
    assert predictor.output_types == {"score": "double"}
    assert outputs.column_names == ["score"]
    np.testing.assert_array_equal(published(outputs), predictor.predict(HOLDOUT.rows))


def test_the_training_needs_every_class_and_the_holdout_two() -> None:
    without = Examples(THREE.rows, np.minimum(THREE.labels, 1))
    with pytest.raises(TrainingFailed, match=r"3 classes in the training window, found only on_time, late.*very_late"):
        _fit(OF_CLASSES, without, JUDGED)
    assert _fit(OF_CLASSES, THREE, Examples(JUDGED.rows, np.minimum(JUDGED.labels, 1))).model
    with pytest.raises(TrainingFailed, match="2 classes in the holdout, found only on_time"):
        _fit(OF_CLASSES, THREE, Examples(JUDGED.rows, JUDGED.labels * 0))


def test_a_model_of_classes_is_compared_with_another_row_by_row() -> None:
    good, poor = (
        load(_fit(replace(OF_CLASSES, rounds=rounds), THREE, JUDGED).model).predict(JUDGED.rows) for rounds in (20, 1)
    )
    found = compare("log_loss", JUDGED.labels, good, poor, confidence=0.9)
    assert found.high < 0
    assert found.rows == 800


def test_the_objective_is_the_tasks_first_unless_the_parameters_name_one() -> None:
    values = Examples(TRAINING.rows, np.where(np.arange(3000) % 3 == 0, 100.0, 0.0))
    squared, absolute = (
        load(fit(values, values, replace(RECIPE, task="regression", rounds=60, parameters=parameters), _skip).model)
        for parameters in ({}, {"objective": "reg:absoluteerror"})
    )
    assert squared.predict(values.rows).mean() == pytest.approx(100 / 3, abs=2)
    assert np.median(absolute.predict(values.rows)) == pytest.approx(0, abs=2)


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
    assert Recipe.from_dict(json.loads(json.dumps(OF_CLASSES.to_dict()))) == OF_CLASSES


def test_balanced_weights_let_every_class_weigh_the_same_and_raise_the_scores_of_the_rare_one() -> None:
    labels = np.array([0.0, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(weights(labels, "balanced"), [2 / 3, 2 / 3, 2 / 3, 2])
    rare = Examples(TRAINING.rows, TRAINING.labels * (np.arange(len(TRAINING.labels)) % 4 == 0))
    plain, balanced = (
        load(_fit(replace(RECIPE, class_weight=weight), training=rare).model).predict(HOLDOUT.rows)
        for weight in (None, "balanced")
    )
    assert balanced.mean() > plain.mean() + 0.1


def test_weights_go_by_the_code_of_a_label_one_where_none_is_given() -> None:
    np.testing.assert_array_equal(weights(np.array([2.0, 0.0, 1.0]), {0.0: 5.0, 2.0: 0.5}), [0.5, 5, 1])
    assert weights(TRAINING.labels, None) is None


def test_the_metrics_of_the_holdout_stay_unweighted() -> None:
    seen: list[Mapping[str, float]] = []
    fitted = fit(TRAINING, HOLDOUT, replace(RECIPE, class_weight={1.0: 9.0}), lambda _, metrics: seen.append(metrics))
    judged = evaluate("binary", HOLDOUT.labels, load(fitted.model).predict(HOLDOUT.rows))
    assert seen[-1]["log_loss"] == pytest.approx(judged["log_loss"], rel=1e-5)


@pytest.mark.parametrize(("way", "sign"), [(1, 1), (-1, -1)])
def test_a_monotone_prediction_only_rises_or_only_falls_with_its_column(way: int, sign: int) -> None:
    random = np.random.default_rng(5)
    wavy = Examples(TRAINING.rows, (np.sin(3 * TRAINING.rows["distance"].to_numpy()) > random.normal(size=3000)) * 1.0)
    steps = pa.table({"carrier": ["AA"] * 200, "distance": np.linspace(-3, 3, 200), "hour": [3] * 200})
    free, bound = (
        np.diff(load(_fit(replace(RECIPE, rounds=30, monotone=monotone), training=wavy).model).predict(steps))
        for monotone in ({}, {"distance": way})
    )
    assert (sign * free).min() < 0 < (sign * free).max()
    assert (sign * bound).min() >= 0
    assert (sign * bound).max() > 0


def test_a_monotone_text_is_refused() -> None:
    with pytest.raises(TrainingFailed, match=r"training.monotone: expected columns of numbers .* texts in carrier"):
        _fit(replace(RECIPE, monotone={"carrier": 1}))


def test_a_recipe_with_all_its_keys_survives_json_and_one_of_before_them_is_read() -> None:
    full = replace(
        RECIPE, early_stopping=Stopping(5, "roc_auc", True), class_weight={0.0: 1.0, 1.0: 5.0}, monotone={"hour": 1}
    )
    assert Recipe.from_dict(json.loads(json.dumps(full.to_dict()))) == full
    balanced = replace(RECIPE, class_weight="balanced")
    assert Recipe.from_dict(json.loads(json.dumps(balanced.to_dict()))) == balanced
    old = {name: value for name, value in RECIPE.to_dict().items() if name in list(RECIPE.to_dict())[:7]}
    assert Recipe.from_dict(old) == RECIPE
