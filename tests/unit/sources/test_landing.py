"""What can be said of a landed file before Spark reads it."""

from __future__ import annotations

import hashlib
import os
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.mlops.errors import BrokenSource, EmptyFile, MissingFile, ServiceUnavailable, UnreadableFile
from include.mlops.settings import Settings
from include.mlops.sources.drift import fits
from include.mlops.sources.landing import address, identity, inspect, landed, same_file
from include.mlops.spec.feature_group import FeatureGroup

DS = date(2013, 3, 1)
COLUMNS = {"key": "string", "number": "long", "at": "timestamp"}


def _group(form: str = "csv", path: str = "rows/{ds}.data") -> FeatureGroup:
    return FeatureGroup.model_validate(
        {
            "name": "rows",
            "owner": "team",
            "description": "made up",
            "keys": ["key"],
            "event_time": "at",
            "available_at": "at",
            "source": {"format": form, "path": path, "columns": COLUMNS},
            "publishes": {"key": "string"},
            "first_partition": DS,
            "schedule": {"start": DS},
        }
    )


def _said(tmp_path: Path, content: bytes, form: str = "csv") -> str:
    file = tmp_path / "file"
    file.write_bytes(content)
    try:
        inspect(_group(form), str(file))
    except BrokenSource as error:
        return error.line().replace(str(file), "FILE")
    return ""


FINE = {
    "no end of the last line": b"key,number,at\na,1,2013-03-01",
    "an empty last field": b"key,number,at\na,1,",
    "quoted names": b'"key","number","at"\na,1,x\n',
    "old Macintosh line ends": b"key,number,at\ra,1,x\r",
    "a separator of lines inside a field": "key,number,at\na\u2028b\x0bc,1,x".encode(),
    "a character across the edge of what is looked at": b"key,number,at\n"
    + b"a" * (65536 - 15)
    + "é".encode()
    + b",1,x\n",
    "a character across the start of the end": ("key,number,at\n" + "é" * 100_000 + ",1,x\n").encode(),
}


@pytest.mark.parametrize("content", FINE.values(), ids=FINE)
def test_a_usable_csv_passes(tmp_path: Path, content: bytes) -> None:
    assert _said(tmp_path, content) == ""


BROKEN = {
    "a byte order mark alone": (
        b"\xef\xbb\xbf",
        "WrongHeader: FILE:1: expected the columns key, number, at, found nothing",
    ),
    "blank lines": (
        b"\n\n",
        "WrongHeader: FILE:1: expected the columns key, number, at, found nothing; does the file lack its header?",
    ),
    "a header without a line end": (b"key,number,at", "EmptyFile: expected rows in FILE, found a header alone"),
    "no header": (b"a,1,x\n", "found 'a', '1', 'x'; does the file lack its header?"),
    "a column twice": (b"key,number,number,at\n", "expected each column once, found twice: number; correct the file"),
    "tabs": (b"key\tnumber\tat\na\t1\tx\n", "the delimiter seems to be a tab: export with ','"),
    "UTF-16 without a mark": (
        "key,number,at\na,1,x\n".encode("utf-16-le"),
        "WrongEncoding: expected UTF-8 text in FILE",
    ),
    "a zip": (b"PK\x03\x04\x00\x00", "found UTF-16 or binary data"),
    "latin-1 at the end": (
        b"key,number,at\n" + b"a,1,x\n" * 30_000 + b"caf\xe9,1,x\n",
        "found the byte 0xe9; export it",
    ),
    "NUL at the end": (b"key,number,at\n" + b"a,1,x\n" * 30_000 + b"\0,1,x\n", "found UTF-16 or binary data"),
    "cut off in a large file": (
        b"key,number,at\n" + b"a,1,x\n" * 30_000 + b"b,",
        "TruncatedFile: expected 3 fields in the last line of FILE, found 'b,' and no end of line; was the",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_csv_is_named(tmp_path: Path, case: str) -> None:
    content, said = BROKEN[case]
    assert said in _said(tmp_path, content)


def test_what_is_not_a_file_is_missing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert not landed(str(tmp_path / "folder"))
    assert not landed(str(tmp_path / "none"))
    with pytest.raises(MissingFile, match=r"found a folder; land it, or lower schedule\.end of rows"):
        inspect(_group(), str(tmp_path / "folder"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_may_not_be_read_is_said(tmp_path: Path, form: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"key,number,at\na,1,x\n")
    file.chmod(0)
    with pytest.raises(UnreadableFile, match="grant this user access"):
        inspect(_group(form), str(file))


@pytest.mark.slow
def test_a_store_that_does_not_answer_is_worth_trying_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ACCESS_KEY_ID", "x"), ("SECRET_ACCESS_KEY", "x"), ("DEFAULT_REGION", "eu-central-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    nobody = "s3://bucket/rows/2013-03-01.csv?scheme=http&endpoint_override=127.0.0.1:9"
    with pytest.raises(ServiceUnavailable, match=r"the store of landed files did not answer for s3://bucket/rows"):
        landed(nobody)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"key": "a"}\n{"key": "b"}', ""),
        (b'\n{"key": "a"}\n', ""),
        (
            b'{"key": "a"}\n{"key": "b',
            'TruncatedFile: expected a JSON object in the last line of FILE, found \'{"key": "b\'',
        ),
        (b"[\n", "UnreadableFile: FILE: expected one JSON object a line, found '['; export it as JSON lines"),
        (b" \n\n", "EmptyFile: expected rows in FILE, found blank lines"),
    ],
)
def test_json_lines_are_looked_at_from_both_ends(tmp_path: Path, content: bytes, said: str) -> None:
    assert _said(tmp_path, content, "json").startswith(said)
    assert bool(_said(tmp_path, content, "json")) == bool(said)


@pytest.mark.parametrize(
    ("declared", "fitting", "refused"),
    [
        ("string", [pa.string(), pa.large_string()], [pa.binary(), pa.int64()]),
        ("long", [pa.int8(), pa.int64(), pa.uint16()], [pa.float64(), pa.string(), pa.bool_()]),
        ("double", [pa.float32(), pa.int64(), pa.decimal128(10, 2)], [pa.string(), pa.bool_()]),
        ("boolean", [pa.bool_()], [pa.int8(), pa.string()]),
        ("date", [pa.date32(), pa.timestamp("us")], [pa.string(), pa.int32()]),
        ("timestamp", [pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.date32()], [pa.string()]),
    ],
)
def test_types_fit_where_nothing_is_lost(declared: str, fitting: list[pa.DataType], refused: list[pa.DataType]) -> None:
    assert [kind for kind in [*fitting, *refused] if fits(declared, kind)] == fitting
    assert fits(declared, None), "text is judged value by value"


def test_a_parquet_file_tells_its_types_and_rows(tmp_path: Path) -> None:
    table = pa.table({"number": pa.array([1, 2, 3], pa.int32()), "more": ["a", "b", "c"]})
    pq.write_table(table.replace_schema_metadata({"who": "wrote it"}), tmp_path / "file")
    look = inspect(_group("parquet"), str(tmp_path / "file"))
    assert (look.columns, look.rows) == ({"number": pa.int32(), "more": pa.string()}, 3)


def test_parquet_times_that_spark_refuses_are_named_wherever_they_stand(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["a"], "extra": pa.nulls(1, pa.timestamp("ns"))}), tmp_path / "file")
    with pytest.raises(
        UnreadableFile, match=r"found extra of type timestamp\[ns\], which Spark cannot read; write times"
    ):
        inspect(_group("parquet"), str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (b"at,more,key,number\nx,y,a,1\n", ["at", "more", "key", "number"]),
        (b'\xef\xbb\xbf"key",Number,at\na,1,x\n', ["key", "Number", "at"]),
    ],
)
def test_a_csv_tells_its_columns_in_their_order(tmp_path: Path, content: bytes, columns: list[str]) -> None:
    (tmp_path / "file").write_bytes(content)
    assert list(inspect(_group(), str(tmp_path / "file")).columns) == columns


