"""What a backup takes: one point beside a writer, only what is new, and nothing at all where it fails."""

from __future__ import annotations

import shutil
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from mlflow.store.artifact.local_artifact_repo import _TEMP_ARTIFACT_PREFIX
from typer.testing import CliRunner

from include.mlops.cli.main import app
from include.mlops.errors import BackupUnusable, MlopsError, SettingsError
from include.mlops.lake.views import SUFFIX, ensure_latest, has_latest
from include.mlops.local.airflow import exported
from include.mlops.settings import Settings
from include.mlops.steps.backup.backup import BackedUp, backup
from include.mlops.steps.backup.place import Place
from include.mlops.steps.backup.point import FORMAT
from include.mlops.steps.backup.restore import check, restore
from include.mlops.steps.platform import Platform
from include.mlops.stored_files import listing, read_whole
from tests.integration.faults.dying import Point
from tests.integration.scoring.world import FLIGHTS, World, day, days

pytestmark = pytest.mark.slow


def quietly(_: str) -> None:
    """Where lines of progress go."""


@pytest.fixture
def small(world: World, tmp_path: Path) -> World:
    """A lake and a ledger of the test's own, beside the MLflow of all."""
    settings = world.platform.settings
    return World.of(
        tmp_path / "small",
        settings.mlflow_url,
        world.model.name,
        mlflow_store_url=settings.mlflow_store,
        mlflow_artifacts_url=settings.mlflow_artifacts,
    )


def test_a_backup_without_the_files_of_its_model_versions_is_refused(world: World, tmp_path: Path) -> None:
    """Where MLflow's database is named, and the place of its files is not."""
    settings = world.platform.settings
    forgotten = Settings(state=tmp_path, mlflow_url=settings.mlflow_url, mlflow_store_url=settings.mlflow_store)
    place = tmp_path / "backups"
    with pytest.raises(SettingsError, match=r"files of MLflow's \d+ model versions .* set MLOPS_MLFLOW_ARTIFACTS_URL"):
        backup(Platform(forgotten, world.platform.specs), str(place), quietly)
    assert Place(str(place)).points() == []


def test_names_of_artifacts_may_hold_what_an_address_would_have_to_encode(
    small: World, another: Callable[..., World], tmp_path: Path
) -> None:
    folder = Path(small.platform.settings.mlflow_artifacts.removeprefix("file://")) / f"of a notebook {tmp_path.name}"
    names = {"roc curve.png", "roc%20curve.png", "a#b.png", "what?.txt"}
    folder.mkdir()
    try:
        for name in names:
            (folder / name).write_text(name)
        backup(small.platform, str(tmp_path / "backups"), quietly)
    finally:
        shutil.rmtree(folder)
    restored = another()
    restore(restored.platform, str(tmp_path / "backups"), "", quietly)
    there = Path(restored.platform.settings.mlflow_artifacts.removeprefix("file://")) / folder.name
    assert {path.name: path.read_text() for path in there.iterdir()} == {name: name for name in names}


