"""Deciding: of all workers the one that holds partition 0 sums the panes, decides boundaries and reports.

What is needed is read from the log each time anew: reports, panes and how far everyone has joined.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from contracts.events import (
    JoinProgressed,
    LabelsReported,
    ModelChanged,
    QualityPaneCounted,
    QualityReported,
)
from servicekit.errors import UserError
from servicekit.waiting import moved_or

from feedback.domain.boundaries import Boundaries
from feedback.domain.cells import glance
from feedback.domain.closing import Closing
from feedback.domain.label_windows import LabelWindows
from feedback.domain.panes import ALL
from feedback.domain.progress import Progress
from feedback.domain.quality_windows import QualityWindows
from feedback.domain.serving import Serving
from feedback.domain.windows import Windows
from feedback.tasks import Observe, Tasks

log = logging.getLogger(__name__)
OWNER = 0  # the partition whose holder decides
TICK_SECONDS = 0.2
PREDICTIONS, GROUND_TRUTH, MODEL_EVENTS = "predictions", "ground-truth", "model-events"


class Follower(Protocol):
    """A topic, read from its beginning and followed."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def follow(self) -> None: ...
    async def read(self) -> None: ...
    def positions(self) -> dict[int, int]: ...


@dataclass(frozen=True)
class Edges:
    """What deciding calls at its edges."""

    owns: Callable[[], bool]
    progress: Progress
    model_events: Follower
    follow_panes: Callable[[Callable[[QualityPaneCounted], None]], Follower]
    read_reports: Callable[[], Awaitable[list[QualityReported]]]
    read_label_reports: Callable[[], Awaitable[list[LabelsReported]]]
    ends: Callable[[str], Awaitable[Mapping[int, int]]]
    publish_report: Callable[[QualityReported], Awaitable[None]]
    publish_label_report: Callable[[LabelsReported], Awaitable[None]]
    publish_progress: Callable[[JoinProgressed], Awaitable[int]]  # the record's offset
    read_past: Callable[[int], Awaitable[None]]  # that it has been read back
    forget_panes: Callable[[Sequence[QualityPaneCounted]], Awaitable[None]]


@dataclass(frozen=True)
class Begun:
    """What whoever begins to decide finds on the log."""

    decided: int | None
    reports: Sequence[QualityReported]
    label_reports: Sequence[LabelsReported]


@dataclass(frozen=True)
class State:
    """What whoever decides knows; begun anew with each turn."""

    quality: QualityWindows
    labels: LabelWindows
    boundaries: Boundaries
    closing: Closing
    panes: Follower


