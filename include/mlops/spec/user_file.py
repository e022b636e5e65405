"""One file that a user wrote, on its way to a specification."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from include.mlops.spec.base import Spec
from include.mlops.spec.document import Document, read_document
from include.mlops.spec.finding import Fault, Finding, Loc, dotted
from include.mlops.spec.wording import faults_of, keys_of, unknown_key

S = TypeVar("S", bound=Spec)
_LONGEST = 1000


@dataclass(frozen=True)
class UserFile(Generic[S]):
    """`spec` is None where nothing of it can be used; it bears only the parts that are right unless `whole`."""

    path: Path
    document: Document
    faults: tuple[Fault, ...]
    spec: S | None = None
    whole: bool = False
    beside: tuple[Finding, ...] = field(default=())
    """Findings of other files that belong to it, such as transform.py."""

    @property
    def flawless(self) -> bool:
        return self.whole and not self.faults and not self.beside

    def findings(self, shown: Path) -> list[Finding]:
        """Its faults under the path `shown`, and those beside it, sorted."""
        own = {
            Finding(shown, fault.line or self.document.line(fault.loc), dotted(fault.loc), _in_a_line(fault.message))
            for fault in self.faults
        }
        return sorted({*own, *self.beside})


def read_user_file(path: Path, kind: type[S]) -> UserFile[S]:
    """Read and check one file alone. Never raises for what is in it."""
    document = read_document(path)
    if document.value is None:
        return UserFile(path, document, document.faults)
    hidden = [key for key in document.value if key in kind.model_fields and key not in keys_of(kind)]
    raw = {key: value for key, value in document.value.items() if key not in hidden}
    faults = [*document.faults, *(unknown_key((key,), kind) for key in hidden)]
    try:
        return UserFile(path, document, tuple(faults), kind.model_validate(raw), whole=not faults)
    except ValidationError as error:
        found = faults_of(error, kind)
    wrong = {fault.loc[0] for fault in [*faults, *found] if fault.loc}
    faults += [fault for fault in found if not _is_void(fault.loc, document)]
    return UserFile(path, document, tuple(faults), _partial(kind, raw, wrong))


def _in_a_line(message: str) -> str:
    """Without the middle of a value that goes on and on."""
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 100]} ... {line[-95:]}"


def _is_void(loc: Loc, document: Document) -> bool:
    """Whether what stands there is a fault already, for want of a value."""
    return any(loc[: len(void)] == void for void in document.voids)


def _partial(kind: type[S], raw: Mapping[str, Any], wrong: set[Any]) -> S:
    right: dict[str, Any] = {}
    for name, about in kind.model_fields.items():
        if name in raw and name not in wrong:
            with suppress(ValidationError):
                right[name] = TypeAdapter(about.rebuild_annotation()).validate_python(raw[name])
        elif name not in wrong and not about.is_required():
            right[name] = about.get_default(call_default_factory=True)
    partial: S = cast("S", kind.model_construct())
    partial.__dict__.clear()
    partial.__dict__.update(right)
    return partial
