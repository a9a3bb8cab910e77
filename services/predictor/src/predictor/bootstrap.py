"""Puts the service together: the only place that picks adapters."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket

from servicekit.config import Settings
from servicekit.http import Health, serve
from servicekit.kafka import answers, make_producer, wait_for_kafka
from servicekit.registry import Registry
from servicekit.topics import ensure_topics

from predictor.consumes import challengers, http, model_events
from predictor.domain.service import Predictor
from predictor.produces.predictions import make_publish

FLUSH_SECONDS = 10.0


async def run(settings: Settings, sock: socket.socket | None = None) -> None:
    """Run until SIGTERM or SIGINT: what is under way is answered, then the producer is flushed.

    ``sock`` is the bound socket of several workers; without one the port is bound here.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await wait_for_kafka(settings.kafka)
    await ensure_topics(settings.kafka, settings.partitions)
    producer = await make_producer(settings, "predictor")
    try:
        predictor = Predictor(make_publish(producer))
        health = Health(kafka=lambda: answers(settings.kafka), model=lambda: predictor.ready)
        app = http.make_app(
            predictor,
            health,
            max_body_bytes=settings.max_body_bytes,
            event_time_required=settings.event_time_required,
        )
        following = asyncio.create_task(model_events.follow(settings, predictor, Registry(settings.mlflow)))
        shadowing = asyncio.create_task(
            challengers.follow(settings, predictor, Registry(settings.mlflow).bundle)
        )
        serving = asyncio.create_task(
            serve(app, settings.host, settings.predictor_port, stop, sock=sock, health=health)
        )
        await asyncio.wait({following, shadowing, serving}, return_when=asyncio.FIRST_COMPLETED)
        stop.set()
        following.cancel()
        shadowing.cancel()
        results = await asyncio.gather(following, shadowing, serving, return_exceptions=True)
        for outcome in results:
            if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
                raise outcome
    finally:
        with contextlib.suppress(TimeoutError):  # nothing that was answered waits in it
            await asyncio.wait_for(producer.stop(), FLUSH_SECONDS)
