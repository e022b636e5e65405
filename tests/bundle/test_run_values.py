"""The data date of a run: from its partition key, or from the form of a run that was started by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from include.mlops.errors import MlopsError, WrongTrigger
from include.mlops.orchestration.defaults import partition
from include.mlops.orchestration.model_dags import _actor, _as_of

Contexts = Callable[..., dict[str, Any]]


def test_a_run_has_the_day_of_its_partition_key(context: Contexts) -> None:
    assert partition(context("score_flight_delay", "score", "2013-04-05")) == date(2013, 4, 5)


@pytest.mark.parametrize("key", [None, ""])
def test_a_run_without_a_key_says_which_field_to_fill_in(context: Contexts, key: str | None) -> None:
    with pytest.raises(WrongTrigger, match=r"expected a partition key such as 2013-04-05, found none.*Partition Key"):
        partition(context("score_flight_delay", "score", key))


@pytest.mark.parametrize("key", ["20130405", "2013-W14-5", "2013-02-30", "5th of April", "2013-04-05T00:00:00"])
def test_a_key_in_another_spelling_is_refused(context: Contexts, key: str) -> None:
    with pytest.raises(
        MlopsError, match=f"expected a day such as 2013-04-05 in the field Partition Key, found '{key}'"
    ):
        partition(context("score_flight_delay", "score", key))


def test_a_retraining_that_a_night_asked_for_is_as_of_that_night(context: Contexts) -> None:
    asked = context("retrain_flight_delay", "train", "2013-04-05", params={"as_of": None, "reason": ""})

    assert _as_of(asked) == date(2013, 4, 5)
    assert _actor(asked) == "retraining policy"


def test_a_retraining_by_hand_needs_no_partition_key(context: Contexts) -> None:
    by_hand = context(
        *("retrain_flight_delay", "train", None),
        run_type="manual",
        params={"as_of": "2013-04-07", "reason": "new carrier"},
        triggering_user_name="vera",
    )

    assert _as_of(by_hand) == date(2013, 4, 7)
    assert _actor(by_hand) == "vera: new carrier"


def test_the_form_wins_over_the_key(context: Contexts) -> None:
    both = context("retrain_flight_delay", "train", "2013-04-05", params={"as_of": "2013-04-07"})

    assert _as_of(both) == date(2013, 4, 7)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"as_of": None}, "expected an as-of date, found none.*As-of date"),
        ({}, "expected an as-of date, found none.*As-of date"),
        ({"as_of": "next week"}, "expected a day such as 2013-04-05 in the field As-of date, found 'next week'"),
    ],
)
def test_a_retraining_without_a_usable_date_says_so(context: Contexts, params: dict[str, Any], says: str) -> None:
    with pytest.raises(WrongTrigger, match=says):
        _as_of(context("retrain_flight_delay", "train", None, run_type="manual", params=params))
