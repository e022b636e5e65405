"""Erasure of one entity: what goes, what stays, what is said of it, and that it can be done again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import Table

from include.mlops.errors import MlopsError, NotReproducible, ServiceUnavailable, SpecError
from include.mlops.lake import snapshots
from include.mlops.lake.lake import Lake
from include.mlops.learner.profile import from_parquet
from include.mlops.ledger.publications import Publications, Validation
from include.mlops.policy.alerting import Alert
from include.mlops.registry.version import TRAINING_KEY
from include.mlops.settings import Settings
from include.mlops.spec.finding import Finding
from include.mlops.spec.load import Specs
from include.mlops.steps.erasure import erase as erasing
from include.mlops.steps.erasure.erase import Erased, erase
from include.mlops.steps.erasure.plan import plan
from include.mlops.steps.history.version_story import version_story
from include.mlops.steps.inputs.dependents import stale_everywhere
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.reproduce import reproduce
from tests.aws import aws, bucket
from tests.exhaustive import exhaustive
from tests.integration.erasure.conftest import KEYS, LONE, PERSON, make_world, with_person
from tests.integration.scoring.world import A_DAY, DAYS, FLIGHTS, OUTCOMES, World, day, days, flights

pytestmark = pytest.mark.slow
QUARANTINE = f"quarantine.{FLIGHTS.name}"


def _erase(world: World, keys: dict[str, str] | None = None) -> Erased:
    keys = keys or KEYS
    planned = plan(world.platform, FLIGHTS, keys)
    return erase(world.platform, FLIGHTS, keys, planned, "keeper", "request 12")


def _all(world: World, table: str) -> pa.Table:
    found = world.platform.lake.read(table, days(1, DAYS))
    return found.sort_by([(name, "ascending") for name in found.column_names if name not in ("hour", "wind")])


def _tables(world: World) -> dict[str, pa.Table]:
    return {name: _all(world, name) for name in snapshots.tables(world.platform.lake)}


def _naming(folder: Path, text: str) -> list[str]:
    """Files whose bytes hold the text."""
    return sorted(
        str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and text.encode() in p.read_bytes()
    )


def _others(table: pa.Table) -> pa.Table:
    if "record" in table.column_names:
        return table.filter(pc.invert(pc.match_substring_regex(table["record"], rf'{PERSON}(",|,)')))
    return table.filter(pc.not_equal(table["carrier"], PERSON))


def test_the_rows_go_from_every_table_and_all_others_stay(world: World) -> None:
    before = _tables(world)
    assert {name.partition(".")[0] for name in before} == {"features", "predictions", "quarantine"}

    done = _erase(world)

    assert done.rows == 2 * DAYS + 3 + 2
    assert set(done.tables) == set(before)
    after = _tables(world)
    assert after == {name: _others(table) for name, table in before.items()}
    assert [len(before[name]) - len(after[name]) for name in before] == [DAYS, DAYS, 3, 2]


def test_no_file_of_the_warehouse_names_it_any_more(world: World) -> None:
    lake = world.platform.settings.state / "lake"
    whole = f"{PERSON}X"  # the quarantine of somebody else, whose name begins alike
    table = world.platform.lake.table(QUARANTINE)
    table.delete(f'record = \'{{"carrier":"{whole}","flight":"7"}}\'')
    kinds = {name.rpartition(".")[2] for name in _naming(lake, PERSON)}
    assert kinds == {"parquet", "avro"}

    _erase(world)

    assert _naming(lake, PERSON) == []
    assert _naming(world.platform.settings.state, PERSON) == [], "neither does the ledger"


def test_no_object_of_a_bucket_names_it_any_more(tmp_path: Path, mlflow_server: Settings) -> None:
    def naming() -> list[str]:
        s3 = boto3.client("s3")
        keys = [
            one["Key"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lake")
            for one in page["Contents"]
        ]
        bodies = {key: s3.get_object(Bucket="lake", Key=key)["Body"].read() for key in keys}
        return [key for key, body in bodies.items() if PERSON.encode() in body.replace(f"{PERSON}X".encode(), b"")]

    with aws():
        bucket("lake")
        world = make_world(tmp_path, mlflow_server.mlflow_url, "s3://lake/warehouse")
        assert naming()

        _erase(world)

        assert naming() == []
        assert world.score(16).rows == {day(16): A_DAY - 1}


def test_its_training_set_is_changed_on_the_record(world: World) -> None:
    model, planned = world.model.name, plan(world.platform, FLIGHTS, KEYS)
    assert [(one.version, one.rows) for one in planned.versions] == [(1, 26)], "13 days of flights and of outcomes"
    assert reproduce(world.platform, model, 1).version == 1

    _erase(world)

    with pytest.raises(NotReproducible, match=r"changed by erasure no\. 1 of \d{4}-\d\d-\d\d took 26 row\(s\)"):
        reproduce(world.platform, model, 1)
    version = world.platform.registry.version(model, 1)
    assert version.tags["mlops.erasures"] == "1"
    (decision,) = world.platform.ledger.releases.decisions(model, "erase")
    assert (decision.version, decision.actor, decision.evidence) == (1, "keeper", {"erasure": 1, "rows": 26})
    (record,) = world.platform.ledger.erasures.all()
    assert (record.feature_group, record.reason, record.rows) == ("flights", "request 12", 2 * DAYS + 5)
    assert record.finished_at
    _, told, _ = version_story(world.platform, world.model, 1)
    assert told["erased from its training set"] == [f"no. 1 of {record.day}: 26 row(s)"]
    assert world.platform.ledger.erasures.of_key("flights", KEYS) == [record]
    assert world.platform.ledger.erasures.of_key("flights", {**KEYS, "flight": "8"}) == []


def test_what_the_registry_kept_of_it_goes_too(world: World) -> None:
    registry, version = world.platform.registry, world.platform.registry.version(world.model.name, 1)
    before = from_parquet(registry.artifact(version, "reference.parquet"))
    assert PERSON in before["carrier"].to_pylist()

    _erase(world)

    after = from_parquet(registry.artifact(version, "reference.parquet"))
    assert after.equals(before.filter(pc.not_equal(before["carrier"], PERSON)))
    assert registry.model_file(version), "the model itself stays as it was registered"
    world.monitor(17)


@pytest.mark.parametrize("deleted", [False, True])
def test_so_does_what_a_training_that_was_killed_before_its_version_kept(world: World, deleted: bool) -> None:
    registry = world.platform.registry
    kept = registry.artifact(registry.version(world.model.name, 1), "reference.parquet")
    run = registry.begin(world.model.name, "killed", {}, {TRAINING_KEY: "killed"})
    run.log_files({"reference.parquet": kept})
    run.fail()
    if deleted:
        registry._client.delete_run(run.run_id)  # as a person does on MLflow's page

    _erase(world)

    assert PERSON not in from_parquet(registry.artifact(run.run_id, "reference.parquet"))["carrier"].to_pylist()


def test_a_profile_that_cannot_be_read_is_named_and_the_erasure_goes_on_after_its_removal(
    world: World, mlflow_server: Settings
) -> None:
    registry = world.platform.registry
    run = registry.begin(world.model.name, "broken", {}, {TRAINING_KEY: "broken"})
    run.log_files({"reference.parquet": b"PAR1"})
    run.fail()

    with pytest.raises(MlopsError, match=f"reference.parquet of the training {run.run_id} of {world.model.name} in "):
        _erase(world)
    artifacts = Path(mlflow_server.mlflow_artifacts.removeprefix("file://"))
    next(artifacts.rglob(f"{run.run_id}/artifacts/reference.parquet")).unlink()
    _erase(world)

    (record,) = world.platform.ledger.erasures.all()
    assert record.finished_at


def test_so_does_what_it_kept_for_a_model_whose_specification_was_removed(world: World) -> None:
    version = world.platform.registry.version(world.model.name, 1)
    page = world.platform.settings.reports / f"drift/{world.model.name}" / f"{day(16)}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(PERSON)
    left = replace(world, platform=Platform(world.platform.settings, Specs({"flights": FLIGHTS}, {})))

    done = _erase(left)

    assert done.versions == (f"{world.model.name} v1",)
    kept = from_parquet(left.platform.registry.artifact(version, "reference.parquet"))
    assert PERSON not in kept["carrier"].to_pylist()
    assert not page.exists()


def test_it_is_refused_while_a_specification_is_broken(world: World) -> None:
    broken = Finding(Path("specs/models/late.yaml"), 3, "label", "expected an expression")
    left = Platform(world.platform.settings, Specs({"flights": FLIGHTS}, {}, (broken,)))
    with pytest.raises(
        SpecError, match=r"mend or remove these first, in .*\nspecs/models/late.yaml:3: label: expected"
    ):
        plan(left, FLIGHTS, KEYS)


def test_a_version_that_was_not_trained_on_it_is_reproduced_as_ever(world: World) -> None:
    tag = world.platform.registry.version(world.model.name, 1).tag("mlops.data_tag")
    before = world.platform.lake.snapshot_of(FLIGHTS.table, tag)

    assert plan(world.platform, FLIGHTS, {"carrier": LONE}).versions == ()
    _erase(world, {"carrier": LONE})

    assert world.platform.lake.snapshot_of(FLIGHTS.table, tag) != before, "its tag held a later day of it"
    assert reproduce(world.platform, world.model.name, 1).version == 1
    assert _naming(world.platform.settings.state / "lake", LONE) == []


def test_nothing_is_out_of_date_and_days_can_be_scored_again(world: World) -> None:
    world.monitor(16)
    before = stale_everywhere(world.platform, world.model.name, days(16, 18))
    assert before == []

    _erase(world)

    assert stale_everywhere(world.platform, world.model.name, days(16, 18)) == []
    assert world.score(16).rows == {day(16): A_DAY - 1}
    assert stale_everywhere(world.platform, world.model.name, days(16, 18)) == []


def test_what_was_out_of_date_before_stays_so(world: World) -> None:
    world.publish_flights(17, wind=[9.0] * A_DAY)
    before = [(one.what, one.days) for one in stale_everywhere(world.platform, world.model.name, days(16, 18))]
    assert before

    _erase(world)

    after = [(one.what, one.days) for one in stale_everywhere(world.platform, world.model.name, days(16, 18))]
    assert after == before


def test_tags_go_on_sharing_their_files(world: World) -> None:
    lake = world.platform.lake
    for number in range(3):
        lake.tag(FLIGHTS.table, f"another_{number}")

    _erase(world)

    table = lake.table(FLIGHTS.table)
    files = {path for path in snapshots.files_of(table, snapshots.pinned(table)) if path.endswith(".parquet")}
    assert len(files) == DAYS + 1, "one a day, and two of the day that was published again"
    assert set(table.refs()) >= {"main", "another_0", "another_1", "another_2"}
    assert {one.snapshot_id for one in table.snapshots()} == snapshots.pinned(table)


def test_a_staged_snapshot_that_is_published_meanwhile_can_be_read_and_is_erased_the_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, table = world.platform.lake, world.platform.lake.table(FLIGHTS.table)
    current = table.current_snapshot()
    assert current
    rows = with_person(flights(day(21), wind=[5.0] * A_DAY), day(21)).select(lake.columns(FLIGHTS.table))
    table.manage_snapshots().create_branch(current.snapshot_id, "staged").commit()
    table.overwrite(rows, f"ds = '{day(21)}'", branch="staged")
    staged = table.refresh().refs()["staged"].snapshot_id
    table.manage_snapshots().remove_branch("staged").commit()
    forget = snapshots.forget

    def after_a_publish(lake: Lake, name: str, ids: Collection[int]) -> None:
        if name == FLIGHTS.table and staged in ids:
            lake.show(name, staged)
        forget(lake, name, ids)

    monkeypatch.setattr(snapshots, "forget", after_a_publish)
    with pytest.raises(ServiceUnavailable, match=f"were written to {FLIGHTS.table} meanwhile"):
        _erase(world)
    assert set(_all(world, FLIGHTS.table).filter(pc.field("ds") == day(21))["wind"].to_pylist()) == {5.0}

    monkeypatch.undo()
    _erase(world)

    assert PERSON not in _all(world, FLIGHTS.table)["carrier"].to_pylist()
    assert not list((world.platform.settings.state / "lake").rglob("erasure-*"))


def test_examples_of_a_day_that_was_refused_go_with_its_page_and_its_alert(world: World) -> None:
    ledger, refused = world.platform.ledger, day(DAYS) + timedelta(days=1)
    observed = f"1 of {A_DAY} rows otherwise, such as {PERSON}"
    result = Validation(FLIGHTS.table, refused, "run", "expect_it", "carrier", "critical", False, observed)
    ledger.publications.record_validations([result])
    page, other = (world.platform.settings.reports / f"validation/flights/{ds}.html" for ds in (refused, day(3)))
    page.parent.mkdir(parents=True)
    page.write_text(PERSON)
    other.write_text("nothing")
    alert = Alert(
        "failed", "ingest_flights", refused, "critical", "ingest_flights failed", f"expected it, found {observed}"
    )
    ledger.incidents.record(alert, "#data", datetime.now(UTC))

    _erase(world)

    assert [one.observed for one in ledger.publications.validations(FLIGHTS.table, refused)] == [
        f"1 of {A_DAY} rows otherwise"
    ]
    assert PERSON not in str(ledger.incidents.list_outbox())
    assert (page.exists(), other.exists()) == (False, False), "rows of the other day were erased"


POINTS: dict[str, tuple[Any, str]] = {
    "before anything": (erasing.erasing, "erase"),
    "before a tag is moved": (erasing.erasing._Erasing, "move_tag"),
    "while a tag is moved": (erasing.erasing._Erasing, "_to_head"),
    "before files are deleted": (snapshots, "delete"),
    "before snapshots are forgotten": (snapshots, "forget"),
    "before the ledger knows": (erasing, "publish_without"),
    "before artifacts": (erasing, "erase_from_artifacts"),
    "before pages and examples": (erasing, "forget_shown"),
    "between pages and examples": (Publications, "forget_examples"),
    "before the audit log": (erasing, "_decide"),
}


class _Killed(BaseException):
    """As SIGKILL: nobody catches it."""


@pytest.mark.parametrize("point", exhaustive(POINTS, 2, 4, 9))
def test_killed_and_done_again_it_ends_the_same(world: World, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    wanted = {name: _others(table) for name, table in _tables(world).items()}
    owner, name = POINTS[point]
    whole: Callable[..., Any] = getattr(owner, name)
    calls: list[int] = []

    def dies(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise _Killed
        return whole(*arguments, **options)

    monkeypatch.setattr(owner, name, dies)
    with pytest.raises(_Killed):
        _erase(world)
    (begun,) = world.platform.ledger.erasures.all()
    assert begun.finished_at is None

    done = _erase(world)

    (record,) = world.platform.ledger.erasures.all()
    assert (done.number, record.rows, bool(record.finished_at)) == (1, 2 * DAYS + 5, True)
    assert [(one["version"], one["rows"]) for one in record.versions] == [(1, 26)]
    assert _tables(world) == wanted
    assert stale_everywhere(world.platform, world.model.name, days(16, 18)) == []
    assert len(world.platform.ledger.releases.decisions(world.model.name, "erase")) == 1
    others = f"{PERSON}X".encode()
    lake = world.platform.settings.state / "lake"
    left = [p for p in _naming(lake, PERSON) if PERSON.encode() in (lake / p).read_bytes().replace(others, b"")]
    assert left == []


def test_a_plan_changes_nothing_and_names_what_lies_elsewhere(world: World) -> None:
    before = {name: world.platform.lake.snapshot(name) for name in snapshots.tables(world.platform.lake)}
    planned = plan(world.platform, FLIGHTS, KEYS)
    assert {name: sum(one.rows.values()) for name, one in planned.tables.items()} == {
        FLIGHTS.table: DAYS,
        OUTCOMES.table: DAYS,
        world.model.predictions: 3,
        QUARANTINE: 2,
    }
    assert {name: world.platform.lake.snapshot(name) for name in before} == before
    assert any("flights/{ds}.csv" in line for line in planned.elsewhere)
    assert world.platform.ledger.erasures.all() == []


def test_a_plan_reads_a_manifest_once_and_again_for_each_tag(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        world.platform.lake.tag(FLIGHTS.table, f"another_{number}")
    table, reads = world.platform.lake.table(FLIGHTS.table), Counter[str]()
    whole = snapshots.entries_of

    def counted(table: Table, manifest: ManifestFile, **options: bool) -> list[ManifestEntry]:
        reads[manifest.manifest_path] += 1
        return whole(table, manifest, **options)

    monkeypatch.setattr(snapshots, "entries_of", counted)
    plan(world.platform, FLIGHTS, KEYS)

    assert reads
    assert max(reads.values()) <= 1 + len(table.refs())


def test_keys_that_are_none_are_refused(world: World) -> None:
    with pytest.raises(SpecError, match="carier"):
        plan(world.platform, FLIGHTS, {"carier": "UA"})
    with pytest.raises(SpecError, match="at least one key"):
        plan(world.platform, FLIGHTS, {})
    with pytest.raises(MlopsError, match="flight: int32") as caught:
        plan(world.platform, FLIGHTS, {**KEYS, "flight": "seven"})
    assert PERSON not in str(caught.value)


def test_an_entity_without_rows_is_on_the_record_too(world: World) -> None:
    done = _erase(world, {"carrier": "NOBODY"})
    assert (done.rows, done.tables, world.platform.ledger.erasures.all()[0].rows) == (0, (), 0)
