"""Shadowing: a winner is announced on ``challengers``, and taken back once its shadow period is over."""

from __future__ import annotations

import asyncio
import time

from aiokafka import AIOKafkaProducer
from contracts.events import TrainingDecided
from servicekit.registry import ModelBundle

from trainer.domain.knowledge import Knowledge
from trainer.domain.ledger import Rows
from trainer.domain.shadow import announcement, announces, end, ended
from trainer.produces import challengers
from trainer.reading import Reader

ANSWERS = "shadow-predictions"
CLOCKS = 3_600_000  # by how many ms the clocks of a predictor and of the trainer may be apart


class Shadowing:
    """One model's shadow periods."""

    def __init__(self, knowledge: Knowledge, reader: Reader, producer: AIOKafkaProducer) -> None:
        self._knowledge, self._reader, self._producer = knowledge, reader, producer

    async def begin(self, run: TrainingDecided, won: ModelBundle) -> None:
        """Announce a run's challenger, once."""
        await self._reader.up_to_now(challengers.TOPIC)
        shadows = self._knowledge.shadows
        if not announces(shadows.announced, run):
            event = announcement(run, won.artifact_uri, won.sha256, _now(), shadows.announced)
            await challengers.announce(self._producer, event, run.run_id)
            shadows.changed(event)
        await self._watch(run)

    async def ended(self, run: TrainingDecided) -> str | None:
        """Who has ended a run's shadow period, if somebody has, by all that is on ``challengers`` now."""
        await self._reader.up_to_now(challengers.TOPIC)
        announced = self._knowledge.shadows.announced
        return None if announces(announced, run) else ended(announced)

    async def rows(self, run: TrainingDecided, boundary: int, complete: float) -> Rows | None:
        """The labelled rows that a run's challenger has answered unseen, as known at a boundary; None without any."""
        await self._watch(run)
        await self._reader.up_to_now(ANSWERS)
        knowledge = self._knowledge
        answers = knowledge.shadows.answers
        cut = knowledge.evidence.cut(boundary, complete)
        if answers is None or cut is None:
            return None
        version = run.champion_version
        since = knowledge.evidence.next(version, answers[0] - 1)
        until = knowledge.evidence.next(version, answers[1])
        if since is None:
            return None
        until = cut if until is None else min(cut, until)
        ledger = knowledge.ledger.snapshot()  # the reader adds to the ledger meanwhile
        return await asyncio.to_thread(ledger.get, boundary, until, since)

    async def _watch(self, run: TrainingDecided) -> None:
        """Follow what a run's challenger, which is announced, answers to rows from the run's boundary on."""
        shadows, watched = self._knowledge.shadows, (run.challenger_version or "", run.as_of)
        if shadows.watched != watched:
            assert shadows.announced is not None
            shadows.watch(*watched)
            await self._reader.follow(ANSWERS, shadows.announced.effective_from - CLOCKS)

    async def tidy(self) -> None:
        """Say that none shadows, where a run is announced that is past its shadow period; nobody else is disturbed."""
        announced = self._knowledge.shadows.announced
        for run in self._knowledge.history.decisions:
            over = run.decision not in ("started", "waiting") or run.waits_for == "approval"
            if over and announces(announced, run):
                await self._reader.up_to_now(challengers.TOPIC)
                if announces(self._knowledge.shadows.announced, run):
                    event = end(run, _now())
                    await challengers.announce(self._producer, event, run.run_id)
                    self._knowledge.shadows.changed(event)


def _now() -> int:
    return int(time.time() * 1000)
