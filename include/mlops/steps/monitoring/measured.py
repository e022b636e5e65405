"""What a day's drift or performance was measured on, kept so that it is known when that changes."""

from __future__ import annotations

from collections.abc import Iterable

from include.mlops.ledger.publications import Publication
from include.mlops.spec.meaning import model_meaning
from include.mlops.spec.model import Model
from include.mlops.steps.platform import Platform


def record_measured(
    platform: Platform, model: Model, dataset: str, predicted: Publication, others: Iterable[Publication], run_id: str
) -> None:
    """`dataset` is `model.drift` or `model.performance`; `others` are the features or labels of the same day."""
    inputs = {
        one.dataset: {"snapshot_id": one.snapshot_id, "partitions": {str(one.ds): one.digest}}
        for one in (predicted, *others)
    }
    measured = Publication(
        dataset=dataset,
        ds=predicted.ds,
        rows=predicted.rows,
        meaning=model_meaning(model),
        run_id=run_id,
        inputs=inputs,
        version=predicted.version,
    )
    platform.ledger.publications.record([measured])
