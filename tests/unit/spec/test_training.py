"""What may stand under `training`, and what it means."""

from __future__ import annotations

import pytest

from include.mlops.learner.boosting import Stopping
from include.mlops.learner.recipe import Recipe
from include.mlops.spec.load import load_specs
from include.mlops.spec.meaning import model_meaning
from include.mlops.spec.model import Model
from tests.unit.spec.corpus import L

FULL = """\
  rounds: 60
  early_stopping: {patience: 10, validation: 7d}
  class_weight: {true: 5, false: 1}
  monotone: {distance: increasing, carrier_delay: decreasing}
  checkpoint_every: 50
  search:
    trials: 20
    minutes: 10
    space:
      subsample: [0.5, 1.0]
      max_leaves: [3, 80]
      learning_rate: {low: 0.01, high: 0.3, log: true}
      grow_policy: {choices: [depthwise, lossguide]}"""


def _late(bundle, new: str = "") -> Model:
    if new:
        bundle.replace(L, "  rounds: 60", new)
    specs = load_specs(bundle.root)
    assert specs.findings == ()
    return specs.model("late")


def test_all_keys_together_give_a_recipe(bundle) -> None:
    model = _late(bundle, FULL)
    recipe = Recipe.of(model)
    assert recipe.early_stopping == Stopping(10, "log_loss", higher_is_better=False)
    assert recipe.class_weight == {0.0: 1.0, 1.0: 5.0}
    assert recipe.monotone == {"distance": 1, "carrier_delay": -1}
    assert model.search_metric == "roc_auc"
    search = model.training.search
    assert search is not None
    assert model.training.validation_days == 7
    assert {name: dimension.whole for name, dimension in search.space.items() if dimension.choices is None} == {
        "subsample": False,
        "max_leaves": True,
        "learning_rate": False,
    }


def test_a_search_judges_by_the_first_metric_of_the_rounds_where_they_cannot_follow_the_gates(bundle) -> None:
    bundle.replace(L, "metric: roc_auc", "metric: average_precision")
    assert _late(bundle).search_metric == "log_loss"
    assert load_specs(bundle.root).model("delay").search_metric == "rmse"


@pytest.mark.parametrize("written", ["true: 5", '"true": 5', "True: 5"])
def test_a_class_may_be_written_as_the_label_says_it(bundle, written: str) -> None:
    assert _late(bundle, f"  rounds: 60\n  class_weight: {{{written}}}").class_weight == {1.0: 5.0}


def test_checkpoints_do_not_make_it_another_model_and_every_other_key_does(bundle) -> None:
    plain = _late(bundle)

    def meaning(**training: object) -> str:
        told = {**plain.model_dump(mode="json", include={"name", "owner", "task", "features", "gate"})}
        label = {"group": "outcomes", "expression": "arr_delay > 15"}
        return model_meaning(
            Model.model_validate({**told, "label": label, "training": {"window": "9d", "holdout": "2d", **training}})
        )

    assert meaning(checkpoint_every=3) == meaning()
    changes = (
        {"early_stopping": {"validation": "2d"}},
        {"class_weight": "balanced"},
        {"monotone": {"distance": "increasing"}},
        {"search": {"validation": "2d", "space": {"subsample": [0.5, 1.0]}}},
    )
    assert len({meaning(), *(meaning(**change) for change in changes)}) == 5
