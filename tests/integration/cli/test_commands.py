"""The command line over a real lake, ledger and MLflow server: what it prints, and how it fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

from include.mlops.alerts.alert import Alert
from include.mlops.cli.main import app
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.steps.platform import Platform
from tests.integration.scoring.world import (
    A_DAY,
    DAYS,
    FLIGHTS,
    OUTCOMES,
    V1_AS_OF,
    World,
    day,
    days,
    flights,
    late_flights,
)

MODEL = "late"
Run = Callable[..., Result]


@dataclass(frozen=True)
class Bundle:
    """Specifications on disk, and the environment that a user would set."""

    settings: Settings
    environment: dict[str, str]

    def run(self, *arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env=self.environment)

    @property
    def world(self) -> World:
        return World(Platform(self.settings), late_flights(MODEL))


def _write_specs(folder: Path) -> Path:
    for group in (FLIGHTS, OUTCOMES):
        where = folder / "feature_groups" / group.name
        where.mkdir(parents=True)
        (where / "feature_group.yaml").write_text(json.dumps(_as_written(group)))  # JSON is YAML
        (where / "transform.py").write_text("def transform(rows, reads):\n    return rows\n")
    (folder / "models").mkdir()
    (folder / "models" / f"{MODEL}.yaml").write_text(
        json.dumps(
            {
                "name": MODEL,
                "owner": "team",
                "task": "binary",
                "features": {"group": "flights", "columns": ["carrier", "hour", "wind"]},
                "label": {"group": "outcomes", "expression": "delay > 15"},
                "training": {"window": "10d", "holdout": "3d", "rounds": 12, "threads": 1},
                "gate": {"metric": "roc_auc", "minimum": 0.6},
                "exports": [{"csv": {"path": "late/{ds}.csv"}}],
            }
        )
    )
    return folder


def _as_written(group: FeatureGroup) -> dict[str, Any]:
    written = group.model_dump(mode="json", include={"name", "owner", "description", "keys", "event_time"})
    more = group.model_dump(mode="json", include={"available_at", "source", "publishes", "first_partition"})
    return {**written, **more, "schedule": {"start": str(group.schedule.start), "delay": f"{group.schedule.delay}d"}}


def _bundle(folder: Path, mlflow_url: str) -> Bundle:
    settings = Settings(specs=_write_specs(folder / "include"), state=folder / "state", mlflow_url=mlflow_url)
    named = {"MLOPS_SPECS": settings.specs, "MLOPS_STATE": settings.state, "MLOPS_MLFLOW_URL": mlflow_url}
    impatient = {"MLOPS_LOG": "WARNING", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    return Bundle(settings, {name: str(value) for name, value in named.items()} | impatient)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Without any service: what fails before one is asked."""
    return _bundle(tmp_path, "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory, mlflow_server: Settings) -> Bundle:
    """Thirty published days, and a first version that the command line trained and released as of day 15."""
    made = _bundle(tmp_path_factory.mktemp("cli"), mlflow_server.mlflow_url)
    every = list(days(1, DAYS))
    made.world.publish(pa.concat_tables([flights(ds) for ds in every]), every)
    made.world.publish_outcomes(*range(1, DAYS + 1))
    trained = made.run("train", MODEL, "--as-of", day(V1_AS_OF))
    assert trained.exit_code == 0, trained.output
    assert re.match(rf"{MODEL} v1: roc_auc 0\.\d{{4}}, .*/runs/\w+$", trained.stdout.strip())
    decided = made.run("release", MODEL, "--version", 1, "--as-of", day(V1_AS_OF))
    assert decided.exit_code == 0, decided.output
    assert decided.stdout.startswith(f"{MODEL} v1 promoted, live from {day(16)}: roc_auc")
    return made


def _between(first: int, last: int) -> tuple[str, date, str, date]:
    return "--from", day(first), "--to", day(last)


@pytest.mark.slow
def test_score_prints_each_day_with_its_version_rows_and_mean(released: Bundle) -> None:
    result = released.run("score", MODEL, *_between(16, 17))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [re.sub(r"0\.\d{4}", "0.nnnn", line) for line in lines] == [
        f"{day(16)}  v1       {A_DAY} rows  mean 0.nnnn",
        f"{day(17)}  v1       {A_DAY} rows  mean 0.nnnn",
        f"{2 * A_DAY} rows published",
    ]


@pytest.mark.slow
def test_score_of_a_sample_says_that_nothing_was_published(released: Bundle) -> None:
    result = released.run("score", MODEL, *_between(25, 25), "--sample", "0.5")
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"\d+ rows scored, nothing published", result.stdout.splitlines()[-1])
    assert released.world.platform.ledger.publications.missing(f"predictions.{MODEL}", days(25, 25)) == [day(25)]


