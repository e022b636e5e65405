"""Many damaged days in one job: each is published and right, or named and nowhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, time, timedelta

import pytest
from typer.testing import CliRunner

from include.mlops import errors
from include.mlops.cli.main import app
from include.mlops.errors import MlopsError, PartitionsFailed
from include.mlops.local.airflow import exported
from tests.integration.ingest.bundle import ZONE, Bundle, day
from tests.integration.ingest.mutations import KINDS

pytestmark = pytest.mark.slow
NAMES = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, MlopsError)}
FOREIGN = re.compile(r"Traceback|JVM stacktrace|org\.apache|pyarrow\.lib|SparkException")


@pytest.mark.parametrize("kind", KINDS)
def test_each_damaged_day_is_published_and_right_or_named_and_nowhere(
    new_bundle: Callable[[], Bundle], kind: str
) -> None:
    bundle = new_bundle()
    bundle.write_readings(format=kind, limit=0.5)
    days = {name: day(number) for number, name in enumerate(KINDS[kind], 1)}
    first, last = day(1), max(days.values())
    assert len(days) >= 40
    for name, ds in days.items():
        bundle.land(bundle.readings, ds, KINDS[kind][name](ds))

    with pytest.raises(PartitionsFailed) as caught:
        bundle.run(bundle.readings, first, last)

    failed, published = caught.value.failures, bundle.published(bundle.readings, first, last)
    told = {name: failed.get(ds, "published") for name, ds in days.items()}
    assert {*failed} | {*published} == {*days.values()}, told
    assert not {*failed} & {*published}
    assert days["whole"] in published
    for name, text in told.items():
        assert text == "published" or text.partition(":")[0] in NAMES, f"{name}: {text}"
        assert not FOREIGN.search(text), f"{name}: {text}"
    rows = bundle.rows(bundle.readings, first, last)
    assert {row["ds"] for row in rows} == {*published}
    assert max(Counter((row["ds"], row["sensor"], row["slot"]) for row in rows).values()) == 1
    for row in rows:
        _is_right(row, row["ds"])
    for row in bundle.quarantine(bundle.readings, first, last):
        assert row["reason"], row
        assert row["record"] is not None, row
    print(kind, Counter(text.partition(":")[0] for text in told.values()))


@pytest.mark.parametrize(("kind", "name"), [("csv", "a column dropped"), ("json", "lists"), ("parquet", "no columns")])
def test_the_command_line_tells_of_a_damaged_day_without_a_traceback(
    new_bundle: Callable[[], Bundle], kind: str, name: str
) -> None:
    bundle, ds = new_bundle(), day(1)
    bundle.write_readings(format=kind)
    bundle.land(bundle.readings, ds, KINDS[kind][name](ds))
    told = CliRunner().invoke(
        app, ["ingest", bundle.readings, "--from", f"{ds}", "--to", f"{ds}"], env=exported(bundle.settings)
    )
    assert told.exit_code == 1
    assert isinstance(told.exception, SystemExit), told.exception
    assert re.match(rf"PartitionsFailed: .*: 1 partition\(s\) failed.*\n  {ds}: [A-Z]\w+: ", told.stderr)
    assert not FOREIGN.search(told.output)


def _is_right(row: dict[str, object], ds: date) -> None:
    """What the specification of `readings` says of each row."""
    assert isinstance(row["sensor"], str)
    assert isinstance(row["slot"], int)
    assert row["value"] is None or isinstance(row["value"], float)
    assert row["note"] is None or isinstance(row["note"], str)
    assert isinstance(row["event_time"], datetime)
    assert isinstance(row["available_at"], datetime)
    assert row["event_time"].astimezone(ZONE).date() == ds
    assert row["available_at"] <= datetime.combine(ds + timedelta(days=2), time(), ZONE)
