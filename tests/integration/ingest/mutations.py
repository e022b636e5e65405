"""Ways to damage the landed files of a day, at random from a seed and by hand."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
from collections.abc import Callable
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.integration.ingest.bundle import COLUMNS, ZONE, csv, json_lines, readings

Make = Callable[[date], bytes]
VALUES = [
    "", "NA", "null", "NaN", "-Infinity", "1e400", "-1e-400", "0x1F", "1_000", "1,5", "٣", "99999999999", "-0", "1d",
    "true", "0000-01-01 00:00:00", "0000-02-30", "9999-12-31 23:59:59", "10000-01-01", "-290308-12-21 00:00:00",
    "1582-10-10 00:00:00", "2013-03-10 02:30:00", "2013-03-01T06:00:00+99:00", "2013-W10-5", "1970-01-01 00:00:00",
    "'", '"', '""', "\\", "\\N", "`", "{", "[1", "a;b", "a\tb", "\u2028", "\ufeff", "\ufffd", "🙂" * 50, "x" * 70_000,
]  # fmt: skip
BYTES = [b"\0", b"\xff\xfe", b"\xe9", b"\xef\xbb\xbf", b"\r", b"\n", b"\n\n", b'"', b"'", b",", b";", b"{", b"}", b"\\"]


def damaged(content: bytes, seed: str) -> bytes:
    """`content` cut off, with bytes put in, taken out, doubled, or in another encoding; once or twice."""
    chance = random.Random(seed)
    for _ in range(chance.randint(1, 2)):
        at, size = chance.randrange(len(content) + 1), chance.randint(1, 40)
        content = (
            chance.choice(
                [
                    content[:at],
                    content[:at] + chance.choice(BYTES) + content[at:],
                    content[:at] + chance.randbytes(size) + content[at + size :],
                    content[:at] + content[at + size :],
                    content[:at] + content[max(0, at - size) :],
                    content.replace(b",", chance.choice([b";", b"\t", b"|", b", "])),
                    content.replace(b"\n", b"\r\n"),
                    content + content,
                ]
            )
            or b"\n"
        )
    return content


def _rows_with(seed: str) -> Callable[[date], list[dict[str, Any]]]:
    """One or two values of a day, or a whole column of it, become strange."""

    def rows(ds: date) -> list[dict[str, Any]]:
        chance = random.Random(seed)
        made = readings(ds)
        for _ in range(chance.randint(1, 2)):
            column, value = chance.choice(COLUMNS), chance.choice(VALUES)
            for row in made if chance.random() < 0.2 else [chance.choice(made)]:
                row[column] = value
        return made

    return rows


def _header(change: Callable[[list[str]], list[str]]) -> Make:
    """The header and all rows, their columns changed alike."""

    def made(ds: date) -> bytes:
        named = [
            dict(zip(change(list(COLUMNS)), (row[name] for name in COLUMNS), strict=False)) for row in readings(ds)
        ]
        return csv(named, change(list(COLUMNS)))

    return made


CSV: dict[str, Make] = {
    "whole": lambda ds: csv(readings(ds)),
    **{f"damaged {n}": lambda ds, n=n: damaged(csv(readings(ds)), f"csv {n}") for n in range(10)},  # type: ignore[misc]
    **{f"strange {n}": lambda ds, n=n: csv(_rows_with(f"csv {n}")(ds)) for n in range(18)},  # type: ignore[misc]
    "a column dropped": _header(lambda names: names[:3] + names[4:]),
    "a column twice": _header(lambda names: [*names[:5], "at"]),
    "shuffled": _header(lambda names: names[::-1]),
    "columns named like ours": _header(lambda names: [*names, "ds", "_reason", "_corrupt_record", "_day", "_origin"]),
    "columns of strange names": _header(lambda names: [*names, "", "a`b", "a.b", "x" * 300, "Value", " value"]),
    "a quote never closed": lambda ds: csv(readings(ds)).replace(b"a0 of", b'"a0 of'),
    "a field over many lines": lambda ds: csv(readings(ds)).replace(b"a0 of", b'"a0\nof').replace(b"\n", b'"\n', 2),
    "a very long header": lambda ds: b"x" * 200_000 + csv(readings(ds)),
    "a very long field": lambda ds: csv(readings(ds)).replace(b"a0 of", b"y" * 2_000_000),
    "known from year zero": lambda ds: csv([{**row, "known_at": "0000-01-01 00:00:00"} for row in readings(ds)]),
    "known long ago": lambda ds: csv([{**row, "known_at": "0001-01-01 00:00:00"} for row in readings(ds)]),
}  # fmt: skip


def _json(change: Callable[[dict[str, Any]], Any]) -> Make:
    return lambda ds: "".join(json.dumps(change(row)) + "\n" for row in readings(ds)).encode()


def _first(old: bytes, new: bytes) -> Make:
    return lambda ds: json_lines(readings(ds)).replace(old, new, 1)


JSON: dict[str, Make] = {
    "whole": lambda ds: json_lines(readings(ds)),
    **{f"damaged {n}": lambda ds, n=n: damaged(json_lines(readings(ds)), f"json {n}") for n in range(14)},  # type: ignore[misc]
    **{f"strange {n}": lambda ds, n=n: json_lines(_rows_with(f"json {n}")(ds)) for n in range(16)},  # type: ignore[misc]
    "nested very deeply": _first(b"{", b'{"deep": ' + b"[" * 20_000 + b"]" * 20_000 + b", "),
    "nested in one line": lambda ds: json_lines(readings(ds)) + b'{"sensor": ' + b"[" * 5_000,
    "a huge number": _first(b'"value": ', b'"value": ' + b"9" * 5_000),
    "half a character": _first(b"a0 of", b"\\ud800 of"),
    "a NUL by an escape": _first(b"a0 of", b"\\u0000 of"),
    "not a number": _first(b'"value": ', b'"value": NaN, "x": '),
    "a key twice": _first(b'"slot": ', b'"slot": 7, "slot": '),
    "keys alike but for case": _json(lambda row: {**row, "Value": 1}),
    "lists": _json(lambda row: [row]),
    "lists of values": _json(lambda row: {**row, "value": [row["value"]]}),
    "objects": _json(lambda row: {**row, "note": {"text": row["note"]}}),
    "null records": lambda ds: json_lines(readings(ds)) + b"null\n{}\n[]\n1\n",
    "keys of strange names": _json(lambda row: {**row, "": 1, "a`b": 2, "a.b": 3, "_corrupt_record": 4, "ds": 5}),
    "single quotes and comments": lambda ds: json_lines(readings(ds)).replace(b'"', b"'") + b"// the end\n",
}


def parquet(
    ds: date, *, values: dict[str, Any] | None = None, extra: dict[str, Any] | None = None, **how: Any
) -> bytes:
    """A day, with whole columns replaced (`values`) or added (`extra`)."""
    rows = readings(ds)
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in COLUMNS}
    for name in ("at", "known_at"):
        times = [dt.datetime.fromisoformat(text).replace(tzinfo=ZONE) for text in columns[name]]
        columns[name] = pa.array(times, pa.timestamp("us", "UTC"))
    columns["slot"] = pa.array(columns["slot"], pa.int32())
    columns |= {**(values or {}), **(extra or {})}
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, **how)
    return file.getvalue()


def _alike(ds: date) -> bytes:
    """Two columns of one name, as a join writes them."""
    table = pq.read_table(io.BytesIO(parquet(ds)))
    file = io.BytesIO()
    pq.write_table(table.append_column("value", table["value"]), file)
    return file.getvalue()


def _of(kind: pa.DataType, *values: Any) -> pa.Array:
    return pa.array([*values] if len(values) > 1 else [values[0]] * 6, kind)


_NS = pa.array([dt.datetime(2013, 3, 1, tzinfo=dt.UTC)] * 6, pa.timestamp("ns"))
_REFUSED: dict[str, pa.Array] = {
    "nanoseconds in a struct": pa.StructArray.from_arrays([_NS], ["t"]),
    "nanoseconds in a list": _of(pa.list_(pa.timestamp("ns")), [1]),
    "nanoseconds": _NS,
    "a time": _of(pa.time64("us"), 1),
    "a time in nanoseconds": _of(pa.time64("ns"), 1),
    "half a float": _of(pa.float16(), 1.0),
    "a very wide decimal": _of(pa.decimal256(60, 2), 1),
}
_EXTRA: dict[str, pa.Array] = {
    "a duration": _of(pa.duration("us"), 1),
    "unsigned": _of(pa.uint64(), 2**64 - 1),
    "nothing": pa.nulls(6),
    "a map": _of(pa.map_(pa.string(), pa.int32()), [("a", 1)]),
    "bytes": _of(pa.binary(3), b"abc"),
    "a dictionary": pa.array(["a"] * 6).dictionary_encode(),
}
_MAX = 2**63 - 1
_INSTEAD: dict[str, tuple[str, pa.Array]] = {
    "the last moment": ("at", _of(pa.timestamp("us", "UTC"), _MAX)),
    "known at the last moment": ("known_at", _of(pa.timestamp("us", "UTC"), _MAX)),
    "known at the first moment": ("known_at", _of(pa.timestamp("us", "UTC"), -_MAX)),
    "known at the last millisecond": ("known_at", _of(pa.timestamp("ms", "UTC"), _MAX)),
    "known before the year one": ("known_at", _of(pa.timestamp("us", "UTC"), -70_000_000_000_000_000)),
    "known on the last day": ("known_at", _of(pa.date32(), 2**31 - 1)),
    "known on the first day": ("known_at", _of(pa.date32(), -(2**31))),
    "slots beyond": ("slot", _of(pa.int64(), 0, 1, 2**40, 0, 1, _MAX)),
    "slots unsigned": ("slot", _of(pa.uint64(), 0, 1, 0, 1, 0, 2**64 - 1)),
    "slots as floats": ("slot", _of(pa.float64(), 0.0, 1.0, 0.0, 1.0, 0.5, float("nan"))),
    "slots as texts": ("slot", _of(pa.string(), "0", "1", "0", "1", "0", "one")),
    "not numbers": ("value", _of(pa.float64(), float("nan"), float("inf"), 1.0, 1.0, 1.0, 1.0)),
    "decimals": ("value", _of(pa.decimal128(38, 10), 1)),
    "very wide decimals": ("value", _of(pa.decimal256(60, 2), 1)),
    "values in lists": ("value", _of(pa.list_(pa.float64()), [1.0])),
    "values that are nothing": ("value", pa.nulls(6)),
    "texts in a dictionary": ("note", pa.array(["a"] * 6).dictionary_encode()),
    "texts that are no UTF-8": ("note", _of(pa.binary(), b"\xff\xfe").view(pa.string())),
    "texts with NUL": ("note", _of(pa.string(), "a\0b")),
    "keys that are nothing": ("sensor", pa.nulls(6, pa.string())),
    "times of the day": ("at", _of(pa.time64("us"), 1)),
}  # fmt: skip
PARQUET: dict[str, Make] = {
    "whole": parquet,
    **{f"damaged {n}": lambda ds, n=n: damaged(parquet(ds), f"parquet {n}") for n in range(14)},  # type: ignore[misc]
    **{f"beside {name}": lambda ds, a=array: parquet(ds, extra={"more": a}) for name, array in _REFUSED.items()},  # type: ignore[misc]
    "beside all kinds that Spark has": lambda ds: parquet(ds, extra=_EXTRA),
    **{
        name: lambda ds, c=column, a=array: parquet(ds, values={c: a})  # type: ignore[misc]
        for name, (column, array) in _INSTEAD.items()
    },
    "two columns of one name": _alike,
    "columns alike but for case": lambda ds: parquet(ds, extra={"Value": pa.array([1.0] * 6)}),
    "columns of strange names": lambda ds: parquet(ds, extra=dict.fromkeys(["a`b", "a.b", "ds"], pa.array([1] * 6))),
    "columns named like ours": lambda ds: parquet(ds, extra={"_day": pa.array([1] * 6), "_origin": pa.array([1] * 6)}),
    "no columns": lambda _: parquet_of(pa.table({})),
    "old times": lambda ds: parquet(ds, use_deprecated_int96_timestamps=True),
    "zstd, pages of version 2": lambda ds: parquet(ds, compression="zstd", data_page_version="2.0"),
    "brotli": lambda ds: parquet(ds, compression="brotli"),
    "many row groups": lambda ds: parquet(ds, row_group_size=1),
}  # fmt: skip


def parquet_of(table: pa.Table) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file)
    return file.getvalue()


KINDS: dict[str, dict[str, Make]] = {"csv": CSV, "json": JSON, "parquet": PARQUET}
