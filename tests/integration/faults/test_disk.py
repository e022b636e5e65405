"""A disk that fills up: the error says where, nothing is published, and the next try finds room."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from include.mlops.errors import ServiceUnavailable
from include.mlops.steps.scoring.export import export
from tests.exhaustive import exhaustive
from tests.integration.faults import outcome
from tests.integration.faults.dying import Point
from tests.integration.faults.steps import Airline
from tests.integration.ingest.bundle import Bundle, day, readings
from tests.integration.scoring.world import World, days

pytestmark = pytest.mark.slow


class Disk:
    def __init__(self, folder: Path) -> None:
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                return

    def empty(self) -> None:
        self._filler.unlink()


@contextmanager
def small_disk(folder: Path, size: str = "4m") -> Iterator[Disk]:
    """A file system of its own over that folder. Skips where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("point", exhaustive(["Draft.write", "_replace"], 1))
def test_the_disk_of_the_warehouse_is_full_while_days_are_scored(
    airline: Airline, another_world: Callable[[], World], point: str
) -> None:
    world, clean = airline.open(), another_world()
    folder = world.platform.settings.state / "lake" / "warehouse" / "predictions"
    with small_disk(folder) as disk:
        with (
            Point(f"include.mlops.lake.drafts:{point}").happens(disk.fill),
            pytest.raises(ServiceUnavailable, match="no space is left where the lake writes"),
        ):
            world.score(16, 17)
        assert world.platform.ledger.publications.over(world.model.predictions, days(16, 17)) == {}
        disk.empty()
        world.score(16, 17)
        clean.score(16, 17)
        assert outcome.scores(world, 16, 17) == outcome.scores(clean, 16, 17)


@pytest.mark.parametrize("point", exhaustive(["Publications.record", "Monitoring.record"], 0))
def test_the_disk_of_the_ledger_is_full(another_world: Callable[[], World], tmp_path: Path, point: str) -> None:
    clean = another_world()
    room = {"Publications": "publications", "Monitoring": "monitoring"}[point.partition(".")[0]]
    with small_disk(tmp_path / "disk", "1m") as disk:
        settings = clean.platform.settings
        places = {"ledger_url": f"sqlite:///{tmp_path}/disk/ledger.db", "catalog_url": settings.catalog}
        world = World.of(settings.state, settings.mlflow_url, clean.model.name, **places)
        table = clean.platform.specs.group("flights").table
        world.platform.ledger.publications.record(clean.platform.ledger.publications.over(table, days(1, 30)).values())
        world.live(1, 16)
        with (
            Point(f"include.mlops.ledger.{room}:{point}").happens(disk.fill),
            pytest.raises(ServiceUnavailable, match=r"MLOPS_LEDGER_URL.*full"),
        ):
            world.score(16, 17)
        disk.empty()
        world.score(16, 17)
        found = outcome.scores(world, 16, 17)
        world.platform.ledger.close()
    clean.score(16, 17)
    assert found == outcome.scores(clean, 16, 17)


def test_the_disk_of_the_exports_is_full(airline: Airline) -> None:
    world = replace(airline, changes={"exports": [{"csv": {"path": "drop/{ds}.csv"}}]}).open()
    world.score(16)
    with small_disk(Path(world.platform.settings.exports) / "drop", "64k") as disk:
        disk.fill()
        with pytest.raises(ServiceUnavailable, match="No space left on device"):
            export(world.platform, world.model, days(16, 16), "unlucky")
        folder = Path(world.platform.settings.exports) / "drop"
        assert [path.name for path in folder.iterdir()] == ["filler"], "no part of a file stays behind"
        disk.empty()
        export(world.platform, world.model, days(16, 16), "run")
        assert len((folder / f"{days(16, 16).first}.csv").read_text().splitlines()) == 121


@pytest.mark.parametrize(
    "point", exhaustive(["include.mlops.steps.ingestion.ingest:stage", "include.mlops.lake.staging:_picked"], 0)
)
def test_the_disk_that_spark_writes_to_is_full(new_bundle: Callable[[], Bundle], point: str) -> None:
    bundle, clean = new_bundle(), new_bundle()
    for one in (bundle, clean):
        one.write_readings()
        one.land(one.readings, day(4), readings(day(4)))
    group = bundle.group(bundle.readings)
    folder = Path(bundle.settings.warehouse.removeprefix("file://")) / group.table.replace(".", "/")
    with small_disk(folder, "1m") as disk:
        with Point(point).happens(disk.fill), pytest.raises(ServiceUnavailable, match="no space is left"):
            bundle.run(bundle.readings, day(4))
        assert bundle.published(bundle.readings, day(4)) == {}
        disk.empty()
        bundle.run(bundle.readings, day(4))
        clean.run(clean.readings, day(4))
        assert outcome.features(bundle, 4, 4) == outcome.features(clean, 4, 4)
