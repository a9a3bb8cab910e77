"""Reviewing: a promoted version against its predecessor on the rows it has served; see ADR 0018 and the domain's review."""

from __future__ import annotations

import asyncio
import logging

from aiokafka import AIOKafkaProducer
from contracts.events import ModelChanged, PromotionReviewed
from scoring import Unusable
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.metrics import REVIEWS
from servicekit.registry import ModelBundle

from trainer.domain import review
from trainer.domain.knowledge import Knowledge
from trainer.domain.ledger import Rows
from trainer.domain.spans import count, spans
from trainer.judging import scored
from trainer.produces import promotion_reviews
from trainer.promoting import Promoting
from trainer.registered import Registered
from trainer.shown import show_review

log = logging.getLogger("trainer")


class Reviewing:
    """Looks at the version that was promoted last, until it is kept, rolled back or replaced."""

    def __init__(
        self,
        settings: Settings,
        knowledge: Knowledge,
        registered: Registered,
        promoting: Promoting,
        producer: AIOKafkaProducer,
        metric: str,
    ) -> None:
        self._settings, self._knowledge, self._registered = settings, knowledge, registered
        self._promoting, self._producer, self._metric = promoting, producer, metric

    async def considered(self, boundary: int) -> None:
        """Look as of a boundary, if there is enough to look at, and do what it says; what cannot be asked is logged."""
        serving = self._knowledge.serving
        if serving is None or serving.action != "promoted" or serving.previous_version is None:
            return
        looks = self._looks(serving)
        last = looks[-1] if looks else None
        worse = last is not None and last.verdict == "rolled_back"
        if last is not None and (last.verdict == "kept" or boundary < last.as_of):
            return
        if last is not None and worse:  # and it serves still
            newest = self._knowledge.evidence.next(serving.version, boundary) is None
            if self._settings.rollback == "off" or not newest:
                return
            if last.as_of == boundary:
                await self._roll_back(last, serving)  # a crash came between the two
                return
        cut = self._knowledge.evidence.cut(boundary, self._settings.label_complete)
        if cut is None:
            return
        ledger = self._knowledge.ledger.snapshot()  # the reader adds to the ledger meanwhile
        rows = await asyncio.to_thread(ledger.get, boundary, cut, serving.effective_from, serving.version)
        span = spans(rows.event_time, self._settings.span_ms)
        before = last.rows if last is not None else 0
        # What was found worse once and serves on is looked at again, as of the newest boundary: no old look rolls back.
        if len(rows) == before or not review.due(
            len(rows), 0 if worse else before, count(span), self._settings.review_rows
        ):
            return
        try:
            look = await self._look(serving, rows, boundary, len(looks) + 1)
        except (Unusable, UserError, ValueError) as error:
            log.warning("version %s cannot be reviewed as of %d: %s", serving.version, boundary, error)
            return
        await promotion_reviews.look(self._producer, look)
        self._knowledge.reviews.looked(look)
        REVIEWS.labels(look.verdict).inc()
        show_review(look, self._settings)
        log.info("as of %d, version %s: %s", boundary, look.version, look.reason)
        if look.verdict == "rolled_back":
            await self._roll_back(look, serving)

    async def _roll_back(self, look: PromotionReviewed, serving: ModelChanged) -> None:
        """Do what a look says that found the version worse, or say why not."""
        if self._settings.rollback == "off":
            log.warning("version %s is worse and serves on: ATALAIA_ROLLBACK is off", serving.version)
            return
        try:
            before = await self._registered.challenger(look.previous_version)
        except UserError as error:
            log.error("version %s is worse and stays: %s", serving.version, error)
            return
        if await self._promoting.roll_back(look, serving, before):
            log.warning("version %s is rolled back: %s", serving.version, look.reason)

    def _looks(self, serving: ModelChanged) -> list[PromotionReviewed]:
        """Since it serves: a version may serve twice."""
        looks = self._knowledge.reviews.of(serving.version)
        return [look for look in looks if look.as_of > serving.effective_from]

    async def _look(self, serving: ModelChanged, rows: Rows, boundary: int, number: int) -> PromotionReviewed:
        bundles = [
            await self._registered.challenger(version)
            for version in (serving.version, serving.previous_version or "")
        ]
        settings, (promoted, _) = self._settings, bundles
        found = await asyncio.to_thread(
            _compared,
            bundles,
            rows,
            settings,
            self._metric,
            review.confidence_of(number, settings.review_confidence),
        )
        verdict = review.verdict(found, len(rows), settings.review_rows)
        reason = review.words(found, verdict, self._metric, len(rows))
        return PromotionReviewed(
            model=serving.model,
            version=promoted.version,
            previous_version=bundles[1].version,
            as_of=boundary,
            look=number,
            rows=len(rows),
            metric=self._metric,
            metrics=found.metrics,
            gain=found.gain,
            low=found.low,
            high=found.high,
            confidence=found.confidence,
            verdict=verdict,
            reason=reason,
        )


def _compared(
    bundles: list[ModelBundle], rows: Rows, settings: Settings, metric: str, confidence: float
) -> review.Compared:
    """The promoted version and its predecessor on the rows; raises ``Unusable`` or ``ValueError``."""
    task = bundles[0].profile["task"]
    if task == "regression":
        rows = rows.numeric()
    promoted, predecessor = (scored(bundle, rows) for bundle in bundles)
    return review.compare(
        rows.truth,
        promoted,
        predecessor,
        spans(rows.event_time, settings.span_ms),
        metric=metric,
        task=task,
        confidence=confidence,
    )
