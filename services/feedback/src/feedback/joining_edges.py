"""What joining asks of its edges, by shape only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.events import GroundTruthReceived, JoinProgressed, OutcomesJoined, QualityPaneCounted

from feedback.domain.progress import Progress
from feedback.domain.store import Store


class FollowedProgress(Protocol):
    """``join-progress``, read as it is written."""

    state: Progress

    async def read_past(self, offset: int) -> None:
        """Return when the record at an offset has been taken up."""


class Stores(Protocol):
    """State on disk, one a partition."""

    def open(self, partition: int) -> Store:
        """The partition's state as it was committed last, or an empty one."""

    def drop(self, partition: int) -> None:
        """Close a partition's state and throw it away."""

    def close(self, partition: int | None = None) -> None:
        """Let go of a partition's state, or of all."""


@dataclass(frozen=True)
class Edges:
    """What joining calls at its edges."""

    progress: FollowedProgress
    stores: Stores
    publish_outcomes: Callable[[int, Sequence[OutcomesJoined]], Awaitable[int]]  # the offset behind
    # by partition the offset behind
    publish_panes: Callable[[Sequence[QualityPaneCounted]], Awaitable[Mapping[int, int]]]
    publish_progress: Callable[[JoinProgressed], Awaitable[int]]  # the record's offset
    forget_progress: Callable[[int, int], Awaitable[None]]  # partition, and an epoch that is over
    # of so many partitions the panes that are there, and the offsets behind
    read_panes: Callable[
        [Iterable[int]], Awaitable[tuple[dict[int, list[QualityPaneCounted]], Mapping[int, int]]]
    ]
    # topic, partition, first offset, offset behind the last
    read_range: Callable[[str, int, int, int], AsyncIterator[list[Any]]]
    ends: Callable[[str], Awaitable[Mapping[int, int]]]
    reroute: Callable[[Sequence[tuple[int, GroundTruthReceived]], int, int], Awaitable[None]]
    refuse: Callable[[str, Any, str], Awaitable[None]]  # topic, record, reason
