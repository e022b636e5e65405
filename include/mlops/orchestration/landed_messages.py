"""Messages of an SQS queue as events of an asset. A message is deleted once Airflow has kept the event made of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Hashable, Sequence
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent
from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

log = logging.getLogger(__name__)
WAIT_SECONDS = 5  # how long one request waits for messages
PAUSE_SECONDS = 15.0  # after a request that failed


class LandedMessages(BaseEventTrigger):
    """Fires with the body of each message, whatever it says: the task that reads it knows what to make of it."""

    def __init__(self, queue_url: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.queue_url = queue_url

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {"queue_url": self.queue_url}

    def shared_stream_key(self) -> Hashable:
        return ("mlops-landed", self.queue_url)

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> SharedStreamProducer:
        return Queue(kwargs["queue_url"])

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        async for body in shared_stream:
            yield TriggerEvent(body)  # type: ignore[no-untyped-call]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Not called where a stream is shared, and this one always is."""
        raise NotImplementedError
        yield  # type: ignore[unreachable]


class Queue(SharedStreamProducer):
    """The queue's messages as long as anybody listens; one that is not kept comes again after its visibility time."""

    def __init__(self, queue_url: str) -> None:
        self.queue_url = queue_url

    async def open_stream(self) -> AsyncIterator[tuple[str, str]]:
        """Body and receipt of each message. A queue that does not answer is asked again."""
        while True:
            for message in await self._received():
                yield message["Body"], message["ReceiptHandle"]

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        for item in batch:
            if item.outcome.acked:
                await asyncio.to_thread(self._delete, item.broker_payload)

    def get_advance_lane(self, broker_payload: str) -> Hashable:
        return broker_payload  # messages do not wait for one another

    async def _received(self) -> list[dict[str, Any]]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return await asyncio.to_thread(self._receive)
        except (BotoCoreError, ClientError) as error:
            log.warning("expected messages of %s (MLOPS_LANDED_QUEUE_URL), found: %s", self.queue_url, error)
            await asyncio.sleep(PAUSE_SECONDS)
            return []

    def _receive(self) -> list[dict[str, Any]]:
        answer = self._client().receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=WAIT_SECONDS
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def _delete(self, receipt: str) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client().delete_message(QueueUrl=self.queue_url, ReceiptHandle=receipt)
        except (BotoCoreError, ClientError) as error:
            log.warning("a message of %s stays, and will come again: %s", self.queue_url, error)

    def _client(self) -> Any:
        from airflow.providers.amazon.aws.hooks.sqs import SqsHook

        return SqsHook(aws_conn_id=None).conn
