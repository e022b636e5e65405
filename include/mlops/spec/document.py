"""Reads a YAML file into plain values, with the line of each key and with what YAML itself got wrong.

The node tree is walked here, not loaded by a constructor: so all faults come at once, each with its line, and no tag
can make anything but plain values.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from include.mlops.spec.finding import Fault, Loc

_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "timestamp", "map", "seq")}
_KINDS = {"int": "a number", "float": "a number", "bool": "true or false", "null": "nothing", "timestamp": "a day"}
_WANTED = {"timestamp": "a day such as 2013-01-30", "int": "a whole number", "float": "a number"}
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""What a file cannot hold as it is (but for tabs and ends of lines), and a quoted text could by an escape."""
_LARGEST_FILE, _MOST_VALUES = 1 << 18, 100_000
_HINTS = (
    (r"\\t", "a tab; indent with spaces"),
    (r"mapping values are not allowed", "a ':' that cannot stand here; indent as around it or quote a text"),
    (r"expected ',' or ']'", "the list opened here is not closed with ']'"),
    (r"expected ',' or '}'", "the mapping opened here is not closed with '}'"),
    (r"unexpected end of stream", "the quote opened here is not closed"),
    (r"found another document", "a second document ('---'); one file holds one"),
    (r"but found '<scalar>'", "text after a value; put the whole value in quotes ('{' at its start needs them)"),
    (r"expected <block end>", "this line is indented unlike its neighbours"),
    (r"could not find expected ':'", "a key without ':'"),
    (r"undefined alias", "an alias (*) of an anchor (&) that does not exist; put text that begins with '*' in quotes"),
    (r"cannot start any token", "a text that begins with this character needs quotes"),
    (r"[<(]", "this line does not go on from the one before; is it indented unlike its neighbours?"),
)  # fmt: skip


