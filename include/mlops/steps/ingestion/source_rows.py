"""Rows of a source in their declared types, each with the reason why it cannot be used, where there is one.

What came as text is converted here, and not by Spark's readers, which give nulls or fail the whole day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import reduce

import pyarrow as pa
from pyarrow import types as arrow
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from include.mlops.lake.schema import SPARK_TYPES
from include.mlops.sources.drift import fits, needed
from include.mlops.sources.source import CORRUPT, DAY, ORIGIN, Raw
from include.mlops.spec.feature_group import FeatureGroup

REASON, RECORD, KNOWN_FROM, MISFIT = "_reason", "_record", "_known_from", "_misfit_"
_A_DAY_FIRST = r"^\s*\d{4}-"  # Spark takes '12:00' for a time of today
_YEARS = {"date": (-719_162, 2_932_896), "timestamp": (-62_135_596_800, 253_402_300_799)}
"""Days and seconds since 1970 of the years 1 to 9999."""
Emptied = Mapping[str, Collection[date]]
"""Columns whose values are left out, and on which days."""


def source_rows(group: FeatureGroup, raw: Sequence[Raw], emptied: Emptied) -> DataFrame:
    """The source columns and `ds`, with REASON (null: usable), RECORD (the row as it came), ORIGIN and KNOWN_FROM (the
    first midnight at which the row is known); for each column MISFIT + its name, the text that is not of its type.
    """
    typed = reduce(DataFrame.union, (_typed(group, frame, emptied) for frame in raw))
    available = F.col(group.available_at).cast("timestamp")
    known_from = F.to_date(available + F.expr("INTERVAL 1 DAY") - F.expr("INTERVAL 1 MICROSECOND"))
    key = Window.partitionBy("ds", *group.keys)
    # Among usable rows alone: a late record must not push out the row that was known in time.
    usable_alike = F.count(F.when(F.col(REASON).isNull(), 1)).over(key)
    judged = typed.withColumn(REASON, F.coalesce(REASON, *_reasons(group)))
    return judged.withColumns(
        {REASON: F.coalesce(REASON, F.when(usable_alike > 1, F.lit("duplicate key"))), KNOWN_FROM: known_from}
    )


def _reasons(group: FeatureGroup) -> list[Column]:
    cutoff = F.date_add("ds", group.schedule.delay).cast("timestamp")
    return [
        *(F.when(F.col(name).isNull(), F.lit(f"no {name}")) for name in needed(group)),
        F.when(F.to_date(group.event_time) != F.col("ds"), F.lit(f"{group.event_time} outside the partition's day")),
        F.when(F.col(group.available_at).cast("timestamp") > cutoff, F.lit("known only after the cut-off")),
    ]


def _typed(group: FeatureGroup, raw: Raw, emptied: Emptied) -> DataFrame:
    declared = group.source.columns
    came = {name: raw.columns[name] for name in declared if name in raw.columns}
    kept = {name: ~F.col(DAY).isin([F.lit(ds) for ds in emptied.get(name, ())]) for name in came}
    values = {name: F.when(kept[name], _within_years(declared[name], name, kind)) for name, kind in came.items()}
    absent = {name: F.lit(None).cast(SPARK_TYPES.get(kind, kind)) for name, kind in declared.items()}
    misfits = {
        name: F.when(kept[name] & F.col(name).isNotNull() & values[name].isNull(), F.col(name).cast("string"))
        for name in came
    }
    garbled = [
        F.when(~F.is_valid_utf8(name) | F.col(name).contains("\ufffd") | F.col(name).contains("\0"), "not UTF-8")
        for name in [CORRUPT, *(name for name, kind in came.items() if _is_text(kind))]
    ]
    unfit = [
        F.when(misfit.isNotNull(), f"{name} is not of type {declared[name]}")
        for name, misfit in misfits.items()
        if declared[name] != "string"
    ]
    reason = F.coalesce(*garbled, F.when(F.col(CORRUPT).isNotNull(), "malformed"), *unfit)
    nothing = F.lit(None).cast("string")
    return raw.rows.select(
        *(values.get(name, absent[name]).alias(name) for name in declared if name != "ds"),
        F.col(DAY).alias("ds"),
        reason.alias(REASON),
        F.coalesce(CORRUPT, F.to_json(F.struct(*came))).alias(RECORD),
        ORIGIN,
        *(F.when(F.col(CORRUPT).isNull(), misfits.get(name, nothing)).alias(MISFIT + name) for name in declared),
    )


def _within_years(declared: str, name: str, came: pa.DataType | None) -> Column:
    """As `_value`, null for times that Python and Arrow's readers have no year for."""
    value = _value(name, declared, came)
    if declared not in _YEARS:
        return value
    counted = F.unix_date(value) if declared == "date" else F.unix_seconds(value)
    return F.when(counted.between(*_YEARS[declared]), value)


def _value(name: str, declared: str, came: pa.DataType | None) -> Column:
    """As the declared type, null where it cannot be."""
    spark_type = SPARK_TYPES.get(declared, declared)
    if came is not None and fits(declared, came):
        return F.col(name).try_cast(spark_type)
    if came is not None and arrow.is_floating(came) and declared in ("int", "long"):
        return F.when(F.col(name) == F.floor(name), F.col(name).try_cast(spark_type))  # 5.0, as pandas writes it
    text = F.col(name).cast("string")
    if declared in ("date", "timestamp"):
        return F.when(text.rlike(_A_DAY_FIRST), text.try_cast(spark_type))
    return text.try_cast(spark_type)


def _is_text(kind: pa.DataType | None) -> bool:
    return kind is None or arrow.is_string(kind) or arrow.is_large_string(kind) or arrow.is_dictionary(kind)
