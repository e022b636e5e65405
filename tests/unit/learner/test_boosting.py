"""Early stopping, and boosting that is killed and resumed, with the real XGBoost."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xgboost as xgb

from include.mlops.learner.boosting import Stopping
from include.mlops.learner.fit import Examples, Fitted, fit
from include.mlops.learner.predict import load
from include.mlops.learner.recipe import Recipe

SAMPLED = {"max_depth": 4, "subsample": 0.7, "colsample_bytree": 0.7, "colsample_bylevel": 0.8, "colsample_bynode": 0.8}
RECIPE = Recipe("binary", ("carrier", "distance", "hour"), rounds=20, seed=7, threads=1, parameters=SAMPLED)
STOPPING = Stopping(5, "log_loss", higher_is_better=False)


def _examples(rows: int, seed: int) -> Examples:
    """Late hours and the carrier ZZ tend to be late; a third of the labels is chance."""
    random = np.random.default_rng(seed)
    carrier, hour = random.choice(["AA", "UA", "ZZ"], rows), random.integers(0, 24, rows)
    late = np.where(random.random(rows) < 0.3, random.random(rows) < 0.5, (carrier == "ZZ") | (hour > 20))
    return Examples(
        pa.table({"carrier": carrier, "distance": random.normal(size=rows), "hour": hour}), late.astype(np.float64)
    )


TRAINING, VALIDATION, HOLDOUT = _examples(600, 1), _examples(200, 2), _examples(200, 3)


class Killed(Exception):
    """The process ends here."""


@dataclass
class Memory:
    """Checkpoints that outlive the boosting which kept them."""

    every: int = 3
    kept: list[bytes] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    told: list[Mapping[str, float]] = field(default_factory=list)

    def left(self) -> Iterator[bytes]:
        yield from reversed(self.kept)

    def resumed(self, rounds: Sequence[Mapping[str, float]]) -> None:
        self.told = list(rounds)

    def keep(self, number: int, content: bytes) -> None:
        self.kept.append(content)
        self.numbers.append(number)


@dataclass
class Followed:
    """What the rounds told; dies after one of them."""

    dies_after: int = 0
    rounds: list[int] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)

    def __call__(self, number: int, metrics: Mapping[str, float]) -> None:
        self.rounds.append(number)
        self.metrics.append(dict(metrics))
        if number == self.dies_after:
            raise Killed


def _fit(recipe: Recipe, followed: Followed | None = None, checkpoints: Memory | None = None) -> Fitted:
    validation = VALIDATION if recipe.early_stopping else None
    labels = lambda part: replace(part, labels=part.labels * 30 + 2)  # noqa: E731
    parts = [TRAINING, HOLDOUT, validation]
    if recipe.task == "regression":
        parts = [part and labels(part) for part in parts]
    return fit(parts[0], parts[1], recipe, followed or Followed(), parts[2], checkpoints)


CASES: dict[str, dict[str, Any]] = {
    "rows and columns sampled": {},
    "early stopping": {"rounds": 200, "early_stopping": STOPPING},
    "weights and constraints": {"class_weight": "balanced", "monotone": {"hour": 1}},
    "forests": {"parameters": {**SAMPLED, "num_parallel_tree": 3}},
    "leaf by leaf": {"parameters": {**SAMPLED, "grow_policy": "lossguide", "max_leaves": 9}},
    "dart": {"parameters": {**SAMPLED, "booster": "dart", "rate_drop": 0.3}},
    "regression": {"task": "regression"},
    "two threads": {"threads": 2},
}


@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_killed_twice_and_resumed_it_ends_with_the_bytes_and_rounds_of_an_unbroken_boosting(
    changes: dict[str, Any],
) -> None:
    recipe, whole = replace(RECIPE, **changes), Followed()
    unbroken = _fit(recipe, whole)

    checkpoints, parts = Memory(), [Followed(dies_after=8), Followed(dies_after=13), Followed()]
    for part in parts[:2]:
        with pytest.raises(Killed):
            _fit(recipe, part, checkpoints)
    resumed = _fit(recipe, parts[2], checkpoints)

    assert resumed.model == unbroken.model
    assert [part.rounds[0] for part in parts] == [1, 7, 13]
    assert [*checkpoints.told, *parts[2].metrics] == whole.metrics


def test_checkpoints_are_kept_every_so_often_but_not_at_the_end_and_change_nothing() -> None:
    checkpoints = Memory(every=5)
    assert _fit(RECIPE, checkpoints=checkpoints).model == _fit(RECIPE).model
    assert checkpoints.numbers == [5, 10, 15]


def test_a_checkpoint_that_is_cut_off_is_passed_over_for_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    checkpoints, again = Memory(), Followed()
    with pytest.raises(Killed):
        _fit(RECIPE, Followed(dies_after=8), checkpoints)
    checkpoints.kept[-1] = checkpoints.kept[-1][:-200]
    assert _fit(RECIPE, again, checkpoints).model == _fit(RECIPE).model
    assert again.rounds[0] == 4
    assert "cannot be read and is passed over" in caplog.text


def test_a_checkpoint_of_another_recipe_or_of_other_rows_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Memory()
    with pytest.raises(Killed):
        _fit(RECIPE, Followed(dies_after=8), checkpoints)
    for recipe, rows in ((replace(RECIPE, seed=8), TRAINING), (RECIPE, _examples(600, 9))):
        again = Followed()
        fit(rows, HOLDOUT, recipe, again, checkpoints=Memory(kept=checkpoints.kept))
        assert again.rounds[0] == 1
    assert "other rows, another recipe" in caplog.text


def test_it_stops_when_the_validation_rows_get_no_better_and_keeps_the_best_rounds_trees(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    followed = Followed()
    fitted = _fit(replace(RECIPE, rounds=200, early_stopping=STOPPING), followed)
    losses = [metrics["validation_log_loss"] for metrics in followed.metrics]
    best = losses.index(min(losses)) + 1
    assert best < len(losses) == best + STOPPING.patience < 200
    assert fitted.rounds == load(fitted.model).booster.num_boosted_rounds() == best
    shorter = load(_fit(replace(RECIPE, rounds=best)).model)
    np.testing.assert_array_equal(load(fitted.model).predict(HOLDOUT.rows), shorter.predict(HOLDOUT.rows))
    assert f"log_loss was best after round {best}" in caplog.text


def test_a_named_metric_decides_in_its_own_direction() -> None:
    followed = Followed()
    _fit(replace(RECIPE, rounds=200, early_stopping=Stopping(5, "roc_auc", higher_is_better=True)), followed)
    found = [metrics["validation_roc_auc"] for metrics in followed.metrics]
    assert len(found) == found.index(max(found)) + 1 + 5


def test_the_holdout_has_no_say_in_when_to_stop() -> None:
    recipe = replace(RECIPE, rounds=200, early_stopping=STOPPING)
    other = fit(TRAINING, _examples(300, 11), recipe, Followed(), VALIDATION)
    assert other.model == _fit(recipe).model


def test_without_sampling_the_bytes_are_those_of_xgboosts_own_loop() -> None:
    recipe = replace(RECIPE, parameters={"max_depth": 3})
    codes = pa.array(TRAINING.rows["carrier"].to_pylist()).dictionary_encode()
    order = sorted(codes.dictionary.to_pylist())
    matrix = np.column_stack(
        [
            [order.index(name) for name in TRAINING.rows["carrier"].to_pylist()],
            TRAINING.rows["distance"],
            TRAINING.rows["hour"],
        ]
    ).astype(np.float32)
    data = xgb.QuantileDMatrix(
        matrix,
        TRAINING.labels,
        feature_names=list(recipe.columns),
        feature_types=["c", "q", "q"],
        enable_categorical=True,
    )
    parameters = {"objective": "binary:logistic", "max_depth": 3, "seed": 7, "nthread": 1, "tree_method": "hist"}
    theirs = xgb.train(parameters, data, recipe.rounds)
    ours = load(_fit(recipe).model).booster
    assert ours.get_dump(with_stats=True) == theirs.get_dump(with_stats=True)
