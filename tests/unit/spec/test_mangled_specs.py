"""Whatever a file holds, loading gives findings and no traceback."""

from __future__ import annotations

import random

import pytest

from include.mlops.spec.finding import Finding
from include.mlops.spec.load import load_specs
from tests.unit.spec.corpus import FT, F, L, O

SCRAPS = [
    *(
        "~",
        "null",
        "true",
        "[",
        "]",
        "{",
        "}",
        "[]",
        "{}",
        "- ",
        ": ",
        "#",
        "'",
        '"',
        "|",
        ">",
        "?",
        "%",
        "=",
        "---",
        "...",
    ),
    *("&a ", "*a", "<<: ", "!x ", "!!int ", "!!float ", "!!bool ", "!!timestamp ", "!!null ", "!!set ", "!!binary "),
    *(
        "0x1F",
        "1e999",
        ".inf",
        ".nan",
        "-0",
        "1_000",
        "9" * 400,
        "2013-13-45",
        "2013-01-01T00:00:00Z",
        "-1d",
        "9999999d",
    ),
    *("\t", "\x00", "é", "\ud7ff", "🙂", "{ds}", "{0}", "{ds!r:>{x}}", "name: ", "reads: ", "columns: ", "a: b: c"),
]


def mangled(text: str, chance: random.Random) -> str:
    """`text` after one to four deletions, swaps, cuts, insertions, or changes of indentation."""
    lines = text.splitlines(keepends=True)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(lines))
        line = lines[at]
        column = chance.randrange(len(line) + 1)
        lines[at : at + 1] = chance.choice(
            [
                [],
                [line, line],
                [chance.choice(lines), line],
                ["  " * chance.randint(0, 3) + line.lstrip()],
                [line[:column]],
                [line[:column] + chance.choice(SCRAPS) + line[column:]],
                [line.partition(":")[0] + ": " + chance.choice(SCRAPS) + "\n"],
                [line[:column] + line[column + 1 :]],
            ]
        ) or ([] if len(lines) > 1 else [line])
    return "".join(lines)


@pytest.mark.parametrize("file", [O, F, L, FT])
@pytest.mark.parametrize("seed", range(40))
def test_a_mangled_file_gives_findings_on_its_lines_and_never_a_traceback(bundle, file: str, seed: int) -> None:
    path = bundle.root / file
    text = mangled(path.read_text(), random.Random(f"{file} {seed}"))
    bundle.write(file, text)

    specs = load_specs(bundle.root)

    assert all(isinstance(finding, Finding) and finding.message for finding in specs.findings)
    lines = {path.name: len(text.splitlines()) + 1}
    assert all(1 <= finding.line <= lines.get(finding.file.name, 100) for finding in specs.findings)
    assert all("\n" not in str(finding) for finding in specs.findings)


@pytest.mark.parametrize("seed", range(10))
def test_bytes_that_are_no_text_at_all_give_findings(bundle, seed: int) -> None:
    for file in (O, L, FT):
        bundle.write(file, random.Random(seed).randbytes(200))

    specs = load_specs(bundle.root)

    assert specs.findings
    assert (specs.groups, specs.models) == ({}, {})
