"""Column types of the specifications in Iceberg's and Spark's terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BooleanType,
    DateType,
    DoubleType,
    IcebergType,
    IntegerType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

TYPES: dict[str, IcebergType] = {
    "string": StringType(),
    "int": IntegerType(),
    "long": LongType(),
    "double": DoubleType(),
    "boolean": BooleanType(),
    "date": DateType(),
    "timestamp": TimestamptzType(),
}

SPARK_TYPES = {"long": "bigint"}
"""Where Spark's DDL name differs from ours."""

PARTITION_COLUMNS = {"event_time": "timestamp", "available_at": "timestamp", "known_from": "date", "ds": "date"}
"""What every feature table carries beside its own columns."""


def iceberg_schema(columns: Mapping[str, str]) -> Schema:
    return Schema(
        *(
            NestedField(number, name, TYPES[kind], required=False)
            for number, (name, kind) in enumerate(columns.items(), 1)
        )
    )


def by_day(schema: Schema) -> PartitionSpec:
    return PartitionSpec(PartitionField(schema.find_field("ds").field_id, 1000, IdentityTransform(), "ds"))


def by_columns(schema: Schema, columns: Sequence[str]) -> SortOrder:
    """The order of rows within a file: with keys, the same rows always give the same file."""
    ids = (schema.find_field(name).field_id for name in columns)
    return SortOrder(*(SortField(source_id=number, transform=IdentityTransform()) for number in ids))
