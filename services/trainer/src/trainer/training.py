"""Training: a run from ``started`` to what it made and what the challenge says of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any

import msgspec
from aiokafka.errors import KafkaError
from contracts.events import ModelChanged, TrainingDecided
from scoring import Unusable
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.registry import ModelBundle

from trainer.commands import PipelineFailed
from trainer.domain.consider import attempted
from trainer.domain.knowledge import Knowledge
from trainer.domain.leakage import check
from trainer.domain.pending import serves
from trainer.domain.selection import Selection, select
from trainer.domain.triggers import ASKED
from trainer.judging import judge
from trainer.pending import Pending
from trainer.pipeline import Pipeline, Trained
from trainer.promoting import Promoting
from trainer.registered import Registered

log = logging.getLogger("trainer")


class Training:
    """Runs one training at a time."""

    def __init__(
        self,
        settings: Settings,
        knowledge: Knowledge,
        registered: Registered,
        pipeline: Pipeline,
        promoting: Promoting,
        pending: Pending,
    ) -> None:
        self.settings, self._knowledge, self._registered = settings, knowledge, registered
        self._pipeline, self._promoting, self._pending = pipeline, promoting, pending

    async def run(self, started: TrainingDecided, again: bool = False) -> TrainingDecided:
        """The end of a run, promoted, refused or failed, or what it waits for. Taken up again after a crash, it ends the same.

        Raises ``KafkaError`` where its word cannot be sent: it may be on the topic all the same. Whoever starts again
        finds out, and takes the run up.
        """
        try:
            return await self._challenged(started, again)
        except KafkaError:
            raise
        except Exception as error:
            if not isinstance(error, PipelineFailed | UserError | Unusable):
                log.exception("training %s", started.run_id)
            reason = f"failed: {error}" if str(error) else f"failed: {type(error).__name__}"
            if started.trigger not in ASKED:  # their answer is this
                reason = f"{reason} {attempted(started.attempt or 1, self.settings.training_attempts)}"
            return msgspec.structs.replace(started, decision="failed", reason=reason)

    async def _challenged(self, started: TrainingDecided, again: bool) -> TrainingDecided:
        trained, left = None, None
        if again:
            trained, left = await self._registered.left(started.run_id)
            late = await self._promoting.superseded(started, trained.version if trained else None)
            if late is not None:
                return msgspec.structs.replace(started, decision="refused", reason=late, **_made(trained))
            if trained is not None:
                serving = self._promoting.serves(trained.version)
                if serving is not None:
                    return await self._serves(started, trained, serving)
                await self._pipeline.pushed(started.run_id, trained.dvc_revision)
        champion, selection = await self._selected(started)
        if trained is None:
            target = champion.profile["target"]
            tags = _tags(started, selection)
            trained = await self._in_time(
                self._pipeline.train(started.run_id, selection, target, tags, resume=left)
            )
        decided, challenger = await self._judged(started, champion, selection, trained)
        if decided.decision == "refused":
            return decided
        late = await self._promoting.superseded(started, trained.version)
        if late is not None:
            return msgspec.structs.replace(decided, decision="refused", reason=f"{late}; {decided.reason}")
        return await self._pending.won(decided, challenger)

    async def _serves(
        self, started: TrainingDecided, trained: Trained, serving: ModelChanged
    ) -> TrainingDecided:
        """The end of a run whose challenger serves: promoted, whatever is said of it now, with the figures if they can be had."""
        made = msgspec.structs.replace(started, **_made(trained))
        try:
            made, _ = await self._judged(started, *await self._selected(started), trained)
        except Exception as error:  # noqa: BLE001  it serves, and its record must say so
            log.warning("version %s serves, and cannot be judged again: %s", trained.version, error)
        return msgspec.structs.replace(serves(made, serving), as_of=started.as_of)

    async def _selected(self, started: TrainingDecided) -> tuple[ModelBundle, Selection]:
        """The champion, and the rows of a run; raises ``Unusable`` where the rows leak."""
        champion = (await self._registered.champion(started.champion_version)).bundle
        assert started.until is not None  # without a cut no training starts
        ledger = self._knowledge.ledger.snapshot()  # the reader adds to the ledger meanwhile
        rows = await asyncio.to_thread(ledger.get, started.as_of, started.until)
        if champion.profile["task"] == "regression":
            rows = rows.numeric()
        settings = self.settings
        selection = await asyncio.to_thread(
            select, rows, started.since, started.until, settings.span_ms, settings.promote_p_value
        )
        check(selection.train, selection.holdout, started.as_of)
        return champion, selection

    async def _judged(
        self, started: TrainingDecided, champion: ModelBundle, selection: Selection, trained: Trained
    ) -> tuple[TrainingDecided, ModelBundle]:
        """What the challenge says of a run, and its challenger; raises as :func:`judge`."""
        challenger = await self._registered.challenger(trained.version)
        began = time.monotonic()
        tried = await self._registered.tried(trained.mlflow_run_id, selection.holdout)
        verdict = await asyncio.to_thread(
            judge, champion, challenger, selection, self.settings, self._pipeline.metric, tried
        )
        seconds = trained.seconds | {"judge": time.monotonic() - began}
        decided = msgspec.structs.replace(
            started,
            decision="promoted" if verdict.promoted else "refused",
            rows=started.rows | selection.counts(),
            reason=verdict.reason,
            metrics=verdict.metrics,
            gain=verdict.gain,
            p_value=verdict.p_value,
            guardrails=verdict.guardrails,
            candidates=tried.candidates if tried else {},
            chosen=tried.chosen if tried else None,
            duplicates=selection.duplicates + (tried.duplicates if tried else 0),
            seconds={name: round(s, 3) for name, s in seconds.items()},
            **_made(trained),
        )
        return decided, challenger

    async def _in_time(self, training: Coroutine[Any, Any, Trained]) -> Trained:
        """What comes of a training; raises :class:`PipelineFailed`, after it has ended, for one that takes too long."""
        seconds = self.settings.training_timeout_s
        try:
            async with asyncio.timeout(seconds) as limit:
                return await training
        except TimeoutError:
            if not limit.expired():
                raise
            raise PipelineFailed(
                f"the training was ended after {seconds:g} s (ATALAIA_TRAINING_TIMEOUT_S)"
            ) from None


def _tags(started: TrainingDecided, selection: Selection) -> dict[str, str]:
    """What a version is to say of the run that makes it."""
    trained_until = int(selection.train.event_time[-1]) + 1 if len(selection.train) else started.since
    return {
        "alert_id": started.alert_id,
        "as_of": str(started.as_of),
        "since": str(started.since),
        "until": str(started.until),
        "trained_until": str(trained_until),
        "test_until": str(selection.until),
        "champion_version": started.champion_version,
    }


def _made(trained: Trained | None) -> dict[str, str]:
    """What a record says of the version that a run has made."""
    if trained is None:
        return {}
    return {
        "challenger_version": trained.version,
        "mlflow_run_id": trained.mlflow_run_id,
        "dvc_revision": trained.dvc_revision,
        "data_sha256": trained.data_sha256,
    }
