"""A trial of a model: what it tells of published rows, and that nothing is registered. It needs no Spark, no MLflow."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest

from include.mlops.errors import NotReady, TrainingFailed
from include.mlops.steps.authoring.trial import Trial
from include.mlops.steps.authoring.trial_of_model import try_model
from tests.integration.scoring.world import A_DAY, World, day, days, flights, late_flights

DAYS = 16


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World.of(tmp_path_factory.mktemp("trial"), "http://127.0.0.1:9", "late")
    every = list(days(1, DAYS))
    made.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.publish_outcomes(*range(1, DAYS + 1))
    return made


def _try(world: World, last: int | None = None, rows: int = 100_000, **changes: object) -> Trial:
    return try_model(world.platform, late_flights("late", **changes), day(last) if last else None, rows)


def _reached(trial: Trial) -> tuple[float, float]:
    found = re.fullmatch(
        r"\w+ (-?[\d.]+) on the holdout after 12 rounds, (-?[\d.]+) without features", trial.facts["quick fit"]
    )
    assert found, trial.facts
    return float(found[1]), float(found[2])


def test_rows_labels_columns_and_a_quick_fit_of_the_newest_window_are_told(world: World) -> None:
    found = _try(world)
    assert found.facts["days"] == f"{day(4)}..{day(13)} to learn from, {day(14)}..{day(16)} to judge on"
    assert found.facts["rows"] == f"{10 * A_DAY * 9 // 10} and {3 * A_DAY * 9 // 10}", "a tenth has no delay"
    assert found.facts["labelled"] == f"90.0% of {13 * A_DAY} rows"
    false, true = map(float, re.fullmatch(r"false ([\d.]+)%, true ([\d.]+)%", found.facts["label"]).groups())  # type: ignore[union-attr]
    assert (false + true, true > 10) == (pytest.approx(100, abs=0.11), True)
    reached, blind = _reached(found)
    assert (reached > 0.7, blind) == (True, 0.5)
    carrier, *_ = found.columns
    assert (carrier.name, carrier.kind, carrier.nulls, carrier.distinct) == ("carrier", "string", 0, 3)
    assert found.notes == ("terminal has the same value in all rows",)
    assert found.wrong == ()


def test_a_sample_is_bounded_and_the_same_each_time(world: World) -> None:
    found, again = _try(world, rows=600), _try(world, rows=600)
    assert found == again
    drawn, judged = map(int, re.findall(r"\d+", found.facts["rows"])[:2])
    assert 300 < drawn + judged < 700
    assert "a share of 38.5%" in found.facts["rows"]


def test_a_model_that_cannot_learn_and_a_gate_out_of_reach_are_noted(world: World) -> None:
    found = _try(world, features={"group": "flights", "columns": ["terminal"]})
    assert "it learns nothing that is better than one answer for all rows" in found.notes
    assert "the gate asks for roc_auc 0.6" in found.notes


def test_a_regression_is_told_by_quantiles_and_against_one_answer_for_all(world: World) -> None:
    label = {"group": "outcomes", "expression": "delay"}
    found = _try(world, task="regression", label=label, gate={"metric": "mae", "maximum": 1})
    assert found.facts["label"].startswith("quantiles 0% ")
    reached, blind = _reached(found)
    assert 0 < reached < blind


def test_several_classes_are_told_by_their_shares(world: World) -> None:
    label = {
        "group": "outcomes",
        "expression": "'late' if delay > 15 else 'early' if delay < 0 else 'on_time'",
        "classes": ["early", "on_time", "late"],
    }
    found = _try(world, task="multiclass", label=label, gate={"metric": "roc_auc_ovr", "minimum": 0.5})
    assert re.fullmatch(r"early [\d.]+%, on_time [\d.]+%, late [\d.]+%", found.facts["label"])
    assert _reached(found)[0] > 0.5


def test_a_short_history_is_split_and_noted(world: World) -> None:
    found = _try(world, 4)
    assert found.facts["days"] == f"{day(1)}..{day(3)} to learn from, {day(4)} to judge on"
    assert "4 of the 13 days of window and holdout are published" in found.notes


def test_too_few_days_and_a_label_that_does_not_fit_are_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="two days up to"):
        _try(world, 1)
    with pytest.raises(TrainingFailed, match="the task binary expects true or false"):
        _try(world, label={"group": "outcomes", "expression": "delay"})
    empty = World.of(tmp_path, "http://127.0.0.1:9", "late")
    with pytest.raises(
        NotReady, match=r"published days of features\.flights_v1, published days of features\.outcomes_v1"
    ):
        _try(empty)


def test_a_column_of_nothing_is_noted(tmp_path: Path) -> None:
    made = World.of(tmp_path, "http://127.0.0.1:9", "late")
    every = list(days(1, 4))
    made.publish(pa.concat_tables([flights(ds, wind=pa.nulls(A_DAY, pa.float64())) for ds in every]), every)
    made.publish_outcomes(1, 2, 3, 4)
    assert "wind is null in all rows" in _try(made).notes
