"""What goes out, one module a topic; each waits until Kafka has it, a broker's restart included."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, RequestTimedOutError

log = logging.getLogger(__name__)
RETRY_SECONDS = 1.0


async def until_acknowledged(topic: str, send: Callable[[], Awaitable[Any]]) -> None:
    """Send until acknowledged. All we publish may come twice: it is cumulative or has a derived id."""
    while True:
        try:
            await send()
            return
        except KafkaError as error:
            if not (
                error.retriable
                or isinstance(error, KafkaTimeoutError | RequestTimedOutError | KafkaConnectionError)
            ):
                raise
            log.warning("%s could not be written, trying again: %s", topic, error)
            await asyncio.sleep(RETRY_SECONDS)
