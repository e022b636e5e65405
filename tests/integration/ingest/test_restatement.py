"""A corrected file of an old day: what is out of date then, why, and what is made again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from include.mlops.cli.main import app
from include.mlops.errors import NotReady, PartitionsFailed
from include.mlops.local.airflow import exported
from include.mlops.spec.interval import Interval
from include.mlops.steps.history.restatement import Restated, restate_dependents
from include.mlops.steps.inputs.freshness import stale
from tests.integration.ingest.bundle import Bundle, change, csv, day, plans, readings

pytestmark = pytest.mark.slow
TOPS = """
def transform(rows, reads):
    last = reads["%s"].latest(["mean_value"], by=["sensor"]).withColumnRenamed("mean_value", "last_mean")
    return rows.join(last, ["ds", "sensor"], "left")
"""
FIRST, LAST = day(8), day(14)  # of the plans; each reads readings of the days -4 to -2


def _bundle(made: Bundle, **of_plans: Any) -> Bundle:
    made.write_readings(empty="allow")
    made.write_plans(**of_plans)
    for ds in Interval(day(1), LAST):
        made.land(made.readings, ds, readings(ds))
        made.land(made.plans, ds, plans(ds))
    made.run(made.readings, day(4), day(12))
    made.run(made.plans, FIRST, LAST)
    return made


@pytest.fixture(scope="module")
def marks(new_bundle: Callable[[], Bundle]) -> Bundle:
    return _bundle(new_bundle())


@pytest.fixture(scope="module")
def recomputes(new_bundle: Callable[[], Bundle]) -> Bundle:
    """With a third group, which reads the plans of the day before."""
    made = _bundle(new_bundle(), restatement="recompute")
    columns = "sensor: string, slot: int, value: double, last_mean: double"
    reads = f"{made.plans}: [-1d, -1d]"
    made._write(_tops(made), TOPS % made.plans, {"reads": reads, "publishes": columns, "restatement": "recompute"})
    for ds in Interval(day(10), day(12)):
        made.land(_tops(made), ds, plans(ds))
    made.run(_tops(made), day(10), day(12))
    return made


def _tops(bundle: Bundle) -> str:
    return f"tops_{bundle.mark}"


def _stale(bundle: Bundle, name: str, first: date = FIRST, last: date = LAST) -> dict[int, str]:
    platform = bundle.platform()
    found = stale(platform, platform.specs.group(name), Interval(first, last))
    return {ds.day: reason.replace(bundle.mark, "x") for ds, reason in found.items()}


def _restate(bundle: Bundle, ds: date) -> Restated:
    platform = bundle.platform()
    return restate_dependents(platform, platform.specs.group(bundle.readings), Interval.day(ds), "cascade")


def _runs(bundle: Bundle) -> dict[int, str]:
    return {ds.day: one.run_id for ds, one in sorted(bundle.published(bundle.plans, FIRST, LAST).items())}


def _cli(bundle: Bundle, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    for name, value in exported(bundle.settings).items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output.replace(bundle.mark, "x")


def test_lineage_tells_a_partition_from_its_files_to_what_reads_it(
    marks: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed = hashlib.sha256(csv(plans(day(9)))).hexdigest()
    told = json.loads(_cli(marks, monkeypatch, "lineage", marks.plans, day(9), "--json"))
    one = told["partition"]
    assert (one["what"], one["facts"]["rows"], one["wrong"]) == ("features.plans_x_v1, 2013-03-09", 6, [])
    assert one["facts"]["expectations"] == "3 of 3 met"
    file, read = one["made_from"]
    assert file == {"what": "file plans_x/2013-03-09.csv", "facts": {"sha256": landed}, "wrong": [], "made_from": []}
    assert read["what"] == "features.readings_x_v1, 3 days from 2013-03-05 to 2013-03-07"
    (files,) = read["made_from"]
    assert list(files["facts"]["sha256"]) == [f"readings_x/2013-03-0{number}.csv" for number in (5, 6, 7)]
    assert told["used_by"] == []

    text = _cli(marks, monkeypatch, "lineage", marks.readings, day(7))
    assert "used by" in text
    assert "features.plans_x_v1, 3 days from 2013-03-09 to 2013-03-11" in text

    waits = _cli(marks, monkeypatch, "lineage", marks.plans, day(15))
    assert "features.plans_x_v1, 2013-03-15: not published" in waits
    assert "! waits for readings_x of 2013-03-13" in waits


def test_publishing_the_same_rows_again_leaves_everything_fresh(marks: Bundle) -> None:
    marks.land(marks.readings, day(8), csv(readings(day(8))[::-1]))
    marks.run(marks.readings, day(6), day(9), "again, in another order")
    assert _stale(marks, marks.plans) == _stale(marks, marks.readings, day(4), day(12)) == {}


def test_a_corrected_file_is_seen_then_makes_exactly_those_days_stale_that_read_its_day(
    marks: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks.land(marks.readings, day(7), change(readings(day(7)), 0, value=99))
    assert _stale(marks, marks.readings, day(4), day(12)) == {7: "its file changed since"}
    assert _stale(marks, marks.plans) == {}, "nothing was published yet"
    assert "run: python -m include.mlops ingest readings_x --from 2013-03-07 --to 2013-03-07" in _cli(
        marks, monkeypatch, "stale", marks.readings
    )

    before = _runs(marks)
    days = ["--from", day(7), "--to", day(7)]
    said = _cli(marks, monkeypatch, "ingest", marks.readings, *days)

    assert "out of date: plans_x, 3 day(s), 2013-03-09 to 2013-03-11" in said
    again = "its input readings_x_v1 of 2013-03-07 was published again with other rows"
    assert _stale(marks, marks.plans) == {9: again, 10: again, 11: again}
    assert _runs(marks) == before, "the specification says to mark, not to recompute"
    listed = _cli(marks, monkeypatch, "stale")
    assert f"plans_x\n  2013-03-09  {again}\n" in listed
    assert "run: python -m include.mlops ingest plans_x --from 2013-03-09 --to 2013-03-11" in listed

    _cli(marks, monkeypatch, "ingest", marks.plans, "--from", day(9), "--to", day(11))
    assert _cli(marks, monkeypatch, "stale") == "nothing is out of date\n"


def test_what_was_made_from_a_restated_day_is_made_again_and_nothing_else(recomputes: Bundle) -> None:
    recomputes.land(recomputes.readings, day(7), change(readings(day(7)), 0, value=99))
    recomputes.run(recomputes.readings, day(7), run_id="corrected")
    done = _restate(recomputes, day(7))
    assert done.made == {
        recomputes.plans: [day(9), day(10), day(11)],
        _tops(recomputes): [day(10), day(11), day(12)],
    }
    assert _runs(recomputes) == {8: "run", 9: "cascade", 10: "cascade", 11: "cascade", 12: "run", 13: "run", 14: "run"}
    assert _stale(recomputes, recomputes.plans) == {}
    assert _restate(recomputes, day(7)).made == {}, "the second time there is nothing to do"


def test_a_day_that_became_empty_is_published_so_and_passed_on(recomputes: Bundle) -> None:
    recomputes.land(recomputes.readings, day(6), csv([]))
    recomputes.run(recomputes.readings, day(6), run_id="empty")
    assert recomputes.rows(recomputes.readings, day(6)) == []
    assert recomputes.published(recomputes.readings, day(6))[day(6)].rows == 0
    recomputes.run(recomputes.plans, day(8), day(10))  # as far as one had come that was killed half-way
    assert _restate(recomputes, day(6)).made == {_tops(recomputes): [day(10), day(11)]}
    assert {row["last_note"] for row in recomputes.rows(recomputes.plans, day(8))} == {
        f"{sensor}1 of 2013-03-05" for sensor in "abc"
    }
    recomputes.write_readings(empty="fail")
    with pytest.raises(PartitionsFailed, match=r"EmptyFile: .* found a header alone; land it again, or say `empty"):
        recomputes.run(recomputes.readings, day(6))
    recomputes.write_readings(empty="allow")


def test_a_dependent_that_fails_is_named_and_keeps_its_old_rows(recomputes: Bundle) -> None:
    recomputes.land(recomputes.plans, day(13), b"")
    recomputes.land(recomputes.readings, day(10), change(readings(day(10)), 1, value=-5))
    recomputes.run(recomputes.readings, day(10), run_id="corrected")
    with pytest.raises(PartitionsFailed, match=r"(?s)1 partition.*2013-03-13: plans_.*EmptyFile"):
        _restate(recomputes, day(10))
    assert set(_stale(recomputes, recomputes.plans)) == {13}
    recomputes.land(recomputes.plans, day(13), plans(day(13)))
    assert _restate(recomputes, day(10)).made == {recomputes.plans: [day(13)]}


def test_code_that_changed_makes_all_days_stale_and_is_restated(marks: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    marks.write_readings('def transform(rows, reads):\n    return rows.selectExpr("*", "7 as hour")\n', empty="allow")
    assert _stale(marks, marks.readings, day(4), day(5)) == dict.fromkeys(
        (4, 5), "the code or specification of readings_x changed"
    )
    said = _cli(marks, monkeypatch, "stale", marks.readings)
    assert "run: python -m include.mlops restate readings_x --from 2013-03-04 --to 2013-03-12 --reason WHY" in said
    marks.write_readings(empty="allow")


def test_a_day_made_without_a_late_input_is_marked_told_and_stale_once_it_is_there(
    new_bundle: Callable[[], Bundle],
) -> None:
    made = new_bundle()
    made.write_readings()
    made.write_plans(late="go_on", restatement="recompute")
    for ds in Interval(day(4), day(9)):
        made.land(made.readings, ds, readings(ds))
        made.land(made.plans, ds, plans(ds))
    made.run(made.readings, day(4), day(5))
    with pytest.raises(NotReady, match=f"{made.plans} 2013-03-08 waits for {made.readings} of 2013-03-06"):
        made.run(made.plans, day(8))
    made.run(made.plans, day(8), overdue=True)

    one = made.published(made.plans, day(8))[day(8)]
    told = one.inputs[f"features.{made.readings}_v1"]
    assert (list(told["partitions"]), told["missing"]) == (["2013-03-04", "2013-03-05"], ["2013-03-06"])
    assert {row["last_note"] for row in made.rows(made.plans, day(8))} == {f"{s}1 of 2013-03-05" for s in "abc"}
    incident = made.platform().ledger.incidents.open("incomplete", made.plans)
    assert incident is not None
    assert incident.severity == "warning"
    assert _stale(made, made.plans, day(8), day(8)) == {}, "it is what can be made now"

    made.run(made.readings, day(6), day(7))
    late = "made without readings_x_v1 of 2013-03-06, which is published now"
    assert _stale(made, made.plans, day(8), day(8)) == {8: late}
    assert _restate(made, day(6)).made == {made.plans: [day(8)]}
    assert "missing" not in made.published(made.plans, day(8))[day(8)].inputs[f"features.{made.readings}_v1"]
    assert {row["last_note"] for row in made.rows(made.plans, day(8))} == {f"{s}1 of 2013-03-06" for s in "abc"}
    assert made.platform().ledger.incidents.open("incomplete", made.plans) is None, "and the alert is over"