class Deciding:
    """Decides while it is this worker's turn."""

    def __init__(
        self,
        worker: str,
        windows: Windows,
        *,
        grace: int,
        horizon: int,
        partitions: int,
        min_labelled: int,
        segments: Iterable[str],
        segment_values: int,
        tasks: Tasks,
        edges: Edges,
        observe: Observe = lambda what, value: None,
    ) -> None:
        self.worker, self.windows, self.tasks, self.edges = worker, windows, tasks, edges
        self.moved = asyncio.Event()  # there may be something to decide
        self.state: State | None = None
        self._grace, self._horizon, self._partitions = grace, horizon, partitions
        self._min_labelled = min_labelled
        self._segments, self._segment_values = tuple(segments), segment_values
        self._observe = observe
        self._serving = Serving()
        self._decided = asyncio.Condition()

    def changed(self, event: ModelChanged) -> None:
        """Another version serves."""
        self._serving.changed(event)
        self.moved.set()

    async def run(self) -> None:
        """Decide for ever, when it is our turn."""
        while True:
            if self.edges.owns():
                try:
                    await self._decide()
                finally:
                    self.state = None
                    self._observe("ended", None)
            await self._wait()

    async def flush(self, until: int | None, seconds: float) -> int | None:
        """Decide the boundaries up to ``until`` (default: the end of the newest row's window), though no more comes.

        In a gap without rows that is those at which there is something to say, and ``until``. Returns what is decided, which
        is less where it took longer than ``seconds``. The caller has seen to it that it is our turn.
        """
        async with asyncio.timeout(seconds):
            while self.state is None:  # noqa: ASYNC110  it is our turn, but not begun
                await asyncio.sleep(0.05)
        state, progress = self.state, self.edges.progress
        newest = progress.newest()
        if newest is None:
            return progress.decided
        boundary = (
            self.windows.boundary_after(newest) if until is None else self.windows.boundary_until(until)
        )
        state.closing.force(boundary)
        state.boundaries.ask(boundary)
        self.moved.set()

        def done() -> bool:
            return (progress.decided is not None and progress.decided >= boundary) or self.state is not state

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._decided:
                await self._decided.wait_for(done)
        return progress.decided

    def status(self) -> dict[str, Any]:
        """What cannot be measured; null where another worker decides."""
        state = self.state
        return {
            "unusable_truths": state.labels.unusable_truths if state else None,
            "unknown_classes": state.labels.unknown_classes if state else None,
            "waits_for_profiles": [
                f"{model} version {version}" for model, version in sorted(self.tasks.missing)
            ]
            if state
            else None,
        }

    async def _decide(self) -> None:
        async with AsyncExitStack() as stack:
            await self.edges.model_events.read()
            # Before the reports: what is said in between is found there.
            decided = self.edges.progress.decided
            reports = await self.edges.read_reports()
            self._check_grid(reports)
            quality = QualityWindows(
                self.windows,
                self._horizon,
                min_labelled=self._min_labelled,
                segments=self._segments,
                segment_values=self._segment_values,
            )
            quality.restore(reports, decided)
            labels = LabelWindows(self.windows, self._horizon, min_labelled=self._min_labelled)
            label_reports = await self.edges.read_label_reports()
            labels.restore(label_reports, decided)
            # Shown from here on: whoever hangs after it took over is seen to stand still.
            self._observe("begun", Begun(decided, reports, label_reports))
            del reports, label_reports  # all that was ever said

            def take(pane: QualityPaneCounted) -> None:
                if pane.feature == ALL and pane.by == "prediction":
                    scored = any(glance(cell).scored for cell in pane.cells.values())
                    self.tasks.see(pane.model, pane.version, named=scored)
                quality.absorb(pane)
                labels.absorb(pane)

            panes = self.edges.follow_panes(take)
            stack.push_async_callback(panes.stop)
            await panes.start()
            following = asyncio.create_task(panes.follow())
            stack.callback(following.cancel)
            await panes.read()
            closing = Closing(self._grace, self._partitions)
            self.state = State(quality, labels, Boundaries(quality, labels), closing, panes)
            log.info("deciding quality from %s on", decided if decided is not None else "the beginning")
            while self.edges.owns():
                self._hear(self.state)
                while self.edges.owns() and await self._advance(self.state):  # noqa: ASYNC110
                    await asyncio.sleep(0)  # between boundaries, requests are answered
                if following.done():
                    await following  # raises what ended it
                await self._wait()
            log.info("another worker decides quality")

    def _hear(self, state: State) -> None:
        """How far everyone has joined, as far as their panes are read."""
        read = state.panes.positions()
        for partition, standing in self.edges.progress.joined.items():
            if read.get(partition, 0) >= standing.panes:
                newest = max(standing.clocks.values(), default=None)
                state.closing.read(PREDICTIONS, partition, standing.position.predictions, newest)
                state.closing.read(GROUND_TRUTH, partition, standing.position.labels)
        for partition, position in self.edges.model_events.positions().items():
            state.closing.read(MODEL_EVENTS, partition, position)

    async def _advance(self, state: State) -> bool:
        """Do the next thing towards the next boundary; False where there is nothing to do but wait."""
        boundary, closing = state.boundaries.next(self.tasks.get), state.closing
        if boundary is None:
            return False
        match closing.need(boundary):
            case "prediction ends":
                top = closing.top
                assert top is not None
                closing.prediction_ends(top, await self._ends(PREDICTIONS))
            case "label ends":
                watermark = closing.watermark
                assert watermark is not None
                closing.label_ends(watermark, await self._ends(GROUND_TRUTH, MODEL_EVENTS))
            case "close":
                await self._close(state, boundary)
            case "wait":
                return False
        self._hear(state)
        return True

    async def _ends(self, *topics: str) -> dict[tuple[str, int], int]:
        found = await asyncio.gather(*(self.edges.ends(topic) for topic in topics))
        return {(t, p): end for t, ends in zip(topics, found, strict=True) for p, end in ends.items()}

    async def _close(self, state: State, boundary: int) -> None:
        await self.tasks.settle()
        if not self.edges.owns() or not state.boundaries.is_due(boundary, self.tasks.get):
            return
        if passed_over := state.boundaries.passed_over(boundary):
            log.warning("%d boundaries before %d are not decided: no rows, no labels", passed_over, boundary)
        before = state.labels.unusable_truths, state.labels.unknown_classes
        reports = state.quality.close(boundary, self.tasks.get, self._serving.at(boundary))
        for report in reports:
            if not self.edges.owns():
                return
            await self.edges.publish_report(report)
            self._observe("report", report)
        for labelled in state.labels.close(boundary, self.tasks.get):
            if not self.edges.owns():
                return
            await self.edges.publish_label_report(labelled)
            self._observe("label report", labelled)
        if not self.edges.owns():
            return
        told = JoinProgressed(what="decided", worker=self.worker, decided=boundary)
        await self.edges.read_past(await self.edges.publish_progress(told))
        after = state.labels.unusable_truths, state.labels.unknown_classes
        self._observe("unusable_truths", after[0] - before[0])
        self._observe("unknown_classes", after[1] - before[1])
        self._observe("decided", boundary)
        await self.edges.forget_panes([*state.quality.forget(), *state.labels.forget()])
        async with self._decided:
            self._decided.notify_all()

    async def _wait(self) -> None:
        """Until something has moved, or a while: traffic may have ended."""
        await moved_or(self.moved, TICK_SECONDS)

    def _check_grid(self, reports: Sequence[QualityReported]) -> None:
        """Boundaries go on from the last report: one of another grid would never meet the monitor's again."""
        why = self.windows.mismatch(
            ((report.window_start, report.window_end) for report in reports),
            (report.as_of for report in reports if report.as_of == report.window_end),
            ((report.as_of, report.window_end) for report in reports if report.predicted),
        )
        if why:
            raise UserError(
                f"Topic quality-reports was made with other windows than ATALAIA_WINDOW_MS={self.windows.size}, "
                f"step {self.windows.step} and ATALAIA_WINDOW_ORIGIN_MS={self.windows.origin}: {why}. "
                f"Set what it was made with, or begin with empty topics."
            )
