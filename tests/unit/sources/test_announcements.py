"""What S3 says when an object lands, by each of its ways, and whose partition that object is."""

from __future__ import annotations

import contextlib
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.mlops.settings import ROOT, Settings
from include.mlops.sources.announcements import UnreadableMessage, landed_objects, partition_of
from include.mlops.spec.load import load_specs

DAY = date(2013, 4, 5)


def notification(key: str, event: str = "ObjectCreated:Put") -> str:
    record = {"eventSource": "aws:s3", "eventName": event, "s3": {"bucket": {"name": "b"}, "object": {"key": key}}}
    return json.dumps({"Records": [record]})


def _event(key: str, kind: str = "Object Created", source: str = "aws.s3") -> str:
    return json.dumps(
        {"source": source, "detail-type": kind, "detail": {"bucket": {"name": "b"}, "object": {"key": key}}}
    )


@pytest.mark.parametrize(
    ("body", "objects"),
    [
        (notification("in/a+b%2Bc/2013-04-05.csv"), ["s3://b/in/a b+c/2013-04-05.csv"]),
        (notification("x.csv", "ObjectCreated:CompleteMultipartUpload"), ["s3://b/x.csv"]),
        (notification("x.csv", "ObjectRemoved:Delete"), []),
        (json.dumps({"Type": "Notification", "Message": notification("x.csv")}), ["s3://b/x.csv"]),
        (_event("a+b/x.csv"), ["s3://b/a+b/x.csv"]),
        (_event("x.csv", "Object Deleted"), []),
        (_event("x.csv", source="my.app"), []),
        (json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}), []),
        (json.dumps({"Records": []}), []),
    ],
)
def test_the_objects_that_were_created_are_read(body: str, objects: list[str]) -> None:
    assert landed_objects(body) == objects


@pytest.mark.parametrize(
    "body", ["", "null", "[]", "7", "{}", '{"Records": 1}', '{"Records": [{}]}', '{"Message": "x"}']
)
def test_another_message_is_told(body: str) -> None:
    with pytest.raises(UnreadableMessage, match="expected a notification of S3 or an event of EventBridge"):
        landed_objects(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda some: st.lists(some) | st.dictionaries(st.sampled_from(["Records", "s3", "Message", "detail", "x"]), some),
)


@given(_JSON)
def test_whatever_a_message_is_it_is_read_or_told(value: Any) -> None:
    with contextlib.suppress(UnreadableMessage):
        assert all(url.startswith("s3://") for url in landed_objects(json.dumps(value)))


@pytest.mark.parametrize(
    ("url", "whose"),
    [
        ("s3://landing/in/flight_outcomes/2013-04-05.csv", ("flight_outcomes", DAY)),
        ("s3://landing/in/flight_outcomes/2013-04-05.csv.tmp", None),
        ("s3://landing/in/flight_outcomes/2013-04-31.csv", None),
        ("s3://landing/in/other/2013-04-05.csv", None),
        ("s3://landing/inn/flight_outcomes/2013-04-05.csv", None),
        ("s3://elsewhere/in/flight_outcomes/2013-04-05.csv", None),
    ],
)
def test_an_object_belongs_to_the_group_whose_file_it_is(
    tmp_path: Path, url: str, whose: tuple[str, date] | None
) -> None:
    settings = Settings(state=tmp_path, landing_url="s3://landing/in/")
    found = partition_of(settings, load_specs(ROOT / "include").groups.values(), url)
    assert (found and (found[0].name, found[1])) == whose
