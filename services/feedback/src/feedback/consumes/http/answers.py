"""What the HTTP application asks of whoever joins. It knows nothing else of the join."""

from __future__ import annotations

from typing import Any, Protocol

from feedback.domain.uploads import Labels


class Elsewhere(Exception):
    """Another replica holds the partition: it answers HTTP at ``url``."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.url = url


class Unready(Exception):
    """Nobody is known to hold the partition, or its state is being rebuilt: ask again later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Answers(Protocol):
    """The join, as it can be asked."""

    async def state(self, prediction_id: str) -> dict[str, Any]:
        """What is known of an id of the right form: ``state`` and what belongs to it.

        Raises :class:`Elsewhere` and :class:`Unready`.
        """
        ...

    async def status(self) -> dict[str, Any]:
        """How far quality is decided, and the counts of the join. Raises :class:`Unready`."""
        ...

    async def flush(self, until: int | None, seconds: float) -> int | None:
        """Decide what a finished replay left open; returns through when all is decided (ms of event time).

        Raises :class:`Elsewhere`, :class:`Unready`, and ``ValueError`` where ``until`` is too far ahead.
        """
        ...


class Send(Protocol):
    """How labels get to Kafka."""

    async def __call__(self, labels: Labels, upload_id: str, block: int = 0) -> None:
        """Returns once Kafka has them all; raises where it has not. A long upload comes in several blocks."""
        ...
