"""Results of steps as JSON, so that Airflow can hand them from task to task."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import TypeAdapter

Result = TypeVar("Result")


def pack(result: object) -> Any:
    return TypeAdapter(type(result)).dump_python(result, mode="json")


def unpack(kind: type[Result], packed: Any) -> Result:
    return TypeAdapter(kind).validate_python(packed)
