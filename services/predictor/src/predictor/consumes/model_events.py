"""Topic ``model-events``: which version serves. Load, check, warm up, compare, then switch."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import Protocol

import msgspec
from contracts.codec import published_at
from contracts.events import ModelChanged
from scoring import Unusable
from servicekit import metrics
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_consumer, stop_consumer
from servicekit.registry import ModelBundle
from servicekit.topic_log import read_or_skip

from predictor.domain.service import Predictor
from predictor.loading import RETRY_SECONDS, Result, apart, load, why

log = logging.getLogger(__name__)


class Versions(Protocol):
    """Where versions come from: the registry."""

    def champion(self, model: str) -> str | None:
        """The version that bears the alias, if one does."""

    def bundle(self, model: str, version: str) -> ModelBundle:
        """The version, whole."""


async def take_up(
    predictor: Predictor, versions: Versions, event: ModelChanged, said_at: int | None = None
) -> Result:
    """Let the event's version serve. One that cannot is reported, and the old one goes on serving.

    ``said_at``: when the event was published, by the wall clock in milliseconds, since when the version serves for whoever
    asks; None: since now.
    """
    if predictor.ready and predictor.model.version == event.version:
        _show(event, said_at)  # it may be announced anew, by a rollback to it
        return Result.TAKEN_UP
    try:
        model = predictor.at_hand(event.version, event.sha256)
        if model is None:
            model = await load(versions.bundle, event.model, event.version, event.sha256)
        first = not predictor.ready
        predictor.swap(model)
        if first:  # what is here by now stays: the collector need not walk over it with every few requests
            gc.freeze()
    except (Unusable, UserError) as error:
        return _not_taken_up(predictor, event, error, Result.REFUSED)
    except Exception as error:  # noqa: BLE001  whatever stands in the way, the old version serves on
        return _not_taken_up(predictor, event, error, Result.UNREACHABLE)
    metrics.MODEL_SWAPS.labels(Result.TAKEN_UP.value).inc()
    metrics.ROWS_PUBLISHED.labels(event.version)  # from 0 on
    _show(event, said_at)
    log.info("version %s of %s serves", event.version, event.model)
    return Result.TAKEN_UP


def _show(event: ModelChanged, said_at: int | None) -> None:
    metrics.MODEL_INFO.clear()
    metrics.MODEL_INFO.labels(event.model, event.version, event.action).set(1)
    metrics.MODEL_SINCE.labels(event.model).set(time.time() if said_at is None else said_at / 1000)


def _show_wanted(event: ModelChanged) -> None:
    metrics.MODEL_WANTED.clear()
    metrics.MODEL_WANTED.labels(event.model, event.version).set(1)


def _not_taken_up(predictor: Predictor, event: ModelChanged, error: Exception, result: Result) -> Result:
    metrics.MODEL_SWAPS.labels(result.value).inc()
    serving = f"version {predictor.model.version} serves on" if predictor.ready else "no version serves"
    log.error(
        "version %s of %s is not taken up (%s), %s: %s",
        event.version, event.model, result.value, serving, why(error),
    )  # fmt: skip
    return result


async def follow(settings: Settings, predictor: Predictor, versions: Versions) -> None:
    """Take up each change of this deployment's model, for ever.

    At the start only the topic's newest event counts. Where it has none, the registry's alias is asked;
    where the newest version cannot serve, the one before it is tried.
    """
    clock = asyncio.get_running_loop().time
    consumer = make_consumer(settings, "model-events")
    try:
        await consumer.start()
        ends = await consumer.end_offsets(consumer.assignment())
        announced: ModelChanged | None = None  # and not shown yet
        pending: ModelChanged | None = None
        said_at: int | None = None
        due = clock()
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event = read_or_skip(ModelChanged, record, metrics.DLQ_RECORDS)
                    if event is not None and event.model == settings.model:
                        announced = pending = event
                        said_at, due = published_at(record.headers), clock()
            if ends and any([await consumer.position(tp) < end for tp, end in ends.items()]):
                continue
            ends = {}
            if announced is not None:  # whatever becomes of it, also where one before it has to do
                _show_wanted(announced)
                announced = None
            if clock() < due:
                continue
            due = clock() + RETRY_SECONDS
            if pending is None and not predictor.ready:
                pending, said_at = await _champion(settings.model, versions), None
            if pending is not None:
                result = await take_up(predictor, versions, pending, said_at)
                if result is Result.REFUSED and not predictor.ready and pending.previous_version:
                    pending, said_at, due = _earlier(pending, pending.previous_version), None, clock()
                elif result is not Result.UNREACHABLE:
                    pending = None
    finally:
        await stop_consumer(consumer)


async def _champion(model: str, versions: Versions) -> ModelChanged | None:
    """The registry's champion as if it had been announced; its checksum is the registry's own."""
    try:
        version = await apart(versions.champion, model)
    except Exception as error:  # noqa: BLE001  without a registry the service waits for an event
        log.warning("the registry does not say which version of %s serves: %s", model, type(error).__name__)
        return None
    if version is None:
        return None
    return ModelChanged(
        model=model, version=version, previous_version=None, action="installed", artifact_uri="", sha256="",
        effective_from=0, reason="the registry's champion; model-events names none",
    )  # fmt: skip


def _earlier(event: ModelChanged, version: str) -> ModelChanged:
    return msgspec.structs.replace(event, version=version, previous_version=None, sha256="")
