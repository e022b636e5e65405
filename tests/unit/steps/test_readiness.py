"""What a partition waits for: its file, and the published partitions that it reads."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.mlops.errors import NotReady
from include.mlops.ledger.publications import Publication
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup
from include.mlops.spec.interval import Interval
from include.mlops.spec.load import Specs
from include.mlops.steps.inputs.readiness import missing, require_inputs
from include.mlops.steps.platform import Platform


def _day(number: int) -> date:
    return date(2013, 3, number)


def _group(name: str, **changes: Any) -> FeatureGroup:
    return FeatureGroup.model_validate(
        {
            "name": name,
            "owner": "team",
            "description": "made up",
            "keys": ["key"],
            "event_time": "at",
            "available_at": "at",
            "source": {"format": "csv", "path": name + "/{ds}.csv", "columns": {"key": "string", "at": "timestamp"}},
            "publishes": {"key": "string"},
            "first_partition": _day(1),
            "schedule": {"start": _day(1)},
            **changes,
        }
    )


READINGS = _group("readings", first_partition=_day(5), schedule={"start": _day(7), "delay": "2d"}, version=3)
PLANS = _group("plans", reads={"readings": ("-4d", "-2d")})


@pytest.fixture
def platform(settings: Settings) -> Platform:
    return Platform(settings, Specs({"readings": READINGS, "plans": PLANS}, {}))


def _publish(platform: Platform, numbers: Iterable[int], table: str = READINGS.table) -> None:
    platform.ledger.publications.record(Publication(table, _day(number), 1, "meaning", "run") for number in numbers)


def _land(platform: Platform, *numbers: int) -> None:
    for number in numbers:
        file = Path(platform.settings.landing) / PLANS.path(_day(number))
        file.parent.mkdir(exist_ok=True)
        file.write_text("key,at\n")


def test_the_file_and_each_input_partition_that_is_missing_are_named(platform: Platform) -> None:
    _publish(platform, [9])
    _land(platform, 13)
    assert missing(platform, PLANS, Interval(_day(12), _day(13))) == [
        f"the file {platform.settings.landing}/plans/2013-03-12.csv",
        "readings of 2013-03-08",
        "readings of 2013-03-10",
        "readings of 2013-03-11",
    ]


def test_nothing_is_missing_once_all_is_there(platform: Platform) -> None:
    _publish(platform, [8, 9, 10])
    _land(platform, 12)
    assert missing(platform, PLANS, Interval.day(_day(12))) == []
    require_inputs(platform, PLANS, Interval.day(_day(12)))


def test_days_before_the_first_partition_of_a_group_are_not_waited_for(platform: Platform) -> None:
    _land(platform, 6, 7, 8)
    assert missing(platform, PLANS, Interval.day(_day(6))) == [], "all of its days lie before the first"
    assert missing(platform, PLANS, Interval.day(_day(8))) == ["readings of 2013-03-05", "readings of 2013-03-06"]


def test_another_version_of_a_group_does_not_count(platform: Platform) -> None:
    _publish(platform, [8, 9, 10], "features.readings_v2")
    _land(platform, 12)
    assert len(missing(platform, PLANS, Interval.day(_day(12)))) == 3


def test_inputs_are_required_by_name_and_a_long_list_is_cut_short(platform: Platform) -> None:
    with pytest.raises(NotReady) as caught:
        require_inputs(platform, PLANS, Interval(_day(12), _day(18)))
    assert str(caught.value) == (
        "plans 2013-03-12..2013-03-18 waits for readings of 2013-03-08, readings of 2013-03-09, "
        "readings of 2013-03-10, readings of 2013-03-11, readings of 2013-03-12 and 4 more"
    )
    assert len(caught.value.missing) == 9
    assert not caught.value.transient
