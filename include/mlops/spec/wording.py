"""Puts what pydantic found into the words of a user's file: expected this, found that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from include.mlops.spec.base import PATTERNS, Name, Spec
from include.mlops.spec.finding import Fault, Faults, Loc, dotted
from include.mlops.spec.nearest import nearest, suggestion

_EXPECTED = {
    "string_type": "a text",
    "string_too_short": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "tuple_type": "a list such as [a, b]",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "less than {lt:g}",
    "less_than_equal": "at most {le:g}",
}


def faults_of(error: ValidationError, spec: type[Spec]) -> list[Fault]:
    """All faults of a file that was validated as `spec`."""
    return [fault for detail in error.errors(include_url=False) for fault in _faults(detail, spec)]


def name_fault(name: str) -> str | None:
    """What a file of that name would be told of it, with a name that is right and near; None where it is right."""
    try:
        TypeAdapter(Name).validate_python(name)
    except ValidationError as error:
        near = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").lstrip("_0123456789")[:63]
        return faults_of(error, Spec)[0].message + (f"; for example '{near}'" if near else "")
    return None


def unknown_key(loc: Loc, spec: type[Spec]) -> Fault:
    """The fault of a key that `spec` does not have at `loc`."""
    key, level = str(loc[-1]), _spec_at(spec, loc[:-1])
    names = keys_of(level)
    deeper = {
        name: dotted((*loc[:-1], outer, name))
        for outer in names
        for inner in _specs_in(level, outer)
        for name in keys_of(inner)
    }
    if nearest(key, names) is None and (elsewhere := nearest(key, deeper)):
        return Fault(loc, f"unknown key; did you mean '{deeper[elsewhere]}'? Allowed: {', '.join(names)}")
    return Fault(loc, "unknown key" + suggestion(key, names))


def keys_of(spec: type[Spec]) -> list[str]:
    """The keys that a user may write at this level."""
    return [name for name, field in spec.model_fields.items() if not field.exclude]


def found(value: Any) -> str:
    """What stands in the file, named: `the text 'abc'`."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text '{value}'" if value else "an empty text"
        case date():
            return f"the day {value}"
        case Mapping():
            return "keys and values"
        case list() | tuple():
            return "a list" if value else "an empty list"
    return repr(value)


def _faults(detail: Mapping[str, Any], spec: type[Spec]) -> Iterator[Fault]:
    loc = tuple(part for part in detail["loc"] if part != "[key]")
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "value_error":
        cause = context["error"]
        yield from cause.found if isinstance(cause, Faults) else [Fault(loc, str(cause))]
    elif kind == "extra_forbidden":
        yield unknown_key(loc, spec)
    else:
        yield Fault(loc, _message(kind, context, value, loc, spec) or f"{detail['msg']}, found {found(value)}")


def _message(kind: str, context: Mapping[str, Any], value: Any, loc: Loc, spec: type[Spec]) -> str | None:
    if kind == "missing":
        inner = _specs_in(_spec_at(spec, loc[:-1]), str(loc[-1]))
        return "missing" + (f"; it holds {', '.join(keys_of(inner[0]))}" if inner else "; this key is needed")
    if kind == "literal_error":
        names = re.findall(r"'([^']*)'", context["expected"])
        return f"expected one of {', '.join(names)}, found {found(value)}" + _hint(value, names)
    if kind == "string_pattern_mismatch":
        return f"expected {PATTERNS[context['pattern']]}, found {found(value)}"
    if kind == "too_short":
        return f"expected at least one entry, found {found(value)}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind].format(**context)}, found {found(value)}{_about_quotes(kind, value)}"
    return None


def _about_quotes(kind: str, value: Any) -> str:
    if kind == "string_type" and isinstance(value, (bool, int, float, date)):
        return "; put it in quotes"
    if kind in ("int_type", "float_type") and isinstance(value, str) and re.fullmatch(r"-?[0-9.]+", value):
        return "; take it out of the quotes"
    return ""


def _hint(value: Any, names: list[str]) -> str:
    near = nearest(value, names) if isinstance(value, str) else None
    return f"; did you mean '{near}'?" if near else ""


def _spec_at(spec: type[Spec], loc: Loc) -> type[Spec]:
    """The specification that rules the level at `loc`."""
    level = spec
    for part in loc:
        if isinstance(part, str) and part in level.model_fields and (inner := _specs_in(level, part)):
            level = inner[0]
    return level


def _specs_in(spec: type[Spec], key: str) -> list[type[Spec]]:
    return _specs(spec.model_fields[key].annotation) if key in spec.model_fields else []


def _specs(annotation: Any) -> list[type[Spec]]:
    if get_origin(annotation) is None:
        return [annotation] if isinstance(annotation, type) and issubclass(annotation, Spec) else []
    return [inner for argument in get_args(annotation) for inner in _specs(argument)]
