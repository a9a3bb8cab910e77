"""A cluster for one drive: its topics are new, and so are its groups."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from scaling_waits import within
from servicekit.brokers import EmbeddedBrokers
from servicekit.config import Settings
from servicekit.topics import ensure_topics


@contextlib.asynccontextmanager
async def new_cluster(count: int) -> AsyncIterator[EmbeddedBrokers]:
    """``count`` brokers with the topics, killed at the end, for nobody reads their data again."""
    with EmbeddedBrokers(count) as brokers:
        try:
            await within("topics", ensure_topics(Settings(kafka=brokers.bootstrap)))
            yield brokers
        finally:
            for broker in brokers.brokers:
                with contextlib.suppress(ProcessLookupError):
                    broker.kill()
