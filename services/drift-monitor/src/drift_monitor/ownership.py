"""Ownership: of all workers the one that holds partition 0 decides, for as long as it does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from contracts.events import ConceptTested, ModelChanged, ReferenceAccepted
from servicekit import metrics
from servicekit.config import Settings
from servicekit.kafka import until_read
from servicekit.waiting import moved_or

from drift_monitor.concepts import Concepts
from drift_monitor.consumes.concept_reports import read_concepts
from drift_monitor.consumes.drift_reports import read_reports
from drift_monitor.consumes.panes import FollowedPanes
from drift_monitor.consumes.progress import FollowedProgress
from drift_monitor.counting import Counting
from drift_monitor.deciding import Deciding, Edges
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.quality import QualityRule
from drift_monitor.domain.windows import Grid
from drift_monitor.shown import show_beginning, show_concept, show_nothing, show_window

log = logging.getLogger(__name__)
TICK_SECONDS = 0.2
SPARE_SECONDS = 15.0
OWNER = 0  # the partition whose holder decides


class Ownership:
    """Decides while it is this worker's turn; what is needed is read from the log each time anew."""

    def __init__(
        self,
        settings: Settings,
        grid: Grid,
        rule: Rule,
        quality_rule: QualityRule | None,
        partitions: Sequence[int],
        counting: Counting,
        progress: FollowedProgress,
        edges: Edges,
        publish_concept: Callable[[ConceptTested], Awaitable[None]],
    ) -> None:
        self.deciding: Deciding | None = None
        self.concepts: Concepts | None = None
        self.moved = asyncio.Event()  # there may be something to decide
        self._settings, self._grid, self._rule, self._partitions = settings, grid, rule, partitions
        self._quality_rule = quality_rule
        self._counting, self._progress, self._edges = counting, progress, edges
        self._publish_concept = publish_concept
        self._changes: list[ModelChanged] = []
        self._accepted: list[ReferenceAccepted] = []
        self._settled = asyncio.Condition()

    def changed(self, event: ModelChanged) -> None:
        """Another version serves."""
        self._changes.append(event)
        metrics.ROWS_COUNTED.labels(event.model, event.version)  # from 0 on
        if self.deciding is not None:
            self.deciding.changed(event)

    def accepted(self, event: ReferenceAccepted) -> None:
        """A person has accepted a live span as a version's reference."""
        self._accepted.append(event)
        if self.deciding is not None:
            self.deciding.accepted(event)

    async def run(self) -> None:
        """Decide for ever, when it is our turn."""
        while True:
            if self._counting.owns(OWNER):
                try:
                    await self._decide()
                finally:
                    self.deciding = self.concepts = None
                    show_nothing()
            await self._wait()

    async def settle(self, until: int) -> None:
        """Return when all windows over by an event time are decided, or another worker is known to decide them."""
        give_up = asyncio.get_running_loop().time() + SPARE_SECONDS
        while True:
            deciding, assigned = self.deciding, self._counting.assigned
            if assigned and OWNER not in assigned:
                return
            if not assigned and asyncio.get_running_loop().time() > give_up:
                return  # not between two assignments: there are more workers than partitions
            if deciding is not None:
                deciding.heard(self._progress.state)
                if self._panes_are_read(deciding) and deciding.settled(until):
                    return
            with contextlib.suppress(TimeoutError):
                async with self._settled:
                    await asyncio.wait_for(self._settled.wait(), TICK_SECONDS)

    def _panes_are_read(self, deciding: Deciding) -> bool:
        return all(deciding.is_read(p, c.panes) for p, c in self._progress.state.counted.items())

    async def _decide(self) -> None:
        async with AsyncExitStack() as stack:
            deciding = Deciding(
                self._grid, self._rule, self._partitions, self._edges, self._settings.keep_windows
            )
            await self._edges.model_events_read()
            reports = await until_read("drift-reports", lambda: read_reports(self._settings))
            deciding.restore(reports)
            for change in self._changes:
                deciding.changed(change)
            for event in self._accepted:
                deciding.accepted(event)

            def read(partition: int, offset: int) -> None:
                deciding.panes_read(partition, offset)
                self.moved.set()

            stack.callback(deciding.asked.stop)
            panes = FollowedPanes(self._settings, self._partitions, deciding.pane, read)
            stack.push_async_callback(panes.stop)
            concepts = Concepts(
                self._settings, deciding, self._quality_rule, self._edges.publish_alert, self._publish_concept
            )
            stack.push_async_callback(concepts.stop)
            self.deciding, self.concepts = deciding, concepts
            await panes.start()
            boundaries = await until_read("concept-reports", lambda: read_concepts(self._settings))
            await concepts.start(boundaries)
            tasks = [asyncio.create_task(panes.follow()), asyncio.create_task(concepts.follow())]
            for task in tasks:
                stack.callback(task.cancel)
            show_beginning(self._settings.model)
            for report in {report.model: report for report in reports if report.serving}.values():
                show_window(report, deciding.owner(report.model).since)
            for boundary in {boundary.model: boundary for boundary in boundaries}.values():
                show_concept(boundary)
            log.info("deciding %d model(s)", len(deciding.owners))
            while self._counting.owns(OWNER):
                deciding.heard(self._progress.state)
                await deciding.decide()
                async with self._settled:
                    self._settled.notify_all()
                for task in tasks:
                    if task.done():
                        await task  # raises what ended it
                await self._wait()
            log.info("another worker decides")

    async def _wait(self) -> None:
        """Until something has moved, or a while: traffic may have ended."""
        await moved_or(self.moved, TICK_SECONDS)
