"""What changes the hash of a specification's meaning, and what does not."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from include.mlops.errors import SpecError
from include.mlops.spec.load import load_specs
from include.mlops.spec.meaning import group_meaning, model_meaning

GROUP = "feature_groups/flights/feature_group.yaml"
CODE = "feature_groups/flights/transform.py"
MODEL = "models/late.yaml"

TRANSFORM = '''\
"""The schedule."""

from pyspark.sql import functions as F

LATE = F.col("arr_delay") > 15


def transform(rows, reads):
    """Rows with their trailing delay."""
    delays = reads["outcomes"].trailing_mean(LATE, by=["carrier"], name="carrier_delay")
    return rows.join(delays, ["ds", "carrier"], "left")
'''


@pytest.fixture
def written(bundle):
    bundle.write(CODE, TRANSFORM)
    return bundle


def meanings(bundle) -> tuple[str, str]:
    """Of the group flights and of the model late."""
    specs = load_specs(bundle.root)
    assert specs.findings == ()
    return group_meaning(specs.group("flights")), model_meaning(specs.model("late"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LATE = ", "# on time is up to 15 minutes\nLATE = "),
        ('"""The schedule."""\n', ""),
        ('    """Rows with their trailing delay."""\n', '    """Another docstring."""\n'),
        ("    delays = ", "    'a text that stands alone does nothing'\n    delays = "),
        ('(delays, ["ds", "carrier"], "left")', "(\n        delays,\n        ['ds', 'carrier'], 'left'\n    )"),
        ("return rows.join", "return (rows).join"),
    ],
    ids=["comment", "module docstring", "function docstring", "lone text", "formatting and quotes", "parentheses"],
)  # fmt: skip
def test_what_does_nothing_keeps_the_meaning(written, old: str, new: str) -> None:
    before = meanings(written)

    written.replace(CODE, old, new)

    assert meanings(written) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("> 15", ">= 15"),
        ("> 15", "> 20"),
        ('"left"', '"inner"'),
        ('by=["carrier"]', "by=['carrier', 'flight']"),
        ("trailing_mean", "latest"),
    ],
)
def test_other_code_means_something_else(written, old: str, new: str) -> None:
    before = meanings(written)

    written.replace(CODE, old, new)

    assert meanings(written)[0] != before[0]
    assert meanings(written)[1] == before[1], "the model's own file is the same"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[-29d, -2d]", "[-29d, -3d]"),
        ("keys: [carrier, flight]", "keys: [carrier, flight, distance]"),
        ("event_time: scheduled_at", "event_time: available_at"),
        ("available_at: available_at\n", "available_at: scheduled_at\n"),
        ("  carrier_delay: double", "  carrier_delay: double\n  weekday: int"),
        ("    distance: double", "    distance: int"),
        ("format: csv", "format: json"),
        ("  start: 2013-04-05", "  start: 2013-04-05\n  delay: 1d"),
    ],
)
def test_a_key_that_changes_the_rows_changes_the_meaning(written, old: str, new: str) -> None:
    specs = load_specs(written.root)
    before = group_meaning(specs.group("flights"))

    written.replace(GROUP, old, new)

    assert group_meaning(load_specs(written.root).group("flights")) != before


def test_a_query_says_what_the_rows_are_and_an_address_does_not(written) -> None:
    query = "  format: jdbc\n  connection: shop\n  query: select * from f where day = '{ds}'\n"
    written.replace(GROUP, "  format: csv\n  path: flights/{ds}.csv\n", query)
    before, _ = meanings(written)

    written.replace(GROUP, "connection: shop", "connection: store")
    assert meanings(written)[0] == before
    written.replace(GROUP, "from f where", "from f where not cancelled and")
    assert meanings(written)[0] != before


def test_a_time_zone_changes_the_meaning(written) -> None:
    before, _ = meanings(written)
    for file in (GROUP, GROUP.replace("flights", "outcomes")):
        written.replace(file, "America/New_York", "America/Chicago")

    assert meanings(written)[0] != before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("description: The schedule.", "description: The plan."),
        ("owner: team-ops", "owner: team-data"),
        ("flights/{ds}.csv", "elsewhere/{ds}.csv"),
        ("start: 2013-04-05", "start: 2013-05-01\n  deadline: 1h"),
        ("reads:", "expectations:\n  - expect_column_values_to_not_be_null: {column: carrier}\nreads:"),
        ("  carrier: string\n  flight: int\n  distance", "  flight: int\n  carrier: string\n  distance"),
        ("keys: [carrier, flight]", "keys: [flight, carrier] # which order does not matter"),
    ],
)
def test_a_key_that_leaves_the_rows_alone_keeps_the_meaning(written, old: str, new: str) -> None:
    before = meanings(written)

    written.replace(GROUP, old, new)

    assert meanings(written) == before


def test_code_beside_the_transform_counts_but_its_tests_do_not(written) -> None:
    alone = meanings(written)
    written.write(CODE.replace("transform", "rates"), "WINDOW = 28\n")
    with_rates = meanings(written)
    written.write(CODE.replace("transform", "rates"), "WINDOW = 28 # days\n")
    written.write(CODE.replace("transform", "test_rates"), "assert True\n")

    assert alone[0] != with_rates[0]
    assert meanings(written) == with_rates


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("columns: [carrier, distance", "columns: [distance"),
        ("arr_delay > 15", "arr_delay > 30"),
        ("window: 56d", "window: 57d"),
        ("max_depth: 5", "max_depth: 6"),
        ("due_after: 1d", "due_after: 2d"),
    ],
)
def test_what_a_model_learns_changes_its_meaning(written, old: str, new: str) -> None:
    before = meanings(written)

    written.replace(MODEL, old, new)

    assert meanings(written)[1] != before[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("arr_delay > 15", "(arr_delay>15)"),
        ("minimum: 0.6", "minimum: 0.7"),
        ("owner: team-ops", "owner: team-data"),
        ("cooldown: 7d", "cooldown: 14d"),
    ],
)
def test_what_a_model_does_not_learn_keeps_its_meaning(written, old: str, new: str) -> None:
    before = meanings(written)

    written.replace(MODEL, old, new)

    assert meanings(written) == before


def test_meanings_are_short_hex_and_do_not_depend_on_where_the_bundle_lies(written, make_bundle) -> None:
    other = make_bundle("elsewhere")
    other.write(CODE, TRANSFORM)

    assert meanings(other) == meanings(written)
    assert all(len(meaning) == 16 and int(meaning, 16) >= 0 for meaning in meanings(written))


def test_the_meaning_is_pinned_so_that_no_version_of_python_gives_another(written) -> None:
    """Stored hashes are compared across upgrades: a new value here would make every published group look changed."""
    assert meanings(written) == ("9e226f541b5ced7c", "3c467db52882a933")


def test_code_that_does_not_parse_any_more_is_named(written) -> None:
    group = load_specs(written.root).group("flights")
    written.write(CODE, "def transform(rows, reads)\n")

    with pytest.raises(SpecError, match=r"transform.py:1: expected Python, found"):
        group_meaning(group)


def test_a_group_without_a_folder_has_no_meaning(written) -> None:
    """Rather than that of whatever code lies in the working directory."""
    group = load_specs(written.root).group("flights").model_copy(update={"folder": Path()})

    with pytest.raises(SpecError, match=r"transform\.py: missing"):
        group_meaning(group)


def test_the_example_of_this_repository_has_meanings() -> None:
    root = Path(__file__).parents[3] / "include"
    specs = load_specs(root)

    assert len({group_meaning(group) for group in specs.groups.values()}) == len(specs.groups) >= 3
    assert all(model_meaning(model) for model in specs.models.values())
    assert ast.parse((specs.group("scheduled_flights").folder / "transform.py").read_text())
