"""Picks the adapters and runs the loop until told to stop."""

from __future__ import annotations

import asyncio
import signal
from functools import partial

from servicekit import metrics
from servicekit.config import Settings
from servicekit.http import Health, serve
from servicekit.kafka import make_consumer, make_producer, stop_consumer, wait_for_kafka
from servicekit.registry import Registry
from servicekit.topics import ensure_topics, topics_of

from trainer.alone import alone
from trainer.consumes.http import make_app
from trainer.domain.knowledge import Knowledge
from trainer.loop import Loop
from trainer.pipeline import Pipeline
from trainer.produces.approvals import review
from trainer.produces.training_requests import request
from trainer.reading import TAKES


async def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT; raises ``UserError`` for what the user can mend."""
    pipeline = Pipeline(settings)
    pipeline.check()
    with alone(pipeline.folder, settings.model):
        await _run(settings, pipeline)


async def _run(settings: Settings, pipeline: Pipeline) -> None:
    await wait_for_kafka(settings)
    await ensure_topics(settings)
    metrics.begin("trainer", settings.model, topics_of("trainer"))
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    producer = await make_producer(settings, "trainer")
    consumer = make_consumer(settings, *TAKES, client_id="trainer")
    await consumer.start()
    loop = Loop(settings, Knowledge(settings.model), consumer, producer, Registry(settings.mlflow), pipeline)

    async def kafka() -> bool:
        await consumer.topics()
        return True

    health = Health(kafka=kafka, caught_up=loop.reader.caught_up.is_set)
    tasks = [
        asyncio.create_task(loop.reader.read(), name="read"),
        asyncio.create_task(loop.decide(), name="decide"),
        asyncio.create_task(loop.alias.follow(), name="follow"),
        asyncio.create_task(
            serve(
                make_app(
                    settings.model,
                    loop.status,
                    partial(request, producer),
                    health,
                    partial(review, producer),
                    loop.knowledge.history.pending,
                ),
                settings.host,
                settings.trainer_port,
                health=health,
            ),
            name="http",
        ),
        asyncio.create_task(stop.wait(), name="stop"),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()  # a task that ended by itself has failed: say how
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await stop_consumer(consumer)
        await producer.stop()
