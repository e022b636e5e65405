"""Doctor: whether the services of the settings answer, in the right version, and take what steps will write to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version

from include.mlops.errors import MlopsError, ServiceUnavailable, SettingsError
from include.mlops.ledger.ledger import HEAD, Ledger
from include.mlops.spec.export import is_absolute
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
    from include.mlops.sources.announcements import queue_answers
    from include.mlops.stored_files import entries

    place = platform.settings.landing
    try:
        found = f"{place}, {entries(place)} entries"
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"expected a place that can be listed at {place} (MLOPS_LANDING_URL), found: {error}; correct the address, "
            "or let this user list and read it"
        ) from error
    queue_url = platform.settings.landed_queue_url
    return f"{found}; its queue has {queue_answers(queue_url)} message(s)" if queue_url else found


def _lake(platform: Platform) -> str:
    from include.mlops.lake.probe import probe, require_encryption

    settings = platform.settings
    with probe(platform.lake, settings) as table:
        if settings.s3_encryption:
            require_encryption(platform.lake, table, settings)
        encrypted = f", encrypted by {settings.s3_encryption}" if settings.s3_encryption else ""
        return f"{settings.warehouse}, a catalog of the kind {settings.catalog_kind}, takes tables and files{encrypted}"


def _spark(platform: Platform) -> str:
    from include.mlops.compute.channel import in_clear
    from include.mlops.compute.probe import server_version, writes
    from include.mlops.lake.probe import DAY, probe
    from include.mlops.lake.staging import stage
    from include.mlops.steps.spark_failures import spark_failures

    if platform.settings.jobs and "spark_remote" not in platform.settings.model_fields_set:
        return "not looked at: Spark's steps are jobs elsewhere, and MLOPS_SPARK_REMOTE is not set"
    with spark_failures("looking at Spark", "look at the server's log"):
        found = server_version(platform.spark, platform.settings)
        with probe(platform.lake, platform.settings) as table:
            _require_clock("Spark", writes(platform.spark, table, DAY))
            stage(platform.lake, platform.spark, table, platform.spark.table(f"lake.{table}"), [DAY])
    open_token = "; its token is sent in clear: set MLOPS_SPARK_TLS" if in_clear(platform.settings) else ""
    return f"{platform.settings.spark_remote}, Spark {found}, writes to the same lake, stages there{open_token}"


def _jobs(platform: Platform) -> str:
    from include.mlops.compute.emr_serverless import probe

    return (
        probe(platform.settings) if platform.settings.jobs else "MLOPS_JOBS is not set: Spark's steps run in the task"
    )


def _mlflow(platform: Platform) -> str:
    found = platform.registry.probe()
    _require_clock("MLflow", found.clock)
    return f"{platform.settings.mlflow_url}, MLflow {found.version}, keeps runs and files"


def _sources(platform: Platform) -> str:
    """Those that are no files: each is asked for the first day of its group."""
    asked = [group for group in platform.specs.groups.values() if group.source.format in ("jdbc", "iceberg")]
    for group in asked:
        platform.source(group).missing(group.first_partition)
    return f"{len(asked)} feature group(s) read databases or tables, which answer"


def _exports(platform: Platform) -> str:
    from include.mlops.exports.database import DayRows
    from include.mlops.settings import export_connection
    from include.mlops.stored_files import takes_files

    asked = [export for model in platform.specs.models.values() for export in model.exports]
    for place in sorted({_folder(platform, export.place) for export in asked if export.kind != "jdbc"}):
        try:
            takes_files(place)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"expected a place that takes files at {place} (MLOPS_EXPORT_URL, or exports of a model), found: "
                f"{error}; correct the address, or let this user write there"
            ) from error
    for table in (export.jdbc for export in asked if export.jdbc):
        DayRows(table.connection, export_connection(table.connection), table.table).answers()
    return f"{len(asked)} export(s), whose places answer"


def _folder(platform: Platform, path: str) -> str:
    """That of all files of an export, as far as it is the same every day."""
    if not is_absolute(path):
        return platform.settings.exports
    return path.partition("{")[0].rpartition("/")[0] or "/"


def _airflow(platform: Platform) -> str:
    """Where tasks reach it: by default the address that alerts link to."""
    import httpx

    address, ours = platform.settings.airflow_api, version("apache-airflow-core")
    variable = "MLOPS_AIRFLOW_URL" if address == platform.settings.airflow_url else "MLOPS_AIRFLOW_API_URL"
    try:
        health = httpx.get(f"{address}/api/v2/monitor/health", timeout=10).raise_for_status().json()
        found = httpx.get(f"{address}/api/v2/version", timeout=10).raise_for_status().json()["version"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise ServiceUnavailable(
            f"expected Airflow at {address} ({variable}), found: {type(error).__name__}: {str(error)[:200]}; "
            "is its API server up?"
        ) from error
    if found != ours:
        raise SettingsError(f"expected Airflow {ours} at {address} ({variable}), found {found}")
    if ill := [name for name, part in health.items() if (part or {}).get("status") not in ("healthy", None)]:
        raise ServiceUnavailable(f"expected all of Airflow at {address} to be healthy, found {', '.join(ill)} ill")
    return f"{address}, Airflow {found}, healthy"


def _slack(platform: Platform) -> str:
    from include.mlops.alerts.slack import Slack

    return Slack(platform.settings.slack_url, platform.settings.slack_token, timeout=10).probe()


CHECKS: Mapping[str, Callable[[Platform], str]] = {
    "specifications": _specifications,
    "ledger": _ledger,
    "landing": _landing,
    "lake": _lake,
    "spark": _spark,
    "jobs": _jobs,
    "mlflow": _mlflow,
    "sources": _sources,
    "exports": _exports,
    "airflow": _airflow,
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