@dataclass(frozen=True)
class Document:
    """`value` is None where the file holds no mapping; then `faults` say why."""

    value: dict[str, Any] | None
    faults: tuple[Fault, ...]
    lines: Mapping[Loc, int] = field(default_factory=dict)
    voids: tuple[Loc, ...] = ()
    """Where a key stands without a usable value: what is there is a fault already."""

    def line(self, loc: Loc) -> int:
        """The line of a key, or of the nearest key that encloses it."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)


def read_document(path: Path) -> Document:
    """Read `path`; never raises for what is in it."""
    try:
        text = path.read_bytes()
    except OSError as error:
        return _unusable(f"cannot be read: {error.strerror}", 1)
    if len(text) > _LARGEST_FILE:
        return _unusable(f"expected at most {_LARGEST_FILE >> 10} KiB, found {len(text) >> 10}; is it another file?", 1)
    try:
        return parse_document(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        return _unusable(f"expected UTF-8 text, found the byte 0x{text[error.start]:02x}", line)


def parse_document(text: str) -> Document:
    yaml = YAML(typ="safe", pure=True)
    try:
        root = yaml.compose(text)
    except MarkedYAMLError as error:
        return _syntax_fault(error)
    except ReaderError as error:
        line = text.count("\n", 0, error.position or 0) + 1
        return _unusable(
            f"not valid YAML: the character U+{error.character:04X} cannot stand in a file; remove it", line
        )
    except (YAMLError, ValueError) as error:
        return _unusable(f"not valid YAML: {' '.join(str(error).split())}", 1)
    except RecursionError:
        return _unusable("nested too deeply", 1)
    if root is None:
        return _unusable("the file is empty", 1)
    if not isinstance(root, MappingNode):
        return _unusable("expected keys and values at the top level, such as 'name: ...'", root.start_mark.line + 1)
    walk = _Walk(yaml)
    try:
        value = walk.mapping(root, ())
    except _TooMany:
        return _unusable(f"expected at most {_MOST_VALUES} values, counting what aliases (*) repeat, found more", 1)
    return Document(value, tuple(walk.faults), walk.lines, tuple(walk.voids))


def _unusable(message: str, line: int) -> Document:
    return Document(None, (Fault((), message, line),))


def _syntax_fault(error: MarkedYAMLError) -> Document:
    problem = " ".join(str(error.problem or error.context).split())
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, problem)), problem)
    opened = "opened here" in hint and error.context_mark is not None
    mark = error.context_mark if opened else error.problem_mark or error.context_mark
    return _unusable(f"not valid YAML: {hint}", mark.line + 1 if mark else 1)


class _TooMany(Exception):
    """Aliases of aliases double with each line that they are written on."""


class _Walk:
    """Collects lines and faults while it turns nodes into values."""

    def __init__(self, yaml: YAML) -> None:
        self.lines: dict[Loc, int] = {}
        self.faults: list[Fault] = []
        self.voids: list[Loc] = []
        self._yaml = yaml
        self._inside: set[int] = set()
        self._count = 0

    def mapping(self, node: MappingNode, loc: Loc) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, loc)
            if key is None:
                continue
            here = (*loc, key)
            if key in found:
                self.faults.append(Fault(here, f"written twice, first on line {self.lines[here]}", line))
                continue
            self.lines[here] = line
            found[key] = self._value(value_node, here)
        return found

    def _key(self, node: Node, loc: Loc) -> str | None:
        line = node.start_mark.line + 1
        if not isinstance(node, ScalarNode):
            self.faults.append(Fault(loc, "expected a text as key, found a list or mapping", line))
            return None
        text, kind = str(node.value), _kind(node)
        if unprintable := _UNPRINTABLE.search(text) or re.search(r"[\t\n]", text):
            self.faults.append(Fault(loc, f"expected a text as key, found {_character(unprintable[0])} in it", line))
            return None
        if kind == "merge":
            self.faults.append(Fault((*loc, text), "merging mappings is not supported; write the keys out", line))
            return None
        if kind in ("bool", "int") and loc[-1:] == ("class_weight",):
            return text.lower()  # a class, as its label says it
        if kind != "str":
            message = f"expected a text as key, but YAML reads this as {_KINDS.get(kind, kind)}; put it in quotes"
            self.faults.append(Fault((*loc, text), message, line))
            return None
        return text

    def _value(self, node: Node, loc: Loc) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise _TooMany
        if id(node) in self._inside:
            return self._void(loc, "an alias (*) of the anchor (&) that it stands in")
        if str(node.tag) not in _TAGS:
            return self._void(loc, f"the tag {node.tag} is not supported; put text that begins with '!' in quotes")
        self._inside.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return self.mapping(node, loc)
            return self._sequence(node, loc) if isinstance(node, SequenceNode) else self._scalar(node, loc)
        finally:
            self._inside.discard(id(node))

    def _sequence(self, node: SequenceNode, loc: Loc) -> list[Any]:
        found = []
        for number, item in enumerate(node.value):
            here = (*loc, number)
            self.lines[here] = item.start_mark.line + 1
            found.append(self._value(item, here))
        return found

    def _scalar(self, node: Node, loc: Loc) -> Any:
        if _kind(node) == "null":
            shown = f"'{node.value}'" if node.value else "none"
            message = (
                f"expected a value, found {shown}; write one or leave the key out (what follows ' #' is a comment)"
            )
            return self._void(loc, message)
        if unprintable := _UNPRINTABLE.search(node.value):
            return self._void(loc, f"expected a text that can be printed, found {_character(unprintable[0])} in it")
        try:
            value = self._yaml.constructor.construct_object(node, deep=True)
        except (
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            OverflowError,
            YAMLError,
        ):  # `!!int` and then no int
            return self._void(loc, f"expected {_WANTED.get(_kind(node), 'a value')}, found '{node.value}'")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            return self._void(loc, f"expected a number of at most 64 bits, found {node.value}")
        return value

    def _void(self, loc: Loc, message: str) -> None:
        self.voids.append(loc)
        self.faults.append(Fault(loc, message))


def _character(text: str) -> str:
    return f"the character U+{ord(text):04X}"


def _kind(node: Node) -> str:
    return str(node.tag).rpartition(":")[2]
