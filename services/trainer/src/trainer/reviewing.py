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
from trainer.judging import scored
from trainer.produces import promotion_reviews
from trainer.promoting import Promoting
from trainer.registered import Registered

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
        if looks and looks[-1].verdict != "undecided":
            return
        cut = self._knowledge.evidence.cut(boundary, self._settings.label_complete)
        if cut is None:
            return
        rows = self._knowledge.ledger.get(
            as_of=boundary, until=cut, since=serving.effective_from, version=serving.version
        )
        span = review.spans(rows.event_time, self._settings.window_ms)
        before = looks[-1].rows if looks else 0
        if not review.due(len(rows), before, review.count(span), self._settings.review_rows):
            return
        try:
            look = await self._look(serving, rows, boundary, len(looks) + 1)
        except (Unusable, UserError, ValueError) as error:
            log.warning("version %s cannot be reviewed as of %d: %s", serving.version, boundary, error)
            return
        await promotion_reviews.look(self._producer, look)
        self._knowledge.reviews.looked(look)
        REVIEWS.labels(look.verdict).inc()
        log.info("as of %d, version %s: %s", boundary, look.version, look.reason)
        await self.follow()

    async def follow(self) -> None:
        """Roll back what the newest look says is worse; after a restart too, where a crash came between the two."""
        serving = self._knowledge.serving
        if serving is None or serving.action != "promoted" or self._settings.rollback == "off":
            return
        looks = self._looks(serving)
        if not looks or looks[-1].verdict != "rolled_back":
            return
        try:
            before = await self._registered.challenger(looks[-1].previous_version)
        except UserError as error:
            log.error("version %s is worse and stays: %s", serving.version, error)
            return
        if await self._promoting.roll_back(looks[-1], serving, before):
            log.warning("version %s is rolled back: %s", serving.version, looks[-1].reason)

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
        if verdict == "rolled_back" and settings.rollback == "off":
            reason += "; it serves on: ATALAIA_ROLLBACK is off"
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
        review.spans(rows.event_time, settings.window_ms),
        metric=metric,
        task=task,
        confidence=confidence,
    )
