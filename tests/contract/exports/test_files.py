"""A day's scores as a file: its bytes, and what a reader finds while it is replaced."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from include.mlops.errors import ExportFailed, ServiceUnavailable
from include.mlops.exports.files import DayFiles, address
from include.mlops.settings import ROOT, Settings

DAY = date(2013, 4, 1)
AT = datetime(2013, 4, 1, 5, 0, 0, 123456, tzinfo=UTC)
ROWS = pa.table(
    {
        "carrier": ["UA", "AA", 'says "hi", then'],
        "score": [0.25, 0.1, None],
        "scored_at": pa.array([AT] * 3, pa.timestamp("us", tz="UTC")),
        "in_sample": [False, True, False],
        "ds": [DAY] * 3,
    }
)
KINDS = pytest.mark.parametrize("kind", ["parquet", "csv"])


def _files(kind: str, folder: Path) -> DayFiles:
    return DayFiles("csv" if kind == "csv" else "parquet", f"{folder}/ds={{ds}}/scores.{kind}")


def _read(path: Path) -> pa.Table:
    return pq.read_table(path, partitioning=None) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)


def _listed(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@KINDS
def test_the_same_rows_in_another_order_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    files, path = _files(kind, tmp_path), tmp_path / "ds=2013-04-01" / f"scores.{kind}"
    files.replace(DAY, ROWS, ["carrier"])
    first = path.read_bytes()
    files.replace(DAY, pa.concat_tables([ROWS.slice(1), ROWS.slice(0, 1)]), ["carrier"])
    assert path.read_bytes() == first
    assert _read(path)["carrier"].to_pylist() == ["AA", "UA", 'says "hi", then']
    assert _listed(path.parent) == [path.name]


def test_a_parquet_file_holds_the_values_and_types_that_are_published(tmp_path: Path) -> None:
    _files("parquet", tmp_path).replace(DAY, ROWS, ["carrier"])
    found = _read(tmp_path / "ds=2013-04-01" / "scores.parquet")
    assert found.equals(ROWS.sort_by("carrier"))


def test_a_csv_file_reads_as_other_tools_expect(tmp_path: Path) -> None:
    _files("csv", tmp_path).replace(DAY, ROWS, ["carrier"])
    assert (tmp_path / "ds=2013-04-01" / "scores.csv").read_text() == (
        '"carrier","score","scored_at","in_sample","ds"\n'
        '"AA",0.1,2013-04-01 05:00:00.123456Z,true,2013-04-01\n'
        '"UA",0.25,2013-04-01 05:00:00.123456Z,false,2013-04-01\n'
        '"says ""hi"", then",,2013-04-01 05:00:00.123456Z,false,2013-04-01\n'
    )


@KINDS
def test_a_day_that_became_empty_has_a_file_of_its_columns(tmp_path: Path, kind: str) -> None:
    files = _files(kind, tmp_path)
    files.replace(DAY, ROWS, ["carrier"])
    files.replace(DAY, ROWS.slice(0, 0), ["carrier"])
    found = _read(tmp_path / "ds=2013-04-01" / f"scores.{kind}")
    assert (found.column_names, found.num_rows) == (ROWS.column_names, 0)


KILLED = """
import os, signal, sys
from pathlib import Path
import pyarrow as pa
from include.mlops.exports import files
from tests.contract.exports.test_files import DAY, ROWS, _files
os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
_files("csv", Path(sys.argv[1])).replace(DAY, ROWS, ["carrier"])
"""


def test_killed_while_it_writes_leaves_the_old_file_and_a_rerun_gives_the_new_one(tmp_path: Path) -> None:
    files, path = _files("csv", tmp_path), tmp_path / "ds=2013-04-01" / "scores.csv"
    files.replace(DAY, ROWS.slice(0, 1), ["carrier"])
    old = path.read_bytes()
    died = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=ROOT, check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert path.read_bytes() == old
    assert all(name == path.name or name.startswith(".") for name in _listed(path.parent))
    files.replace(DAY, ROWS, ["carrier"])
    assert _read(path).num_rows == 3


def test_a_place_that_cannot_be_written_is_told_and_not_tried_again(tmp_path: Path) -> None:
    (tmp_path / "ds=2013-04-01").write_text("a file where a folder should be")
    with pytest.raises(ExportFailed, match=r"may be written at .*/ds=2013-04-01/scores\.csv"):
        _files("csv", tmp_path).replace(DAY, ROWS, ["carrier"])


class _Store(BaseHTTPRequestHandler):
    """As much of S3 as an upload in parts needs; a bucket named `closed` refuses it, one named `busy` is busy."""

    refuses: ClassVar[dict[str, int]] = {"closed": 403, "busy": 503}

    parts: ClassVar[dict[str, bytes]] = {}
    objects: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        path, query = self._asked()
        if status := self.refuses.get(path.split("/")[1]):
            self._answer(status)
        elif query == "uploads":
            self._answer(200, b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>")
        else:
            self.objects[path] = self.parts.pop(path)
            self._answer(200, b'<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>')

    def do_PUT(self) -> None:
        path, _ = self._asked()
        self.parts[path] = self.parts.get(path, b"") + self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200)

    def _asked(self) -> tuple[str, str]:
        asked = urlsplit(self.path)
        return asked.path, asked.query.rstrip("=")

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The query of an address at a stand-in for S3."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")  # or bodies come in chunks
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Store)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"?endpoint_override=127.0.0.1:{server.server_port}&scheme=http&region=us-east-1"
    server.shutdown()
    server.server_close()


@KINDS
def test_an_object_store_gets_the_same_bytes(tmp_path: Path, store: str, kind: str) -> None:
    _files(kind, tmp_path).replace(DAY, ROWS, ["carrier"])
    files = DayFiles("csv" if kind == "csv" else "parquet", f"s3://open/{{ds}}/scores.{kind}{store}")
    files.replace(DAY, ROWS, ["carrier"])
    local = tmp_path / "ds=2013-04-01" / f"scores.{kind}"
    assert _Store.objects[f"/open/2013-04-01/scores.{kind}"] == local.read_bytes()


def test_an_object_store_that_does_not_take_the_file_may_take_it_later(store: str) -> None:
    with pytest.raises(ServiceUnavailable, match="did not take s3://busy/2013-04-01"):
        DayFiles("csv", f"s3://busy/{{ds}}.csv{store}").replace(DAY, ROWS, ["carrier"])


def test_an_object_store_that_refuses_the_file_is_told_with_the_remedy(store: str) -> None:
    with pytest.raises(ExportFailed, match=r"refused us s3://closed/2013-04-01.*let this user write there"):
        DayFiles("csv", f"s3://closed/{{ds}}.csv{store}").replace(DAY, ROWS, ["carrier"])


def test_a_list_has_no_place_in_a_csv_file(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="columns of plain values for a CSV file"):
        _files("csv", tmp_path).replace(DAY, ROWS.append_column("chances", pa.array([[0.5]] * 3)), ["carrier"])


@pytest.mark.parametrize(
    ("root", "path", "found"),
    [
        ("", "a/{ds}.csv", "/state/exports/a/{ds}.csv"),
        ("/srv/drop/", "a/{ds}.csv", "/srv/drop/a/{ds}.csv"),
        ("s3://bucket/drop", "a/{ds}.csv", "s3://bucket/drop/a/{ds}.csv"),
        ("s3://bucket/drop", "/srv/{ds}.csv", "/srv/{ds}.csv"),
        ("/srv/drop", "s3://other/{ds}.csv", "s3://other/{ds}.csv"),
    ],
)
def test_a_path_lies_below_the_root_unless_it_is_an_address_itself(root: str, path: str, found: str) -> None:
    assert address(Settings(state=Path("/state"), export_url=root), path) == found
