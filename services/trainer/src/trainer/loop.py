"""The trainer's loop: consider each boundary once, train, decide, say so.

Reading and deciding are two tasks; a training is a subprocess, so the status answers meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from contracts.events import TrainingDecided
from servicekit.config import Settings
from servicekit.metrics import DECIDED_THROUGH, TRAININGS
from servicekit.registry import Registry

from trainer.alias import Alias
from trainer.domain.consider import consider, on_these_rows
from trainer.domain.history import run_id
from trainer.domain.knowledge import Knowledge
from trainer.domain.triggers import ASKED, Trigger, scheduled
from trainer.pipeline import Pipeline
from trainer.produces import training_runs as decisions
from trainer.promoting import Promoting
from trainer.reading import Reader
from trainer.registered import Registered
from trainer.shown import show_decision, show_history
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
        self.reader = Reader(knowledge, consumer, producer)
        self.alias = Alias(knowledge, registry, self.reader)
        self.registered = Registered(settings.model, registry)
        self.promoting = Promoting(knowledge, self.reader, producer, self.alias)
        self.training = Training(settings, knowledge, self.registered, pipeline, self.promoting)
        self.running = False
        self.open_alert: Trigger | None = None

    @property
    def waiting_for(self) -> str | None:
        """Why the next boundary is not considered yet."""
        if not self.reader.caught_up.is_set():
            return "the topics, which are read from their beginning"
        return self.registered.away or (
            "the training that runs" if self.running else self.knowledge.waiting_for
        )

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
            "outcomes": len(self.knowledge.ledger),
            "decisions": [msgspec.to_builtins(d) for d in self.knowledge.history.decisions],
        }

    async def decide(self) -> None:
        """Consider boundaries as they become complete, for ever."""
        await self.reader.caught_up.wait()
        self.knowledge.considered_through = self.knowledge.history.considered_through
        show_history(self.knowledge.history.decisions)
        interrupted = self.knowledge.history.unfinished()
        self.running = interrupted is not None
        await self.alias.move()
        if interrupted is not None:
            log.warning("taking up the training that was interrupted: %s", interrupted.run_id)
            kind = interrupted.trigger or self.knowledge.evidence.kind(interrupted.alert_id)
            self.open_alert = Trigger(interrupted.alert_id, kind, interrupted.since, interrupted.reason)
            await self._train(interrupted, again=True)
            self.knowledge.considered_through = interrupted.as_of
        while True:
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
        """What the domain says about a boundary, done."""
        serving, settings = self.knowledge.serving, self.settings
        assert serving is not None
        triggers = self.knowledge.evidence.open_alerts(serving.version, boundary)
        self.open_alert = next(iter(triggers), None)
        period = scheduled(
            settings.model,
            settings.train_every_ms,
            self.knowledge.considered_through,
            boundary,
            self.knowledge.history.decisions,
        )
        if period is not None:
            triggers.append(period)
        if triggers:
            await self._consider(triggers, boundary)

    async def _asked_for(self) -> bool:
        """Consider what people ask for, as of the newest boundary that is considered; whether a training was run."""
        boundary, serving = self.knowledge.considered_through, self.knowledge.serving
        requests = self.knowledge.requests.open(self.knowledge.history.decisions)
        if boundary is None or serving is None or not requests:
            return False
        return await self._consider(requests, boundary)

    async def _consider(self, triggers: Sequence[Trigger], boundary: int) -> bool:
        """Do what the first trigger is worth for which something can be done; whether that was a training."""
        serving, settings = self.knowledge.serving, self.settings
        assert serving is not None
        champion = await self.registered.champion(serving.version)
        cut = self.knowledge.evidence.cut(boundary, settings.label_complete)
        considered = []
        for alert in triggers:
            begun = alert.since or 0
            since = max(begun, champion.trained_until or begun)
            labelled = self.knowledge.ledger.count(since, cut, boundary) if cut is not None else 0
            last = self.knowledge.history.last(alert.alert_id)
            point = "the last training" if alert.kind in ASKED else "the change point"
            failures = on_these_rows(self.knowledge.history.failed(alert.alert_id), labelled)
            step = consider(
                labelled,
                settings.min_train_rows,
                settings.label_complete,
                last,
                point,
                failures,
                settings.training_attempts,
            )
            if step is not None:
                considered.append((step, alert, since, labelled))
        if not considered:
            return False
        # What can be trained on now comes before what waits for rows.
        step, alert, since, labelled = min(considered, key=lambda found: found[0].decision != "started")
        self.open_alert = alert
        decision = TrainingDecided(
            run_id=run_id(settings.model, alert.alert_id, boundary),
            model=settings.model,
            alert_id=alert.alert_id,
            as_of=boundary,
            decision=step.decision,
            reason=step.reason + alert.words,
            since=since,
            until=cut,
            rows={"labelled": labelled, "needed": settings.min_train_rows},
            champion_version=serving.version,
            challenger_version=None,
            metrics={},
            gain=None,
            p_value=None,
            mlflow_run_id=None,
            dvc_revision=None,
            data_sha256=None,
            trigger=alert.kind,
        )
        if step.decision == "waiting":
            await self._record(decision)
            return False
        await self._record(decision)
        await self._train(decision)
        return True

    async def _train(self, started: TrainingDecided, again: bool = False) -> None:
        self.running = True
        decision = await self.training.run(started, again)
        await self._record(decision)
        if decision.decision == "promoted":
            self.open_alert = None
        self.running = False

    async def _record(self, decision: TrainingDecided) -> None:
        await decisions.record(self._producer, decision)
        self.knowledge.history.record(decision)
        TRAININGS.labels(decision.decision).inc()
        show_decision(decision)
        log.info("as of %d: %s", decision.as_of, decision.reason)
