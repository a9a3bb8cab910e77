"""Puts the monitor together: settings in, adapters picked, state restored, everything started and stopped."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any

from contracts.events import PaneCounted
from servicekit import metrics
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.http import Health, make_ops_routes, serve
from servicekit.kafka import make_producer, to_dlq, until_read, wait_for_kafka
from servicekit.lag import watch_lag
from servicekit.offsets import Offsets
from servicekit.record_consumer import check, make_app, start
from servicekit.registry import Registry
from servicekit.topic_log import read_range
from servicekit.topics import ensure_topics, topics_of
from servicekit.waiting import moved_or
from starlette.applications import Starlette

from drift_monitor import geometry
from drift_monitor.batches import read_batches
from drift_monitor.consumes import http, predictions
from drift_monitor.consumes.drift_reports import read_reports
from drift_monitor.consumes.model_events import ModelEvents
from drift_monitor.consumes.panes import read_panes
from drift_monitor.consumes.progress import FollowedProgress, follow_progress
from drift_monitor.consumes.references import AcceptedReferences
from drift_monitor.counting import Counting, Fenced
from drift_monitor.counting import Edges as CountingEdges
from drift_monitor.deciding import STATUS
from drift_monitor.deciding import Edges as DecidingEdges
from drift_monitor.domain.detectors import make_detectors
from drift_monitor.domain.progress import Ended
from drift_monitor.domain.watermark import NEVER
from drift_monitor.domain.windows import Grid
from drift_monitor.ownership import OWNER, TICK_SECONDS, Ownership
from drift_monitor.produces import concept_reports, drift_alerts, drift_reports, panes
from drift_monitor.produces import progress as to_progress
from drift_monitor.profiles import FetchedProfiles
from drift_monitor.rules import quality_rule_of, rule_of

GROUP = "drift-monitor"  # of consumers
log = logging.getLogger(__name__)
Fetch = Callable[[str, str], dict[str, Any]]


async def run(settings: Settings, stop: asyncio.Event, fetch_profile: Fetch | None = None) -> None:
    """Run until ``stop`` is set; raises what made it fail. A worker that was taken for dead begins anew."""
    while True:
        try:
            return await _run(settings, stop, fetch_profile)
        except Fenced as error:
            log.warning("beginning anew: %s", error)


async def _run(settings: Settings, stop: asyncio.Event, fetch_profile: Fetch | None) -> None:
    try:
        grid = Grid(
            settings.window_origin_ms,
            settings.window_ms,
            settings.step_ms or settings.window_ms,
            settings.grace_ms,
        )
    except ValueError as error:
        raise UserError(f"ATALAIA_STEP_MS, ATALAIA_WINDOW_MS: {error}.") from None
    rule = rule_of(settings, grid.step)
    try:
        quality_rule = quality_rule_of(settings, grid.step)
    except ValueError as error:
        raise UserError(f"ATALAIA_QUALITY_METRIC: {error}.") from None
    await wait_for_kafka(settings)
    await ensure_topics(settings)
    metrics.begin("drift-monitor", settings.model, topics_of("drift-monitor"))
    async with AsyncExitStack() as stack:
        worker = uuid.uuid4().hex
        producer = await make_producer(settings, "drift-monitor")
        stack.push_async_callback(producer.stop)
        panes_producer = await make_producer(
            settings, "drift-monitor-panes", max_request_size=panes.MAX_BYTES
        )
        stack.push_async_callback(panes_producer.stop)
        offsets = Offsets(settings, predictions.TOPIC)
        stack.push_async_callback(offsets.stop)
        partitions = await offsets.start()
        geometry.check(grid, [], await read_reports(settings))

        async def dead_letter(topic: str, record: Any, reason: str) -> None:
            await to_dlq(producer, topic, record, reason)

        # They know each other: what is read goes to who counts and who decides, who wait until it is read.
        moved = asyncio.Event()

        def progressed() -> None:
            moved.set()
            ownership.moved.set()

        progress = follow_progress(settings, progressed, dead_letter)
        model_events = ModelEvents(settings, lambda event: ownership.changed(event), dead_letter)
        references = AcceptedReferences(settings, lambda event: ownership.accepted(event), dead_letter)

        async def events_read() -> None:
            await asyncio.gather(model_events.read(), references.read())

        async def panes_of(wanted: Iterable[int]) -> tuple[list[PaneCounted], Mapping[int, int]]:
            asked = list(wanted)
            found, ends = await until_read(panes.TOPIC, lambda: read_panes(settings, asked))
            geometry.check(grid, found, [])
            return found, ends

        profiles = FetchedProfiles(fetch_profile or Registry(settings.mlflow).profile)
        counting = Counting(
            grid,
            worker,
            CountingEdges(
                profiles=profiles,
                progress=progress,
                publish_panes=panes.make_publish(panes_producer),
                publish_progress=to_progress.make_publish(producer),
                forget_progress=to_progress.make_forget(producer),
                read_panes=panes_of,
                read_batches=lambda before: until_read(
                    predictions.TOPIC, lambda: read_batches(settings, before)
                ),
            ),
        )
        edges = DecidingEdges(
            profiles=profiles,
            publish_alert=drift_alerts.make_publish(producer),
            publish_report=drift_reports.make_publish(producer),
            publish_ended=to_progress.make_publish_ended(producer, worker, "idle"),
            end_offsets=lambda: until_read(predictions.TOPIC, offsets.ends),
            model_events_read=events_read,
            forget_panes=panes.make_forget(panes_producer),
            owns=lambda: counting.owns(OWNER),
        )
        ownership = Ownership(
            settings,
            grid,
            rule,
            quality_rule,
            partitions,
            counting,
            progress,
            edges,
            concept_reports.make_publish(producer),
        )
        app = make_app(settings, GROUP)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        predictions.read_predictions(
            app, counting, dead_letter, failed, lambda *where: read_range(settings, *where)
        )
        flush = Flush(progress, ownership, offsets, to_progress.make_publish_ended(producer, worker, "flush"))
        serving, drain = await _start_http(
            stack, settings, ownership, counting, progress, app, offsets, flush
        )
        tasks = [serving]
        for each in (progress, model_events, references):
            stack.push_async_callback(each.stop)
            await each.start()
            tasks.append(asyncio.create_task(each.follow()))
            stack.callback(tasks[-1].cancel)
        await asyncio.gather(progress.read(), events_read())
        # Whoever comes to decide has them at once: their library takes seconds to import.
        await asyncio.to_thread(make_detectors, settings.concept_detector, settings.concept_delta)
        stack.push_async_callback(app.stop)
        await start(app)
        lagging = watch_lag(
            metrics.CONSUMER_LAG,
            predictions.TOPIC,
            lambda: until_read(predictions.TOPIC, offsets.ends),
            lambda: {p: at.position.next_offset for p, at in progress.state.counted.items()},
        )
        for run_for_ever in (_count(app, counting, moved), ownership.run(), lagging):
            tasks.append(asyncio.create_task(run_for_ever))
            stack.callback(tasks[-1].cancel)
        stopping = asyncio.create_task(stop.wait())
        stack.callback(stopping.cancel)
        stack.push_async_callback(drain)  # first of all: requests are answered while the rest is there
        watched: set[asyncio.Future[Any]] = {*tasks, stopping, failed}
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for ended in done - {stopping}:
            await ended  # raises what ended it


async def _count(app: Any, counting: Counting, moved: asyncio.Event) -> None:
    """Claim what is assigned, and move idle partitions on; records are counted as they come.

    Raises what Faust has crashed with, or is not permitted, which would stand idle otherwise.
    """
    while True:
        check(app)
        await counting.hold()
        await counting.advance()
        await moved_or(moved, TICK_SECONDS)


class Flush:
    """Takes an event time for the clock of all partitions, once all that is in the log now is counted."""

    def __init__(
        self,
        progress: FollowedProgress,
        ownership: Ownership,
        offsets: Offsets,
        publish: Callable[[str, Ended], Awaitable[None]],
    ) -> None:
        self._progress, self._ownership, self._offsets, self._publish = progress, ownership, offsets, publish

    async def __call__(self, until: int) -> None:
        """Return when it is so, and the windows that are over by it are decided."""
        counted = self._progress.state.counted
        ends = await until_read(predictions.TOPIC, self._offsets.ends)
        await self._progress.until(
            lambda: all(p in counted and counted[p].position.next_offset >= end for p, end in ends.items())
        )
        models = self._progress.state.models()
        for model in models:
            await self._publish(model, Ended(until, ends))
        await self._progress.until(
            lambda: all(counted[p].position.clocks.get(m, NEVER) >= until for p in ends for m in models)
        )
        await self._ownership.settle(until)


async def _start_http(
    stack: AsyncExitStack,
    settings: Settings,
    ownership: Ownership,
    counting: Counting,
    progress: FollowedProgress,
    app: Any,
    offsets: Offsets,
    flush: Flush,
) -> tuple[asyncio.Task[None], Callable[[], Awaitable[None]]]:
    """Health, metrics, status and flush; up before the state is restored, ready after. And how it is drained."""

    async def kafka() -> bool:
        return bool(await asyncio.wait_for(offsets.ends(), 5))

    def reading() -> bool:
        return bool(app.started) and not app.crashed and counting.is_assigned

    def profiles_are_there() -> bool:
        held = any(not missing.unusable for missing in counting.edges.profiles.missing())
        return not held and (ownership.deciding is None or ownership.deciding.profiles_are_there())

    def status() -> dict[str, object]:
        """What a worker that does not decide cannot know is null."""
        deciding, concepts, model = ownership.deciding, ownership.concepts, settings.model
        return {
            "model": model,
            "worker": counting.worker,
            "partitions": sorted(counting.assigned),
            "decides": deciding is not None,
            **(deciding.status(model) if deciding is not None else dict.fromkeys(STATUS)),
            "missing_profiles": [missing._asdict() for missing in counting.edges.profiles.missing()],
            "concept": concepts.status(model) if concepts is not None else None,
        }

    health = Health(kafka=kafka, predictions=reading, profiles=profiles_are_there)
    routes = [
        *make_ops_routes(health),
        *http.make_routes(settings.step_ms or settings.window_ms, status, progress.state.newest, flush),
    ]
    ended = asyncio.Event()
    serving = asyncio.create_task(
        serve(Starlette(routes=routes), settings.host, settings.drift_monitor_port, ended, health=health)
    )

    async def drain() -> None:
        ended.set()
        await asyncio.wait({serving})

    stack.push_async_callback(drain)
    await asyncio.sleep(0)  # lets it bind, so that an occupied port is told at once
    if serving.done():
        await serving
    return serving, drain