def test_a_key_of_json_that_only_a_record_far_inside_has_is_not_lost(tmp_path: Path) -> None:
    many = b'{"key": "a", "at": "2013-03-01"}\n' * 5000
    (tmp_path / "file").write_bytes(many + b'{"key": "a", "number": 1}\n' + many)
    assert "number" in inspect(_group("json"), str(tmp_path / "file")).columns
    (tmp_path / "file").write_bytes(many + b'{"key": "a", "no": 1}\n' + many)
    assert "number" not in inspect(_group("json"), str(tmp_path / "file")).columns


def test_an_address_is_absolute_or_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert address(Settings(landing_url="s3://bucket/in/"), _group(), DS) == "s3://bucket/in/rows/2013-03-01.data"
    assert address(Settings(landing_url="in"), _group(), DS) == f"{tmp_path}/in/rows/2013-03-01.data"
    assert address(Settings(landing_url="/in"), _group(path="y={ds}/{ds}.csv"), DS) == "/in/y=2013-03-01/2013-03-01.csv"


def _without_rows(form: str) -> bytes:
    if form != "parquet":
        return b"key,number,at\n" if form == "csv" else b""
    sink = pa.BufferOutputStream()
    columns = {"key": pa.string(), "number": pa.int64(), "at": pa.timestamp("us")}
    pq.write_table(pa.schema(columns).empty_table(), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_file_without_rows_is_an_empty_day_where_the_group_says_so(tmp_path: Path, form: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(_without_rows(form))
    strict = _group(form)
    lenient = strict.model_copy(update={"source": strict.source.model_copy(update={"empty": "allow"})})
    assert inspect(lenient, str(file)).rows == 0
    with pytest.raises(EmptyFile):
        inspect(strict, str(file))
    file.write_bytes(b"" if form != "json" else b"x")
    with pytest.raises(BrokenSource):  # no bytes at all are no file of rows, but in JSON lines
        inspect(lenient, str(file))


def test_the_identity_of_a_file_is_its_content_and_looking_again_costs_no_reading(tmp_path: Path) -> None:
    file = tmp_path / "file.gz"
    file.write_bytes(b"plain, whatever its name says")
    known = identity(str(file))
    assert known["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert same_file(str(file), known)
    os.utime(file, ns=(0, 0))
    assert not same_file(str(file), known), "so it is read again"
    assert identity(str(file))["sha256"] == known["sha256"]
    file.unlink()
    assert identity(str(file))["sha256"] is None
