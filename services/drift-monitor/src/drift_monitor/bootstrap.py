"""Puts the monitor together: settings in, adapters picked, state restored, everything started and stopped."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from aiokafka import AIOKafkaProducer
from servicekit import metrics
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.http import Health, make_ops_routes, serve
from servicekit.kafka import make_producer, to_dlq, wait_for_kafka
from servicekit.registry import Registry
from servicekit.topics import ensure_topics
from starlette.applications import Starlette

from drift_monitor import geometry
from drift_monitor.concepts import Concepts
from drift_monitor.consumes import http, predictions
from drift_monitor.consumes.concept_reports import read_concepts
from drift_monitor.consumes.drift_reports import read_reports
from drift_monitor.consumes.model_events import ModelEvents
from drift_monitor.consumes.panes import read_panes
from drift_monitor.consumes.references import AcceptedReferences
from drift_monitor.domain.windows import Grid
from drift_monitor.monitor import Edges, Monitor
from drift_monitor.offsets import Offsets
from drift_monitor.produces import concept_reports, drift_alerts, drift_reports, panes
from drift_monitor.profiles import FetchedProfiles
from drift_monitor.rules import rule_of

log = logging.getLogger(__name__)
TICK_SECONDS = 0.2
Fetch = Callable[[str, str], dict[str, Any]]


async def run(settings: Settings, stop: asyncio.Event, fetch_profile: Fetch | None = None) -> None:
    """Run until ``stop`` is set; raises what made it fail."""
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
    await wait_for_kafka(settings.kafka)
    await ensure_topics(settings.kafka, settings.partitions)
    async with AsyncExitStack() as stack:
        producer = await make_producer(settings, "drift-monitor")
        stack.push_async_callback(producer.stop)
        panes_producer = await _panes_producer(settings)
        stack.push_async_callback(panes_producer.stop)
        offsets = Offsets(settings, predictions.TOPIC)
        stack.push_async_callback(offsets.stop)
        partitions = await offsets.start()

        async def dead_letter(topic: str, record: Any, reason: str) -> None:
            await to_dlq(producer, topic, record, reason)

        # The two know each other: changes go to the monitor, which waits until they are read.
        model_events = ModelEvents(settings, lambda event: monitor.changed(event), dead_letter)
        stack.push_async_callback(model_events.stop)
        references = AcceptedReferences(settings, lambda event: monitor.accepted(event), dead_letter)
        stack.push_async_callback(references.stop)

        async def events_read() -> None:
            await asyncio.gather(model_events.read(), references.read())

        edges = Edges(
            profiles=FetchedProfiles(fetch_profile or Registry(settings.mlflow).profile),
            publish_panes=panes.make_publish(panes_producer),
            publish_alert=drift_alerts.make_publish(producer),
            publish_report=drift_reports.make_publish(producer),
            end_offsets=offsets.ends,
            model_events_read=events_read,
        )
        monitor = Monitor(grid, rule, partitions, edges)
        app = predictions.make_app(settings)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        predictions.read_predictions(app, monitor, dead_letter, failed)
        concepts = Concepts(settings, monitor, edges.publish_alert, concept_reports.make_publish(producer))
        stack.push_async_callback(concepts.stop)
        tasks = await _start_http(stack, settings, monitor, concepts, app, offsets)

        for followed in (model_events, references):
            await followed.start()
            tasks.append(asyncio.create_task(followed.follow()))
            stack.callback(tasks[-1].cancel)
        await events_read()
        committed = await offsets.committed(settings, predictions.GROUP)
        counted, reported = await read_panes(settings), await read_reports(settings)
        geometry.check(grid, counted, reported)
        monitor.restore(counted, reported, committed)
        log.info("restored %d model(s), going on at %s", len(monitor.owners), dict(committed))

        await concepts.start(await read_concepts(settings))
        tasks.append(asyncio.create_task(concepts.follow()))
        stack.callback(tasks[-1].cancel)
        stack.push_async_callback(app.stop)
        await app.start()
        tasks.append(asyncio.create_task(_tick(monitor)))
        stack.callback(tasks[-1].cancel)
        stopping = asyncio.create_task(stop.wait())
        stack.callback(stopping.cancel)
        watched: set[asyncio.Future[Any]] = {*tasks, stopping, failed}
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        for ended in done - {stopping}:
            await ended  # raises what ended it


async def _tick(monitor: Monitor) -> None:
    """Look for windows that are over after each chunk, and every so often: traffic may have ended."""
    while True:
        await monitor.decide()
        try:
            await asyncio.wait_for(monitor.ready.wait(), TICK_SECONDS)
        except TimeoutError:
            continue
        finally:
            monitor.ready.clear()


async def _start_http(
    stack: AsyncExitStack,
    settings: Settings,
    monitor: Monitor,
    concepts: Concepts,
    app: Any,
    offsets: Offsets,
) -> list[asyncio.Task[None]]:
    """Health, metrics, status and flush; up before the state is restored, ready after."""

    async def kafka() -> bool:
        return bool(await asyncio.wait_for(offsets.ends(), 5))

    def reading() -> bool:
        return bool(app.started) and not app.crashed and bool(app.consumer.assignment())

    def status() -> dict[str, object]:
        return monitor.status(settings.model) | {"concept": concepts.status(settings.model)}

    routes = [
        *make_ops_routes(Health(kafka=kafka, predictions=reading, profiles=monitor.profiles_are_there)),
        *http.make_routes(monitor, status),
    ]
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(Starlette(routes=routes), settings.host, settings.drift_monitor_port, stop)
    )

    async def close() -> None:
        stop.set()
        await asyncio.wait({serving})

    stack.push_async_callback(close)
    metrics.DRIFT_STATE.labels(settings.model, "virtual").set(0)
    await asyncio.sleep(0)  # lets it bind, so that an occupied port is told at once
    if serving.done():
        await serving
    return [serving]


async def _panes_producer(settings: Settings) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka,
        client_id="drift-monitor-panes",
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=panes.MAX_BYTES,
    )
    await producer.start()
    return producer
