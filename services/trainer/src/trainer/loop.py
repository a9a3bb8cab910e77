"""The trainer's loop: read everything, consider each boundary once, train, decide, say so.

Reading and deciding are two tasks; a training is a subprocess, so the status answers meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from contracts.events import ModelChanged, TrainingDecided
from scoring import Unscorable, Unusable
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import to_dlq
from servicekit.metrics import DECIDED_THROUGH, DLQ_RECORDS, TRAININGS
from servicekit.registry import ModelBundle, Registry
from summaries.profile import Profile

from trainer.consumes import (
    concept_reports,
    drift_alerts,
    drift_reports,
    model_events,
    outcomes,
    quality_reports,
    references,
    training_requests,
    training_runs,
)
from trainer.domain.challenge import Scored, Verdict, challenge, incompatible
from trainer.domain.consider import attempted, consider, on_these_rows
from trainer.domain.guardrails import Limits, costs, guarded, recalls
from trainer.domain.history import run_id
from trainer.domain.knowledge import Knowledge
from trainer.domain.ledger import Rows
from trainer.domain.promotion import superseded
from trainer.domain.selection import Selection, select
from trainer.domain.triggers import ASKED, Trigger, scheduled
from trainer.latency import latency_ratio
from trainer.pipeline import Begun, Pipeline, PipelineFailed, Trained
from trainer.produces import model_events as promotions
from trainer.produces import training_runs as decisions

log = logging.getLogger("trainer")
FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0  # seconds between two questions to a registry that is away
T = TypeVar("T")
Take = Callable[[bytes | None, Iterable[tuple[str, bytes]], Knowledge], None]
TAKES: dict[str, Take] = {
    module.TOPIC: module.take
    for module in (
        concept_reports,
        drift_alerts,
        drift_reports,
        quality_reports,
        outcomes,
        model_events,
        references,
        training_requests,
        training_runs,
    )
}


@dataclass(frozen=True)
class _Champion:
    """What a training needs to know about the version that serves."""

    bundle: ModelBundle
    trained_until: int | None


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
        self.settings, self.knowledge, self.registry, self.pipeline = settings, knowledge, registry, pipeline
        self._consumer, self._producer = consumer, producer
        self._news, self._said, self.caught_up = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._taken = asyncio.Event()  # the reader has been round once more
        self._moving = asyncio.Lock()  # one moves the alias at a time, to what serves by then
        self._alias: str | None = None  # where we left it
        self._champions: dict[str, _Champion] = {}
        self.running = False
        self.open_alert: Trigger | None = None
        self._away: str | None = None

    @property
    def waiting_for(self) -> str | None:
        """Why the next boundary is not considered yet."""
        if not self.caught_up.is_set():
            return "the topics, which are read from their beginning"
        return self._away or ("the training that runs" if self.running else self.knowledge.waiting_for)

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

    # reading ---------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Take in all topics from the beginning, for ever; a record that cannot be read goes to the DLQ."""
        partitions = sorted(self._consumer.assignment())  # without a group: all there are
        ends = await self._consumer.end_offsets(partitions)
        while True:
            batches = await self._consumer.getmany(timeout_ms=200, max_records=500)
            for partition, records in batches.items():
                for record in records:
                    await self._take(partition.topic, record)
            if not self.caught_up.is_set():
                behind = [p for p in partitions if await self._consumer.position(p) < ends[p]]
                if not behind:
                    self.caught_up.set()
                    log.info("caught up: %d outcomes", len(self.knowledge.ledger))
            if batches:
                self._news.set()
                self._said.set()
            self._taken.set()

    async def _take(self, topic: str, record: Any) -> None:
        try:
            TAKES[topic](record.value, record.headers, self.knowledge)
        except (ValueError, TypeError) as error:  # Unreadable is a ValueError; what does not fit the ledger
            DLQ_RECORDS.labels(topic).inc()
            await to_dlq(self._producer, topic, record, str(error))

    # deciding --------------------------------------------------------------------------------------------

    async def decide(self) -> None:
        """Consider boundaries as they become complete, for ever."""
        await self.caught_up.wait()
        self.knowledge.considered_through = self.knowledge.history.considered_through
        interrupted = self.knowledge.history.unfinished()
        self.running = interrupted is not None
        await self._follow()
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
                await self._news.wait()
                self._news.clear()
                continue
            await self.consider(boundary)
            self.knowledge.considered_through = boundary
            DECIDED_THROUGH.labels("trainer").set(boundary / 1000)

    async def follow(self) -> None:
        """Let the registry's alias follow what others say on ``model-events``, such as a rollback, for ever."""
        await self.caught_up.wait()
        delay = FIRST_DELAY
        while True:
            serving = self.knowledge.serving
            if serving is None or serving.version == self._alias:
                await self._said.wait()
                self._said.clear()
            elif await self._follow():
                delay = FIRST_DELAY
            else:
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY)

    async def _follow(self) -> bool:
        """Let the alias follow ``model-events``, the truth; a crash may come between the two. Whether it does."""
        async with self._moving:
            serving = self.knowledge.serving
            if serving is None:
                return True
            try:
                alias = await asyncio.to_thread(self.registry.champion, serving.model)
                if alias != serving.version:
                    log.info(
                        "the registry's champion was %s, now %s as model-events say", alias, serving.version
                    )
                    await asyncio.to_thread(self.registry.set_champion, serving.model, serving.version)
            except Exception as error:  # noqa: BLE001  whatever the registry raises, serving does not hang on it
                log.warning("the registry's alias could not be moved, trying again: %s", error)
                return False
            self._alias = serving.version
            return True

    async def _champion(self, version: str) -> _Champion:
        """Fetched once a version, and asked for until the registry answers: nothing is decided before."""
        if version not in self._champions:
            asked = self.settings.model, version
            bundle = await self._answer(f"version {version}", self.registry.bundle, *asked)
            tags = await self._answer(f"the tags of version {version}", self.registry.tags, *asked)
            until = tags.get("trained_until")
            self._champions[version] = _Champion(bundle, int(until) if until else None)
        return self._champions[version]

    async def _answer(
        self, what: str, ask: Callable[..., T], *about: Any, final: tuple[type[Exception], ...] = ()
    ) -> T:
        """What the registry says, asked for until it does; errors that are an answer too are ``final``."""
        delay = FIRST_DELAY
        while True:
            try:
                answer = await asyncio.to_thread(ask, *about)
            except final:
                self._away = None
                raise
            except Exception as error:  # noqa: BLE001  the registry may be away; the boundary waits
                self._away = f"the registry: {what} cannot be fetched: {' '.join(str(error).split())[:400]}"
                log.warning("%s cannot be fetched, trying again in %.1f s: %s", what, delay, error)
                await asyncio.sleep(delay)
                delay = min(2 * delay, LONGEST_DELAY)
            else:
                self._away = None
                return answer

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
        champion = await self._champion(serving.version)
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
        self.running = True
        await self._record(decision)
        await self._train(decision)
        return True

    async def _train(self, started: TrainingDecided, again: bool = False) -> None:
        """From ``started`` to promoted, refused or failed. Taken up again after a crash, it ends the same."""
        self.running = True
        try:
            decision = await self._challenged(started, again)
        except Exception as error:
            if not isinstance(error, PipelineFailed | UserError | Unusable):
                log.exception("training %s", started.run_id)
            reason = f"failed: {error}" if str(error) else f"failed: {type(error).__name__}"
            if started.trigger not in ASKED:  # their answer is this
                failed = self.knowledge.history.failed(started.alert_id)
                attempt = on_these_rows(failed, started.rows.get("labelled", 0)) + 1
                reason = f"{reason} {attempted(attempt, self.settings.training_attempts)}"
            decision = msgspec.structs.replace(started, decision="failed", reason=reason)
        await self._record(decision)
        if decision.decision == "promoted":
            self.open_alert = None
        self.running = False

    async def _challenged(self, started: TrainingDecided, again: bool) -> TrainingDecided:
        settings = self.settings
        trained, left = None, None
        if again:
            trained, left = await self._answer("what the run had registered", self._left, started.run_id)
            if trained is not None:
                await self.pipeline.pushed(started.run_id, trained.dvc_revision)
            late = await self._superseded(started, trained.version if trained else None)
            if late is not None:
                return msgspec.structs.replace(started, decision="refused", reason=late, **_made(trained))
        champion = await self._champion(started.champion_version)
        assert started.until is not None  # without a cut no training starts
        # Not in a thread: the reader adds to the ledger meanwhile.
        rows = self.knowledge.ledger.get(as_of=started.as_of, until=started.until)
        if champion.bundle.profile["task"] == "regression":
            rows = rows.numeric()
        selection = select(rows, started.since, started.until)
        trained_until = int(selection.train.event_time[-1]) + 1 if len(selection.train) else started.since
        tags = {
            "alert_id": started.alert_id,
            "as_of": str(started.as_of),
            "since": str(started.since),
            "until": str(started.until),
            "trained_until": str(trained_until),
            "test_until": str(selection.until),
            "champion_version": started.champion_version,
        }
        if trained is None:
            target = champion.bundle.profile["target"]
            trained = await self._in_time(
                self.pipeline.train(started.run_id, selection, target, tags, resume=left)
            )
        challenger = await self._answer(
            f"version {trained.version}",
            self.registry.bundle,
            settings.model,
            trained.version,
            final=(UserError,),
        )
        verdict = await asyncio.to_thread(self._judge, champion.bundle, challenger, selection)
        late = await self._superseded(started, trained.version) if verdict.promoted else None
        promoted = verdict.promoted and late is None
        if promoted:
            await self._promote(started, trained, challenger, verdict)
        return msgspec.structs.replace(
            started,
            decision="promoted" if promoted else "refused",
            rows=started.rows | selection.counts(),
            reason=verdict.reason if late is None else f"{late}; {verdict.reason}",
            metrics=verdict.metrics,
            gain=verdict.gain,
            p_value=verdict.p_value,
            guardrails=verdict.guardrails,
            **_made(trained),
        )

    async def _superseded(self, started: TrainingDecided, challenger: str | None) -> str | None:
        """Why nothing is promoted any more, by all that is on ``model-events`` now, not by what has been read."""
        for partition, end in (await self._ends(promotions.TOPIC)).items():
            while await self._consumer.position(partition) < end:
                self._taken.clear()
                await self._taken.wait()  # the reader is at it
        serving = self.knowledge.serving
        assert serving is not None
        return superseded(serving, started.champion_version, challenger, self.knowledge.served)

    async def _ends(self, topic: str) -> dict[TopicPartition, int]:
        """The topic's end offsets, asked for until the broker answers: a training is not lost for it."""
        partitions = [p for p in self._consumer.assignment() if p.topic == topic]
        while True:
            try:
                return dict(await self._consumer.end_offsets(partitions))
            except KafkaError as error:
                log.warning("the end of %s is not known, asking again: %s", topic, error)
                await asyncio.sleep(FIRST_DELAY)

    def _left(self, run_id: str) -> tuple[Trained | None, Begun | None]:
        """What an interrupted run had registered, its tags completed, or else the MLflow run that it had begun."""
        client, model = self.registry.client(), self.settings.model
        experiments = [found.experiment_id for found in client.search_experiments()]
        begun = None
        for run in client.search_runs(experiments, f"tags.training_run = '{run_id}'"):
            tags = run.data.tags
            for version in client.search_model_versions(f"run_id = '{run.info.run_id}'"):
                if version.name != model:
                    continue
                described = client.get_model_version(model, version.version)
                for name, value in tags.items():
                    if not name.startswith("mlflow.") and name not in described.tags:
                        client.set_model_version_tag(model, version.version, name, value)
                if run.info.status == "RUNNING":  # killed before it could say so
                    client.set_terminated(run.info.run_id)
                made_of = tags.get("dvc_revision", ""), tags.get("data_sha256", "")
                return Trained(str(version.version), run.info.run_id, *made_of), None
            client.set_terminated(run.info.run_id, "KILLED")  # until it is gone on with
            begun = begun or Begun(run.info.run_id, tags.get("code_version", ""))
        return None, begun

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

    def _judge(self, champion: ModelBundle, challenger: ModelBundle, selection: Selection) -> Verdict:
        """What the predictor would refuse never wins. Raises ``Unusable`` for a version that does not score."""
        refusal = incompatible(_profile(champion), _profile(challenger))
        if refusal is not None:
            return refusal
        settings, rows, task = self.settings, selection.holdout, challenger.profile["task"]
        old, new = (_scored(bundle, rows) for bundle in (champion, challenger))
        verdict = challenge(
            rows.truth,
            old,
            new,
            metric=self.pipeline.metric,
            task=task,
            min_gain=settings.min_gain,
            promote_p_value=settings.promote_p_value,
        )
        limits = Limits(settings.max_recall_loss, settings.max_latency_ratio, settings.max_size_ratio)
        slower = latency_ratio(champion, challenger, rows.features)
        found = costs(slower, len(challenger.onnx) / len(champion.onnx), limits)
        if task == "classification":
            found |= recalls(rows.truth, old, new, limits.recall_loss)
        return guarded(verdict, found)

    async def _promote(
        self, started: TrainingDecided, trained: Trained, won: ModelBundle, verdict: Verdict
    ) -> None:
        """First the record that is the truth, then the alias that follows it."""
        serving = self.knowledge.serving
        if serving is None or serving.version != trained.version:
            event = ModelChanged(
                model=started.model,
                version=trained.version,
                previous_version=started.champion_version,
                action="promoted",
                artifact_uri=won.artifact_uri,
                sha256=won.sha256,
                # not before what it takes over from: the later of two holds, by whatever order they are read
                effective_from=max(started.as_of, serving.effective_from) if serving else started.as_of,
                reason=verdict.reason,
            )
            await promotions.promote(self._producer, event, started.run_id)
            self.knowledge.changed(event)
        await self._follow()

    async def _record(self, decision: TrainingDecided) -> None:
        await decisions.record(self._producer, decision)
        self.knowledge.history.record(decision)
        TRAININGS.labels(decision.decision).inc()
        log.info("as of %d: %s", decision.as_of, decision.reason)


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


def _profile(bundle: ModelBundle) -> Profile:
    try:
        return Profile.from_dict(bundle.profile)
    except Exception as error:  # whatever a broken artifact raises
        raise Unusable(
            f"version {bundle.version} cannot be used: its profile cannot be read: {error}"
        ) from error


def _scored(bundle: ModelBundle, rows: Rows) -> Scored:
    try:
        odd = bundle.odd_fields()
        if odd:
            raise Unusable(f"its signature and its profile differ in {', '.join(odd)}")
        return Scored.of(bundle.onnx, bundle.profile, rows)
    except (Unusable, Unscorable) as error:
        raise Unusable(f"version {bundle.version} cannot be used: {error}") from error
