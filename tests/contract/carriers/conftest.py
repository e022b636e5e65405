"""The two versions that the scoring tests share, on a lake that Spark can reach."""

from tests.integration.scoring.conftest import home

__all__ = ["home"]
