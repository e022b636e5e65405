"""New specifications: what is written from rows and from groups is a right start, and says what was guessed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from include.mlops.errors import EmptyFile, MissingFile, SpecError, UnreadableFile
from include.mlops.settings import Settings
from include.mlops.spec.load import Specs, load_specs
from include.mlops.steps.authoring.guesses import guess
from include.mlops.steps.authoring.scaffold import new_feature_group, new_model
from include.mlops.steps.authoring.specimen import from_file

SALES = """\
shop,till,receipt,sold_at,amount,paid,loaded_at,on,empty
north,1,1,2024-05-06 08:00:00,10.5,true,2024-05-07 02:00:00,a,
north,2,1,2024-05-06 08:30:00,,false,2024-05-07 02:00:00,a,
south,1,1,2024-05-06 09:00:00,3.0,true,2024-05-07 02:00:00,a,
south,1,2,2024-05-06 09:00:00,4.5,true,2024-05-07 02:00:00,b,
"""
FORECAST = """\
shop,till,receipt,planned_at,price,known_at
north,1,1,2024-05-06 08:00:00,10.5,2024-05-05 20:00:00
north,2,1,2024-05-06 08:30:00,1.5,2024-05-05 20:00:00
south,1,1,2024-05-06 09:00:00,3.0,2024-05-05 20:00:00
south,1,2,2024-05-06 09:00:00,4.5,2024-05-05 20:00:00
"""


@pytest.fixture
def places(tmp_path: Path) -> Settings:
    made = Settings(specs=tmp_path / "include", state=tmp_path / "state")
    for name, text in {"sales": SALES, "forecast": FORECAST}.items():
        folder = Path(made.landing) / name
        folder.mkdir(parents=True)
        (folder / "2024-05-06.csv").write_text(text)
    return made


def _group(places: Settings, name: str, path: str | None = None) -> Specs:
    specimen = from_file(places, name, path or f"{name}/2024-05-06.csv")
    new_feature_group(places.specs, load_specs(places.specs), name, specimen)
    return load_specs(places.specs)


def _yaml_lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]


def test_a_group_from_a_landed_file_is_flawless_and_names_its_day_keys_and_times(places: Settings) -> None:
    found = _group(places, "sales")
    assert found.findings == ()
    group = found.groups["sales"]
    assert group.source.path == "sales/{ds}.csv"
    assert (group.keys, group.event_time, group.available_at) == (("shop", "till", "receipt"), "sold_at", "loaded_at")
    assert (group.first_partition, group.schedule.start, group.schedule.delay) == (
        date(2024, 5, 6),
        date(2024, 5, 8),
        2,
    )
    assert group.publishes == {
        "shop": "string",
        "till": "long",
        "receipt": "long",
        "amount": "double",
        "paid": "boolean",
        "on": "string",
        "empty": "string",
    }
    assert [one.columns for one in group.expectations] == [("paid",), ("on",)], "amount and empty have nulls"


def test_each_guess_is_marked_for_a_person_to_check(places: Settings) -> None:
    _group(places, "sales")
    written = (places.specs / "feature_groups/sales/feature_group.yaml").read_text().splitlines()
    guessed = ("owner", "timezone", "keys", "event_time", "available_at", "first_partition", "schedule", "    empty")
    for key in guessed:
        (line,) = (line for line in written if line.startswith(f"{key}:"))
        assert "# CHECK" in line
    assert "4 of 4 rows" in next(line for line in written if line.startswith("keys:"))


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_a_file_elsewhere_of_another_format_gives_a_flawless_group_with_a_guessed_path(
    places: Settings, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"sales_2024-05-06.{suffix}"
    rows = [{"id": n, "at": f"2024-05-06 0{n}:00:00", "value": n / 2} for n in range(3)]
    if suffix == "json":
        path.write_text("\n".join(str(row).replace("'", '"') for row in rows))
    else:
        table = pa.Table.from_pylist([{**row, "bad name": 1, "many": [1]} for row in rows])
        pq.write_table(table.set_column(1, "at", table["at"].cast(pa.timestamp("us"))), path)
    found = _group(places, "others", str(path))
    assert found.findings == ()
    group = found.groups["others"]
    assert (group.source.format, group.source.path) == (suffix, f"others/sales_{{ds}}.{suffix}")
    assert (group.keys, group.event_time, group.available_at, group.schedule.delay) == (("id",), "at", "at", 1)
    assert set(group.source.columns) == {"id", "at", "value"}, "others cannot be declared"
    text = (places.specs / "feature_groups/others/feature_group.yaml").read_text()
    assert "# CHECK: below MLOPS_LANDING_URL" in text
    assert "no column tells from when a row is known" in text


def test_of_rows_without_a_time_the_finding_names_what_to_give(places: Settings, tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("id,value\n1,2\n2,3\n")
    found = _group(places, "plain", str(tmp_path / "plain.csv"))
    assert {one.key for one in found.findings} == {"event_time", "available_at"}


def test_the_day_in_the_path_decides_which_time_is_the_event(places: Settings) -> None:
    rows = pa.table(
        {
            "id": [1, 2],
            "start_date": pa.array([date(2020, 1, 1), date(2021, 1, 1)]),
            "seen": pa.array([date(2024, 5, 6)] * 2),
        }
    )
    assert guess(rows, date(2024, 5, 6)).event_time == "seen"
    assert guess(rows).event_time == "start_date"


def test_keys_are_the_fewest_columns_with_values_of_their_own(places: Settings) -> None:
    assert guess(pa.table({"value": [3, 1, 2], "order_id": [1, 2, 3]})).keys == ("order_id",)
    twice = guess(pa.table({"a": ["x", "x", "y"], "b": ["p", "p", "p"]}))
    assert (twice.keys, twice.unique) == (("a",), 2)


@pytest.mark.parametrize(
    ("name", "error"), [("gone.csv", MissingFile), ("notes.txt", UnreadableFile), ("empty.csv", EmptyFile)]
)
def test_files_that_tell_nothing_are_refused_by_name(
    places: Settings, tmp_path: Path, name: str, error: type[Exception]
) -> None:
    (tmp_path / "empty.csv").write_text("id,at\n")
    (tmp_path / "notes.txt").write_text("id,at\n")
    with pytest.raises(error, match=name):
        from_file(places, "some", str(tmp_path / name))


def test_what_exists_is_not_overwritten_and_a_bad_name_is_told_as_a_file_would_be(places: Settings) -> None:
    _group(places, "sales")
    with pytest.raises(SpecError, match="a name that no feature group has yet"):
        _group(places, "sales")
    with pytest.raises(SpecError, match=r"a name of lower-case letters.*found the text 'My-Sales'.*'my_sales'"):
        _group(places, "My-Sales", "sales/2024-05-06.csv")
    assert [path.name for path in (places.specs / "feature_groups").iterdir()] == ["sales"]


@pytest.mark.parametrize(
    ("task", "target", "kind", "expression"),
    [
        (None, "amount", "regression", "amount"),
        (None, "paid", "binary", "paid"),
        ("binary", "amount", "binary", "amount > 0"),
        ("multiclass", "amount", "multiclass", "'high' if amount > 10 else 'middle' if amount > 0 else 'low'"),
        (None, "on", "multiclass", "on"),
        ("binary", "on", "binary", "on == 'yes'"),
    ],
)
def test_a_model_is_flawless_of_about_fifteen_lines_and_leaves_out_what_identifies(
    places: Settings, task: str | None, target: str, kind: str, expression: str
) -> None:
    _group(places, "sales")
    specs = _group(places, "forecast")
    path = new_model(places.specs, specs, "much", "forecast", "sales", task, target)
    found = load_specs(places.specs)
    assert found.findings == ()
    model = found.models["much"]
    assert (model.task, model.label.expression) == (kind, expression)
    assert model.features.columns == ("shop", "price"), "till and receipt identify a row, times say nothing"
    assert len(_yaml_lines(path)) <= 15
    assert "left out, till: it identifies a row" in path.read_text()


def test_a_model_with_several_targets_or_an_unknown_one_names_what_there_is(places: Settings) -> None:
    _group(places, "sales")
    specs = _group(places, "forecast")
    with pytest.raises(SpecError, match=r"expected --target.*amount, paid, on, empty"):
        new_model(places.specs, specs, "much", "forecast", "sales", None, None)
    with pytest.raises(SpecError, match="did you mean 'amount'"):
        new_model(places.specs, specs, "much", "forecast", "sales", None, "amonut")
    with pytest.raises(SpecError, match="did you mean 'forecast'"):
        new_model(places.specs, specs, "much", "forecasts", "sales", None, "amount")
    assert not (places.specs / "models").exists()


def test_the_yaml_is_read_as_it_was_meant(places: Settings) -> None:
    _group(places, "sales")
    raw = YAML(typ="safe").load(places.specs / "feature_groups/sales/feature_group.yaml")
    assert "on" in raw["publishes"], "a word that older readers of YAML take for true"
