"""Deciding: what is open at a boundary, what the registry and the rows say of it, and the records of what the domain makes of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from contracts.events import ModelChanged, TrainingDecided
from servicekit.config import Settings

from trainer.domain.consider import Ask, Need, Step, ask, consider, unheld
from trainer.domain.history import run_id
from trainer.domain.knowledge import Knowledge
from trainer.domain.pause import pause, pending
from trainer.domain.triggers import Trigger
from trainer.needs import Needs
from trainer.registered import Champion, Registered


class Deciding:
    """One model's decisions about when to train."""

    def __init__(self, settings: Settings, knowledge: Knowledge, registered: Registered) -> None:
        self.settings, self._knowledge, self._registered = settings, knowledge, registered
        self._needs = Needs(settings, knowledge)

    async def decisions(
        self, asking: Sequence[Trigger], beside: Sequence[Trigger], boundary: int
    ) -> list[TrainingDecided]:
        """One that a run has ``started``, or what waits where that is news; nothing where nothing is ``asking``.

        ``beside`` is open too and begins nothing: a run answers it as well, unless one as of the same boundary has.
        """
        serving, settings, knowledge = self._knowledge.serving, self.settings, self._knowledge
        if not asking or serving is None:
            return []
        champion = await self._registered.champion(serving.version)
        cut = knowledge.evidence.cut(boundary, settings.label_complete)
        asks = self._asks(asking, champion, cut, boundary)
        asks += [
            replace(found, due=False)
            for found in self._asks(beside, champion, cut, boundary)
            if found.answer is None or found.answer.as_of < boundary
        ]
        hold = pending(knowledge.history.pending()) or pause(
            settings.training_pause_ms, boundary, knowledge.history.decisions, serving
        )
        points = {each.since for each in asks} if unheld(asks, hold) else set()
        needs = {since: await self._needs.since(since, champion, cut, boundary) for since in points}
        steps = consider(asks, needs, settings.label_complete, hold, settings.training_attempts)
        decisions = []
        for step in steps:
            need = needs.get(step.since) or await self._needs.since(step.since, champion, cut, boundary)
            decisions.append(self._decision(step, need, serving, cut, boundary))
        return decisions

    def _asks(
        self, triggers: Sequence[Trigger], champion: Champion, cut: int | None, boundary: int
    ) -> list[Ask]:
        ledger, history, attempts = (
            self._knowledge.ledger,
            self._knowledge.history,
            self.settings.training_attempts,
        )

        def count(since: int) -> int:
            return ledger.count(since, cut, boundary) if cut is not None else 0

        asks = []
        new_from = max(champion.new_from or 0, self._shadowed_until(champion))
        for trigger in triggers:
            since = max(trigger.since or 0, new_from)
            asks.append(ask(trigger, since, boundary, history, count, attempts))
        return asks

    def _shadowed_until(self, champion: Champion) -> int:
        """The boundary as of which the champion was promoted, where the rows of a shadow period have chosen it too; else 0."""
        version, decisions = champion.bundle.version, self._knowledge.history.decisions
        promoted = [d for d in decisions if d.decision == "promoted" and d.challenger_version == version]
        return max((d.as_of for d in promoted if "shadow" in d.rows), default=0)

    def _decision(
        self, step: Step, need: Need, serving: ModelChanged, cut: int | None, boundary: int
    ) -> TrainingDecided:
        first, model = step.asks[0].trigger, self._knowledge.model
        unlabelled = None
        if step.decision == "started" and cut is not None:
            unlabelled = self._knowledge.evidence.unlabelled(step.since, cut, boundary)
        return TrainingDecided(
            run_id=run_id(model, first.alert_id, boundary),
            model=model,
            alert_id=first.alert_id,
            as_of=boundary,
            decision=step.decision,
            reason=step.reason,
            since=step.since,
            until=cut,
            rows={"labelled": need.labelled, "needed": need.rows},
            champion_version=serving.version,
            challenger_version=None,
            metrics={},
            gain=None,
            p_value=None,
            mlflow_run_id=None,
            dvc_revision=None,
            data_sha256=None,
            trigger=first.kind,
            answers=[each.trigger.alert_id for each in step.asks],
            waits_for=step.waits_for,
            classes=dict(need.classes),
            unlabelled=unlabelled,
            attempt=step.attempt,
            champion_since=serving.effective_from if step.decision == "started" else None,
        )
