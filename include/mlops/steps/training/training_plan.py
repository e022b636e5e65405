"""What a training of some as-of date reads, checked and pinned before anything is fitted."""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import date, timedelta

from include.mlops.errors import NotReady, TrainingFailed
from include.mlops.learner.recipe import Recipe
from include.mlops.policy.carrier import TRAINING_BYTES, choose
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.meaning import model_meaning
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.training_set import Pinned, Source

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """`key` names the training: the model's meaning, its as-of date, and each partition that it reads, as published."""

    key: str
    meaning: str
    source: Source
    recipe: Recipe
    workers: int = 1
    share: float = 1.0
    """Of the rows, that a task may hold: all in process; beside Spark's workers a sample, for profile and search."""


def plan(platform: Platform, model: Model, as_of: date) -> Plan:
    """Raises NotReady naming each partition that is not published, TrainingFailed where the history is too short."""
    group, labels = platform.specs.group(model.features.group), platform.specs.group(model.label.group)
    features = features_table(group, model)
    window, holdout = _days(model, group, labels, as_of)
    both = Interval(window.first, holdout.last)
    _require_published(platform, model, as_of, {features: both, labels.table: both})
    meaning, recipe = model_meaning(model), Recipe.of(model)
    key = _key(platform, meaning, recipe, as_of, (features, labels.table), both)
    stopping = model.training.early_stopping
    tag = f"train_{model.name}_{as_of:%Y%m%d}_{key[:8]}"
    source = Source(
        features=Pinned(features, tag, platform.lake.tag(features, tag)),
        labels=Pinned(labels.table, tag, platform.lake.tag(labels.table, tag)),
        keys=group.keys,
        expression=str(model.label.expression),
        task=model.task,
        window=window,
        holdout=holdout,
        classes=model.label.classes,
        validation=newest(window, stopping.validation) if stopping else None,
    )
    rows = sum(one.rows for one in platform.ledger.publications.over(features, both).values())
    budget = platform.settings.task_memory_bytes
    carrier = choose(model.training.workers, rows, len(recipe.columns), TRAINING_BYTES, budget)
    workers = min(carrier.workers, platform.settings.spark_workers) if _auto(model) else carrier.workers
    log.info("training %s on %d worker(s): %s", model.name, workers, carrier.reason)
    share = budget / max(1, rows * len(recipe.columns) * TRAINING_BYTES) if workers > 1 else 1.0
    return Plan(key, meaning, source, recipe, workers, min(1.0, share))


def _auto(model: Model) -> bool:
    return model.training.workers == "auto"


def newest(window: Interval, days: int) -> Interval:
    """Its newest days."""
    return Interval.day(window.last).lagged((1 - days, 0))


def features_table(group: FeatureGroup, model: Model) -> str:
    """The table of the version of its features that a model names."""
    version = model.features.version
    return group.table if version in (None, group.version) else group.model_copy(update={"version": version}).table


def _days(model: Model, group: FeatureGroup, labels: FeatureGroup, as_of: date) -> tuple[Interval, Interval]:
    """The training window and the holdout; the newest labelled day ends the holdout."""
    due = timedelta(days=max(labels.schedule.delay, model.label.due_after))
    window, holdout = model.training_days(Interval.day(as_of - due))
    first = max(group.first_partition, labels.first_partition)
    if window.first < first:
        raise TrainingFailed(
            f"{model.name} as of {as_of}: expected a training window from {window.first} on, "
            f"found no partitions before {first}; train as of {as_of + (first - window.first)} or later, "
            "or shorten training.window"
        )
    return window, holdout


def _require_published(platform: Platform, model: Model, as_of: date, needed: dict[str, Interval]) -> None:
    lacking = [
        f"{table} of {ds}" for table, days in needed.items() for ds in platform.ledger.publications.missing(table, days)
    ]
    if lacking:
        raise NotReady(f"training {model.name} as of {as_of}", lacking)


def _key(platform: Platform, meaning: str, recipe: Recipe, as_of: date, tables: tuple[str, ...], days: Interval) -> str:
    """The same for as long as no partition that is read was published again, whatever else the tables received."""
    published = {
        table: [
            [str(ds), row.snapshot_id or row.run_id]
            for ds, row in sorted(platform.ledger.publications.over(table, days).items())
        ]
        for table in tables
    }
    content = json.dumps([meaning, recipe.to_dict(), str(as_of), published], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:32]
