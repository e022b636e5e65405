"""What S3 says when an object lands: its own notifications, the same by way of SNS, and EventBridge's events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import date
from typing import Any
from urllib.parse import unquote_plus

from include.mlops.errors import MlopsError, SettingsError
from include.mlops.settings import Settings
from include.mlops.spec.feature_group import FeatureGroup


class UnreadableMessage(MlopsError):
    """A message of the queue is none of S3's."""


def landed_objects(body: str) -> list[str]:
    """The `s3://` addresses of the objects that a message says were created; none of other events, such as S3's test.

    Raises UnreadableMessage for anything but those three forms.
    """
    try:
        told = json.loads(body)
        if "Message" in told and "Records" not in told:  # SNS wraps it as text
            told = json.loads(told["Message"])
        if told.get("Event") == "s3:TestEvent":
            return []
        if "detail-type" in told:
            created = told.get("source") == "aws.s3" and told["detail-type"] == "Object Created"
            return [_address(told["detail"], told["detail"]["object"]["key"])] if created else []
        return [
            _address(record["s3"], unquote_plus(record["s3"]["object"]["key"]))  # spaces come as +
            for record in told["Records"]
            if record["eventName"].startswith("ObjectCreated:")
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableMessage(
            f"expected a notification of S3 or an event of EventBridge's, found {body[:200]!r}; send nothing else to "
            "the queue of MLOPS_LANDED_QUEUE_URL"
        ) from error


def queue_answers(queue_url: str) -> int:
    """About how many messages wait. Raises SettingsError where the queue does not answer."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    name = "ApproximateNumberOfMessages"
    try:
        found = boto3.client("sqs").get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name])["Attributes"]
    except (BotoCoreError, ClientError) as error:
        raise SettingsError(
            f"expected a queue of SQS at {queue_url} (MLOPS_LANDED_QUEUE_URL), found: {error}; correct its address, "
            "the region (AWS_DEFAULT_REGION), or let this user read it"
        ) from error
    return int(found[name])


def partition_of(settings: Settings, groups: Iterable[FeatureGroup], url: str) -> tuple[FeatureGroup, date] | None:
    """Whose partition the file at `url` is; None where no group has a file of that name."""
    root = settings.landing.rstrip("/").replace("s3a://", "s3://", 1) + "/"
    if not url.startswith(root):
        return None
    path = url.removeprefix(root)
    for group in groups:
        found = re.fullmatch(_pattern(group), path) if group.source.path else None
        if found and (ds := _day(found["ds"])):
            return group, ds
    return None


def _pattern(group: FeatureGroup) -> str:
    anywhere = date(1, 1, 1)
    before, after, *again = (re.escape(part) for part in group.path(anywhere).split(anywhere.isoformat()))
    return rf"{before}(?P<ds>\d{{4}}-\d\d-\d\d){after}" + "".join(f"(?P=ds){part}" for part in again)


def _address(told: dict[str, Any], key: str) -> str:
    return f"s3://{told['bucket']['name']}/{key}"


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
