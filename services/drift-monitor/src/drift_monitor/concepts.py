"""Concept drift at the edges: follows the truths, and decides each boundary once all that belongs to it is here.

A boundary is decided when its window is, when feedback has said its word as of it, and when ``outcomes`` has been
read to the ends that the broker named after that word: feedback publishes outcomes before the reports that count
them. So nothing here holds a window back, and whoever was faster does not show. What quality alerts say as of a boundary
is in the same report.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from contracts.events import AlertChanged, ConceptTested
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.kafka import make_consumer, stop_consumer, until_read
from servicekit.offsets import Offsets, partitions_of
from summaries.profile import Profile

from drift_monitor.consumes import outcomes, quality_reports
from drift_monitor.counting import UnusableProfile
from drift_monitor.deciding import Deciding
from drift_monitor.domain.concept import Concept, Served
from drift_monitor.domain.detectors import Unsuitable, make_detectors
from drift_monitor.domain.owner import Said
from drift_monitor.domain.quality import Quality, QualityRule
from drift_monitor.shown import show_concept

log = logging.getLogger(__name__)
POLL_MS = 100


class _NotYet(Exception):
    """A profile is still to come."""


class Concepts:
    """All models' concepts; ``start`` and then ``follow`` for ever."""

    def __init__(
        self,
        settings: Settings,
        monitor: Deciding,
        quality_rule: QualityRule | None,
        publish_alert: Callable[[AlertChanged], Awaitable[None]],
        publish_report: Callable[[ConceptTested], Awaitable[None]],
    ) -> None:
        self.concepts: dict[str, Concept] = {}
        self._quality: dict[str, Quality] = {}
        self._quality_rule, self._settings = quality_rule, settings
        self._detector, self._delta = settings.concept_detector, settings.concept_delta
        self._monitor = monitor
        self._publish_alert, self._publish_report = publish_alert, publish_report
        self._consumer: AIOKafkaConsumer = make_consumer(settings, max_poll_records=200)
        self._offsets = Offsets(settings, outcomes.TOPIC)
        self._next: dict[int, int] = {}  # of outcomes, all before it is taken in
        self._ends: dict[str, tuple[int, Mapping[int, int]]] = {}  # by model: asked after a boundary's word

    async def start(self, told: Iterable[ConceptTested]) -> None:
        """Connect, at the beginning of the topics; what was told before is not told again."""
        self._make = await asyncio.to_thread(make_detectors, self._detector, self._delta)
        by_model: dict[str, list[ConceptTested]] = {}
        for report in told:
            by_model.setdefault(report.model, []).append(report)
        for model, reports in by_model.items():
            self._concept(model).restore(reports)
        if self._quality_rule is not None:
            read = partial(quality_reports.read_reports, self._settings)
            for measured in await until_read(quality_reports.TOPIC, read):
                self._quality_of(measured.model).take(measured)
        await self._offsets.start()
        await self._consumer.start()
        joined = await partitions_of(self._consumer, outcomes.TOPIC)
        self._consumer.assign([*joined, *await partitions_of(self._consumer, quality_reports.TOPIC)])
        await self._consumer.seek_to_beginning()

    async def stop(self) -> None:
        """Disconnect."""
        await stop_consumer(self._consumer)
        await self._offsets.stop()

    async def follow(self) -> None:
        """Read and decide for ever; raises :class:`UserError` for a detector that cannot judge the model."""
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=POLL_MS)).items():
                for record in records:
                    await self._take(record)
                    await asyncio.sleep(0)  # predictions are counted in between
                if partition.topic == outcomes.TOPIC:
                    self._next[partition.partition] = records[-1].offset + 1
            for concept in list(self.concepts.values()):
                with contextlib.suppress(_NotYet):
                    await self._advance(concept)

    def status(self, model: str) -> dict[str, object]:
        """Where the errors of a model stand."""
        concept = self._concept(model)
        last = concept.last
        return {
            "detector": self._detector,
            "decided_through": concept.decided_through,
            "version": last.version if last else None,
            "rows": last.rows if last else 0,
            "error": last.error if last else None,
            "state": last.state if last else "ok",
            "alert_id": last.alert_id if last else None,
            "since": last.since if last else None,
            "quality_state": last.quality_state if last else "ok",
            "quality_alert_id": last.quality_alert_id if last else None,
        }

    # --- how

    def _concept(self, model: str) -> Concept:
        if model not in self.concepts:
            self.concepts[model] = Concept(model, self._detector, lambda: self._make())
        return self.concepts[model]

    def _quality_of(self, model: str) -> Quality:
        if model not in self._quality:
            self._quality[model] = Quality(model, self._quality_rule)
        return self._quality[model]

    async def _take(self, record: Any) -> None:
        try:
            if record.topic == quality_reports.TOPIC:
                report = quality_reports.read(record)
                self._quality_of(report.model).take(report)
                if quality_reports.is_word(report):
                    self._concept(report.model).word(report.as_of)
                return
            event = outcomes.read(record)
            self._concept(event.model).take(record.partition, record.offset, event)
        except ValueError as error:  # Unreadable is one
            # No dead letter of ours: the trainer, which reads both too, sends it.
            log.warning("%s/%d/%d is not readable: %s", record.topic, record.partition, record.offset, error)

    async def _advance(self, concept: Concept) -> None:
        """Decide the boundaries whose rows are all here."""
        owner = self._monitor.owner(concept.model)
        while (as_of := concept.next()) is not None:
            if owner.decided_through is None or owner.decided_through < as_of:
                return
            told = concept.told(as_of)
            needed = await self._ends_after(concept.model, as_of) if told is None else _offsets_of(told)
            if any(self._next.get(partition, 0) < end for partition, end in needed.items()):
                return
            said = owner.said_as_of(as_of) if told is None else Said(told.version, None, 0)
            quality = self._quality_of(concept.model)
            if said is not None and not quality.is_said(as_of, said.version, said.rows):
                return
            served = profile = None
            if said is not None:
                profile = await self._profile(concept.model, said.version) if concept.matters(as_of) else None
                served = Served(said.version, None if profile is None else profile.task, said.alert_id)
            try:
                concluded = concept.decide(as_of, owner.grid.size, served)
            except Unsuitable as error:
                raise UserError(f"ATALAIA_CONCEPT_DETECTOR: {error}.") from None
            alerts, report = concluded.alerts, concluded.report
            if report is not None:
                standing = quality.decide(as_of, owner.grid.size, report.version, profile, told)
                alerts = [*alerts, *standing.alerts]
                if told is None:
                    report = msgspec.structs.replace(
                        report,
                        quality_alert_id=standing.alert_id,
                        quality_state=standing.state.state,
                        quality_since=standing.since,
                    )
            for alert in alerts:
                await self._publish_alert(alert)
                log.info("%s version %s: %s", alert.model, alert.version, alert.reason)
            if report is not None and told is None:
                await self._publish_report(report)
            if report is not None:
                quality.commit(standing)
                show_concept(report)
            concept.commit(replace(concluded, report=report))
            await asyncio.sleep(0)

    async def _profile(self, model: str, version: str) -> Profile | None:
        """The profile of a version; None where it cannot be read, and :class:`_NotYet` where it is not there.

        A model that waits for a profile holds up no other.
        """
        try:
            profile = await self._monitor.asked.get(model, version)
        except UnusableProfile as error:
            log.warning("errors of %s version %s are not judged: %s", model, version, error)
            return None
        if profile is None:
            raise _NotYet
        return profile

    async def _ends_after(self, model: str, as_of: int) -> Mapping[int, int]:
        """Where ``outcomes`` ended at a moment after the word of a boundary."""
        asked = self._ends.get(model)
        if asked is None or asked[0] < as_of:
            asked = self._ends[model] = (as_of, await until_read(self._offsets.topic, self._offsets.ends))
        return asked[1]


def _offsets_of(told: ConceptTested) -> dict[int, int]:
    return {int(partition): offset for partition, offset in told.offsets.items()}