def test_a_backup_beside_a_writer_holds_every_day_that_its_ledger_names(
    small: World, another: Callable[..., World], tmp_path: Path
) -> None:
    small.publish_flights(1)
    done = threading.Event()
    written: list[int] = []

    def write() -> None:
        number = 2
        while not done.is_set() and number <= 300:
            small.publish_flights(number)
            written.append(number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()

    def tell(line: str) -> None:
        """Between two parts of the backup, two days more."""
        now = len(written)
        while writer.is_alive() and len(written) < now + 2:
            done.wait(0.01)

    try:
        backup(small.platform, str(tmp_path / "place"), tell)
    finally:
        done.set()
        writer.join()
    restored = another()
    restore(restored.platform, str(tmp_path / "place"), "", quietly)
    publications = restored.platform.ledger.publications.over(FLIGHTS.table, days(1, 300))
    assert 1 <= len(publications) < len(written) + 1
    for ds, publication in publications.items():
        found = restored.platform.lake.batches(FLIGHTS.table, days(1, 300), snapshot_id=publication.snapshot_id)
        assert ds in {value for batch in found for value in batch["ds"].to_pylist()}


def test_a_second_backup_copies_what_is_new_alone(small: World, tmp_path: Path) -> None:
    small.publish_flights(1)
    first = backup(small.platform, str(tmp_path / "place"), quietly)
    held = {file: file.stat().st_mtime_ns for file in (tmp_path / "place" / "files").rglob("*") if file.is_file()}
    assert backup(small.platform, str(tmp_path / "place"), quietly).copied == 0
    small.publish_flights(2)
    third = backup(small.platform, str(tmp_path / "place"), quietly)
    assert first.copied == first.files
    assert third.copied == third.files - first.files + 1  # with the metadata, which replaced the one before
    assert {file: file.stat().st_mtime_ns for file in held} == held
    assert len(Place(str(tmp_path / "place")).points()) == 3


def test_files_of_a_training_that_goes_on_are_taken_as_they_are_when_they_are_read(
    small: World, another: Callable[..., World], tmp_path: Path
) -> None:
    settings = small.platform.settings.model_copy(update={"mlflow_artifacts_url": str(tmp_path / "artifacts")})
    world, folder = World(Platform(settings, small.platform.specs), small.model), tmp_path / "artifacts" / "1"
    folder.mkdir(parents=True)
    for name in ("replaced", "deleted", f"{_TEMP_ARTIFACT_PREFIX}x7"):
        (folder / name).write_text("listed")

    def goes_on() -> None:
        (folder / "replaced").write_text("another length")
        (folder / "deleted").unlink()

    with Point("include.mlops.steps.backup.backup:listing", after=True).happens(goes_on):
        made = backup(world.platform, str(tmp_path / "place"), quietly)
    assert [file.path for file in made.point.artifacts] == ["1/replaced"]
    restored = another()
    restore(restored.platform, str(tmp_path / "place"), "", quietly)
    (found,) = listing(restored.platform.settings.mlflow_artifacts)
    assert read_whole(f"{restored.platform.settings.mlflow_artifacts}/{found.path}").to_pybytes() == b"another length"


def test_an_earlier_point_can_be_restored(small: World, another: Callable[..., World], tmp_path: Path) -> None:
    small.publish_flights(1)
    first = backup(small.platform, str(tmp_path / "place"), quietly)
    small.publish_flights(2)
    backup(small.platform, str(tmp_path / "place"), quietly)
    restored = another()
    restore(restored.platform, str(tmp_path / "place"), first.point.name, quietly)
    assert restored.platform.ledger.publications.frontier(FLIGHTS.table) == day(1)


def test_older_backups_go_with_what_they_alone_hold(
    small: World, another: Callable[..., World], tmp_path: Path
) -> None:
    place = Place(str(tmp_path / "place"))
    small.publish_flights(1)
    backup(small.platform, place.url, quietly)
    small.platform.lake.catalog.drop_table(FLIGHTS.table)
    small.publish_flights(2)
    second = backup(small.platform, place.url, quietly).point
    third = backup(small.platform, place.url, quietly).point
    assert place.forget(2) == 1
    assert place.points() == sorted([second.name, third.name])
    kept = {file.name for file in (tmp_path / "place" / "files").rglob("*") if file.is_file()}
    assert kept == {content.sha256 for point in (second, third) for _, content in point.contents()}
    restore(another().platform, place.url, "", quietly)


def test_a_backup_whose_contents_were_deleted_meanwhile_is_none(small: World, tmp_path: Path) -> None:
    place = Place(str(tmp_path / "place"))
    small.publish_flights(1)
    backup(small.platform, place.url, quietly)
    small.publish_flights(2)

    def forget(line: str) -> None:
        if line.startswith("features"):
            Place(place.url).forget(1)

    with pytest.raises(BackupUnusable, match="damaged: rows of ledger"):
        backup(small.platform, place.url, forget)
    assert len(place.points()) == 1


def test_a_backup_that_was_cut_short_is_none(small: World, another: Callable[..., World], tmp_path: Path) -> None:
    small.publish_flights(1)

    def cut(line: str) -> None:
        if line.startswith("features"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backup(small.platform, str(tmp_path / "place"), cut)
    assert any((tmp_path / "place" / "files").rglob("*"))
    with pytest.raises(BackupUnusable, match="none that is whole"):
        restore(another().platform, str(tmp_path / "place"), "", quietly)


def test_a_table_whose_name_ends_as_a_view_does_is_kept_and_a_view_is_made_again(
    small: World, another: Callable[..., World], tmp_path: Path
) -> None:
    lake, named_so = small.platform.lake, f"{FLIGHTS.table}{SUFFIX}"
    small.publish_flights(1)
    lake.create(named_so, {"key": "string", "ds": "date"})
    lake.replace(named_so, pa.table({"key": ["a"], "ds": [day(1)]}), [day(1)])
    ensure_latest(lake, named_so)
    backup(small.platform, str(tmp_path / "place"), quietly)
    restored = another()
    restore(restored.platform, str(tmp_path / "place"), "", quietly)
    there = restored.platform.lake
    assert there.read(named_so, days(1, 1), ["key"])["key"].to_pylist() == ["a"]
    assert there.read(FLIGHTS.table, days(1, 1)).num_rows == lake.read(FLIGHTS.table, days(1, 1)).num_rows > 0
    assert (has_latest(there, named_so), has_latest(there, FLIGHTS.table)) == (True, False)


@pytest.mark.parametrize("what", ["data", "metadata"])
def test_a_lost_file_of_a_table_is_named_and_nothing_is_kept(small: World, tmp_path: Path, what: str) -> None:
    small.publish_flights(1)
    table = small.platform.lake.table(FLIGHTS.table)
    lost = table.inspect.files()["file_path"].to_pylist()[0] if what == "data" else table.metadata_location
    Path(lost.removeprefix("file://")).unlink()
    with pytest.raises(MlopsError, match=rf"expected every file of {FLIGHTS.table}.*{Path(lost).name}"):
        backup(small.platform, str(tmp_path / "place"), quietly)
    assert not Place(str(tmp_path / "place")).points()


def test_places_that_cannot_hold_a_backup_are_refused(small: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SettingsError, match=r"expected a place that takes files at .*/file/place"):
        backup(small.platform, str(tmp_path / "file" / "place"), quietly)
    with pytest.raises(SettingsError, match="outside of"):
        backup(small.platform, f"{small.platform.settings.warehouse}/backups", quietly)
    for act in (lambda url: backup(small.platform, url, quietly), lambda url: check(url, "", quietly)):
        with pytest.raises(SettingsError, match="without user and password") as told:
            act("s3://key:sesame@backups/mlops")
        assert "sesame" not in "".join(traceback.format_exception(told.value, limit=0))


def test_without_the_database_of_mlflow_the_settings_to_set_are_named(small: World, tmp_path: Path) -> None:
    settings = Settings(state=small.platform.settings.state, mlflow_url="http://mlflow.example")
    with pytest.raises(SettingsError, match="MLOPS_MLFLOW_STORE_URL and MLOPS_MLFLOW_ARTIFACTS_URL"):
        backup(Platform(settings, small.platform.specs), str(tmp_path / "place"), quietly)


def test_a_backup_of_a_newer_version_is_refused(backed_up: tuple[Path, BackedUp], tmp_path: Path) -> None:
    (tmp_path / "points").mkdir()
    newer = backed_up[1].point.model_copy(update={"format": FORMAT + 1})
    (tmp_path / "points" / f"{newer.name}.json").write_text(newer.model_dump_json())
    with pytest.raises(BackupUnusable, match=f"format {FORMAT} at .*, found {FORMAT + 1}"):
        Place(str(tmp_path)).point()
    (tmp_path / "points" / "z.json").write_text('{"format": 1}')
    with pytest.raises(BackupUnusable, match="found something else"):
        Place(str(tmp_path)).point()


def test_the_command_line_backs_up_lists_checks_and_restores(
    small: World, another: Callable[..., World], tmp_path: Path
) -> None:
    small.publish_flights(1)
    place, restored = str(tmp_path / "place"), another()
    run = CliRunner().invoke
    made = run(app, ["backup", place], env=exported(small.platform.settings))
    assert made.exit_code == 0, made.output
    assert "ledger: 1 rows of 1 tables" in made.output
    listed = run(app, ["restore", place, "--list"], env=exported(small.platform.settings)).output.split()
    assert f"{listed[0]}: whole" in made.output
    assert (
        "all as they were kept" in run(app, ["restore", place, "--check"], env=exported(small.platform.settings)).output
    )
    done = run(app, ["restore", place], env=exported(restored.platform.settings))
    assert done.exit_code == 0, done.output
    assert f"{listed[0]}: restored as of" in done.output
    again = run(app, ["restore", place], env=exported(restored.platform.settings))
    assert again.exit_code == 1
    assert "BackupUnusable: expected empty places" in again.output
