"""The source of a feature group, by its format. Each kind is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from include.mlops.settings import Settings
from include.mlops.sources.source import Source
from include.mlops.spec.feature_group import FeatureGroup

if TYPE_CHECKING:
    from include.mlops.lake.lake import Lake


def open_source(settings: Settings, lake: Callable[[], Lake], group: FeatureGroup) -> Source:
    """Raises SettingsError where the connection that the group names is not set."""
    if group.source.format == "iceberg":
        from include.mlops.sources.iceberg import IcebergTable

        return IcebergTable(lake(), group)
    if group.source.format == "jdbc":
        from include.mlops.sources.jdbc import JdbcQuery

        return JdbcQuery(settings, group)
    from include.mlops.sources.files import LandedFiles

    return LandedFiles(settings, group)
