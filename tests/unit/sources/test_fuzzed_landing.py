"""Whatever a landed file holds, looking at it tells its columns or names what is wrong."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.mlops.errors import BrokenSource, ServiceUnavailable
from include.mlops.sources.landing import inspect
from include.mlops.sources.source import Look
from tests.unit.sources.test_landing import COLUMNS, _group

SOME = settings(
    max_examples=150, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table({"key": ["a", "b"], "number": [1, 2], "at": pa.array([0, 1], pa.timestamp("us"))}), file)
    return file.getvalue()


WHOLE = {
    "csv": b'key,number,at\n"a, b",1,2013-03-01 06:00:00\nc,2,2013-03-01 07:00:00\n',
    "json": b'{"key": "a", "number": 1, "at": "2013-03-01"}\n{"key": "\\u00e9", "number": 2}\n',
    "parquet": _parquet(),
}
PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b'"', b";", b"{", b"[", b"PAR1", b"\xe2\x80"]),
    st.sampled_from([b"[" * 70_000, b'{"a":' * 70_000, b"9" * 70_000, b'"' * 140_001, b"x" * 140_000, b"\n" * 70_000]),
)


def _told(group_format: str, path: Path) -> str | None:
    """What is wrong; None where nothing is. Any other error escapes."""
    try:
        look = inspect(_group(group_format), str(path))
    except (BrokenSource, ServiceUnavailable) as error:
        return error.line()
    assert isinstance(look, Look)
    return None


@pytest.mark.parametrize("form", WHOLE)
@SOME
@given(data=st.data())
def test_a_damaged_file_is_looked_at_or_named(tmp_path: Path, form: str, data: st.DataObject) -> None:
    content = WHOLE[form]
    for _ in range(data.draw(st.integers(1, 3))):
        at, to = sorted(data.draw(st.integers(0, len(content))) for _ in range(2))
        content = data.draw(
            st.sampled_from([content[:at], content[at:], content[:at] + content[to:], content[:to] + content[at:]])
            | PIECES.map(lambda piece, at=at, content=content: content[:at] + piece + content[at:])
        )
    (tmp_path / "file").write_bytes(content)
    told = _told(form, tmp_path / "file")
    assert told is None or str(tmp_path / "file") in told
    assert told is None or len(told) < 2000


@pytest.mark.parametrize("form", WHOLE)
@SOME
@given(content=st.binary(max_size=300))
def test_bytes_of_no_format_are_named(tmp_path: Path, form: str, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    told = _told(form, tmp_path / "file")
    assert (
        told is not None or (form == "csv" and any(name.encode() in content for name in COLUMNS)) or content[:1] == b"{"
    )


@pytest.mark.parametrize("form", WHOLE)
def test_a_file_cut_off_at_any_byte_is_looked_at_or_named(tmp_path: Path, form: str) -> None:
    for size in range(len(WHOLE[form])):
        (tmp_path / "file").write_bytes(WHOLE[form][:size])
        told = _told(form, tmp_path / "file")
        assert told is not None or form != "parquet", "a Parquet file without its end is none"


NESTED = pa.struct([("times", pa.list_(pa.timestamp("ns")))])


@pytest.mark.parametrize("kind", [NESTED, pa.time32("ms"), pa.float16(), pa.decimal256(60, 2)], ids=str)
def test_parquet_types_that_spark_does_not_have_are_named(tmp_path: Path, kind: pa.DataType) -> None:
    pq.write_table(pa.table({"key": ["a"], "extra": pa.nulls(1, kind)}), tmp_path / "file")
    told = _told("parquet", tmp_path / "file")
    assert told is not None
    assert told.startswith("UnreadableFile: ")
    assert "found extra of type " in told
    assert "which Spark cannot read; write times up to us" in told


def test_parquet_columns_that_spark_cannot_tell_apart_are_named(tmp_path: Path) -> None:
    pq.write_table(pa.table({"key": ["a"], "at": ["x"], "Key": ["b"]}), tmp_path / "file")
    assert "WrongHeader: " in str(_told("parquet", tmp_path / "file"))
    pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["key", "key"]), tmp_path / "file")
    assert "found key; correct the file" in str(_told("parquet", tmp_path / "file"))


def test_a_record_nested_too_deeply_is_no_record(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(WHOLE["json"] + b'{"key": ' + b"[" * 30_000)
    assert str(_told("json", tmp_path / "file")).startswith("TruncatedFile: ")
    (tmp_path / "file").write_bytes(b'{"key": ' + b"[" * 30_000 + b"\n" + WHOLE["json"])
    assert _told("json", tmp_path / "file") is None, "a matter of that row"
