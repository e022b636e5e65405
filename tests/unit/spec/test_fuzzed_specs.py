"""Fuzzed variants of a valid bundle: each file loads or is told of in findings, and the rest loads all the same."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from include.mlops.cli.main import app
from include.mlops.spec.load import Specs, load_specs
from tests.unit.spec.conftest import BUNDLE, Bundle
from tests.unit.spec.corpus import ALL, FT, SURVIVORS, D, F, H, L, O

FEW = settings(
    max_examples=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FOREIGN = re.compile(
    r"Traceback|Error\b|Input should|Field required|Extra inputs|Value error|pydantic|ruamel|constrained-|literal\["
    r"|<(block|flow|scalar|document|stream)|object at 0x|Exceeds the limit|recursion"
)
"""The words of libraries, which say nothing to a user."""
YAML_FILES = st.sampled_from([O, F, L, D, H])
SCALARS = st.one_of(
    st.sampled_from(["~", "true", ".nan", "-.inf", "1e999", "2013-02-30", "9999-12-31", "0001-01-01", "-1d", "0d"]),
    st.sampled_from(["{}", "[]", "[[[]]]", "{a: {b: [c]}}", "''", "'{ds}'", "!!set {a, b}", "!x y", "&a b", "*a"]),
    st.integers().map(str),
    st.integers(1, 40).map(lambda size: "9" * 2**size if size < 14 else "0x" + "F" * size * 200),
    st.integers(1, 400).map(lambda depth: "[" * depth + "]" * depth),
    st.text(max_size=20).map(lambda text: '"' + text.encode("unicode_escape").decode().replace('"', "'") + '"'),
    st.text(max_size=20),
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Bundle]:
    """A flawless bundle in a folder of its own."""
    home = tmp_path_factory.mktemp("fuzzed")

    def make() -> Bundle:
        bundle = Bundle(Path(tempfile.mkdtemp(dir=home)) / "specs")
        for file, text in BUNDLE.items():
            bundle.write(file, text)
        return bundle

    return make


def _holds(bundle: Bundle, file: str) -> Specs:
    """The property: what is told is told well, and what does not need `file` still loads."""
    specs = load_specs(bundle.root)
    for finding in specs.findings:
        path = bundle.root.parent / finding.file
        assert path.exists() or finding.message.startswith("missing"), finding
        assert 1 <= finding.line <= _lines(path) + 1, finding
        assert finding.message
        assert not FOREIGN.search(f"{finding.key} {finding.message}"), finding
        assert str(finding).isprintable(), "one line, safe for a terminal"
        assert len(str(finding)) < 1500
    named = {*specs.groups, *specs.models}
    assert named >= SURVIVORS[file]
    assert bool(specs.findings) == (named != ALL), "nothing vanishes untold"
    told = CliRunner().invoke(app, ["check", "--specs", str(bundle.root)])
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    assert told.exit_code == (1 if specs.findings else 0)
    if specs.findings:
        assert told.output.splitlines() == [str(finding) for finding in specs.findings]
    return specs


def _lines(path: Path) -> int:
    return len(re.split(rb"\r\n|\r|\n|\xc2\x85|\xe2\x80[\xa8\xa9]", path.read_bytes())) if path.is_file() else 1


@FEW
@given(file=YAML_FILES, data=st.data())
def test_a_value_that_became_another(fresh: Callable[[], Bundle], file: str, data: st.DataObject) -> None:
    lines = BUNDLE[file].splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    lines[at] = lines[at].partition(":")[0] + ": " + data.draw(SCALARS)
    bundle = fresh()
    bundle.write(file, "\n".join(lines).encode("utf-8", "surrogatepass") + b"\n")
    _holds(bundle, file)


@FEW
@given(file=YAML_FILES, data=st.data())
def test_lines_lost_doubled_moved_and_indented(fresh: Callable[[], Bundle], file: str, data: st.DataObject) -> None:
    lines = BUNDLE[file].splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at, to = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        prefix = data.draw(
            st.sampled_from(["  ", "\t", "- ", "? ", "<<: ", "# ", "---\n", "%TAG ", "\u3000", "\ufeff"])
        )
        change = data.draw(st.sampled_from(["lose", "double", "move", "prefix"]))
        line = lines[at]
        if change in ("lose", "move") and len(lines) > 1:
            del lines[at]
        if change in ("double", "move"):
            lines.insert(to, line)
        if change == "prefix":
            lines[at] = prefix + line
    bundle = fresh()
    bundle.write(file, "\n".join(lines) + "\n")
    _holds(bundle, file)


@FEW
@given(file=st.sampled_from([O, F, L, D, H, FT]), data=st.data())
def test_bytes_cut_off_or_put_in(fresh: Callable[[], Bundle], file: str, data: st.DataObject) -> None:
    content = BUNDLE[file].encode()
    at = data.draw(st.integers(0, len(content)))
    put_in = data.draw(st.one_of(st.none(), st.binary(min_size=1, max_size=30)))
    bundle = fresh()
    bundle.write(file, content[:at] if put_in is None else content[:at] + put_in + content[at:])
    _holds(bundle, file)


@pytest.mark.parametrize("file", [F, L])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"\xef\xbb\xbf" + content,
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.rstrip(b"\n"),
        lambda content: b"# caf\xc3\xa9 \xf0\x9f\x99\x82\n" + content,
        lambda content: b"---\n" + content + b"...\n",
    ],
    ids=["byte order mark", "Windows line ends", "no end of the last line", "comment", "marks of a document"],
)
def test_what_does_not_change_the_meaning_is_no_fault(
    fresh: Callable[[], Bundle], file: str, change: Callable[[bytes], bytes]
) -> None:
    plain, changed = fresh(), fresh()
    changed.write(file, change(BUNDLE[file].encode()))
    was, now = load_specs(plain.root), _holds(changed, file)
    assert now.findings == ()
    assert {**now.models} == {**was.models}
    assert [group.model_copy(update={"folder": None}) for group in now.groups.values()] == [
        group.model_copy(update={"folder": None}) for group in was.groups.values()
    ]


def _folder(path: Path) -> None:
    path.mkdir()


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nothing"))


def _garbage() -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "binary", bytes(range(256)) * 4096
    for name, part in (("brackets", b"["), ("dashes", b"- "), ("keys", b"a:\n"), ("text", b"x"), ("questions", b"? ")):
        yield f"1 MB of {name}", part * (1_000_000 // len(part))
        yield f"10 KB of {name}", part * (10_000 // len(part))


@pytest.mark.parametrize("file", [F, FT, L])
@pytest.mark.parametrize("make", [_folder, _loop, _to_nothing], ids=lambda make: make.__name__)
def test_a_file_that_is_none(fresh: Callable[[], Bundle], file: str, make: Callable[[Path], None]) -> None:
    bundle = fresh()
    (bundle.root / file).unlink()
    make(bundle.root / file)
    specs = load_specs(bundle.root)
    assert {*specs.groups, *specs.models} >= SURVIVORS[file]
    named = [finding for finding in specs.findings if finding.file == Path("specs") / file]
    assert len(named) == 1
    assert re.match(r"missing|cannot be read", named[0].message)


@pytest.mark.parametrize(("name", "content"), _garbage(), ids=lambda value: value if isinstance(value, str) else "")
def test_garbage(fresh: Callable[[], Bundle], name: str, content: bytes) -> None:
    bundle = fresh()
    bundle.write(L, content)
    assert _holds(bundle, L).findings
    bundle = fresh()
    bundle.write(FT, content)
    assert _holds(bundle, FT).findings


def test_a_name_that_is_no_utf8_is_told_and_printed(fresh: Callable[[], Bundle]) -> None:
    bundle = fresh()
    Path(bundle.root / "models" / "caf\udce9\n.yaml").write_text("name: caf")
    (*_, told) = [str(finding) for finding in load_specs(bundle.root).findings]
    assert told.isprintable()
    assert CliRunner().invoke(app, ["check", "--specs", str(bundle.root)]).exit_code == 1
