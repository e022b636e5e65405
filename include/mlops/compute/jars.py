"""The jars that Spark needs beside its own: pinned, downloaded once, checked by SHA-256.

Spark's own way (`spark.jars.packages`) resolves at every start, pins nothing, and trusts Java's certificate store,
which lacks the certificates of many company networks; Python's default TLS context honours SSL_CERT_FILE.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import tenacity
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from include.mlops.errors import MlopsError, ServiceUnavailable, SettingsError
from include.mlops.settings import ROOT, S3, Settings, load_settings

FOLDER = ROOT / ".jars"
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Jar:
    """One artifact of a Maven repository, with the checksum that it must have."""

    group: str
    name: str
    version: str
    sha256: str

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}.jar"

    @property
    def path(self) -> str:
        return f"{self.group.replace('.', '/')}/{self.name}/{self.version}/{self.file}"


LOCAL_JARS = (
    Jar(
        "org.apache.iceberg", "iceberg-spark-runtime-4.1_2.13", "1.12.0",
        "3123c3798af642dd537230923548e013ef41cc28b6626e5225808cf5670a0f82",
    ),
    Jar(
        "org.xerial", "sqlite-jdbc", "3.50.3.0",
        "a3f53a2aa15ae9425a9e793bbe9c8e5288febeb4b65ef5c1a4e80d4c2045cf08",
    ),
    Jar(
        "org.postgresql", "postgresql", "42.7.14",
        "73914527305a40cce504b0d3d90b23caf565136912d607ae8ae7c5895512332c",
    ),
)  # fmt: skip
S3_JARS = (
    Jar(
        "org.apache.iceberg", "iceberg-aws-bundle", "1.12.0",
        "dd7e49ffa4ac9b215bed846581991259e3aec9bb2fa08d6cec029c46cd66d957",
    ),
    # Hadoop's file system, by which Spark reads files that land there, and what it takes beside the bundle's AWS SDK.
    Jar(
        "org.apache.hadoop", "hadoop-aws", "3.4.2",
        "d2d24e6b715b5656b9d238bf13b6682a07e2004dd36aad74a73aeb854319f4d9",
    ),
    Jar(
        "software.amazon.awssdk", "apache-client", "2.54.17",
        "0b00ae3d55c3d1213ca47b5651dc4c2a0080fc9b6192dde3d53c3da6c1811bcb",
    ),
    Jar(
        "software.amazon.awssdk", "s3-transfer-manager", "2.54.17",
        "7bef0ea4efd5e0860bab63e08317040951edb51b72a5be734284c28b8324ab87",
    ),
)  # fmt: skip


def needed_jars(settings: Settings) -> tuple[Jar, ...]:
    """What the configured warehouse, catalog and landing place take."""
    return LOCAL_JARS + (S3_JARS if settings.warehouse.startswith(S3) or settings.landing.startswith(S3) else ())


def ensure_jars(settings: Settings, jars: Sequence[Jar], folder: Path = FOLDER) -> tuple[Path, ...]:
    """The files of `jars` under `folder`, downloaded from `settings.maven_url` where they are missing or damaged.

    Each file appears at once and whole (temporary name, then rename), so two processes may do this together.
    Raises ServiceUnavailable if the repository does not answer, SettingsError if what it serves is not what was pinned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for jar in jars:
        if not _is_right(folder / jar.file, jar):
            _download(f"{settings.maven_url.rstrip('/')}/{jar.path}", jar, folder)
    return tuple(folder / jar.file for jar in jars)


def _is_right(path: Path, jar: Jar) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256


def _download(url: str, jar: Jar, folder: Path) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{jar.file}.", dir=folder)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            found = _fetch(url, jar.file, file)
        if found != jar.sha256:
            raise SettingsError(
                f"{url} is not the file that was pinned: expected SHA-256 {jar.sha256}, found {found}.\n"
                "Nothing was kept. Point MLOPS_MAVEN_URL at a repository that serves the original; if you meant to "
                "change the version, change the pin in include/mlops/compute/jars.py."
            )
        part.chmod(0o644)
        part.replace(folder / jar.file)
    finally:
        part.unlink(missing_ok=True)


def _fetch(url: str, label: str, target: BinaryIO) -> str:
    """Copy `url` into an open file and return its SHA-256."""
    try:
        return _fetch_with_retries(url, label, target)
    except urllib.error.HTTPError as error:
        raise SettingsError(
            f"{url} was expected to be a jar, found HTTP {error.code} {error.reason}. "
            "Set MLOPS_MAVEN_URL to a Maven repository that has it (default https://repo1.maven.org/maven2)."
        ) from error
    except (OSError, ValueError) as error:
        raise ServiceUnavailable(
            f"cannot download {label} from {url}: {getattr(error, 'reason', error)}.\n"
            "Check the network; behind a proxy set HTTPS_PROXY, with a private certificate set SSL_CERT_FILE; "
            f"or set MLOPS_MAVEN_URL to a mirror; or put the file into {FOLDER} by hand."
        ) from error


def _is_passing(error: BaseException) -> bool:
    if isinstance(error, urllib.error.HTTPError):
        return error.code >= 500 or error.code == 429
    return isinstance(error, OSError)


@tenacity.retry(
    retry=tenacity.retry_if_exception(_is_passing),
    stop=tenacity.stop_after_attempt(3),
    wait=tenacity.wait_exponential(multiplier=0.2, max=5),
    reraise=True,
)
def _fetch_with_retries(url: str, label: str, target: BinaryIO) -> str:
    digest = hashlib.sha256()
    target.seek(0)
    target.truncate()
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with urllib.request.urlopen(url, timeout=60) as answer, Progress(*columns) as progress:  # noqa: S310
        size = int(answer.headers.get("Content-Length") or 0)
        bar = progress.add_task(label, total=size or None)
        while chunk := answer.read(_CHUNK):
            digest.update(chunk)
            target.write(chunk)
            progress.advance(bar, len(chunk))
        done = progress.tasks[0].completed
    if size and done < size:
        raise ConnectionError(f"the connection broke after {done:.0f} of {size} bytes")
    return digest.hexdigest()


def main() -> None:
    """Fetch what the current settings need: `python -m include.mlops.compute.jars`."""
    try:
        settings = load_settings()
        ensure_jars(settings, needed_jars(settings))
    except MlopsError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