@pytest.mark.slow
def test_export_prints_what_it_wrote_and_where(released: Bundle) -> None:
    assert released.run("score", MODEL, *_between(26, 27)).exit_code == 0
    wrote = f"csv {released.settings.state}/exports/late/{{ds}}.csv: "
    for options, told in (([], f"2 day(s), {2 * A_DAY} rows"), ([], "0 day(s), 0 rows"), (["--force"], "2 day(s)")):
        result = released.run("export", MODEL, *_between(26, 28), *options)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(wrote + told)


@pytest.mark.slow
def test_score_before_the_first_version_fails_with_the_way_out_which_works(released: Bundle) -> None:
    result = released.run("score", MODEL, *_between(15, 15))
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert result.stderr.startswith(f"PartitionsFailed: score {MODEL}: 1 partition(s) failed")
    assert "NoLiveVersion" in result.stderr
    assert "name one with --version" in result.stderr
    assert released.run("score", MODEL, *_between(15, 15), "--version", 1).exit_code == 0


@pytest.mark.slow
def test_monitor_prints_a_verdict_a_day(released: Bundle) -> None:
    released.world.publish_flights(19, carrier=["XX"] * A_DAY)
    released.run("score", MODEL, *_between(10, 10), "--version", 1)
    released.run("score", MODEL, *_between(19, 19))
    found = [released.run("monitor", MODEL, *_between(number, number)) for number in (10, 19)]
    assert [result.exit_code for result in found] == [0, 0], found[0].output
    assert found[0].stdout == f"{day(10)}  v1  drift none\n", "a day that it was trained on"
    assert re.fullmatch(rf"{day(19)}  v1  drift seen  .*carrier.*\n", found[1].stdout)


@pytest.mark.slow
def test_performance_prints_metrics_and_coverage_and_says_where_nothing_was_scored(released: Bundle) -> None:
    released.run("score", MODEL, *_between(20, 20))
    result = released.run("performance", MODEL, *_between(20, 21))
    assert result.exit_code == 0, result.output
    assert re.fullmatch(rf"{day(20)}  roc_auc 0\.\d{{4}}, .*  coverage 90\.0%", result.stdout.strip())
    nothing = released.run("performance", MODEL, *_between(1, 2))
    assert (nothing.exit_code, nothing.stdout.strip()) == (0, "no day of the interval was scored")


