"""What is told of a broken specification, where, and what still loads beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.mlops.errors import SpecError
from include.mlops.spec.load import Specs, load_specs
from tests.unit.spec.corpus import ACROSS, ALL, ALONE, FT, OT, SURVIVORS, Broken, D, F, L, O

OWNER = "owner: team-ops\n"


def line_of(text: str, at: str) -> int:
    return text.count("\n", 0, text.index(at)) + 1 if at else 1


def names_of(specs: Specs) -> set[str]:
    return {*specs.groups, *specs.models}


@pytest.mark.parametrize("broken", [*ALONE, *ACROSS], ids=str)
def test_a_broken_spec_is_found_where_it_is_and_takes_down_only_what_needs_it(bundle, broken: Broken) -> None:
    bundle.replace(broken.file, broken.old, broken.new)
    text = (bundle.root / broken.file).read_text()

    specs = load_specs(bundle.root)

    file = Path("specs") / broken.file
    shown = "\n".join(map(str, specs.findings))
    here = [f for f in specs.findings if (f.file, f.line, f.key) == (file, line_of(text, broken.at), broken.key)]
    assert here, f"nothing at {file}:{line_of(text, broken.at)} {broken.key!r}, but:\n{shown}"
    assert any(all(part in finding.message for part in broken.says) for finding in here), shown
    assert names_of(specs) == SURVIVORS[broken.file], shown
    if broken.alone:
        others = [finding for finding in specs.findings if finding not in here]
        assert all("is broken; see its own findings" in finding.message for finding in others), shown


def test_the_corpus_holds_no_case_twice_and_at_least_sixty() -> None:
    names = [broken.name for broken in [*ALONE, *ACROSS]]
    assert len({*names}) == len(names) >= 60


def test_no_case_is_told_in_the_words_of_the_libraries(make_bundle) -> None:
    """Nor with a line break, which would tear a finding apart."""
    for broken in [*ALONE, *ACROSS]:
        bundle = make_bundle(broken.name)
        bundle.replace(broken.file, broken.old, broken.new)
        for finding in load_specs(bundle.root).findings:
            for foreign in (
                "Input should",
                "Field required",
                "Extra inputs",
                "Value error",
                "<block",
                "<scalar",
                "valid string",
                "\n",
            ):
                assert foreign not in str(finding), f"{broken.name}: {finding}"


def test_the_bundle_that_the_corpus_breaks_is_flawless(bundle) -> None:
    specs = load_specs(bundle.root)

    assert specs.findings == ()
    assert names_of(specs) == ALL
    assert specs.group("flights").folder == bundle.root / "feature_groups" / "flights"


def test_all_findings_of_a_file_come_at_once_those_across_files_included(bundle) -> None:
    bundle.replace(L, "minimum: 0.6", "minimun: 0.6")
    bundle.replace(L, "rounds: 60", "rounds: many")
    bundle.replace(L, "[carrier, distance,", "[carier, distance,")
    bundle.replace(L, "name: late", "name: later")
    bundle.replace(L, OWNER, OWNER + OWNER)

    found = [(finding.line, finding.key) for finding in load_specs(bundle.root).findings]

    assert found == [
        (1, "name"),
        (3, "owner"),
        (7, "features.columns[0]"),
        (16, "training.rounds"),
        (21, "gate.minimun"),
    ]


def test_a_broken_group_is_named_once_at_each_place_that_depends_on_it(bundle) -> None:
    bundle.replace(O, "description: How late each flight arrived.\n", "")

    specs = load_specs(bundle.root)

    assert [(str(f.file), f.key) for f in specs.findings if "is broken" in f.message] == [
        ("specs/" + F, "reads.outcomes"),
        ("specs/models/delay.yaml", "features.group"),
        ("specs/models/delay.yaml", "label.group"),
        ("specs/models/how_late.yaml", "features.group"),
        ("specs/models/how_late.yaml", "label.group"),
        ("specs/models/late.yaml", "features.group"),
        ("specs/models/late.yaml", "label.group"),
    ]
    assert len(specs.findings) == 8


def test_a_broken_group_takes_down_the_readers_of_its_readers(bundle) -> None:
    """`a_reader` comes first by name, so it is looked at before its source is known to be broken."""
    text = (bundle.root / F).read_text().replace("name: flights", "name: a_reader")
    bundle.write(F.replace("flights", "a_reader"), text.replace("outcomes: [-29d, -2d]", "flights: [-29d, -2d]"))
    bundle.write(FT.replace("flights", "a_reader"), "def transform(a, b): ...")
    assert load_specs(bundle.root).findings == ()

    bundle.write(OT, "")

    specs = load_specs(bundle.root)
    assert specs.groups == {}
    with pytest.raises(SpecError, match=r"reads\.flights: the feature group 'flights' is broken"):
        specs.group("a_reader")


def test_a_forgotten_value_is_told_once_and_not_again_as_a_wrong_type(bundle) -> None:
    bundle.replace(L, "owner: team-ops", "owner:")

    assert len(load_specs(bundle.root).findings) == 1


def test_every_group_of_a_circle_and_nothing_else_is_told_of_it(bundle) -> None:
    bundle.replace(O, "quarantine:", "reads: {flights: [-9d, -5d]}\nquarantine:")
    third = (
        (bundle.root / O)
        .read_text()
        .replace("name: outcomes", "name: third")
        .replace("flights: [-9d, -5d]", "outcomes: [-9d, -5d]")
    )
    bundle.write(O.replace("outcomes", "third"), third)
    bundle.write(OT.replace("outcomes", "third"), "def transform(a, b): ...")

    found = load_specs(bundle.root).findings

    assert {f.file.parts[-2] for f in found if "circle" in f.message} == {"flights", "outcomes"}
    assert [f.message for f in found if f.file.parts[-2] == "third"] == [
        "the feature group 'outcomes' is broken; see its own findings"
    ]


def test_a_label_that_features_read_through_another_group_leaks(bundle) -> None:
    """flights reads summary of the day itself, and summary reads outcomes of the day itself."""
    bundle.write(
        "feature_groups/summary/feature_group.yaml",
        (bundle.root / O).read_text().replace("name: outcomes", "name: summary") + "reads: {outcomes: [-3d, 0d]}\n",
    )
    bundle.write("feature_groups/summary/transform.py", "def transform(a, b): ...")
    bundle.replace(F, "outcomes: [-29d, -2d]", "summary: [-1d, 0d]")
    bundle.replace(F, "start: 2013-04-05", "start: 2013-04-05\n  delay: 2d")

    found = [str(finding) for finding in load_specs(bundle.root).findings if finding.file.name == "late.yaml"]

    assert found == [
        "specs/models/late.yaml:8: label.group: flights reads outcomes up to the day itself: the label would leak"
    ]


def test_labels_that_cannot_be_joined_to_the_rows_are_refused(bundle) -> None:
    bundle.replace(
        O,
        "publishes:\n  carrier: string\n  flight: int\n",
        "publishes:\n  carrier: string\n  flight: string\n  arr_day: date\n",
    )
    bundle.replace(O, "keys: [carrier, flight]", "keys: [carrier, arr_delay]")
    bundle.replace(F, "keys: [carrier, flight]", "keys: [flight, carrier]")

    messages = [f.message for f in load_specs(bundle.root).findings if f.file.name == "late.yaml"]

    assert messages == [
        "outcomes has rows for each arr_delay too, so a row of flights gets several labels",
        "the key 'flight' is a int in flights and a string in outcomes",
    ]


def test_a_key_that_the_labels_lack_is_refused(bundle) -> None:
    bundle.replace(O, "keys: [carrier, flight]", "keys: [carrier]")
    bundle.replace(O, "publishes:\n  carrier: string\n  flight: int\n", "publishes:\n  carrier: string\n")

    messages = [f.message for f in load_specs(bundle.root).findings if f.file.name == "late.yaml"]

    assert messages == ["outcomes does not publish 'flight', a key of flights: no join"]


def test_exports_that_are_right_are_loaded_as_written(bundle) -> None:
    bundle.replace(
        L,
        "gate:\n",
        "exports:\n"
        "  - parquet: {path: 'late/ds={ds}/scores.parquet'}\n"
        "  - csv: {path: 's3://drop/late_{ds}.csv', columns: [carrier, flight, score, model_version]}\n"
        "  - jdbc: {connection: crm, table: sales.late_scores}\n"
        "gate:\n",
    )

    specs = load_specs(bundle.root)

    assert specs.findings == ()
    assert [(export.kind, export.columns) for export in specs.model("late").exports] == [
        ("parquet", None),
        ("csv", ("carrier", "flight", "score", "model_version")),
        ("jdbc", None),
    ]


def test_two_models_that_export_to_one_place_are_both_told_and_no_other_is(bundle) -> None:
    for file in (L, D):
        bundle.write(file, (bundle.root / file).read_text() + "exports: [{jdbc: {connection: crm, table: scores}}]\n")

    specs = load_specs(bundle.root)

    assert [(f.file.name, f.key, f.message) for f in specs.findings] == [
        ("delay.yaml", "exports[0].jdbc", "expected a place of its own, found one of the model late"),
        ("late.yaml", "exports[0].jdbc", "expected a place of its own, found one of the model delay"),
    ]
    assert names_of(specs) == {"outcomes", "flights", "how_late"}


def test_columns_of_an_older_version_are_taken_on_trust(bundle) -> None:
    bundle.replace(
        L, "  group: flights\n  columns: [carrier,", "  group: flights\n  version: 1\n  columns: [was_in_version_1,"
    )

    assert load_specs(bundle.root).findings == ()


@pytest.mark.parametrize(
    ("file", "content", "line", "says"),
    [
        (L, "", 1, "the file is empty"),
        (L, "# nothing but a comment\n", 1, "the file is empty"),
        (L, "- name: late\n", 1, "expected keys and values at the top level"),
        (L, "late\n", 1, "expected keys and values at the top level"),
        (L, b"name: late\nowner: Z\xfcrich\n", 2, "expected UTF-8 text, found the byte 0xfc"),
        (L, b"\xff\xfen\x00a\x00", 1, "expected UTF-8 text"),
        (L, "[" * 5000, 1, "nested too deeply"),
        (FT, b"name = 'Z\xfcrich'\n", 1, "not valid Python"),
    ],
)  # fmt: skip
def test_a_file_that_holds_no_specification_says_so(
    bundle, file: str, content: str | bytes, line: int, says: str
) -> None:
    bundle.write(file, content)

    first = next(f for f in load_specs(bundle.root).findings if f.file == Path("specs") / file)

    assert (first.line, first.key) == (line, "")
    assert says in first.message


def test_a_byte_order_mark_is_no_fault(bundle) -> None:
    bundle.write(L, b"\xef\xbb\xbf" + (bundle.root / L).read_bytes())

    assert load_specs(bundle.root).findings == ()


def test_unquoted_and_quoted_days_are_the_same(bundle) -> None:
    bundle.replace(F, "start: 2013-04-05", 'start: "2013-04-05"')

    assert load_specs(bundle.root).group("flights").schedule.start.isoformat() == "2013-04-05"


def test_an_anchor_may_be_used_again(bundle) -> None:
    bundle.replace(L, "  group: flights", "  group: &g flights")
    bundle.replace(L, "    max_depth: 5", "    max_depth: 5\n    note: *g")

    assert load_specs(bundle.root).model("late").training.parameters["note"] == "flights"


def test_files_where_nobody_reads_them_are_told(bundle) -> None:
    (bundle.root / FT).unlink()
    bundle.write("feature_groups/empty/transform.py", "")
    bundle.write("feature_groups/loose.yaml", "name: loose")
    bundle.write("models/other.yml", "name: other")
    bundle.write("models/.late.yaml.swp", "")
    bundle.write("models/.hidden.yaml", "")
    bundle.write("feature_groups/__pycache__/x.pyc", b"")
    bundle.write("models/README.md", "# models")
    (bundle.root / "models" / "folder.yaml").mkdir()

    found = {
        f.file.relative_to("specs").as_posix(): f.message
        for f in load_specs(bundle.root).findings
        if f.file.stem not in ("late", "delay", "how_late")
    }

    assert sorted(found) == [
        "feature_groups/empty/feature_group.yaml",
        FT,
        "feature_groups/loose.yaml",
        "models/folder.yaml",
        "models/other.yml",
    ]
    assert found[FT].startswith("missing; write one beside feature_group.yaml")
    assert found["models/folder.yaml"] == "cannot be read: Is a directory"


def test_a_folder_without_specifications_is_told(tmp_path: Path) -> None:
    (finding,) = load_specs(tmp_path).findings

    assert "expected a folder with feature_groups/ and models/" in str(finding)
    assert load_specs(tmp_path / "missing").findings


def test_asking_for_a_spec_by_name(bundle) -> None:
    bundle.replace(L, "task: binary", "task: binry")
    specs = load_specs(bundle.root)

    assert specs.model("delay").name == "delay"
    with pytest.raises(SpecError, match=r"specs/models/late.yaml:3: task: expected one of") as error:
        specs.model("late")
    assert error.value.findings == tuple(map(str, specs.findings))
    with pytest.raises(SpecError, match=r"unknown model 'latte'; did you mean 'late'\? Allowed: delay, how_late, late"):
        specs.model("latte")
    with pytest.raises(SpecError, match=r"unknown feature group 'flight'; did you mean 'flights'\?"):
        specs.group("flight")
