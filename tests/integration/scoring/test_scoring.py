"""Scoring over a real lake, a real ledger and a real MLflow server."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.mlops.errors import MlopsError, NotReady, PartitionsFailed
from include.mlops.lake.digest import digest
from include.mlops.lake.views import latest
from include.mlops.learner.predict import Predictor, load
from include.mlops.spec.load import Specs
from include.mlops.steps.platform import Platform
from tests.integration.scoring.world import A_DAY, FLIGHTS, KEYS, OUTCOMES, World, day, days, flights, late_flights

pytestmark = pytest.mark.slow


def _expected(world: World, version: int, ds: date) -> list[float]:
    predictor = load(world.platform.registry.model_file(world.platform.registry.version(world.model.name, version)))
    rows = flights(ds).sort_by([(key, "ascending") for key in KEYS])
    return [float(value) for value in predictor.predict(rows)]


def _same_but_run_and_time(left: pa.Table, right: pa.Table) -> bool:
    return left.drop_columns(["run_id", "scored_at"]).equals(right.drop_columns(["run_id", "scored_at"]))


def test_a_backfill_scores_each_day_by_the_version_that_was_live_then(world: World) -> None:
    world.live(2, 21)
    scored = world.score(19, 22, "backfill")
    assert scored.versions == {day(19): 1, day(20): 1, day(21): 2, day(22): 2}
    rows = world.predictions(19, 22)
    for number, version in ((19, 1), (20, 1), (21, 2), (22, 2)):
        of_day = rows.filter(pc.equal(rows["ds"], day(number)))
        assert set(of_day["model_version"].to_pylist()) == {version}
        assert of_day["score"].to_pylist() == _expected(world, version, day(number))
    assert _expected(world, 1, day(22)) != _expected(world, 2, day(22))


def test_each_row_says_version_run_and_time_and_each_publication_what_it_was_made_from(world: World) -> None:
    world.score(16, run_id="night-16")
    rows = world.predictions(16)
    assert rows.num_rows == A_DAY
    assert set(rows["run_id"].to_pylist()) == {"night-16"}
    assert set(rows["model_version"].to_pylist()) == {1}
    assert len(set(rows["scored_at"].to_pylist())) == 1
    published = world.platform.ledger.publications.over(world.model.predictions, days(16, 16))[day(16)]
    assert (published.rows, published.version, published.run_id) == (A_DAY, 1, "night-16")
    assert published.snapshot_id == world.platform.lake.snapshot(world.model.predictions)
    assert published.inputs == {
        FLIGHTS.table: {
            "snapshot_id": world.platform.lake.snapshot(FLIGHTS.table),
            "partitions": {str(day(16)): digest(flights(day(16)).to_batches())},
        }
    }
    metrics = world.platform.ledger.monitoring.metrics(world.model.name, "score")[day(16)]
    assert metrics["mean"] == pytest.approx(np.mean(rows["score"].to_pylist()))


def test_a_day_before_any_version_is_refused_with_the_way_out_and_the_others_are_published(world: World) -> None:
    with pytest.raises(PartitionsFailed) as failed:
        world.score(14, 17)
    assert list(failed.value.failures) == [day(14), day(15)]
    for line in failed.value.failures.values():
        assert line.startswith("NoLiveVersion: expected a version of")
        assert f"the first is live from {day(16)}" in line
        assert "name one with --version" in line
    assert sorted(set(world.predictions(1, 30)["ds"].to_pylist())) == [day(16), day(17)]


def test_before_the_first_release_every_day_is_refused(world: World) -> None:
    unreleased = World(world.platform, late_flights("unreleased"))
    with pytest.raises(PartitionsFailed, match="no version was released yet"):
        unreleased.score(16)
    assert not world.platform.lake.exists("predictions.unreleased")


def test_a_named_version_scores_any_day_and_the_days_that_it_saw_are_flagged(world: World) -> None:
    scored = world.score(1, 17, version=1)
    assert set(scored.versions.values()) == {1}
    rows = world.predictions(1, 17)
    flagged = {ds for ds, seen in zip(rows["ds"].to_pylist(), rows["in_sample"].to_pylist(), strict=True) if seen}
    assert flagged == set(days(2, 14))  # the window of ten days and the holdout of three
    published = world.platform.ledger.publications.over(world.model.predictions, days(1, 17))
    assert {ds for ds, publication in published.items() if publication.in_sample} == flagged


def test_a_named_version_goes_before_the_live_one(world: World) -> None:
    assert world.score(16, version=2).versions == {day(16): 2}
    assert world.predictions(16)["score"].to_pylist() == _expected(world, 2, day(16))


def test_a_version_that_does_not_exist_is_named_with_those_that_do(world: World) -> None:
    with pytest.raises(MlopsError, match=r"expected version 9 of .* found 1, 2"):
        world.score(16, version=9)


def test_days_whose_features_are_not_published_are_named_and_nothing_is_published(world: World) -> None:
    with pytest.raises(NotReady, match=f"waits for {FLIGHTS.table} of {day(31)}, {FLIGHTS.table} of {day(32)}"):
        world.score(30, 32)
    assert not world.platform.lake.exists(world.model.predictions)


def test_a_version_scores_from_the_feature_table_that_it_was_trained_on(world: World) -> None:
    newer = FLIGHTS.model_copy(update={"version": 2})
    specs = Specs({"flights": newer, "outcomes": OUTCOMES}, {})
    later = World(Platform(world.platform.settings, specs), world.model)
    every = list(days(16, 31))
    other = pa.concat_tables([flights(ds, hour=pa.array([0] * A_DAY, pa.int32())) for ds in every])
    later.publish(other, every, newer)
    later.score(16)
    assert later.predictions(16)["score"].to_pylist() == _expected(world, 1, day(16))
    with pytest.raises(NotReady, match=f"{FLIGHTS.table} of {day(31)}"):  # version 2 of the table has that day
        later.score(31)


def test_scoring_again_replaces_and_changes_only_run_and_time(world: World) -> None:
    world.score(16, 18, "first")
    first = world.predictions(16, 18)
    world.score(17, 18, "second")
    again = world.predictions(16, 18)
    assert _same_but_run_and_time(first, again)
    runs = dict(zip(again["ds"].to_pylist(), again["run_id"].to_pylist(), strict=True))
    assert runs == {day(16): "first", day(17): "second", day(18): "second"}


KILLED = """
import os, signal, sys
from include.mlops.lake.drafts import Draft
from tests.integration.scoring.world import World
*place, point = sys.argv[1:]
world = World.of(*place)
rooms = {"publish": Draft, "record": world.platform.ledger.publications}
setattr(rooms[point], point, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
world.score(17, 18, "killed")
"""


@pytest.mark.parametrize(("point", "visible"), [("publish", [16, 17]), ("record", [16, 17, 18])])
def test_killed_before_the_commit_or_before_its_record_and_run_again_equals_a_clean_run(
    world: World, another_world: Callable[[], World], point: str, visible: list[int]
) -> None:
    clean = another_world()
    clean.score(16, 18)
    world.score(16, 17, "before")
    place = [str(world.platform.settings.state), world.platform.settings.mlflow_url, world.model.name]
    died = subprocess.run([sys.executable, "-c", KILLED, *place, point], check=False, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert sorted(set(world.predictions(1, 30)["ds"].to_pylist())) == [day(number) for number in visible]
    ledger = world.platform.ledger.publications
    assert sorted(ledger.over(world.model.predictions, days(1, 30))) == [day(16), day(17)]
    world.score(17, 18, "again")
    assert _same_but_run_and_time(world.predictions(1, 30), clean.predictions(1, 30))
    assert {ds: p.rows for ds, p in ledger.over(world.model.predictions, days(1, 30)).items()} == dict.fromkeys(
        days(16, 18), A_DAY
    )


def _constant(world: World) -> None:
    same = {"carrier": ["AA"] * A_DAY, "hour": pa.array([9] * A_DAY, pa.int32())}
    world.publish_flights(18, **same, wind=[0.0] * A_DAY, holiday=[False] * A_DAY)


def _without_a_score(world: World) -> None:
    world.publish_flights(18, wind=[999.0] + [0.0] * (A_DAY - 1))


def _with_an_infinite_feature(world: World) -> None:
    world.publish_flights(18, wind=[float("inf")] + [0.0] * (A_DAY - 1))


def _with_fewer_rows(world: World) -> None:
    world.publish(flights(day(18)), [day(18)], counted=A_DAY + 1)


def _with_high_scores(world: World) -> None:
    world.publish_flights(18, carrier=["ZZ"] * A_DAY)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_constant, "ScoreGateFailed: .* expected at least 2 different scores, found 1"),
        (_without_a_score, f"ScoreGateFailed: .* expected no missing scores, found 1 of {A_DAY}"),
        (
            _with_fewer_rows,
            f"ScoreGateFailed: .* expected {A_DAY + 1} rows as published in the features, found {A_DAY}",
        ),
        (_with_high_scores, r"ScoreGateFailed: .* expected scores up to 0.75, found 0\.[89]"),
        (_with_an_infinite_feature, "FeaturesUnusable: column 'wind'"),
    ],
)
def test_a_refused_day_is_not_published_and_the_others_are(
    world: World, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[World], None], reason: str
) -> None:
    _lose_scores_of_storms(monkeypatch)
    for number in (17, 18, 19):
        world.publish_flights(number, carrier=["AA", "UA"] * (A_DAY // 2))
    strict = World(world.platform, late_flights(world.model.name, scoring={"maximum": 0.75}))
    spoil(strict)
    strict.score(17)
    with pytest.raises(PartitionsFailed, match=reason) as failed:
        strict.score(18)
    assert list(failed.value.failures) == [day(18)]
    ledger = strict.platform.ledger.publications
    assert ledger.frontier(strict.model.predictions) == day(17), "yesterday stays the newest"
    assert set(latest(strict.platform.lake, strict.model.predictions)["ds"].to_pylist()) == {day(17)}
    with pytest.raises(PartitionsFailed) as failed:
        strict.score(17, 19)
    assert list(failed.value.failures) == [day(18)]
    assert sorted(set(strict.predictions(1, 30)["ds"].to_pylist())) == [day(17), day(19)]
    assert sorted(ledger.over(strict.model.predictions, days(1, 30))) == [day(17), day(19)]


def _lose_scores_of_storms(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree gives every row a number, so a row without one has to be made."""
    honest = Predictor.predict

    def predict(self: Predictor, rows: pa.RecordBatch) -> np.ndarray:
        scores = honest(self, rows)
        scores[np.array(rows.column("wind").to_pylist()) == 999.0] = np.nan
        return scores

    monkeypatch.setattr(Predictor, "predict", predict)


def test_a_refused_day_keeps_the_rows_that_it_had(world: World) -> None:
    world.score(18, run_id="good")
    before = world.predictions(18)
    _with_fewer_rows(world)
    with pytest.raises(PartitionsFailed):
        world.score(18, run_id="bad")
    assert world.predictions(18).equals(before)


def test_a_day_without_flights_is_published_without_rows(world: World) -> None:
    world.publish_flights(17, rows=0)
    scored = world.score(16, 18)
    assert scored.rows == {day(16): A_DAY, day(17): 0, day(18): A_DAY}
    assert scored.mean_score[day(17)] is None
    published = world.platform.ledger.publications.over(world.model.predictions, days(16, 18))
    assert published[day(17)].rows == 0
    assert world.predictions(17).num_rows == 0


def test_a_day_that_is_corrected_to_no_flights_loses_its_predictions(world: World) -> None:
    world.score(16, 17)
    world.publish_flights(17, rows=0)
    world.score(17)
    assert sorted(set(world.predictions(1, 30)["ds"].to_pylist())) == [day(16)]


def test_a_first_day_without_flights_is_published_as_well(world: World) -> None:
    world.publish_flights(16, rows=0)
    assert world.score(16).rows == {day(16): 0}
    assert latest(world.platform.lake, world.model.predictions).num_rows == 0


def test_a_sample_keeps_the_same_tenth_of_the_entities_each_day_and_publishes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    entities = [f"F{number:04}" for number in range(2000)]
    for number in (16, 17):
        wide = flights(day(number)).take(pa.array([n % A_DAY for n in range(len(entities))]))
        wide = wide.set_column(wide.schema.get_field_index("carrier"), "carrier", pa.array(entities))
        world.publish(wide, [day(number)])
    kept: list[set[str]] = []
    honest = Predictor.predict

    def predict(self: Predictor, rows: pa.RecordBatch) -> np.ndarray:
        kept.append(set(rows.column("carrier").to_pylist()))
        return honest(self, rows)

    monkeypatch.setattr(Predictor, "predict", predict)
    scored = world.score(16, 17, sample=0.1)
    assert not scored.published
    assert 140 < scored.rows[day(16)] < 260
    assert scored.rows[day(16)] == scored.rows[day(17)]
    filled = [names for names in kept if names]
    assert filled[0] == filled[1]
    assert not world.platform.lake.exists(world.model.predictions)
    assert world.platform.ledger.publications.frontier(world.model.predictions) is None
    assert world.platform.ledger.monitoring.metrics(world.model.name, "score") == {}


@pytest.mark.parametrize(("share", "rows"), [(1.0, A_DAY), (0.0, 0)])
def test_a_sample_may_be_all_or_nothing(world: World, share: float, rows: int) -> None:
    assert world.score(16, sample=share).rows == {day(16): rows}
