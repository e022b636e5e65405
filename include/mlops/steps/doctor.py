"""Doctor: whether the services of the settings answer, in the right version, and take what steps will write to them.

Databases that feature groups read and exports write are not looked at: a run names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from include.mlops.errors import MlopsError, SettingsError
from include.mlops.ledger.ledger import HEAD, Ledger
from include.mlops.steps.platform import Platform

SKEW = timedelta(seconds=60)


@dataclass(frozen=True)
class Check:
    """What was found; where something is `wrong`, that says what to do."""

    name: str
    found: str
    wrong: str = ""


def examine(platform: Platform) -> Iterator[Check]:
    """One check after another, so that a person sees them come. What they write to a service, they delete there."""
    for name, look in CHECKS.items():
        try:
            yield Check(name, look(platform))
        except MlopsError as error:
            yield Check(name, "", error.line())
        except Exception as error:  # noqa: BLE001 - a fault that nobody thought of is a finding, too
            yield Check(name, "", f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")


def _specifications(platform: Platform) -> str:
    found = platform.specs
    if found.findings:
        raise SettingsError(
            f"{len(found.findings)} finding(s) in {platform.settings.specs}: {found.findings[0]}; "
            "`python -m include.mlops check` lists them all"
        )
    return f"{len(found.groups)} feature groups and {len(found.models)} models in {platform.settings.specs}"


def _ledger(platform: Platform) -> str:
    with closing(Ledger(platform.settings.ledger)) as ledger:  # the platform's own would be brought up to date
        found = ledger.probe()
    _require_clock("the ledger", found.clock)
    schema = f"schema {found.revision}" if found.revision else "no schema yet"
    coming = "" if found.revision == HEAD else f", which the next task brings to {HEAD}"
    return f"{found.place}, {schema}{coming}, takes tables"


def _landing(platform: Platform) -> str:
    from include.mlops.stored_files import entries

    place = platform.settings.landing
    try:
        return f"{place}, {entries(place)} entries"
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"expected a place that can be listed at {place} (MLOPS_LANDING_URL), found: {error}; correct the address, "
            "or let this user list and read it"
        ) from error


def _lake(platform: Platform) -> str:
    from include.mlops.lake.probe import probe

    with probe(platform.lake, platform.settings):
        return f"{platform.settings.warehouse}, takes tables, files and commits"


def _spark(platform: Platform) -> str:
    from include.mlops.compute.probe import version, writes
    from include.mlops.lake.probe import DAY, probe
    from include.mlops.steps.spark_failures import spark_failures

    with spark_failures("looking at Spark", "look at the server's log"):
        found = version(platform.spark, platform.settings)
        with probe(platform.lake, platform.settings) as table:
            _require_clock("Spark", writes(platform.spark, table, DAY))
    return f"{platform.settings.spark_remote}, Spark {found}, writes to the same lake"


def _mlflow(platform: Platform) -> str:
    found = platform.registry.probe()
    _require_clock("MLflow", found.clock)
    return f"{platform.settings.mlflow_url}, MLflow {found.version}, keeps runs and files"


def _slack(platform: Platform) -> str:
    from include.mlops.alerts.slack import Slack

    return Slack(platform.settings.slack_url, platform.settings.slack_token, timeout=10).probe()


CHECKS: Mapping[str, Callable[[Platform], str]] = {
    "specifications": _specifications,
    "ledger": _ledger,
    "landing": _landing,
    "lake": _lake,
    "spark": _spark,
    "mlflow": _mlflow,
    "slack": _slack,
}


def _require_clock(whose: str, clock: datetime) -> None:
    """Signatures of requests, and deadlines, take clocks that agree."""
    here = datetime.now(UTC)
    if abs(here - clock) > SKEW:
        raise SettingsError(
            f"expected the clock of {whose} within {SKEW.seconds} s of this machine's, found {clock:%H:%M:%S} and "
            f"{here:%H:%M:%S} UTC; set both by NTP"
        )
