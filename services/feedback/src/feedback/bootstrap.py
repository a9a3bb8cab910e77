"""Puts the service together: the only place that picks adapters."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from servicekit import metrics
from servicekit.config import Settings
from servicekit.http import Health, serve
from servicekit.kafka import wait_for_kafka
from servicekit.lag import watch_lag
from servicekit.listening import reachable
from servicekit.own_folder import own_folder
from servicekit.record_consumer import check, start
from servicekit.record_consumer import make_app as make_faust
from servicekit.registry_process import RegistryProcess
from servicekit.topics import ensure_topics, topics_of
from servicekit.waiting import moved_or

from feedback.answers import WorkerAnswers
from feedback.consumes import ground_truth as truth_in
from feedback.consumes import http, predictions
from feedback.consumes.join_progress import FollowedProgress, follow_progress
from feedback.consumes.model_events import ModelEvents
from feedback.deciding import OWNER, Deciding
from feedback.domain.panes import Segments
from feedback.domain.progress import Progress
from feedback.domain.store import StoreLost
from feedback.domain.task import Task, of_profile
from feedback.domain.uploads import Labels
from feedback.domain.windows import Windows
from feedback.edges import Edges
from feedback.joining import Fenced, Joining
from feedback.observed import observe
from feedback.produces import ground_truth as truth_out
from feedback.rocks import Rocks
from feedback.shown import Shown
from feedback.tasks import Fetch, Tasks

GROUP = "feedback"  # of consumers
log = logging.getLogger(__name__)
TICK_SECONDS = 0.2


def make_fetch(registry: RegistryProcess) -> Fetch:
    """Asks the registry for the task of a version; raises what it raises."""

    async def fetch(model: str, version: str) -> Task:
        return of_profile(await registry.profile(model, version))

    return fetch


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until a part fails.

    A worker begins anew that was taken for dead, or whose state on disk cannot be read.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    while True:
        try:
            return await _run(settings, stop)
        except (Fenced, StoreLost) as error:
            log.warning("beginning anew: %s", error)


async def _run(settings: Settings, stop: asyncio.Event) -> None:
    await wait_for_kafka(settings)
    await ensure_topics(settings)
    metrics.begin("feedback", settings.model, topics_of("feedback"))
    async with AsyncExitStack() as stack:
        edges = Edges(settings, stack)
        await edges.start()
        moved = asyncio.Event()

        def progressed() -> None:
            moved.set()
            decides.moved.set()

        progress = follow_progress(settings, progressed, edges.to_dlq)
        changes = ModelEvents(
            settings, lambda event: decides.changed(event), edges.to_dlq, lambda: decides.moved.set()
        )
        folder = stack.enter_context(own_folder(settings.data_dir / "feedback", "state"))
        stores = Rocks(folder, settings.join_memory_mb * 2**20)
        stack.callback(stores.close)
        registry = RegistryProcess(settings.mlflow)
        stack.push_async_callback(registry.close)
        tasks = Tasks(make_fetch(registry), observe)
        stack.callback(tasks.stop)
        joins, decides = _make(settings, edges, progress, changes, stores, tasks)
        answers = WorkerAnswers(joins, decides, progress.state, joins.windows, settings.partitions)
        serving, drain = await _serve(settings, edges, joins, answers)
        parts: list[asyncio.Future[Any]] = [serving]
        for follower in (progress, changes):
            stack.push_async_callback(follower.stop)
            await follower.start()
            parts.append(asyncio.create_task(follower.follow()))
            stack.callback(parts[-1].cancel)
        stopping = asyncio.create_task(stop.wait())
        stack.callback(stopping.cancel)
        caught_up: asyncio.Future[Any] = asyncio.gather(progress.read(), changes.read())
        await asyncio.wait({caught_up, stopping, *parts}, return_when=asyncio.FIRST_COMPLETED)
        if not caught_up.done():
            caught_up.cancel()
            for part in parts:
                if part.done():
                    await part  # raises what ended it
            await drain()
            return
        await caught_up
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        reader = make_faust(settings, GROUP)
        predictions.make_agent(reader, joins.take_predictions, failed, joins.pace)
        truth_in.make_agent(reader, joins.take_ground_truth, failed, joins.pace)
        _watch_assignment(reader, joins)
        stack.push_async_callback(reader.stop)
        await start(reader)
        lagging = (_lagging(topic, edges, progress.state) for topic in (predictions.TOPIC, truth_in.TOPIC))
        for run_for_ever in (_hold(reader, joins, moved), decides.run(), *lagging):
            parts.append(asyncio.create_task(run_for_ever))
            stack.callback(parts[-1].cancel)
        gc.freeze()  # what is there by now stays: a label costs a sixth less
        stack.push_async_callback(drain)  # first of all: requests are answered while the rest is there
        done, _ = await asyncio.wait({*parts, failed, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for part in done - {stopping}:
            await part  # raises what ended it


def _make(
    settings: Settings,
    edges: Edges,
    progress: FollowedProgress,
    changes: ModelEvents,
    stores: Rocks,
    tasks: Tasks,
) -> tuple[Joining, Deciding]:
    worker = uuid.uuid4().hex
    windows = Windows(settings.window_ms, settings.step_ms or settings.window_ms, settings.window_origin_ms)
    segments = tuple(name.strip() for name in settings.segments.split(",") if name.strip())
    joins = Joining(
        worker,
        settings.advertised_url or f"http://{reachable(settings.host)}:{settings.feedback_port}",
        windows,
        settings.label_horizon_ms,
        settings.partitions,
        Segments(segments, 4 * settings.segment_values),
        edges.joining(progress, stores),
        observe,
    )
    decides = Deciding(
        worker,
        windows,
        grace=settings.grace_ms,
        horizon=settings.label_horizon_ms,
        partitions=settings.partitions,
        min_labelled=settings.min_labelled,
        segments=segments,
        segment_values=settings.segment_values,
        tasks=tasks,
        edges=edges.deciding(lambda: joins.owns(OWNER), progress, changes, lambda: decides.moved.set()),
        observe=Shown(settings.label_horizon_ms).observe,
    )
    return joins, decides


async def _serve(
    settings: Settings, edges: Edges, joins: Joining, answers: WorkerAnswers
) -> tuple[asyncio.Task[None], Callable[[], Any]]:
    """HTTP, up before the state is; and how it is drained."""

    async def send(labels: Labels, upload_id: str, block: int = 0) -> None:
        await truth_out.send(edges.producer, settings.partitions, labels, upload_id, block)
        metrics.LABELS.labels("received").inc(len(labels.prediction_id))

    async def broker_answers() -> bool:
        return await asyncio.wait_for(edges.answers(), 5.0)

    # not of profiles: one that is missing keeps no label away
    health = Health(kafka=broker_answers, join=lambda: joins.ready)
    app = http.make_app(answers, send, health, max_body_bytes=settings.max_body_bytes)
    ended = asyncio.Event()
    serving = asyncio.create_task(serve(app, settings.host, settings.feedback_port, ended, health=health))

    async def drain() -> None:
        ended.set()
        await asyncio.wait({serving})

    await asyncio.sleep(0)  # the port is bound, or it is not
    if serving.done():
        await serving
    return serving, drain


def _watch_assignment(reader: Any, joins: Joining) -> None:
    """Tell who joins which partitions are its own, each with both its topics."""

    async def assigned(_: Any, partitions: Any, **__: Any) -> None:
        of = {
            topic: {at.partition for at in partitions if at.topic == topic}
            for topic in (predictions.TOPIC, truth_in.TOPIC)
        }
        joins.assign(of[predictions.TOPIC] & of[truth_in.TOPIC])

    async def revoked(_: Any, __: Any, **___: Any) -> None:
        joins.assign(())  # until they are assigned anew, the same ones perhaps

    reader.on_partitions_assigned.connect(assigned, weak=False)
    reader.on_partitions_revoked.connect(revoked, weak=False)


async def _lagging(topic: str, edges: Edges, progress: Progress) -> None:
    """Show how many of a topic's records are not joined yet."""
    await watch_lag(
        metrics.CONSUMER_LAG,
        topic,
        lambda: edges.ends(topic),
        lambda: {p: at.position.at(topic) for p, at in progress.joined.items()},
    )


async def _hold(reader: Any, joins: Joining, moved: asyncio.Event) -> None:
    """Claim what is assigned, and take up what is decided; records are joined as they come.

    Raises what Faust has crashed with, or is not permitted, which would stand idle otherwise.
    """
    while True:
        check(reader)
        await joins.hold()
        await joins.advance()
        await moved_or(moved, TICK_SECONDS)
