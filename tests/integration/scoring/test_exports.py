"""What stands where a model exports to, after scores were published, published again, or could not be written."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from include.mlops.errors import ExportFailed, ServiceUnavailable
from include.mlops.exports.files import DayFiles
from include.mlops.policy.backfill import Order
from include.mlops.spec.load import Specs
from include.mlops.spec.tasks import STAMPS, output_columns
from include.mlops.steps.history.backfill import carry_out
from include.mlops.steps.history.backfill_plan import plan
from include.mlops.steps.platform import Platform
from include.mlops.steps.scoring.export import Exported, export
from tests.integration.scoring.world import A_DAY, KEYS, World, day, days, late_flights

pytestmark = pytest.mark.slow
PARQUET = {"parquet": {"path": "late/ds={ds}/scores.parquet"}}
CSV = {"csv": {"path": "drop/{ds}.csv", "columns": ["carrier", "flight", "score"]}}
CRM = {"jdbc": {"connection": "crm", "table": "late_scores"}}


class _Exporting:
    """The world of one test, whose model exports to a lake folder, a drop folder and a database."""

    def __init__(self, world: World, folder: Path, exports: list[dict[str, Any]]) -> None:
        model = late_flights(world.model.name, exports=exports)
        self.world, self.database = World(world.platform, model), folder / "crm.db"
        self.root = Path(world.platform.settings.exports)

    def export(self, first: int, last: int | None = None, run_id: str = "run", **options: Any) -> Exported:
        return export(self.world.platform, self.world.model, days(first, last or first), run_id, **options)

    def written(self, first: int, last: int | None = None, **options: Any) -> list[list[date]]:
        """The days that an export wrote, for each target."""
        return [list(rows) for rows in self.export(first, last, **options).rows.values()]

    def parquet(self, number: int) -> Path:
        return self.root / f"late/ds={day(number)}/scores.parquet"

    def csv(self, number: int) -> Path:
        return self.root / f"drop/{day(number)}.csv"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as crm:
            return crm.execute(sql).fetchall()

    def rows(self) -> list[tuple[Any, ...]]:
        return self.query("SELECT ds, carrier, flight, score, model_version FROM late_scores ORDER BY 1, 2, 3")


Make = Callable[..., _Exporting]


@pytest.fixture
def make(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("MLOPS_EXPORT_CRM_URL", f"sqlite:///{tmp_path}/crm.db?timeout=0.2")
    return lambda *exports: _Exporting(world, tmp_path, list(exports))


def test_every_target_holds_the_published_rows_with_their_version(make: Make) -> None:
    at = make(PARQUET, CSV, CRM)
    at.world.score(16, 17, "night")
    done = at.export(16, 17)

    published = at.world.predictions(16)
    assert published.column_names == [*KEYS, *output_columns(), *STAMPS], "what the specifications say is published"
    assert list(done.rows.values()) == [{day(16): A_DAY, day(17): A_DAY}] * 3
    assert pq.read_table(at.parquet(16), partitioning=None).equals(published)
    dropped = pyarrow.csv.read_csv(at.csv(16))
    assert dropped.column_names == ["carrier", "flight", "score", "model_version", "ds"]
    assert dropped["score"].to_pylist() == published["score"].to_pylist()
    assert at.rows() == [
        (str(row["ds"]), row["carrier"], row["flight"], row["score"], 1)
        for row in at.world.predictions(16, 17).to_pylist()
    ]
    assert at.query("SELECT DISTINCT run_id FROM late_scores") == [("night",)]


def test_a_day_that_is_there_as_published_is_left_alone_unless_forced(make: Make) -> None:
    at = make(PARQUET, CSV, CRM)
    at.world.score(16, 17)
    at.export(16, 17)
    before = [at.parquet(16).read_bytes(), at.csv(16).read_bytes(), at.rows()]
    written_at = at.parquet(16).stat().st_mtime_ns

    assert at.written(16, 17) == [[], [], []]
    assert at.parquet(16).stat().st_mtime_ns == written_at
    assert at.written(16, force=True) == [[day(16)]] * 3
    assert at.parquet(16).stat().st_mtime_ns != written_at
    assert [at.parquet(16).read_bytes(), at.csv(16).read_bytes(), at.rows()] == before


def test_a_day_scored_again_by_another_version_is_replaced_and_others_stay(make: Make) -> None:
    at = make(PARQUET, CSV, CRM)
    at.world.score(16, 17)
    at.export(16, 17)
    old, other = at.parquet(16).read_bytes(), at.parquet(17).read_bytes()
    at.world.score(16, version=2)

    assert at.written(16, 17) == [[day(16)]] * 3
    assert set(pq.read_table(at.parquet(16), partitioning=None)["model_version"].to_pylist()) == {2}
    assert at.parquet(16).read_bytes() != old
    assert at.parquet(17).read_bytes() == other
    assert at.query("SELECT ds, model_version, count(*) FROM late_scores GROUP BY 1, 2") == [
        (str(day(16)), 2, A_DAY),
        (str(day(17)), 1, A_DAY),
    ]


def test_flights_that_are_gone_and_days_that_became_empty_go_there_too(make: Make) -> None:
    at = make(PARQUET, CSV, CRM)
    at.world.score(16, 17)
    at.export(16, 17)
    at.world.publish_flights(16, rows=100)
    at.world.publish_flights(17, rows=0)
    at.world.score(16, 17)
    at.export(16, 17)

    assert [pq.read_table(at.parquet(n), partitioning=None).num_rows for n in (16, 17)] == [100, 0]
    assert at.csv(17).read_text() == '"carrier","flight","score","model_version","ds"\n'
    assert at.query("SELECT ds, count(*) FROM late_scores GROUP BY 1") == [(str(day(16)), 100)]


def test_only_published_days_are_exported(make: Make) -> None:
    at = make(CSV)
    at.world.score(17)
    assert at.written(16, 19) == [[day(17)]]
    assert not at.csv(16).exists()


def test_other_columns_or_another_place_are_exported_anew(make: Make, tmp_path: Path) -> None:
    at = make(CSV)
    at.world.score(16)
    at.export(16)
    more = make({"csv": {**CSV["csv"], "columns": ["carrier", "flight", "score", "in_sample"]}})
    assert more.written(16) == [[day(16)]]
    assert "in_sample" in more.csv(16).read_text()
    elsewhere = make({"csv": {"path": f"{tmp_path}/elsewhere/{{ds}}.csv"}})
    assert elsewhere.written(16) == [[day(16)]]
    assert (tmp_path / f"elsewhere/{day(16)}.csv").exists()


def test_a_locked_database_holds_up_neither_the_scores_nor_the_other_exports(make: Make) -> None:
    at = make(CRM, CSV)
    at.world.score(16)
    with closing(sqlite3.connect(at.database, isolation_level=None)) as somebody:
        somebody.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceUnavailable) as locked:
            at.export(16)
    assert f"jdbc crm: late_scores, {day(16)}: ServiceUnavailable: the database 'crm' did not" in str(locked.value)
    assert "1 of 2 exports failed; the scores stay published" in str(locked.value)
    assert at.csv(16).exists()
    assert at.world.predictions(16).num_rows == A_DAY
    assert at.written(16) == [[day(16)], []], "trying again writes what is missing"


def test_an_export_that_cannot_work_is_not_tried_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    at = make(CRM, {"csv": {"path": "{ds}.csv", "columns": ["terminal"]}}, PARQUET)
    at.world.score(16)
    monkeypatch.delenv("MLOPS_EXPORT_CRM_URL")
    with pytest.raises(ExportFailed, match="2 of 3 exports failed") as failed:
        at.export(16)
    assert "SettingsError: expected the address of the database 'crm' in MLOPS_EXPORT_CRM_URL" in str(failed.value)
    assert f"expected the columns terminal in {at.world.model.predictions}, found carrier" in str(failed.value)
    assert at.parquet(16).exists()


def test_scores_published_while_older_ones_are_exported_win(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a night exports a day that a slow backfill has read already."""
    at, honest, raced = make(CSV), DayFiles.replace, []

    def slow(self: DayFiles, ds: date, rows: pa.Table, keys: Any) -> None:
        if not raced:
            raced.append(ds)
            at.world.score(16, version=2)
            at.export(16)
        honest(self, ds, rows, keys)

    at.world.score(16)
    monkeypatch.setattr(DayFiles, "replace", slow)
    at.export(16)

    assert set(pyarrow.csv.read_csv(at.csv(16))["model_version"].to_pylist()) == {2}
    assert at.written(16) == [[]]


def test_a_backfill_exports_what_it_scored_and_what_a_stopped_one_left(make: Make) -> None:
    at = make(CSV)
    at.world.score(16)  # as far as the stopped one came
    rooms = Platform(
        at.world.platform.settings, Specs(at.world.platform.specs.groups, {at.world.model.name: at.world.model})
    )
    planned = plan(rooms, Order(at.world.model.name, day(16), day(18)), "bulk")
    assert carry_out(rooms, planned, "bulk").made[f"scores of {at.world.model.name}"] == list(days(17, 18))
    assert [at.csv(number).exists() for number in (16, 17, 18)] == [True] * 3
