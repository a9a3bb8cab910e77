"""Topic ``challengers``: which version shadows. Load, check, warm up, compare; what fails here never disturbs serving."""

from __future__ import annotations

import asyncio
import logging

from contracts.events import ChallengerChanged
from scoring import Unusable
from servicekit import metrics
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_consumer, stop_consumer
from servicekit.topic_log import read_or_skip

from predictor.domain.service import Predictor
from predictor.loading import RETRY_SECONDS, Fetch, Result, load, why

TOPIC = "challengers"
ENDED = "ended"
log = logging.getLogger(__name__)


class Shadow:
    """Lets the announced version shadow, unless it serves: so all processes, and those started later, do the same."""

    def __init__(self, predictor: Predictor, fetch: Fetch) -> None:
        self.announced: ChallengerChanged | None = None
        self._predictor, self._fetch = predictor, fetch
        self._held: ChallengerChanged | None = None  # the announcement whose version shadows
        self._refused: tuple[ChallengerChanged, str] | None = None  # and the version that served then

    async def settle(self) -> Result | None:
        """One attempt to make it so; None where there was nothing to load."""
        event, predictor = self.announced, self._predictor
        if event is None or not predictor.ready:
            return None
        serving = predictor.model.version
        wanted = event.version if event.version != serving else None
        if self._held and (
            (wanted, event.sha256) != (self._held.version, self._held.sha256) or predictor.challenger is None
        ):
            self._end(serving)
        if wanted is None or self._held or self._refused == (event, serving):
            return None
        try:
            model = predictor.at_hand(wanted, event.sha256)  # it served before, and was rolled back
            if model is None:
                model = await load(self._fetch, event.model, wanted, event.sha256)
            if predictor.model.version == wanted:
                return None  # promoted meanwhile
            predictor.shadow(model)
        except (Unusable, UserError) as error:
            self._refused = event, serving
            return _failed(event, error, Result.REFUSED)
        except Exception as error:  # noqa: BLE001  whatever stands in the way, it may pass
            return _failed(event, error, Result.UNREACHABLE)
        self._held = event
        metrics.SHADOW_SWAPS.labels(Result.TAKEN_UP.value).inc()
        log.info("version %s of %s shadows version %s", wanted, event.model, serving)
        return Result.TAKEN_UP

    def _end(self, serving: str) -> None:
        held, self._held = self._held, None
        assert held is not None
        self._predictor.shadow(None)
        metrics.SHADOW_SWAPS.labels(ENDED).inc()
        log.info(
            "version %s of %s shadows no more: %s",
            held.version, held.model, "it serves" if held.version == serving else "another is announced, or none",
        )  # fmt: skip


def _failed(event: ChallengerChanged, error: Exception, result: Result) -> Result:
    metrics.SHADOW_SWAPS.labels(result.value).inc()
    log.error(
        "version %s of %s does not shadow (%s): %s", event.version, event.model, result.value, why(error)
    )
    return result


async def follow(settings: Settings, predictor: Predictor, fetch: Fetch) -> None:
    """Let this deployment's challenger shadow, for ever; whatever goes wrong is logged and tried again."""
    shadow = Shadow(predictor, fetch)
    while True:
        try:
            await _follow(settings, shadow)
        except Exception as error:  # noqa: BLE001  without its challenger the service serves on
            log.error("%s is not followed, tried again: %s", TOPIC, why(error))
            await asyncio.sleep(RETRY_SECONDS)


async def _follow(settings: Settings, shadow: Shadow) -> None:
    clock = asyncio.get_running_loop().time
    consumer = make_consumer(settings, TOPIC)
    try:
        await consumer.start()
        ends = await consumer.end_offsets(consumer.assignment())
        due = clock()
        while True:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    event = read_or_skip(ChallengerChanged, record, metrics.DLQ_RECORDS)
                    if event is not None and event.model == settings.model:
                        shadow.announced, due = event, clock()
            if ends and any([await consumer.position(tp) < end for tp, end in ends.items()]):
                continue  # at the start only the newest counts
            ends = {}
            if clock() >= due and await shadow.settle() is Result.UNREACHABLE:
                due = clock() + RETRY_SECONDS
    finally:
        await stop_consumer(consumer)