@pytest.mark.slow
def test_lineage_tells_scores_from_their_version_and_features_and_stale_what_is_out_of_date(released: Bundle) -> None:
    released.run("score", MODEL, *_between(22, 22))
    told = json.loads(released.run("lineage", MODEL, day(22), "--json").stdout)["partition"]
    assert (told["facts"]["rows"], told["facts"]["in sample"], told["wrong"]) == (A_DAY, False, [])
    assert told["facts"]["gate"].startswith("passed, scores 0.")
    version, features = told["made_from"]
    assert version["what"] == f"{MODEL} v1"
    assert version["facts"]["release"].startswith(f"promoted as of {day(V1_AS_OF)} by ")
    assert re.fullmatch(r"[0-9a-f]{64}", version["facts"]["sha256"])
    assert features["what"] == f"{FLIGHTS.table}, {day(22)}"
    assert f"{FLIGHTS.table} at snapshot" in version["facts"]["trained on"][0]

    released.world.publish_flights(22, wind=[9.0] * A_DAY)
    again = f"! its input flights_v1 of {day(22)} was published again with other rows"
    result = released.run("lineage", MODEL, day(22))
    assert (again in result.stdout, f"{MODEL} v1" in result.stdout) == (True, True)
    assert f"run: python -m include.mlops score {MODEL} --from {day(22)} --to {day(22)}" in (
        released.run("stale", MODEL).stdout
    )
    used = released.run("lineage", "flights", day(10)).stdout
    assert f"{MODEL} v1" in used
    assert "in its: training window" in used
    assert f"scores of {MODEL}, {day(31)}: not published" in released.run("lineage", MODEL, day(31)).stdout


@pytest.mark.slow
def test_a_step_that_waits_says_for_what_in_one_line(released: Bundle) -> None:
    result = released.run("score", MODEL, *_between(30, 31))
    assert result.exit_code == 1
    expected = f"NotReady: score {MODEL} {day(30)}..{day(31)} waits for {FLIGHTS.table} of {day(31)}"
    assert result.stderr.splitlines() == [expected]
    result = released.run("monitor", MODEL, *_between(29, 29))
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


@pytest.mark.slow
def test_a_backfill_shows_its_plan_and_computes_what_is_missing(released: Bundle) -> None:
    ledger = released.world.platform.ledger.publications
    released.run("score", MODEL, *_between(11, 11), "--version", 1)
    planned = released.run("backfill", MODEL, *_between(11, 13), "--version", 1, "--dry-run")
    assert planned.exit_code == 0, planned.output
    head = f"{MODEL}  {day(11)}..{day(13)}, only missing, scored by v1: 5 partition(s) to compute in 2 job(s)"
    assert planned.stdout.splitlines()[0] == head, "two to score, and all three to measure"
    assert re.search(rf"{day(12)}..{day(13)} +│ 2 +│ missing, in-sample +│ yes", planned.stdout)
    assert ledger.missing(f"predictions.{MODEL}", days(11, 13)) == [day(12), day(13)], "a dry run computes nothing"
    done = released.run("backfill", MODEL, *_between(11, 13), "--version", 1)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-2:] == [
        f"scores of {MODEL}: 2 day(s) made",
        f"performance of {MODEL}: 3 day(s) made",
    ]
    again = released.run("backfill", MODEL, *_between(11, 13), "--version", 1, "--only", "stale")
    assert "nothing to compute" in again.stdout.splitlines()[0]
    refused = released.run("backfill", MODEL, *_between(14, 14), "--yes")
    assert refused.exit_code == 1
    assert "no version is live for it and none is named" in refused.stderr


@pytest.mark.slow
def test_check_on_data_tells_of_a_model_in_a_few_lines_and_of_what_has_not_arrived(released: Bundle) -> None:
    result = released.run("check", "--data", MODEL)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    first, *lines = result.stdout.splitlines()
    assert first == MODEL
    assert any(
        re.fullmatch(r"  quick fit  roc_auc 0\.\d{4} on the holdout after 12 rounds, 0\.5000 .*", one) for one in lines
    )
    assert any(re.match(r"    carrier  string +0\.0% null +3 different", one) for one in lines)
    early = released.run("check", "--data", MODEL, "--day", day(1))
    assert (early.exit_code, early.stderr) == (1, "")
    assert early.stdout.splitlines()[1].startswith(f"  wrong: NotReady: a trial of {MODEL} waits for two days up to")


def test_a_service_that_does_not_answer_is_named_in_one_line(bundle: Bundle) -> None:
    bundle.world.live(1, 1)
    result = bundle.run("score", MODEL, *_between(1, 1))
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("ServiceUnavailable: MLflow at http://127.0.0.1:9 did not answer")
    assert "MLOPS_MLFLOW_URL" in line


