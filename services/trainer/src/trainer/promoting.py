"""Promoting, and rolling back: the version on ``model-events``, then the alias; never over what others have said meanwhile."""

from __future__ import annotations

from aiokafka import AIOKafkaProducer
from contracts.events import ModelChanged, PromotionReviewed, TrainingDecided
from servicekit.registry import ModelBundle

from trainer.alias import Alias
from trainer.domain.knowledge import Knowledge
from trainer.domain.promotion import superseded
from trainer.produces import model_events
from trainer.reading import Reader


class Promoting:
    """One model's promotions."""

    def __init__(
        self, knowledge: Knowledge, reader: Reader, producer: AIOKafkaProducer, alias: Alias
    ) -> None:
        self._knowledge, self._reader, self._producer, self._alias = knowledge, reader, producer, alias

    async def superseded(self, started: TrainingDecided, challenger: str | None) -> str | None:
        """Why nothing is promoted any more, by all that is on ``model-events`` now, not by what has been read."""
        await self._reader.up_to_now(model_events.TOPIC)
        serving = self._knowledge.serving
        assert serving is not None
        return superseded(
            serving,
            started.champion_version,
            challenger,
            self._knowledge.served,
            started.champion_since,
        )

    def serves(self, version: str) -> ModelChanged | None:
        """What made a version serve, if it does."""
        serving = self._knowledge.serving
        return serving if serving is not None and serving.version == version else None

    async def promote(self, decided: TrainingDecided, won: ModelBundle) -> None:
        """First the record that is the truth, then the alias that follows it."""
        serving = self._knowledge.serving
        if serving is None or serving.version != won.version:
            event = ModelChanged(
                model=decided.model,
                version=won.version,
                previous_version=decided.champion_version,
                action="promoted",
                artifact_uri=won.artifact_uri,
                sha256=won.sha256,
                # not before what it takes over from: the later of two holds, by whatever order they are read
                effective_from=max(decided.as_of, serving.effective_from) if serving else decided.as_of,
                reason=decided.reason,
            )
            await model_events.change(self._producer, event, decided.run_id)
            self._knowledge.changed(event)
        await self._alias.move()

    async def roll_back(self, review: PromotionReviewed, serving: ModelChanged, before: ModelBundle) -> bool:
        """What a review says, done, while ``serving``, which it is of, serves; whether it was."""
        await self._reader.up_to_now(model_events.TOPIC)
        now = self._knowledge.serving
        assert now is not None
        if (now.version, now.effective_from) != (serving.version, serving.effective_from):
            return False
        event = ModelChanged(
            model=review.model,
            version=before.version,
            previous_version=serving.version,
            action="rolled_back",
            artifact_uri=before.artifact_uri,
            sha256=before.sha256,
            effective_from=max(review.as_of, serving.effective_from + 1),
            reason=review.reason,
        )
        await model_events.change(self._producer, event, review.version, review.as_of)
        self._knowledge.changed(event)
        await self._alias.move()
        return True
