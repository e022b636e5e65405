"""One suite for every kind of source: the same rows give the same features, and drift is named and handled alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from sqlalchemy import make_url

from include.mlops.errors import PartitionsFailed
from include.mlops.settings import Settings
from tests.integration.ingest.bundle import Bundle, change, day, readings
from tests.integration.ingest.kinds import KINDS, TYPES, Database, Files, LakeTable, Upstream

pytestmark = pytest.mark.slow
CLEAN, NEXT = day(1), day(2)


@dataclass(frozen=True)
class World:
    """One kind of source and the group that reads it, whose first day is published."""

    bundle: Bundle
    upstream: Upstream

    def declare(self, **changes: Any) -> None:
        self.bundle.write_readings(source=self.upstream.source, **changes)

    def run(self, ds: date) -> list[dict[str, Any]]:
        self.bundle.run(self.bundle.readings, ds, run_id=f"run of {ds}")
        return self.bundle.rows(self.bundle.readings, ds)

    def refused(self, ds: date) -> str:
        with pytest.raises(PartitionsFailed) as caught:
            self.run(ds)
        assert self.bundle.published(self.bundle.readings, ds) == {}
        return caught.value.failures[ds]

    def missing(self, ds: date) -> str | None:
        return self.bundle.platform().source(self.bundle.group(self.bundle.readings)).missing(ds)

    def findings(self, ds: date) -> list[tuple[str, str, str]]:
        """What the ledger keeps of changed columns: the expectation, the column, the severity."""
        kept = self.bundle.platform().ledger.publications.validations(self.bundle.group(self.bundle.readings).table, ds)
        return [(one.expectation, one.target, one.severity) for one in kept if "source_column" in one.expectation]


@pytest.fixture(scope="module", params=KINDS)
def world(request: pytest.FixtureRequest, new_bundle: Callable[[], Bundle]) -> Iterator[World]:
    bundle = new_bundle()
    made = World(bundle, KINDS[request.param](bundle, lambda: request.getfixturevalue("postgres")))
    made.declare()
    assert made.missing(CLEAN), "nothing is there yet"
    made.upstream.put(CLEAN, readings(CLEAN))
    made.run(CLEAN)
    yield made
    made.upstream.close()


def test_the_same_rows_give_the_same_features(world: World) -> None:
    rows = world.bundle.rows(world.bundle.readings, CLEAN)
    shown = [(row["sensor"], row["slot"], row["value"], row["note"], row["hour"]) for row in rows]
    assert shown == [(r["sensor"], r["slot"], r["value"], r["note"], 6 + r["slot"]) for r in readings(CLEAN)]
    assert {row["ds"] for row in rows} == {CLEAN}
    assert {str(row["known_from"]) for row in rows} == {str(day(3))}
    assert world.findings(CLEAN) == []


def test_a_day_has_arrived_once_its_rows_are_there(world: World) -> None:
    world.upstream.put(CLEAN, readings(CLEAN))
    assert world.missing(CLEAN) is None
    assert "2013-03-09" in str(world.missing(day(9)))


def test_a_day_without_rows_is_named_and_nothing_is_published(world: World) -> None:
    said = world.refused(day(9))
    assert said.startswith(("EmptySource: expected rows", "MissingFile: expected the file"))
    assert str(day(9)) in said


def test_a_new_column_is_published_without_and_told(world: World) -> None:
    world.declare()
    world.upstream.put(NEXT, [{**row, "more": "x"} for row in readings(NEXT)], {"more": "text", **TYPES})
    assert len(world.run(NEXT)) == 6
    assert world.findings(NEXT) == [("expect_source_column_to_be_declared", "more", "warning")]
    [said] = [
        one.observed
        for one in world.bundle.platform().ledger.publications.validations(
            world.bundle.group(world.bundle.readings).table, NEXT
        )
        if one.target == "more"
    ]
    assert said.startswith("the column 'more'")
    assert f"not so on {CLEAN}; declare the column, or say `added: ignore` under source.drift" in said
    world.declare(drift="{added: fail}")
    world.upstream.put(day(3), [{**row, "more": "x"} for row in readings(day(3))], {"more": "text", **TYPES})
    assert "expected the declared columns alone, found the column 'more'" in world.refused(day(3))


def test_a_lost_or_retyped_column_fails_unless_the_specification_says_otherwise(world: World) -> None:
    ds = day(4)
    rows = [{**row, "value": f"about {row['value']}"} for row in readings(ds)]
    types = {name: "text" if name == "value" else kind for name, kind in TYPES.items() if name != "note"}
    world.declare()
    world.upstream.put(ds, rows, types)
    said = world.refused(ds)
    assert said.startswith("SchemaChanged: ")
    assert f"expected the column note of type string, found no such column (not so on {CLEAN})" in said.replace(
        f"(not so on {NEXT})", f"(not so on {CLEAN})"
    )
    if world.upstream.typed:
        assert "expected value of type double, found the type " in said
    world.declare(drift="{lost: empty}")
    said = world.refused(ds)
    assert "expected value of type double, found " in said
    assert world.upstream.typed or "found 6 of 6 values otherwise, such as 'about " in said
    world.declare(drift="{lost: empty, retyped: empty}")
    published = world.run(ds)
    assert [(row["sensor"], row["slot"]) for row in published] == [(r["sensor"], r["slot"]) for r in readings(ds)]
    assert {(row["value"], row["note"]) for row in published} == {(None, None)}
    assert sorted(world.findings(ds)) == [
        ("expect_source_column_to_be_of_type", "value", "warning"),
        ("expect_source_column_to_exist", "note", "warning"),
    ]


def test_a_retyped_column_can_be_judged_value_by_value(world: World) -> None:
    ds = day(5)
    rows = change(readings(ds), 0, value="much")
    world.declare(drift="{retyped: quarantine}")
    world.upstream.put(ds, rows, {**TYPES, "value": "text"})
    published = world.run(ds)
    assert [row["value"] for row in published] == [row["value"] for row in readings(ds)][1:]
    [aside] = world.bundle.quarantine(world.bundle.readings, ds)
    assert (aside["reason"], '"value":"much"' in aside["record"]) == ("value is not of type double", True)


def test_a_lost_key_fails_whatever_the_specification_says_of_lost_columns(world: World) -> None:
    ds = day(6)
    world.declare(drift="{lost: empty}")
    world.upstream.put(ds, readings(ds), {name: kind for name, kind in TYPES.items() if name != "slot"})
    assert "expected the column slot of type int, found no such column" in world.refused(ds)


def test_what_a_day_was_read_from_is_in_its_record(world: World) -> None:
    inputs = world.bundle.published(world.bundle.readings, CLEAN)[CLEAN].inputs
    if isinstance(world.upstream, LakeTable):
        assert list(inputs) == [world.upstream.table]
        assert inputs[world.upstream.table]["snapshot_id"]
    elif isinstance(world.upstream, Files):
        assert list(inputs) == ["file"]
        assert len(inputs["file"]["sha256"]) == 64
    else:
        assert inputs == {}


def test_a_password_is_in_no_file_that_a_run_leaves_behind(world: World, spark_server: Settings) -> None:
    if not isinstance(world.upstream, Database) or not (password := make_url(world.upstream.url).password):
        pytest.skip("this kind has no password")
    for root in (world.bundle.settings.state, spark_server.state):
        told = [path for path in root.rglob("*") if path.is_file() and password.encode() in path.read_bytes()]
        assert told == []
