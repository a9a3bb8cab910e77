"""The trainer's loop: consider each boundary once, train, decide, say so.

Reading and deciding are two tasks; a training is a subprocess, so the status answers meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from contracts.events import ModelChanged, TrainingDecided
from servicekit.config import Settings
from servicekit.dead_letters import DeadLetters
from servicekit.kafka import to_dlq
from servicekit.metrics import DECIDED_THROUGH, TRAININGS
from servicekit.registry import Registry

from trainer.alias import Alias
from trainer.deciding import Deciding
from trainer.domain.knowledge import Knowledge
from trainer.domain.triggers import Trigger, scheduled
from trainer.pending import Pending
from trainer.pipeline import Pipeline
from trainer.produces import training_runs as decisions
from trainer.promoting import Promoting
from trainer.reading import Reader
from trainer.registered import Registered
from trainer.reviewing import Reviewing
from trainer.shadowing import Shadowing
from trainer.shown import show_actions, show_decision, show_history, show_pending, show_review
from trainer.training import Training

log = logging.getLogger("trainer")


class Loop:
    """One model's trainer."""

    def __init__(
        self,
        settings: Settings,
        knowledge: Knowledge,
        consumer: AIOKafkaConsumer,
        producer: AIOKafkaProducer,
        registry: Registry,
        pipeline: Pipeline,
    ) -> None:
        self.settings, self.knowledge, self._producer = settings, knowledge, producer
        self.reader = Reader(knowledge, consumer, DeadLetters(settings, partial(to_dlq, producer)))
        self.alias = Alias(knowledge, registry, self.reader)
        self.registered = Registered(settings.model, registry)
        self.deciding = Deciding(settings, knowledge, self.registered)
        self.promoting = Promoting(knowledge, self.reader, producer, self.alias)
        self.shadowing = Shadowing(knowledge, self.reader, producer)
        self.pending = Pending(
            settings, knowledge, self.registered, self.promoting, self.shadowing, pipeline.metric
        )
        self.training = Training(settings, knowledge, self.registered, pipeline, self.promoting, self.pending)
        self.reviewing = Reviewing(
            settings, knowledge, self.registered, self.promoting, producer, pipeline.metric
        )
        self.running = False
        self.open_alert: Trigger | None = None
        self._asked: tuple[int, ModelChanged, int, int] | None = None  # as of which requests were considered

    @property
    def waiting_for(self) -> str | None:
        """Why the next boundary is not considered yet; before that, what a run waits for that has trained."""
        if not self.reader.caught_up.is_set():
            return "the topics, which are read from their beginning"
        if self.registered.away or self.running:
            return self.registered.away or "the training that runs"
        return "; ".join(filter(None, [self.pending.status, self.knowledge.waiting_for])) or None

    def status(self) -> dict[str, Any]:
        """What it is doing, and all its decisions."""
        serving = self.knowledge.serving
        return {
            "model": self.knowledge.model,
            "version": serving.version if serving else None,
            "considered_through": self.knowledge.considered_through,
            "waiting_for": self.waiting_for,
            "running": self.running,
            "open_alert": self.open_alert.alert_id if self.open_alert else None,
            "pending": self.pending.status,
            "outcomes": len(self.knowledge.ledger),
            "decisions": [msgspec.to_builtins(d) for d in self.knowledge.history.decisions],
        }

    async def decide(self) -> None:
        """Consider boundaries as they become complete, for ever."""
        await self.reader.caught_up.wait()
        self.knowledge.resume()
        self._show_restored()
        if self.knowledge.considered_through is not None:
            # from here on: whoever hangs is seen to stand still
            DECIDED_THROUGH.labels("trainer").set(self.knowledge.considered_through / 1000)
        interrupted = self.knowledge.history.unfinished()
        self.running = interrupted is not None
        await self.alias.move()
        await self.shadowing.tidy()
        if interrupted is not None:
            log.warning("taking up the training that was interrupted: %s", interrupted.run_id)
            kind = interrupted.trigger or self.knowledge.evidence.kind(interrupted.alert_id)
            self.open_alert = Trigger(interrupted.alert_id, kind, interrupted.since, interrupted.reason)
            await self._train(interrupted, again=True)
            self.knowledge.resume()
        while True:
            if await self._said(await self.pending.answered()):
                continue
            boundary = self.knowledge.due()
            if boundary is None:
                if await self._asked_for():
                    continue
                await self.reader.news.wait()
                self.reader.news.clear()
                continue
            await self.consider(boundary)
            self.knowledge.considered_through = boundary
            DECIDED_THROUGH.labels("trainer").set(boundary / 1000)

    async def consider(self, boundary: int) -> None:
        """What the domain says about a boundary, done: of what was promoted, of what is pending, of all that is open as of it.

        People ask about the newest boundary: a restart that goes over old ones again answers nobody as of them.
        """
        await self.reviewing.considered(boundary)
        await self._said(await self.pending.considered(boundary))
        self._show_pending()
        serving, settings, knowledge = self.knowledge.serving, self.settings, self.knowledge
        assert serving is not None
        triggers = knowledge.evidence.open_alerts(serving.version, boundary)
        self.open_alert = next(iter(triggers), None)
        period = scheduled(
            settings.model, settings.train_every_ms, knowledge.evidence.first, boundary, knowledge.history
        )
        triggers += [period] if period is not None else []
        if knowledge.evidence.next(serving.version, boundary) is None:
            triggers += knowledge.requests.open(knowledge.history)
        await self._consider(triggers, [], boundary)

    async def _asked_for(self) -> bool:
        """Consider what people ask for, as of the newest boundary that is considered; whether a training was run.

        It answers the alerts that are open then as well, unless a run as of that boundary has. What was asked for and waits is
        considered again once a boundary, a version or a decision is new: other news change nothing about it.
        """
        boundary, serving, history = (
            self.knowledge.considered_through,
            self.knowledge.serving,
            self.knowledge.history,
        )
        requests = self.knowledge.requests.open(history)
        if boundary is None or serving is None or not requests:
            return False
        if (boundary, serving, history.words, len(requests)) == self._asked:
            return False
        beside = self.knowledge.evidence.open_alerts(serving.version, boundary)
        begun = await self._consider(requests, beside, boundary)
        self._asked = boundary, serving, history.words, len(requests)
        return begun

    async def _consider(self, asking: Sequence[Trigger], beside: Sequence[Trigger], boundary: int) -> bool:
        """Do what is to be done about what asks for a training, and what is open beside it; whether that was a training."""
        for decision in await self.deciding.decisions(asking, beside, boundary):
            await self._record(decision)
            if decision.decision == "started":
                self.open_alert = next(t for t in asking if t.alert_id == decision.alert_id)
                await self._train(decision)
                return True
        return False

    async def _train(self, started: TrainingDecided, again: bool = False) -> None:
        self.running = True
        decision = await self.training.run(started, again)
        await self._record(decision)
        await self.shadowing.tidy()
        if decision.decision == "promoted":
            self.open_alert = None
        self.running = False

    async def _said(self, decision: TrainingDecided | None) -> bool:
        """Record the next word on the run that is pending; whether there was one."""
        if decision is None:
            return False
        await self._record(decision)
        await self.shadowing.tidy()
        return True

    async def _record(self, decision: TrainingDecided) -> None:
        await decisions.record(self._producer, decision)
        self.knowledge.history.record(decision, int(time.time() * 1000))
        TRAININGS.labels(decision.decision).inc()
        show_decision(decision)
        self._show_pending()
        log.info("as of %d: %s", decision.as_of, decision.reason)

    def _show_restored(self) -> None:
        """What the topics say of before this start."""
        show_history(self.knowledge.history.decisions)
        show_actions(self.knowledge.actions)
        self._show_pending()
        if self.knowledge.serving is not None:
            for look in self.knowledge.reviews.of(self.knowledge.serving.version)[-1:]:
                show_review(look, self.settings)

    def _show_pending(self) -> None:
        show_pending(self.knowledge.history, self.pending.shadow_rows, self.pending.needed)
