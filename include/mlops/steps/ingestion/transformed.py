"""Runs a group's `transform.py`, and holds it to what the specification says it publishes."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from include.mlops.errors import SpecError
from include.mlops.features import Reads
from include.mlops.lake.schema import PARTITION_COLUMNS, SPARK_TYPES
from include.mlops.spec.feature_group import FeatureGroup

if TYPE_CHECKING:
    Transform = Callable[[DataFrame, Reads], DataFrame]

_WHOLE = ("tinyint", "smallint", "int", "bigint", "void")
_FITTING = {  # Spark's types that become the declared one without loss
    "string": ("string", "void"),
    "int": _WHOLE,
    "long": _WHOLE,
    "double": (*_WHOLE, "float", "double", "decimal"),
    "boolean": ("boolean", "void"),
    "date": ("date", "void"),
    "timestamp": ("timestamp", "timestamp_ntz", "date", "void"),
}


def transformed(group: FeatureGroup, rows: DataFrame, reads: Reads) -> DataFrame:
    """What `transform(rows, reads)` returns, as the declared columns in their declared types.

    Raises SpecError naming the file (and the line that raised, where one did). PySparkException passes through.
    """
    path = group.folder / "transform.py"
    transform = load_transform(group)
    try:
        frame = transform(rows, reads)
    except (PySparkException, grpc.RpcError):
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        place = f"{path}:{lines[-1]}" if lines else str(path)
        raise SpecError([f"{place}: transform() raised {type(error).__name__}: {error}; correct it"]) from error
    if not isinstance(frame, DataFrame):
        raise SpecError([f"{path}: expected transform() to return a DataFrame, found {type(frame).__name__}"])
    return _declared(group, frame)


def load_transform(group: FeatureGroup) -> Transform:
    """The group's `transform` function, from its own folder. Raises SpecError where importing it fails."""
    path = group.folder / "transform.py"
    spec = importlib.util.spec_from_file_location(f"transform_of_{group.name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SpecError([f"{path}: importing it raised {type(error).__name__}: {error}"]) from error
    function: Transform = module.transform
    return function


def _declared(group: FeatureGroup, frame: DataFrame) -> DataFrame:
    path = group.folder / "transform.py"
    wanted = {**group.publishes, **PARTITION_COLUMNS}
    found = {field.name: field.dataType.simpleString() for field in frame.schema.fields}
    lost = [name for name in wanted if name not in found]
    if lost:
        listed = ", ".join(found)
        raise SpecError([f"{path}: expected the columns {', '.join(lost)} in what transform() returns, found {listed}"])
    unfit = [
        f"{path}: expected {name} of type {kind} in what transform() returns, found {found[name]}; cast it there"
        for name, kind in wanted.items()
        if found[name].split("(")[0] not in _FITTING[kind]
    ]
    if unfit:
        raise SpecError(unfit)
    return frame.select(*(F.col(name).cast(SPARK_TYPES.get(kind, kind)).alias(name) for name, kind in wanted.items()))
