"""A backup restored into other, empty places goes on as the original would have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from include.mlops.errors import BackupUnusable, SettingsError
from include.mlops.lake.views import has_latest
from include.mlops.ledger.ledger import Ledger
from include.mlops.steps.backup.backup import BackedUp, backup
from include.mlops.steps.backup.restore import check, restore
from include.mlops.steps.platform import Platform
from include.mlops.steps.training.reproduce import reproduce
from tests.integration.backup.conftest import PUBLISHED, mlflow
from tests.integration.scoring.world import FLIGHTS, V1_AS_OF, World, day, days

pytestmark = pytest.mark.slow
NIGHT = V1_AS_OF + 1
Another = Callable[..., World]


def quietly(_: str) -> None:
    """Where lines of progress go."""


def scores(world: World, first: int, last: int) -> pa.Table:
    return world.predictions(first, last).drop_columns(["run_id", "scored_at"])


def test_nights_scored_in_the_restored_world_equal_those_of_the_original(
    world: World, backed_up: tuple[Path, BackedUp], another: Another
) -> None:
    restored = another()
    restore(restored.platform, str(backed_up[0]), "", quietly)
    assert scores(restored, NIGHT, NIGHT).equals(scores(world, NIGHT, NIGHT))
    with mlflow(restored.platform.settings):
        restored.score(NIGHT + 1, NIGHT + 2)
        assert reproduce(restored.platform, world.model.name, 1).version == 1
    world.score(NIGHT + 1, NIGHT + 2)
    assert scores(restored, NIGHT + 1, NIGHT + 2).equals(scores(world, NIGHT + 1, NIGHT + 2))
    assert has_latest(restored.platform.lake, world.model.predictions)


def test_a_backup_of_what_was_restored_into_the_same_place_is_restored_in_its_turn(
    backed_up: tuple[Path, BackedUp], another: Another, tmp_path: Path
) -> None:
    """Its tables have files of the same names as those of the original, with other addresses in them."""
    place = tmp_path / "place"
    shutil.copytree(backed_up[0], place)
    second, third = another(), another()
    restore(second.platform, str(place), "", quietly)
    with mlflow(second.platform.settings):
        second.score(NIGHT + 1)
    made = backup(second.platform, str(place), quietly)
    assert made.point.name != backed_up[1].point.name
    restore(third.platform, str(place), "", quietly)
    assert scores(third, NIGHT, NIGHT + 1).equals(scores(second, NIGHT, NIGHT + 1))
    assert third.platform.lake.table(FLIGHTS.table).location().startswith(third.platform.settings.warehouse)


def test_nothing_of_the_restored_tables_is_read_from_the_original(
    world: World, backed_up: tuple[Path, BackedUp], another: Another
) -> None:
    restored = another()
    restore(restored.platform, str(backed_up[0]), "", quietly)
    before, after = (one.platform.lake.table(FLIGHTS.table) for one in (world, restored))
    warehouse = restored.platform.settings.warehouse
    assert after.location().startswith(warehouse)
    assert all(path.startswith(warehouse) for path in after.inspect.all_files()["file_path"].to_pylist())
    assert all(path.startswith(warehouse) for path in after.inspect.all_manifests()["path"].to_pylist())
    assert set(before.refs()) == set(after.refs()) > {"main"}
    assert str(world.platform.settings.state) not in after.metadata.model_dump_json()


def test_a_restore_that_was_cut_short_after_any_of_its_parts_shows_nothing_and_is_gone_on_with(
    world: World, backed_up: tuple[Path, BackedUp], another: Another
) -> None:
    restored = another()

    class Cut(Exception):
        pass

    def cut_after(number: int) -> Callable[[str], None]:
        lines: list[str] = []

        def tell(line: str) -> None:
            lines.append(line)
            if len(lines) == number and not line.startswith("ledger"):
                raise Cut

        return tell

    number = 0
    while True:
        number += 1
        try:
            restore(restored.platform, str(backed_up[0]), "", cut_after(number))
            break
        except Cut:
            assert not Ledger(restored.platform.settings.ledger).counts()
            with pytest.raises(SettingsError, match=f"restore of {backed_up[1].point.name} was cut short"):
                Platform(restored.platform.settings).ledger.publications.frontier(FLIGHTS.table)
    assert number > 4
    assert restored.platform.ledger.counts() == backed_up[1].point.ledger.rows
    assert scores(restored, NIGHT, NIGHT).equals(scores(world, NIGHT, NIGHT))
    with pytest.raises(BackupUnusable, match="empty places"):
        restore(restored.platform, str(backed_up[0]), "", quietly)


def test_a_place_that_holds_something_is_refused_by_its_name_and_left_alone(
    world: World, backed_up: tuple[Path, BackedUp], another: Another
) -> None:
    full = another()
    full.publish_flights(1)
    with pytest.raises(BackupUnusable, match=r"features\.flights_v1.*ledger's rows in publications"):
        restore(full.platform, str(backed_up[0]), "", quietly)
    assert full.platform.lake.read(FLIGHTS.table, days(1, PUBLISHED)).num_rows == 120
    with pytest.raises(BackupUnusable, match="empty places"):
        restore(world.platform, str(backed_up[0]), "", quietly)
    shutil.rmtree(full.platform.settings.warehouse.removeprefix("file://"))
    with pytest.raises(BackupUnusable, match=r"catalog's tables features\.flights_v1"):
        restore(full.platform, str(backed_up[0]), "", quietly)


def test_a_damaged_or_lost_file_is_named(backed_up: tuple[Path, BackedUp], another: Another, tmp_path: Path) -> None:
    place = tmp_path / "copy"
    shutil.copytree(backed_up[0], place)
    table = next(table for table in backed_up[1].point.tables if table.name == FLIGHTS.table)
    file = next(file for file in table.files if file.kind == "data")
    kept = place / "files" / file.sha256[:2] / file.sha256
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    for act in (lambda: check(str(place), "", quietly), lambda: restore(another().platform, str(place), "", quietly)):
        with pytest.raises(BackupUnusable, match=rf"damaged: {FLIGHTS.table}: {file.path} \(changed"):
            act()
    kept.unlink()
    target = another()
    with pytest.raises(BackupUnusable, match=rf"damaged: {FLIGHTS.table}: {file.path}"):
        restore(target.platform, str(place), "", quietly)
    assert not (target.platform.settings.state / "lake" / "warehouse").exists()


def test_days_published_after_the_backup_are_not_in_it(
    world: World, backed_up: tuple[Path, BackedUp], another: Another
) -> None:
    world.publish_flights(PUBLISHED + 1)
    restored = another()
    restore(restored.platform, str(backed_up[0]), "", quietly)
    assert restored.platform.ledger.publications.frontier(FLIGHTS.table) == day(PUBLISHED)
    restored.publish_flights(PUBLISHED + 1)
    assert restored.platform.lake.read(FLIGHTS.table, days(1, 30)).num_rows == 120 * (PUBLISHED + 1)


def test_a_backup_of_another_schema_is_refused_before_anything_is_written(
    backed_up: tuple[Path, BackedUp], another: Another, tmp_path: Path
) -> None:
    place, point = tmp_path / "copy", backed_up[1].point
    shutil.copytree(backed_up[0], place)
    newer = {"revision": "9999"}
    for part, told in (("registry", "expected MLflow's schema at revision 9999"), ("ledger", "newer version")):
        changed = point.model_copy(update={part: getattr(point, part).model_copy(update=newer)})
        (place / "points" / f"{point.name}.json").write_text(changed.model_dump_json())
        target = another()
        with pytest.raises((BackupUnusable, SettingsError), match=told):
            restore(target.platform, str(place), "", quietly)
        assert not (target.platform.settings.state / "mlflow").exists()
        assert target.platform.opened_ledger.restoring() == ""
