"""The rooms that a step works with, opened when first used."""

from __future__ import annotations

import copy
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from include.mlops.alerts.alert import Alerts
from include.mlops.ledger.ledger import Ledger
from include.mlops.settings import Settings, load_settings
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.load import Specs, load_specs

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from include.mlops.lake.lake import Lake
    from include.mlops.registry.registry import Registry
    from include.mlops.registry.store import RegistryStore
    from include.mlops.sources.source import Source


class Platform:
    """Settings, the users' specifications, and the five rooms behind them."""

    def __init__(self, settings: Settings | None = None, specs: Specs | None = None) -> None:
        self.settings = settings or load_settings()
        self._specs = specs
        self._acts = True

    def for_history(self) -> Platform:
        """The same rooms for a run over history: it records and never acts, wherever its days lie."""
        quiet = copy.copy(self)
        quiet._acts = False  # noqa: SLF001 - its own kind
        return quiet

    @cached_property
    def specs(self) -> Specs:
        return self._specs or load_specs(self.settings.specs)

    @cached_property
    def opened_ledger(self) -> Ledger:
        """The ledger as it is, perhaps without a schema: a restore makes it. Everybody else takes `ledger`."""
        return Ledger(self.settings.ledger)

    @cached_property
    def ledger(self) -> Ledger:
        self.opened_ledger.migrate()
        return self.opened_ledger

    @cached_property
    def alerts(self) -> Alerts:
        return Alerts(self.ledger.incidents, self.settings)

    @cached_property
    def lake(self) -> Lake:
        from include.mlops.lake.lake import Lake

        return Lake(self.settings)

    @cached_property
    def registry(self) -> Registry:
        from include.mlops.registry.registry import Registry

        told = self.settings
        return Registry(told.mlflow_url, told.mlflow_user, told.mlflow_password, told.mlflow_page)

    @cached_property
    def registry_store(self) -> RegistryStore:
        from include.mlops.registry.store import RegistryStore

        return RegistryStore(self.settings.mlflow_store)

    @cached_property
    def spark(self) -> SparkSession:
        from include.mlops.compute.session import connect

        return connect(self.settings)

    def source(self, group: FeatureGroup) -> Source:
        """Where the rows of a group come from, as it is now."""
        from include.mlops.sources.opening import open_source

        return open_source(self.settings, lambda: self.lake, group)

    def at_frontier(self, dataset: str, ds: date) -> bool:
        """Whether no later partition of `dataset` is published: only there may a step alert or act."""
        if not self._acts:
            return False
        frontier = self.ledger.publications.frontier(dataset)
        return frontier is None or ds >= frontier

    def report_url(self, path: str) -> str:
        """The address of a report kept under `settings.reports`, as the Airflow plugin serves it."""
        return f"{self.settings.airflow_url}/mlops/reports/{path}"
