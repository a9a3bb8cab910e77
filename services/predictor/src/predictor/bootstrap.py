"""Puts the service together: the only place that picks adapters."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Coroutine
from functools import partial
from typing import Any

from servicekit import metrics
from servicekit.config import Settings
from servicekit.http import Health, serve
from servicekit.kafka import answers, make_producer, wait_for_kafka
from servicekit.listening import SharedSocket
from servicekit.memory import keep_freed
from servicekit.registry import Registry
from servicekit.topics import ensure_topics, topics_of

from predictor.adopted import replay_orphans
from predictor.consumes import challengers, http, model_events
from predictor.domain.service import Predictor
from predictor.produces.predictions import PredictionLog
from predictor.produces.shadow_predictions import ShadowScorer, make_publish
from predictor.spool import open_spool

FLUSH_SECONDS = 10.0
# A request of a thousand rows makes thousands of objects, none of them a cycle.
GC_THRESHOLDS = 20_000, 20, 50


async def run(settings: Settings, sock: SharedSocket | None = None) -> None:
    """Run until SIGTERM or SIGINT: what is under way is answered, then the producer is flushed.

    ``sock`` is the socket that several workers share; without one the port is bound here.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    keep_freed()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await wait_for_kafka(settings)
    await ensure_topics(settings)
    metrics.begin("predictor", settings.model, topics_of("predictor"))
    folder = settings.data_dir / "spool"
    spool = open_spool(folder)
    connect = partial(make_producer, settings, "predictor")
    predictions = PredictionLog(
        await connect(),
        connect,
        spool,
        max_bytes=settings.spool_max_bytes,
        patience=settings.spool_after_ms / 1000,
        accept=settings.acknowledge == "accept",
    )
    unseen = await make_producer(settings, "predictor-shadow")
    shadow = ShadowScorer(make_publish(unseen))
    predictor = Predictor(predictions, shadow)

    async def kept() -> bool:
        # with a full spool all are refused until it is replayed, though the broker may answer
        return predictions.has_room or (not predictions.spooling and await answers(settings))

    health = Health(log=kept, model=lambda: predictor.ready)
    app = http.make_app(
        predictor,
        health,
        max_body_bytes=settings.max_body_bytes,
        event_time_required=settings.event_time_required,
    )
    registry = Registry(settings.mlflow)
    work: list[Coroutine[Any, Any, None]] = [
        serve(app, settings.host, settings.predictor_port, stop, sock=sock, health=health),
        model_events.follow(settings, predictor, registry),
        challengers.follow(settings, predictor, registry.bundle),
        shadow.run(),
        replay_orphans(folder, connect),
    ]
    keeping = asyncio.create_task(predictions.run())
    serving, *beside = [asyncio.create_task(each) for each in work]
    try:
        await asyncio.wait({keeping, serving, *beside}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        await asyncio.gather(serving, return_exceptions=True)
        await predictor.drain()
        predictions.end()
        await asyncio.wait({keeping}, timeout=FLUSH_SECONDS)  # a round of a replay is not cut off
    finally:
        for task in (keeping, *beside):
            task.cancel()
        results = await asyncio.gather(keeping, serving, *beside, return_exceptions=True)
        await predictions.close(FLUSH_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(unseen.stop(), 1.0)
    for outcome in results:
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
