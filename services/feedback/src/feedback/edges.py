"""Real Kafka behind joining and deciding."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from aiokafka import AIOKafkaProducer
from contracts.events import GroundTruthReceived, QualityPaneCounted
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_producer, to_dlq, until_acknowledged, until_read
from servicekit.offsets import Offsets
from servicekit.topic_log import read_range

from feedback import deciding, joining_edges
from feedback.consumes.join_progress import FollowedProgress
from feedback.consumes.label_reports import read_reports as read_label_reports
from feedback.consumes.model_events import ModelEvents
from feedback.consumes.quality_panes import FollowedPanes, read_panes
from feedback.consumes.quality_reports import read_reports
from feedback.joining_edges import Stores
from feedback.observed import observe
from feedback.produces import (
    ground_truth,
    join_progress,
    label_reports,
    outcomes,
    quality_panes,
    quality_reports,
)

PARTITIONED = ("predictions", "ground-truth", "outcomes")


class Edges:
    """Producers, end offsets and what is made of them; ``start`` first."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings, self._stack = settings, stack
        self._offsets = {topic: Offsets(settings, topic) for topic in (*PARTITIONED, "model-events")}
        self.producer: AIOKafkaProducer
        self._panes_producer: AIOKafkaProducer

    async def start(self) -> None:
        """Connect; raises :class:`UserError` where a topic has another number of partitions than the settings."""
        settings = self._settings
        self.producer = await make_producer(settings, "feedback")
        self._stack.push_async_callback(self.producer.stop)
        self._panes_producer = await make_producer(
            settings, "feedback-panes", max_request_size=quality_panes.MAX_BYTES
        )
        self._stack.push_async_callback(self._panes_producer.stop)
        for topic, offsets in self._offsets.items():
            self._stack.push_async_callback(offsets.stop)
            found = len(await offsets.start())
            if topic in PARTITIONED and found != settings.partitions:
                raise UserError(
                    f"Topic {topic} has {found} partitions, not {settings.partitions}. "
                    f"Set ATALAIA_PARTITIONS={found}."
                )

    async def ends(self, topic: str) -> Mapping[int, int]:
        """End offsets, once the broker is there."""
        return await until_read(topic, self._offsets[topic].ends)

    async def answers(self) -> bool:
        """Whether the broker does."""
        return bool(await self._offsets["model-events"].ends())

    async def refuse(self, topic: str, record: Any, reason: str) -> None:
        """Put a record on the dead-letter topic, and count it."""
        await self.to_dlq(topic, record, reason)
        observe("unreadable", topic)

    async def to_dlq(self, topic: str, record: Any, reason: str) -> None:
        """Put a record on the dead-letter topic; the caller counts it."""
        await until_acknowledged(f"{topic}.dlq", lambda: to_dlq(self.producer, topic, record, reason))

    async def reroute(
        self, parts: Sequence[tuple[int, GroundTruthReceived]], partition: int, offset: int
    ) -> None:
        """Publish misplaced labels where they belong."""
        await until_acknowledged(
            ground_truth.TOPIC, lambda: ground_truth.reroute(self.producer, parts, partition, offset)
        )

    def joining(self, progress: FollowedProgress, stores: Stores) -> joining_edges.Edges:
        """What joining calls."""
        settings = self._settings
        return joining_edges.Edges(
            progress=progress,
            stores=stores,
            publish_outcomes=outcomes.make_publish(self.producer),
            publish_panes=quality_panes.make_publish(self._panes_producer),
            publish_progress=join_progress.make_publish(self.producer),
            forget_progress=join_progress.make_forget(self.producer),
            read_panes=lambda wanted: until_read("quality-panes", lambda: read_panes(settings, wanted)),
            read_range=lambda *where: read_range(settings, *where),
            ends=self.ends,
            reroute=self.reroute,
            refuse=self.refuse,
        )

    def deciding(
        self,
        owns: Callable[[], bool],
        progress: FollowedProgress,
        changes: ModelEvents,
        moved: Callable[[], None],
    ) -> deciding.Edges:
        """What deciding calls."""
        settings = self._settings

        def follow_panes(take: Callable[[QualityPaneCounted], None]) -> FollowedPanes:
            return FollowedPanes(settings, take, self.to_dlq, moved)

        return deciding.Edges(
            owns=owns,
            progress=progress.state,
            model_events=changes,
            follow_panes=follow_panes,
            read_reports=lambda: until_read("quality-reports", lambda: read_reports(settings)),
            read_label_reports=lambda: until_read("label-reports", lambda: read_label_reports(settings)),
            ends=self.ends,
            publish_report=quality_reports.make_publish(self.producer),
            publish_label_report=label_reports.make_publish(self.producer),
            publish_progress=join_progress.make_publish(self.producer),
            read_past=progress.read_past,
            forget_panes=quality_panes.make_forget(self._panes_producer),
        )