@pytest.mark.parametrize("command", ["score", "monitor", "performance", "backfill"])
def test_an_interval_that_goes_back_in_time_is_refused(bundle: Bundle, command: str) -> None:
    result = bundle.run(command, MODEL, *_between(2, 1))
    assert result.exit_code == 2
    assert f"expected --from before --to, found {day(2)} and {day(1)}" in re.sub(r"[\s│]+", " ", result.stderr)


@pytest.mark.parametrize("command", ["score", "monitor", "performance", "backfill"])
def test_a_model_that_does_not_exist_is_answered_with_the_nearest_name(bundle: Bundle, command: str) -> None:
    result = bundle.run(command, "lat", *_between(1, 1))
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("SpecError: ")
    assert f"'{MODEL}'" in line


def test_a_bad_setting_is_named_in_one_line(bundle: Bundle) -> None:
    result = _with(bundle, MLOPS_SPARK_PORT="many").run("alerts")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("SettingsError: MLOPS_SPARK_PORT: ")


@pytest.mark.parametrize("command", [("prepare",), ("serve", "spark-connect"), ("check", "--data"), ("alerts",)])
def test_a_connection_that_is_named_and_not_found_stops_every_command(bundle: Bundle, command: tuple[str, ...]) -> None:
    result = _with(bundle, MLOPS_CONNECTIONS="ledger").run(*command)
    assert result.exit_code == 1
    assert "expected the Airflow connection mlops_ledger, which MLOPS_CONNECTIONS names" in result.stderr


def test_what_a_connection_names_is_prepared(bundle: Bundle, tmp_path: Path) -> None:
    told = f"sqlite://{quote(str(tmp_path / 'told.db'), safe='')}"
    result = _with(bundle, MLOPS_CONNECTIONS="ledger", AIRFLOW_CONN_MLOPS_LEDGER=told).run("prepare")
    assert "ledger, schema" in result.stdout
    assert (tmp_path / "told.db").exists()


def test_a_level_of_logs_that_there_is_not_is_named(bundle: Bundle) -> None:
    assert "MLOPS_LOG: expected one of DEBUG, INFO" in _with(bundle, MLOPS_LOG="loud").run("stale").stderr
    assert _with(bundle, MLOPS_LOG="debug").run("stale").exit_code == 0


def _with(bundle: Bundle, **variables: str) -> Bundle:
    return Bundle(bundle.settings, {**bundle.environment, **variables})


def test_alerts_lists_what_waits_with_the_reason_whole(bundle: Bundle) -> None:
    title = "late v1: carrier drifted"
    bundle.world.platform.alerts.send(Alert("drift", MODEL, day(16), "warning", title, "Far from its training data."))
    result = bundle.run("alerts")
    assert result.exit_code == 0, result.output
    (row,) = [line for line in result.stdout.splitlines() if title in line]
    assert str(day(16)) in row
    assert "MLOPS_SLACK_TOKEN is not set" in row


def test_alerts_flush_tells_that_messages_wait_and_fails_for_nobodys_sake(bundle: Bundle) -> None:
    bundle.world.platform.alerts.send(Alert("drift", MODEL, day(16), "warning", "a title", "a summary"))
    result = bundle.run("alerts", "--flush", "--requeue")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:2] == ["0 message(s) wait again", "0 sent, 1 waiting, 0 refused"]


def test_check_names_what_goes_with_data_only_and_the_nearest_to_an_unknown_name(bundle: Bundle) -> None:
    assert bundle.run("check").stdout == "2 feature groups and 1 model, nothing wrong\n"
    assert bundle.run("check", "flights").exit_code == 2
    result = bundle.run("check", "--data", "flihts")
    assert result.exit_code == 1
    assert "flights" in result.stderr
    assert result.stderr.startswith("SpecError: ")


