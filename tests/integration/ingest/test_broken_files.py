"""One interval of landed files, most of them broken, in each format: what is published, what is said of the rest."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.mlops.errors import FileNotRead, PartitionsFailed
from include.mlops.sources.files import LandedFiles
from include.mlops.steps.ingestion import ingest
from include.mlops.steps.ingestion.transformed import transformed
from tests.integration.ingest.bundle import COLUMNS, ZONE, Bundle, change, csv, day, json_lines, local, readings

pytestmark = pytest.mark.slow
MANY = 6000


@dataclass(frozen=True)
class Outcome:
    """What one run over all the files left behind."""

    bundle: Bundle
    failures: dict[date, str]
    days: dict[str, date]


def _outcome(bundle: Bundle, files: dict[str, bytes | None]) -> Outcome:
    days = {name: day(number) for number, name in enumerate(files, 1)}
    for name, content in files.items():
        if content is not None:
            bundle.land(bundle.readings, days[name], content)
    with pytest.raises(PartitionsFailed) as caught:
        bundle.run(bundle.readings, day(1), day(len(files)))
    return Outcome(bundle, caught.value.failures, days)


def _many(ds: date, *broken: int) -> bytes:
    """A file far larger than what is looked at before Spark reads it, with latin-1 bytes in the rows `broken`."""
    rows = [
        {
            "sensor": "a",
            "slot": slot,
            "at": local(ds, 6),
            "value": 1.5,
            "note": "plain",
            "known_at": local(ds, 10, later=1),
        }
        for slot in range(MANY)
    ]
    lines = csv(rows).split(b"\n")
    for number in broken:
        lines[number + 1] = lines[number + 1].replace(b"plain", b"caf\xe9")
    return b"\n".join(lines)


def _each(ds: date, **values: object) -> bytes:
    return csv([{**row, **values} for row in readings(ds)])


CSV: dict[str, Callable[[date], bytes | None]] = {
    "good": lambda ds: csv(readings(ds)),
    "missing": lambda _: None,
    "no bytes": lambda _: b"",
    "a header alone": lambda _: csv([]),
    "a header and blank lines": lambda _: csv([]) + b"\n\n",
    "another header": lambda ds: csv(readings(ds)).replace(b"value", b"reading", 1),
    "another order": lambda ds: csv(readings(ds), COLUMNS[::-1]),
    "another delimiter": lambda ds: csv(readings(ds)).replace(b",", b";"),
    "UTF-16": lambda ds: csv(readings(ds)).decode().encode("utf-16"),
    "latin-1 near the start": lambda ds: csv(readings(ds)).replace(b"a0 of", b"\xe90 of"),
    "latin-1 far inside": lambda ds: _many(ds, MANY // 2),
    "latin-1 far inside, often": lambda ds: _many(ds, *range(1500, 2900)),
    "NUL bytes": lambda ds: csv(readings(ds)).replace(b"a0 of", b"a\x00 of"),
    "cut off in the last record": lambda ds: csv(readings(ds))[:-40],
    "wrong types": lambda ds: _each(ds, value="much"),
    "too many fields": lambda ds: csv(readings(ds)).replace(b"c1 of", b"c1, in short, of").replace(b"c0 of", b"c0,of"),
    "duplicate keys": lambda ds: _each(ds, slot=0),
    "no keys": lambda ds: _each(ds, sensor=""),
    "times of the day before": lambda ds: _each(ds, at=local(ds, 6, later=-1)),
    "times to come": lambda ds: _each(ds, at=local(ds, 6, later=700)),
    "times without a day": lambda ds: _each(ds, at="06:00:00"),
    "known after the cut-off": lambda ds: _each(ds, known_at=local(ds, 0, 0, 1, later=2)),
    "Windows line ends, a byte order mark and quotes": lambda ds: (
        b"\xef\xbb\xbf"
        + csv(readings(ds))
        .replace(b"a0 of", b'"a0, ""so"" of')
        .replace(b"2013-03-23,", b'2013-03-23",', 1)
        .replace(b"\n", b"\r\n")
    ),
    "half of the values of another type": lambda ds: csv(
        [{**row, "value": "much" if row["slot"] else row["value"]} for row in readings(ds)]
    ),
}
LIMIT = "expected at most 20.0% malformed rows in {path}, found {found}; see lake table quarantine"
CSV_SAID = {
    "missing": "MissingFile: expected the file {path}, found none; land it",
    "no bytes": "EmptyFile: expected rows in {path}, found 0 bytes; was the upload cut off? Land it again",
    "a header alone": "EmptyFile: expected rows in {path}, found a header alone; land it again",
    "a header and blank lines": "EmptyFile: expected rows in {path}, found a header alone; land it again",
    "another header": "SchemaChanged: {path}: expected the column value of type double, found no such column "
    "(not so on 2013-03-01); land the column again, or say `lost: empty` under source.drift",
    "another delimiter": "the delimiter seems to be ';': export with ','",
    "UTF-16": "WrongEncoding: expected UTF-8 text in {path}, found UTF-16 or binary data; export it as UTF-8",
    "latin-1 near the start": "WrongEncoding: expected UTF-8 text in {path}, found the byte 0xe9; export it as UTF-8",
    "latin-1 far inside, often": "QuarantineLimit: "
    + LIMIT.format(path="{path}", found="1400 of 6000 (1400 x not UTF-8)"),
    "NUL bytes": "WrongEncoding: expected UTF-8 text in {path}, found UTF-16 or binary data",
    "cut off in the last record": "TruncatedFile: expected 6 fields in the last line of {path}, found 'c,1,",
    "wrong types": "SchemaChanged: {path}: expected value of type double, found 6 of 6 values otherwise, such as "
    "'much' (not so on 2013-03-12); write the declared type again",
    "too many fields": LIMIT.format(path="{path}", found="2 of 6 (2 x malformed)"),
    "duplicate keys": LIMIT.format(path="{path}", found="6 of 6 (6 x duplicate key)"),
    "no keys": LIMIT.format(path="{path}", found="6 of 6 (6 x no sensor)"),
    "times of the day before": LIMIT.format(path="{path}", found="6 of 6 (6 x at outside the partition's day)"),
    "times to come": LIMIT.format(path="{path}", found="6 of 6 (6 x at outside the partition's day)"),
    "times without a day": "SchemaChanged: {path}: expected at of type timestamp, found 6 of 6 values otherwise, such "
    "as '06:00:00'",
    "known after the cut-off": LIMIT.format(path="{path}", found="6 of 6 (6 x known only after the cut-off)"),
    "half of the values of another type": LIMIT.format(path="{path}", found="3 of 6 (3 x value is not of type double)"),
}


@pytest.fixture(scope="module")
def from_csv(new_bundle: Callable[[], Bundle]) -> Outcome:
    bundle = new_bundle()
    bundle.write_readings()
    return _outcome(bundle, {name: make(day(number)) for number, (name, make) in enumerate(CSV.items(), 1)})


@pytest.mark.parametrize("name", CSV_SAID)
def test_a_broken_csv_is_named_with_what_was_found_and_what_to_do(from_csv: Outcome, name: str) -> None:
    ds = from_csv.days[name]
    path = from_csv.bundle.path(from_csv.bundle.readings, ds)
    assert CSV_SAID[name].format(path=path) in from_csv.failures[ds]
    assert re.match(r"[A-Z][A-Za-z]+: ", from_csv.failures[ds]), "the error's own name comes first"
    assert str(path) in from_csv.failures[ds]


def test_just_the_broken_days_fail_and_the_others_are_published(from_csv: Outcome) -> None:
    bundle, good = from_csv.bundle, [ds for name, ds in from_csv.days.items() if name not in CSV_SAID]
    last = day(len(CSV))
    assert sorted(from_csv.failures) == sorted(from_csv.days[name] for name in CSV_SAID)
    assert sorted({row["ds"] for row in bundle.rows(bundle.readings, day(1), last)}) == sorted(good)
    assert sorted(bundle.published(bundle.readings, day(1), last)) == sorted(good)


def test_a_byte_that_is_not_utf8_far_inside_a_large_file_sets_its_row_aside(from_csv: Outcome) -> None:
    bundle, ds = from_csv.bundle, from_csv.days["latin-1 far inside"]
    [row] = bundle.quarantine(bundle.readings, ds)
    assert (row["reason"], f'"slot":"{MANY // 2}"' in row["record"]) == ("not UTF-8", True)
    assert len(bundle.rows(bundle.readings, ds)) == MANY - 1


def test_quoted_fields_and_windows_line_ends_are_read_as_they_mean(from_csv: Outcome) -> None:
    bundle, ds = from_csv.bundle, from_csv.days["Windows line ends, a byte order mark and quotes"]
    rows = bundle.rows(bundle.readings, ds)
    assert [row["note"] for row in rows[:2]] == [f'a0, "so" of {ds}', f"a1 of {ds}"]
    assert len(rows) == 6


def _as_json(ds: date) -> bytes:
    return json_lines(readings(ds))


JSON: dict[str, Callable[[date], bytes | None]] = {
    "good": _as_json,
    "one broken line": lambda ds: _as_json(ds).replace(b'"note": "b0', b'"note": b0', 1),
    "one wrong type": lambda ds: json_lines(change(readings(ds), 2, value={"high": 1})),
    "broken lines": lambda ds: _as_json(ds).replace(b"{", b"["),
    "many broken lines": lambda ds: _as_json(ds).replace(b'"slot": 1,', b'"slot": ,'),
    "cut off in the last record": lambda ds: _as_json(ds)[:-20],
    "one pretty document": lambda ds: b"{\n" + _as_json(ds)[1:],
    "csv": lambda ds: csv(readings(ds)),
    "latin-1": lambda ds: _as_json(ds).replace(b"a0", b"\xe9"),
    "blank lines": lambda _: b"\n\n \n",
}
JSON_SAID = {
    "broken lines": 'UnreadableFile: {path}: expected one JSON object a line, found \'["sensor"',
    "many broken lines": LIMIT.format(path="{path}", found="3 of 6 (3 x malformed)"),
    "cut off in the last record": "TruncatedFile: expected a JSON object in the last line of {path}, found '",
    "one pretty document": "UnreadableFile: {path}: expected one JSON object a line, found '{{'; export it as JSON",
    "csv": "UnreadableFile: {path}: expected one JSON object a line, found 'sensor,slot",
    "latin-1": "WrongEncoding: expected UTF-8 text in {path}, found the byte 0xe9",
    "blank lines": "EmptyFile: expected rows in {path}, found blank lines",
}


@pytest.fixture(scope="module")
def from_json(new_bundle: Callable[[], Bundle]) -> Outcome:
    bundle = new_bundle()
    bundle.write_readings(format="json")
    return _outcome(bundle, {name: make(day(number)) for number, (name, make) in enumerate(JSON.items(), 1)})


def test_broken_json_lines_are_named_and_the_other_days_are_published(from_json: Outcome) -> None:
    bundle = from_json.bundle
    said = {
        from_json.days[name]: text.format(path=bundle.path(bundle.readings, from_json.days[name]))
        for name, text in JSON_SAID.items()
    }
    assert sorted(from_json.failures) == sorted(said)
    assert [ds for ds, text in said.items() if text not in from_json.failures[ds]] == [], from_json.failures
    good = sorted(ds for name, ds in from_json.days.items() if name not in JSON_SAID)
    assert sorted(bundle.published(bundle.readings, day(1), day(len(JSON)))) == good


def test_a_broken_json_line_and_a_wrong_type_set_their_rows_aside_as_they_landed(from_json: Outcome) -> None:
    bundle = from_json.bundle
    [malformed] = bundle.quarantine(bundle.readings, from_json.days["one broken line"])
    [wrong] = bundle.quarantine(bundle.readings, from_json.days["one wrong type"])
    assert (malformed["reason"], '"note": b0' in malformed["record"]) == ("malformed", True)
    assert (wrong["reason"], wrong["record"].count("high")) == ("value is not of type double", 1)
    assert [row["value"] for row in bundle.rows(bundle.readings, from_json.days["good"])][:2] == [1.0, 1.142857]


def _parquet(ds: date, *, drop: str = "", unit: str = "us", **types: pa.DataType) -> bytes:
    rows = readings(ds)
    for row in rows:
        for name in ("at", "known_at"):
            zone = getattr(types.get(name, pa.timestamp(unit, "UTC")), "tz", None)
            row[name] = dt.datetime.fromisoformat(row[name]).replace(tzinfo=ZONE if zone else None)
    kinds = {"slot": pa.int32(), "at": pa.timestamp(unit, "UTC"), "known_at": pa.timestamp(unit, "UTC"), **types}
    names = [name for name in COLUMNS if name != drop]
    table = pa.table({name: pa.array([row[name] for row in rows], kinds.get(name)) for name in names})
    file = io.BytesIO()
    pq.write_table(table, file, compression="none", use_dictionary=False, write_statistics=False)
    return file.getvalue()


def _rewritten(content: bytes, **how: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(content)), file, **{"use_dictionary": False, **how})
    return file.getvalue()


def _with_broken_page(ds: date) -> bytes:
    """Its footer is whole; the pages of the first columns are not."""
    content = _parquet(ds)
    return content[:4] + b"\xff" * 200 + content[204:]


PARQUET: dict[str, Callable[[date], bytes | None]] = {
    "good": _parquet,
    "other whole numbers": lambda ds: _parquet(ds, slot=pa.int64(), value=pa.float32(), note=pa.large_string()),
    "local times": lambda ds: _parquet(ds, at=pa.timestamp("ms"), known_at=pa.timestamp("ms")),
    "cut off": lambda ds: _parquet(ds)[:-30],
    "a broken page": _with_broken_page,
    "not parquet": lambda ds: csv(readings(ds)),
    "a missing column": lambda ds: _parquet(ds, drop="value"),
    "another type": lambda ds: _parquet(ds, note=pa.binary()),
    "times that spark cannot read": lambda ds: _parquet(ds, unit="ns"),
    "floats split by bytes": lambda ds: _rewritten(_parquet(ds), use_byte_stream_split=["value"]),
    "brotli": lambda ds: _rewritten(_parquet(ds), compression="brotli"),
}
PARQUET_SAID = {
    "cut off": "UnreadableFile: expected a Parquet file at {path}, found: ",
    "a broken page": "UnreadableFile: expected rows in {path}, found after 0 of them: ",
    "not parquet": "UnreadableFile: expected a Parquet file at {path}, found: ",
    "a missing column": "SchemaChanged: {path}: expected the column value of type double, found no such column",
    "another type": "SchemaChanged: {path}: expected note of type string, found the type binary (not so on 2013-03-0",
    "floats split by bytes": "UnreadableFile: {path}: found value written with BYTE_STREAM_SPLIT, which Spark cannot",
    "brotli": "UnreadableFile: {path}: found sensor written with BROTLI, which Spark cannot read; write the file",
    "times that spark cannot read": "UnreadableFile: {path}: found at of type timestamp[ns, tz=UTC], known_at of type",
}


@pytest.fixture(scope="module")
def from_parquet(new_bundle: Callable[[], Bundle]) -> Outcome:
    bundle = new_bundle()
    bundle.write_readings(format="parquet")
    return _outcome(bundle, {name: make(day(number)) for number, (name, make) in enumerate(PARQUET.items(), 1)})


def test_broken_parquet_is_named_and_the_other_days_are_published(from_parquet: Outcome) -> None:
    bundle = from_parquet.bundle
    said = {
        from_parquet.days[name]: text.format(path=bundle.path(bundle.readings, from_parquet.days[name]))
        for name, text in PARQUET_SAID.items()
    }
    assert sorted(from_parquet.failures) == sorted(said)
    assert [ds for ds, text in said.items() if text not in from_parquet.failures[ds]] == [], from_parquet.failures
    good = sorted(ds for name, ds in from_parquet.days.items() if name not in PARQUET_SAID)
    assert sorted(bundle.published(bundle.readings, day(1), day(len(PARQUET)))) == good


@pytest.fixture
def breaking(new_bundle: Callable[[], Bundle], monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """Two good days of Parquet; the second breaks after its rows were counted, before they are staged."""
    bundle = new_bundle()
    bundle.write_readings(format="parquet")
    for ds in (day(1), day(2)):
        bundle.land(bundle.readings, ds, _parquet(ds))

    def after_it_broke(*given: Any) -> Any:
        bundle.land(bundle.readings, day(2), _with_broken_page(day(2)))
        return transformed(*given)

    monkeypatch.setattr(ingest, "transformed", after_it_broke)
    return bundle


def test_a_parquet_file_that_breaks_between_two_readings_fails_its_day_alone(breaking: Bundle) -> None:
    with pytest.raises(PartitionsFailed) as caught:
        breaking.run(breaking.readings, day(1), day(2))
    assert list(caught.value.failures) == [day(2)]
    assert "UnreadableFile: expected rows in " in caught.value.failures[day(2)]
    assert len(breaking.rows(breaking.readings, day(1), day(2))) == 6


def test_a_file_that_spark_could_not_read_just_once_publishes_no_part_of_it(
    breaking: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = LandedFiles.unreadable

    def after_it_is_whole_again(source: LandedFiles, *given: Any) -> Any:
        monkeypatch.setattr(ingest, "transformed", transformed)
        breaking.land(breaking.readings, day(2), _parquet(day(2)))
        return looked(source, *given)

    monkeypatch.setattr(LandedFiles, "unreadable", after_it_is_whole_again)
    with pytest.raises(FileNotRead, match="Spark could not read a file; if that stays so, land it again") as caught:
        breaking.run(breaking.readings, day(1), day(2))
    assert (caught.value.transient, str(breaking.path(breaking.readings, day(2))) in str(caught.value)) == (True, True)
    assert breaking.published(breaking.readings, day(1), day(2)) == {}
    breaking.run(breaking.readings, day(1), day(2))
    assert len(breaking.rows(breaking.readings, day(1), day(2))) == 12


@pytest.mark.parametrize("name", ["good", "other whole numbers", "local times"])
def test_parquet_files_of_fitting_types_give_the_same_rows(from_parquet: Outcome, name: str) -> None:
    bundle, ds = from_parquet.bundle, from_parquet.days[name]
    rows = bundle.rows(bundle.readings, ds)
    assert [(row["sensor"], row["slot"], row["note"], row["hour"]) for row in rows] == [
        (row["sensor"], row["slot"], row["note"], 6 + row["slot"]) for row in readings(ds)
    ]
    assert [row["value"] for row in rows] == pytest.approx([row["value"] for row in readings(ds)], rel=1e-6)
    assert {row["event_time"].astimezone(ZONE).hour for row in rows} == {6, 7}
