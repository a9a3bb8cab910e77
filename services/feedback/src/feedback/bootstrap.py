"""Puts the service together: the only place that picks adapters."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from contracts.events import QualityReported
from servicekit import metrics
from servicekit.config import Settings
from servicekit.http import Health, serve
from servicekit.kafka import make_producer, wait_for_kafka
from servicekit.registry import Registry
from servicekit.topics import ensure_topics

from feedback.consumes import ground_truth as truth_in
from feedback.consumes import http, model_events, predictions
from feedback.domain.quality_windows import Task
from feedback.domain.uploads import Labels
from feedback.domain.windows import Windows
from feedback.faust_reader import make_faust
from feedback.joiner import Joiner
from feedback.joiner_answers import JoinerAnswers
from feedback.kafka_log import KafkaLog
from feedback.produces import ground_truth as truth_out
from feedback.tasks import Fetch, Tasks

log = logging.getLogger(__name__)
T = TypeVar("T")


def make_fetch(registry: Registry) -> Fetch:
    """Asks the registry for the task of a version; raises what it raises."""

    async def fetch(model: str, version: str) -> Task:
        profile = await in_thread(lambda: registry.profile(model, version))
        return Task(str(profile["task"]), tuple(map(str, profile.get("classes") or ())))

    return fetch


async def in_thread(call: Callable[[], T]) -> T:
    """What ``call`` returns, in a thread that the end of the process does not wait for.

    The registry's client tries for minutes before it says that nobody answers.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(say: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(lambda: None if future.done() else say())

    def work() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  it is the caller's
            tell(lambda error=error: future.set_exception(error))  # type: ignore[misc]
        else:
            tell(lambda: future.set_result(result))

    threading.Thread(target=work, daemon=True, name="registry").start()
    return await future


def observe(what: str, value: Any) -> None:
    """Prometheus's view of what the joiner does."""
    match what, value:
        case "report", QualityReported() as report if report.as_of == report.window_end:
            metrics.LABEL_COVERAGE.labels(report.model).set(report.coverage)
            for name, figure in report.metrics.items():
                metrics.QUALITY.labels(report.model, name).set(figure)
        case "decided", int():
            metrics.DECIDED_THROUGH.labels("feedback").set(value / 1000)
        case "outcomes", int():
            metrics.LABELS.labels("outcome").inc(value)
        case "unreadable", str():
            metrics.DLQ_RECORDS.labels(value).inc()
        case "unusable_truths", int() if value > 0:
            metrics.LABELS.labels("unusable_truth").inc(value)
        case "unknown_classes", int() if value > 0:
            metrics.LABELS.labels("unknown_class").inc(value)
        case "no profile", (str(model), str(version)):
            metrics.PROFILE_WAITS.labels(model).inc()
            metrics.PROFILE_HELD.labels(model, version).set(1)
        case "profile", (str(model), str(version)):
            metrics.PROFILE_HELD.labels(model, version).set(0)


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, or until a part fails."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await wait_for_kafka(settings.kafka)
    await ensure_topics(settings.kafka, settings.partitions)
    async with contextlib.AsyncExitStack() as stack:
        producer = await make_producer(settings, "feedback")
        stack.push_async_callback(producer.stop)
        kafka = KafkaLog(settings, producer)
        await kafka.start()
        stack.push_async_callback(kafka.stop)
        await kafka.check(settings.partitions)
        joiner = Joiner(
            kafka,
            windows=Windows(
                settings.window_ms, settings.step_ms or settings.window_ms, settings.window_origin_ms
            ),
            grace=settings.grace_ms,
            horizon=settings.label_horizon_ms,
            partitions=settings.partitions,
            tasks=Tasks(make_fetch(Registry(settings.mlflow)), observe),
            observe=observe,
        )

        async def send(labels: Labels, upload_id: str, block: int = 0) -> None:
            await truth_out.send(producer, settings.partitions, labels, upload_id, block)
            metrics.LABELS.labels("received").inc(len(labels.prediction_id))

        async def broker_answers() -> bool:
            return bool(await asyncio.wait_for(kafka.ends("model-events"), 5.0))

        health = Health(
            kafka=broker_answers, join=lambda: joiner.ready, profiles=lambda: not joiner.tasks.missing
        )
        app = http.make_app(JoinerAnswers(joiner), send, health, max_body_bytes=settings.max_body_bytes)
        parts: list[asyncio.Task[None]] = [
            asyncio.create_task(serve(app, settings.host, settings.feedback_port, stop), name="http"),
        ]
        await asyncio.sleep(0)  # the port is bound, or it is not
        if not parts[0].done():
            parts.append(asyncio.create_task(_join(settings, joiner), name="join"))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await stopping
        for join in parts[1:]:
            join.cancel()
        done = await asyncio.gather(*parts, return_exceptions=True)
        for outcome in done:
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                raise outcome


async def _join(settings: Settings, joiner: Joiner) -> None:
    """Restore, then read, join and report until cancelled; raises what a part raised."""
    await joiner.restore()
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def fail(error: BaseException) -> None:
        if not failed.done():
            failed.set_exception(error)

    app = make_faust(settings)
    predictions.make_agent(app, joiner.take_predictions, fail)
    truth_in.make_agent(app, joiner.take_ground_truth, fail)
    app.finalize()
    parts: list[asyncio.Future[Any]] = [
        failed,
        asyncio.create_task(joiner.run()),
        asyncio.create_task(model_events.follow(settings, joiner)),
    ]
    try:
        await app.start()
        parts.append(asyncio.ensure_future(app.wait_until_stopped()))
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()
        raise RuntimeError(f"the reader of Kafka stopped: {app.crash_reason!r}")
    finally:
        for part in parts:
            part.cancel()
        await app.stop()
