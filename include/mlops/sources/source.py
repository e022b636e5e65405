"""What every kind of source answers: has a day arrived, what is wrong with it as a whole, what are its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from include.mlops.errors import BrokenSource

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

DAY, CORRUPT, ORIGIN = "_day", "_corrupt_record", "_origin"


@dataclass(frozen=True)
class Look:
    """What can be said of a day before its rows are read.

    `columns` are those that came, each with its type, or None where it came as text. `rows`: at least so many.
    """

    columns: Mapping[str, pa.DataType | None]
    rows: int = 1


@dataclass(frozen=True)
class Raw:
    """Rows of some days as they came: those declared columns that are there, and three of ours.

    DAY is the partition, CORRUPT the text of a record that could not be parsed, ORIGIN where a row came from.
    """

    rows: DataFrame
    columns: Mapping[str, pa.DataType | None]


class Source(Protocol):
    """One kind. Each method raises ServiceUnavailable where the source does not answer."""

    def place(self, ds: date) -> str:
        """Where the rows of that day are, in words: `the file /landing/orders/2013-03-01.csv`."""

    def missing(self, ds: date) -> str | None:
        """What a partition waits for; None once the day has arrived. Raises UnreadableSource."""

    def look(self, ds: date) -> Look:
        """Raises BrokenSource for what is wrong with the day as a whole."""

    def read(self, spark: SparkSession, looks: Mapping[date, Look]) -> Sequence[Raw]:
        """The rows of those days, in frames of columns alike."""

    def unreadable(self, spark: SparkSession, looks: Mapping[date, Look]) -> dict[date, BrokenSource]:
        """Those days whose rows are broken, after Spark stopped at one of them. It may read them whole."""

    def inputs(self, ds: date) -> dict[str, Any]:
        """What that day is read from: `{"file": ...}` or `{table: {"snapshot_id":}}`, for `Publication.inputs`."""
