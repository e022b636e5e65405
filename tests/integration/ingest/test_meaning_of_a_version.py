"""A version keeps its meaning: other code under the same version is refused, unless it is restated."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from include.mlops.cli.main import app
from include.mlops.errors import MeaningChanged, PartitionsFailed
from include.mlops.local.airflow import exported
from include.mlops.spec.interval import Interval
from include.mlops.steps.ingestion.ingest import ingest
from include.mlops.steps.ingestion.publish import of_another_meaning, publish
from include.mlops.steps.ingestion.validate import validate
from tests.integration.ingest.bundle import READINGS, Bundle, day, readings

pytestmark = pytest.mark.slow
OTHER = READINGS.replace('F.hour("at")', 'F.hour("at") + 100')


@pytest.fixture(scope="module")
def bundle(new_bundle: Callable[[], Bundle]) -> Bundle:
    made = new_bundle()
    made.write_readings()
    for ds in (day(1), day(2)):
        made.land(made.readings, ds, readings(ds))
    made.run(made.readings, day(1), day(2), "first")
    return made


@pytest.fixture
def environment(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in exported(bundle.settings).items():
        monkeypatch.setenv(name, value)


def _hours(bundle: Bundle, number: int) -> set[int]:
    return {row["hour"] for row in bundle.rows(bundle.readings, day(number))}


def test_other_code_under_the_same_version_is_refused_with_both_ways_out(bundle: Bundle) -> None:
    bundle.write_readings(OTHER)
    with pytest.raises(MeaningChanged) as caught:
        bundle.run(bundle.readings, day(1))
    said = str(caught.value)
    assert (
        f"Raise `version:` to 2 in {bundle.settings.specs}/feature_groups/{bundle.readings}/feature_group.yaml" in said
    )
    assert f"python -m include.mlops restate {bundle.readings} --from DAY --to DAY --reason WHY" in said
    assert _hours(bundle, 1) == {6, 7}


def test_a_raised_version_has_a_table_of_its_own(bundle: Bundle) -> None:
    bundle.write_readings(OTHER, version=2)
    bundle.run(bundle.readings, day(1))
    assert _hours(bundle, 1) == {106, 107}
    assert _hours(bundle, 2) == set(), "nothing is carried over"
    bundle.write_readings()
    assert _hours(bundle, 1) == _hours(bundle, 2) == {6, 7}, "the old version's table is as it was"


def test_a_restatement_that_fails_leaves_the_old_meaning_in_force(bundle: Bundle) -> None:
    bundle.write_readings(OTHER)
    landed = bundle.path(bundle.readings, day(1))
    content = landed.read_bytes()
    landed.write_bytes(b"")
    with pytest.raises(PartitionsFailed, match="EmptyFile"):
        bundle.run(bundle.readings, day(1), restated="the hour was wrong")
    landed.write_bytes(content)
    with pytest.raises(MeaningChanged):
        bundle.run(bundle.readings, day(1))


def test_a_restated_day_has_the_new_rows_and_the_rest_is_named(bundle: Bundle, environment: None) -> None:
    bundle.write_readings()
    platform = bundle.platform()
    group = platform.specs.group(bundle.readings)
    stale = ingest(platform, group, Interval.day(day(2)), "staged under the old meaning")
    judged = validate(platform, group, stale)
    bundle.write_readings(OTHER)
    days = ["--from", str(day(1)), "--to", str(day(1))]
    done = CliRunner().invoke(app, ["restate", bundle.readings, *days, "--reason", "the hour was wrong"])
    assert done.exit_code == 0, done.output
    assert f"restated {bundle.readings}: 1 day(s), 6 rows" in done.output
    assert "1 published day(s) keep their old meaning, 2013-03-02 to 2013-03-02: restate them too" in done.output
    assert (_hours(bundle, 1), _hours(bundle, 2)) == ({106, 107}, {6, 7})
    with pytest.raises(MeaningChanged):
        publish(platform, group, stale, judged)
    assert _hours(bundle, 2) == {6, 7}, "what was staged before is not published after"
    bundle.run(bundle.readings, day(2))  # the new code is what the version means now
    assert _hours(bundle, 2) == {106, 107}
    assert of_another_meaning(bundle.platform(), bundle.group(bundle.readings)) == []
