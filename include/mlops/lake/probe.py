"""A table that is made, written, read and dropped again, to know that a lake takes what steps will write to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import pyarrow as pa

from include.mlops.errors import MlopsError, ServiceUnavailable, SettingsError
from include.mlops.lake.catalog import available
from include.mlops.lake.lake import Lake
from include.mlops.settings import Settings
from include.mlops.spec.interval import Interval
from include.mlops.stored_files import remove_folder

NAMESPACE, DAY = "doctor", date(2000, 1, 1)
_REMEDY = "look at MLOPS_CATALOG_URL and MLOPS_WAREHOUSE_URL, and whether this user may write there"


@contextmanager
def probe(lake: Lake, settings: Settings) -> Iterator[str]:
    """The name of a table with one row, of DAY, which is gone afterwards.

    Raises ServiceUnavailable where the catalog does not answer, SettingsError where it, or the warehouse, does not take
    a table, a file or a commit.
    """
    name = f"{NAMESPACE}.probe_{uuid.uuid4().hex[:12]}"
    made = False
    try:
        try:
            lake.create(name, {"key": "string", "ds": "date"}, staged=True)
            made = True
            lake.replace(name, pa.table({"key": ["a"], "ds": pa.array([DAY], pa.date32())}), [DAY])
            found = lake.read(name, Interval.day(DAY)).num_rows
        except MlopsError:
            raise
        except Exception as error:
            raise SettingsError(
                f"expected a table, a file and a commit to be taken in {settings.warehouse}, found "
                f"{type(error).__name__}: {str(error)[:300]}; {_REMEDY}"
            ) from error
        if found != 1:
            raise SettingsError(f"expected to read the row back that was written to {name}, found {found}; {_REMEDY}")
        yield name
    finally:
        if made:
            _drop(lake, name)


def require_encryption(lake: Lake, table: str, settings: Settings) -> None:
    """Raises SettingsError where the file of a probe does not bear the encryption that the settings want: Arrow writes
    without saying, so that the bucket's own default decides.
    """
    from boto3 import client

    (file,) = (task.file.file_path for task in lake.table(table).scan().plan_files())
    bucket, _, key = file.partition("://")[2].partition("/")
    found = client("s3").head_object(Bucket=bucket, Key=key)
    wanted = {"sse-s3": "AES256", "sse-kms": "aws:kms"}[settings.s3_encryption]
    kind, kms_key = found.get("ServerSideEncryption", "none"), found.get("SSEKMSKeyId", "none")
    if kind != wanted or (settings.s3_kms_key and not kms_key.endswith(settings.s3_kms_key.rpartition("/")[2])):
        raise SettingsError(
            f"expected objects of {settings.warehouse} to be encrypted by {wanted} {settings.s3_kms_key} "
            f"(MLOPS_S3_ENCRYPTION, MLOPS_S3_KMS_KEY), found {kind} {'' if kms_key == 'none' else kms_key}; make that "
            f"the default encryption of the bucket {bucket}"
        )


def _drop(lake: Lake, name: str) -> None:
    try:
        with available():
            place = lake.table(name).location()
            lake.catalog.purge_table(name)
        remove_folder(place)  # on a disk Hadoop leaves checksums there
    except ServiceUnavailable:
        raise
    except Exception as error:
        raise SettingsError(
            f"expected {name} to be dropped, found {type(error).__name__}: {error}; {_REMEDY}"
        ) from error
