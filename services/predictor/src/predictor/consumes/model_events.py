"""Topic ``model-events``: which version serves. Load, check, warm up, compare, then switch."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from contracts.codec import Unreadable, decode
from contracts.events import ModelChanged
from servicekit import metrics
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_consumer
from servicekit.registry import ModelBundle

from predictor.domain.model import Model, Unusable
from predictor.domain.service import Predictor

log = logging.getLogger(__name__)


class Bundles(Protocol):
    """Where versions come from."""

    def bundle(self, model: str, version: str) -> ModelBundle:
        """The version, whole."""


async def take_up(predictor: Predictor, bundles: Bundles, event: ModelChanged) -> bool:
    """Let the event's version serve. A version that cannot is reported, and the old one goes on serving."""
    if predictor.ready and predictor.model.version == event.version:
        return True
    try:
        bundle = await asyncio.to_thread(bundles.bundle, event.model, event.version)
        if event.sha256 and bundle.sha256 != event.sha256:
            raise Unusable(
                f"version {event.version} has sha256 {bundle.sha256[:12]}…, announced was {event.sha256[:12]}…"
            )
        model = await asyncio.to_thread(Model, event.model, event.version, bundle.onnx, bundle.profile)
        predictor.swap(model)
    except Exception as error:  # noqa: BLE001  whatever is wrong with the new version, the old one serves on
        metrics.MODEL_SWAPS.labels("failed").inc()
        serving = predictor.model.version if predictor.ready else "none"
        log.error(
            "version %s of %s is not taken up, %s serves on: %s", event.version, event.model, serving, error
        )
        return False
    metrics.MODEL_SWAPS.labels("taken up").inc()
    metrics.MODEL_INFO.clear()
    metrics.MODEL_INFO.labels(event.model, event.version).set(1)
    log.info("version %s of %s serves", event.version, event.model)
    return True


async def follow(settings: Settings, predictor: Predictor, bundles: Bundles) -> None:
    """Take up each change of this deployment's model, for ever. At the start only the newest one counts."""
    consumer = make_consumer(settings, "model-events")
    try:
        await consumer.start()
        pending: ModelChanged | None = None
        while True:
            batches = await consumer.getmany(timeout_ms=500)
            for records in batches.values():
                for record in records:
                    try:
                        event = decode(ModelChanged, record.value, record.headers)
                    except Unreadable as error:
                        log.error("model-events, offset %d, is skipped: %s", record.offset, error)
                        metrics.DLQ_RECORDS.labels("model-events").inc()
                        continue
                    if event.model == settings.model:
                        pending = event
            if pending is not None and await take_up(predictor, bundles, pending):
                pending = None
            elif pending is not None and predictor.ready:
                pending = None  # a bad version is not tried again while another serves
    except UserError:
        raise
    finally:
        await consumer.stop()
