"""The assets that connect the DAGs; each event carries a partition key, the data date."""

from __future__ import annotations

from airflow.sdk import Asset

from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.model import Model


def published(group: FeatureGroup) -> Asset:
    """A partition of the group was validated and published."""
    return Asset(name=group.name, uri=f"x-lake://{group.table.replace('.', '/')}", group="features")


def landed(group: FeatureGroup) -> Asset:
    """A file of the group landed, and its day is to be ingested now."""
    return Asset(name=f"{group.name}_landed", uri=f"x-mlops://landed/{group.name}", group="landed")


def predictions(model: Model) -> Asset:
    """A partition was scored, gated and published."""
    return Asset(
        name=f"{model.name}_predictions", uri=f"x-lake://{model.predictions.replace('.', '/')}", group="predictions"
    )


def retraining(model: Model) -> Asset:
    """A night asked for a new version; the partition key is its as-of date."""
    return Asset(name=f"{model.name}_retraining", uri=f"x-mlops://retraining/{model.name}", group="retraining")
