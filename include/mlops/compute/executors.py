"""What Spark's executors need of us: this code, as an artifact of the session.

A session's artifacts reach its executors alone, so two versions of the bundle can run side by side on one server.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from include.mlops.settings import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SENT = "mlops.code"  # a setting of the session: which code its executors have


def send_code(spark: SparkSession) -> None:
    """Let the executors import `include.mlops` as it stands here. Sending it twice in a session does nothing."""
    packed = _packed(ROOT)
    name = f"mlops-{hashlib.sha256(packed).hexdigest()[:16]}.zip"
    if spark.conf.get(_SENT, "") == name:
        return
    _send(spark, name, packed, pyfile=True)
    spark.conf.set(_SENT, name)


def send_file(spark: SparkSession, content: bytes, suffix: str) -> str:
    """Send a file to the executors; there, `SparkFiles.get` finds it under the name that is returned."""
    name = f"{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
    _send(spark, name, content, pyfile=False)
    return name


def _send(spark: SparkSession, name: str, content: bytes, *, pyfile: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        spark.addArtifacts(str(path), pyfile=pyfile, file=not pyfile)


def _packed(root: Path) -> bytes:
    """The library's Python files as a zip archive; the same files give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted([root / "include" / "__init__.py", *(root / "include" / "mlops").rglob("*.py")]):
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(root))), path.read_bytes())
    return packed.getvalue()
