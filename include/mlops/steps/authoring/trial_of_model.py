"""A trial of a model: published features and their labels, and whether a short fit learns anything of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from include.mlops.errors import NotReady
from include.mlops.learner.evaluate import evaluate
from include.mlops.learner.fit import Examples, fit
from include.mlops.learner.predict import load
from include.mlops.learner.recipe import Recipe
from include.mlops.spec.interval import Interval
from include.mlops.spec.model import Model
from include.mlops.steps.authoring.trial import Trial, facts_of, notes_on
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_plan import features_table
from include.mlops.steps.training.training_set import Pinned, Selection, Source, select

ROUNDS = 20
_QUANTILES = (0, 0.25, 0.5, 0.75, 1)
Floats = NDArray[np.float64]


def try_model(platform: Platform, model: Model, ds: date | None, rows: int) -> Trial:
    """Try about `rows` rows of the newest days (up to `ds`) that have features and labels; nothing is registered.

    Raises NotReady where there are fewer than two such days, TrainingFailed and FeaturesUnusable as a training would.
    """
    features, labels = platform.specs.group(model.features.group), platform.specs.group(model.label.group)
    tables = features_table(features, model), labels.table
    days = _days(platform, model, tables, ds)
    held = min(model.training.holdout, max(1, len(days) // 4))
    window, holdout = Interval(days[0], days[-held - 1]), Interval(days[-held], days[-1])
    pinned = [Pinned(table, "", platform.lake.snapshot(table) or 0) for table in tables]
    label, keys = model.label, features.keys
    source = Source(pinned[0], pinned[1], keys, str(label.expression), model.task, window, holdout, label.classes)
    published = platform.ledger.publications.over(tables[0], Interval(days[0], days[-1]))
    share = min(1.0, rows / max(1, sum(one.rows for one in published.values())))
    training, judging = (
        select(platform.lake, source, model.features.columns, part, share) for part in (window, holdout)
    )
    columns = facts_of(training.examples.rows.select(list(model.features.columns)), features.publishes)
    drawn = training.examples.rows.num_rows
    notes = [*_history(model, days), *notes_on(columns, drawn)]
    many = [one.name for one in columns if one.kind == "string" and one.distinct > max(50, drawn / 2)]
    notes += [f"{name} has nearly as many texts as rows: does it identify them?" for name in many]
    facts = {
        "days": f"{window} to learn from, {holdout} to judge on",
        "rows": f"{drawn} and {judging.examples.rows.num_rows}" + (f", a share of {share:.1%}" if share < 1 else ""),
        "labelled": _coverage(training, judging),
        "label": _told_labels(model, training.examples.labels),
    }
    fitted, learned = _quick_fit(model, training.examples, judging.examples)
    return Trial(model.name, {**facts, "quick fit": fitted}, columns, (*notes, *learned))


def _days(platform: Platform, model: Model, tables: tuple[str, str], ds: date | None) -> list[date]:
    """Those of the newest window and holdout on which both tables have rows."""
    extents = [platform.ledger.publications.extent(table) for table in tables]
    lacking = [f"published days of {table}" for table, extent in zip(tables, extents, strict=True) if extent is None]
    known = [extent for extent in extents if extent]
    if lacking:
        raise NotReady(f"a trial of {model.name}", lacking)
    last = min(*(extent.last for extent in known), *([ds] if ds else []))
    wanted = Interval.day(last).lagged((1 - model.training.window - model.training.holdout, 0))
    found = [platform.ledger.publications.over(table, wanted) for table in tables]
    days = sorted(day for day in wanted if all(day in one for one in found))
    if len(days) < 2:
        raise NotReady(f"a trial of {model.name}", [f"two days up to {last} with both {tables[0]} and {tables[1]}"])
    return days


def _history(model: Model, days: Sequence[date]) -> list[str]:
    wanted = model.training.window + model.training.holdout
    return [f"{len(days)} of the {wanted} days of window and holdout are published"] if len(days) < wanted else []


def _coverage(*parts: Selection) -> str:
    known = sum(part.examples.rows.num_rows for part in parts)
    every = known + sum(part.unlabelled for part in parts)
    return f"{known / every:.1%} of {every} rows" if every else "no rows"


def _told_labels(model: Model, labels: Floats) -> str:
    if names := model.class_names:
        counts = np.bincount(labels.astype(int), minlength=len(names))
        return ", ".join(f"{name} {n / max(1, len(labels)):.1%}" for name, n in zip(names, counts, strict=True))
    if not len(labels):
        return "none"
    return "quantiles " + ", ".join(
        f"{q:.0%} {v:g}" for q, v in zip(_QUANTILES, np.quantile(labels, _QUANTILES), strict=True)
    )


def _quick_fit(model: Model, training: Examples, judging: Examples) -> tuple[str, list[str]]:
    """The gate's metric of a few rounds on the holdout, and what to note of it."""
    recipe = replace(Recipe.of(model), rounds=min(ROUNDS, model.training.rounds), early_stopping=None)
    found = fit(training, judging, recipe, lambda _number, _metrics: None)
    metric = model.gate.metric
    scores = load(found.model, recipe.threads).predict(judging.rows)
    reached, constant = (
        evaluate(model.task, judging.labels, s)[metric] for s in (scores, _blind(model, training, judging))
    )
    told = f"{metric} {reached:.4f} on the holdout after {found.rounds} rounds, {constant:.4f} without features"
    better = reached > constant if model.higher_is_better else reached < constant
    bound = model.gate.minimum if model.higher_is_better else model.gate.maximum
    assert bound is not None
    missed = reached < bound if model.higher_is_better else reached > bound
    notes = [] if better else ["it learns nothing that is better than one answer for all rows"]
    return told, notes + ([f"the gate asks for {metric} {bound:g}"] if missed else [])


def _blind(model: Model, training: Examples, judging: Examples) -> Floats:
    """The best answer for all rows alike: the mean of the labels (the median for an absolute error), or the shares."""
    rows = len(judging.labels)
    if model.label.classes:
        shares = np.bincount(training.labels.astype(int), minlength=len(model.label.classes)) / len(training.labels)
        return np.tile(shares, (rows, 1))
    usual = np.median if model.gate.metric == "mae" else np.mean
    return np.full(rows, usual(training.labels), dtype=np.float64)
