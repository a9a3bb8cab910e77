"""Topic ``quality-panes``, compacted: read whole by who takes over a partition, and followed by who decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from contracts.codec import decode
from contracts.events import QualityPaneCounted
from servicekit.config import Settings
from servicekit.followed import Followed
from servicekit.topic_log import FETCH_BYTES, read_whole

from feedback.domain.panes import PaneKey, order

TOPIC = "quality-panes"
Found = tuple[dict[int, list[QualityPaneCounted]], Mapping[int, int]]


async def read_panes(settings: Settings, partitions: Iterable[int]) -> Found:
    """By partition each pane as last written, and the offset behind it all.

    The topic is ours: what cannot be read is an error, not a dead letter.
    """
    wanted = list(partitions)
    newest: dict[int, dict[PaneKey, QualityPaneCounted]] = {partition: {} for partition in wanted}
    ends: dict[int, int] = {}
    if wanted:
        async for batch in read_whole(settings, TOPIC, wanted):
            for record in batch:
                ends[record.partition] = record.offset + 1
                if record.value is None:
                    continue
                pane = decode(QualityPaneCounted, record.value, record.headers)
                panes, key = newest[record.partition], PaneKey.of(pane)
                if key not in panes or order(pane) >= order(panes[key]):
                    panes[key] = pane
    return {partition: list(panes.values()) for partition, panes in newest.items()}, ends


class FollowedPanes(Followed[QualityPaneCounted]):
    """Hands each pane over, from the beginning of the topic."""

    def __init__(
        self,
        settings: Settings,
        take: Callable[[QualityPaneCounted], None],
        to_dlq: Callable[[str, Any, str], Awaitable[None]],
        moved: Callable[[], None],
    ) -> None:
        super().__init__(
            settings,
            TOPIC,
            QualityPaneCounted,
            take,
            to_dlq,
            moved=moved,
            max_partition_fetch_bytes=FETCH_BYTES,
        )