def test_new_model_without_its_groups_says_which_options_and_groups_there_are(bundle: Bundle) -> None:
    result = bundle.run("new", "model", "later", "--features", "flights")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["SpecError: expected --label; feature groups: flights, outcomes"]


def test_new_model_takes_the_only_target_writes_the_file_once_and_says_how_to_try_it(bundle: Bundle) -> None:
    asked = ("new", "model", "later", "--features", "flights", "--label", "outcomes")
    result = bundle.run(*asked)
    assert result.exit_code == 0, result.output
    path = bundle.settings.specs / "models" / "later.yaml"
    assert result.stdout.splitlines() == [
        f"wrote {path}",
        "correct what CHECK marks, then: python -m include.mlops check --data later",
    ]
    assert bundle.run("check").stdout == "2 feature groups and 2 models, nothing wrong\n"
    written = path.read_text()
    again = bundle.run(*asked)
    assert (again.exit_code, path.read_text()) == (1, written)
    assert "take another, or edit that one" in again.stderr


def test_new_feature_group_from_a_table_of_the_lake_names_it_and_its_day(bundle: Bundle) -> None:
    lake = bundle.world.platform.lake
    lake.create("sales.orders", {"order_id": "long", "ordered_at": "timestamp", "amount": "double", "ds": "date"})
    at = pa.array([f"{day(3)}T12:00:00+00:00"] * 3).cast(pa.timestamp("us", tz="UTC"))
    values = {"order_id": [1, 2, 3], "ordered_at": at, "amount": [1.0, 2.0, None], "ds": [day(3)] * 3}
    lake.replace("sales.orders", pa.table(values), [day(3)])
    result = bundle.run("new", "feature-group", "orders", "--from-table", "sales.orders")
    assert result.exit_code == 0, result.output
    group = Platform(bundle.settings).specs.group("orders")
    source = group.source
    assert (source.format, source.table, source.day) == ("iceberg", "sales.orders", "ds")
    assert (group.keys, group.event_time, group.first_partition) == (("order_id",), "ordered_at", day(3))
    assert group.publishes == {"order_id": "long", "amount": "double"}
    unknown = bundle.run("new", "feature-group", "more", "--from-table", "sales.order")
    assert "did you mean 'sales.orders'" in unknown.stderr
    assert bundle.run("new", "feature-group", "more").exit_code == 2


@pytest.mark.slow
def test_maintain_says_what_it_would_do_to_each_table(released: Bundle) -> None:
    result = released.run("maintain", "--dry-run")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    tables = [line.partition(":")[0] for line in lines]
    assert {FLIGHTS.table, OUTCOMES.table} <= set(tables)
    assert f"{FLIGHTS.table}: 0 snapshots, 0 files, 0 days compacted, 0 stray files" in lines
    assert lines[-1] == "nothing was changed"


@pytest.mark.slow
def test_erase_shows_its_plan_and_not_the_key_and_does_nothing_unasked(released: Bundle) -> None:
    result = released.run("erase", "flights", "--key", "carrier=ZZ", "--key", "flight=3", "--reason", "request 12")
    assert result.exit_code == 0, result.output
    assert re.search(
        rf"^{FLIGHTS.table}: \d+ row\(s\), \d+ day\(s\), 2013-01-\d\d to 2013-01-\d\d$", result.output, re.MULTILINE
    )
    assert re.search(
        rf"^training set of {MODEL} v1: \d+ row\(s\); it cannot be reproduced", result.output, re.MULTILINE
    )
    assert "to be done elsewhere: what flights is made from" in result.output
    assert "say --yes" in result.output
    assert "ZZ" not in result.output
    assert released.world.platform.ledger.erasures.all() == []


@pytest.mark.parametrize("key", ["carrier", "carrier=", "=ZZ"])
def test_a_key_without_column_or_value_is_refused(bundle: Bundle, key: str) -> None:
    result = bundle.run("erase", "flights", "--key", key, "--reason", "request 12")
    assert result.exit_code == 2
    assert "column=value" in result.output
