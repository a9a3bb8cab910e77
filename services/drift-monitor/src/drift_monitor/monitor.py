"""The monitor: what happens with a chunk of records, and at each tick; knows its edges by shape only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from contracts.events import AlertChanged, ModelChanged, PaneCounted, ReferenceAccepted, WindowTested
from servicekit import metrics
from summaries.profile import Profile

from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Decided, Owner
from drift_monitor.domain.panes import Counter, Record
from drift_monitor.domain.watermark import NEVER, EndOffsets
from drift_monitor.domain.windows import Grid

log = logging.getLogger(__name__)
STATES = {"ok": 0, "warning": 1, "drift": 2, "recovered": 3}
SERVICE = "drift-monitor"


class UnusableProfile(ValueError):
    """A version's profile is there and cannot be read; to ask again would not help."""


class Missing(NamedTuple):
    """A profile that is not there; ``since`` is the wall clock's, milliseconds.

    What needs it is held until it comes; where it is ``unusable``, records go to the dead letters instead.
    """

    model: str
    version: str
    since: int
    reason: str
    unusable: bool


class Profiles(Protocol):
    """Where profiles come from; waits until it has one."""

    async def get(self, model: str, version: str) -> Profile:
        """The profile of a version; raises :class:`UnusableProfile` where there will never be one."""

    def missing(self) -> list[Missing]:
        """What was asked for and is not there."""


@dataclass(frozen=True)
class Edges:
    """What the monitor calls at its edges."""

    profiles: Profiles
    publish_panes: Callable[[Sequence[PaneCounted]], Awaitable[None]]
    publish_alert: Callable[[AlertChanged], Awaitable[None]]
    publish_report: Callable[[WindowTested], Awaitable[None]]
    end_offsets: Callable[[], Awaitable[Mapping[int, int]]]  # of predictions
    # returns when all that is on model-events now is read, and on references
    model_events_read: Callable[[], Awaitable[None]]


class Monitor:
    """Counts chunks, and decides windows when they are over."""

    def __init__(
        self,
        grid: Grid,
        rule: Rule,
        partitions: Sequence[int],
        edges: Edges,
    ) -> None:
        self.grid = grid
        self.rule = rule
        self.partitions = partitions
        self.edges = edges
        self.counter = Counter(grid)
        self.owners: dict[str, Owner] = {}
        self.ready = asyncio.Event()  # there may be something to decide
        self._next = dict.fromkeys(partitions, -1)
        self._undecidable: set[str] = set()  # models that wait for a profile they will not get
        # Rows are either in a window or late: nothing is counted while a window is decided.
        self._lock = asyncio.Lock()
        self._moved = asyncio.Condition()

    def owner(self, model: str) -> Owner:
        """The owner of a model, made when the model is first heard of."""
        if model not in self.owners:
            owner = self.owners[model] = Owner(model, self.grid, self.rule, self.partitions)
            for partition, offset in self._next.items():
                owner.watermark.read_to(partition, offset)
        return self.owners[model]

    # --- restoring

    def restore(
        self, panes: Sequence[PaneCounted], reports: Sequence[WindowTested], positions: Mapping[int, int]
    ) -> None:
        """Begin where an earlier run ended. Changes of the model and its references must be known before."""
        for pane in panes:
            self.counter.restore(pane)
            self.owner(pane.model).replace(pane)
        said: dict[str, list[WindowTested]] = {}
        for report in reports:
            said.setdefault(report.model, []).append(report)
        for model, own in said.items():
            self.owner(model).restore(own)
        for owner in self.owners.values():
            if owner.decided_through is not None:
                self.counter.evict(owner.model, owner.decided_through)
        self._read_to(positions)

    # --- what comes in

    def changed(self, event: ModelChanged) -> None:
        """Another version serves."""
        self.owner(event.model).changed(event)

    def accepted(self, event: ReferenceAccepted) -> None:
        """A person has accepted a live span as a version's reference."""
        self.owner(event.model).accepted(event)

    async def absorb(
        self, records: Sequence[Record], positions: Mapping[int, int]
    ) -> list[tuple[Record, str]]:
        """Count a chunk and write its panes; what returns may be acknowledged, but for the records refused.

        ``positions`` is per partition the offset after the chunk's last record.
        """
        profiles, lost = await self._profiles(records)
        usable = [record for record in records if (record.event.model, record.event.version) in profiles]
        async with self._lock:
            decided = {
                model: owner.decided_through
                for model, owner in self.owners.items()
                if owner.decided_through is not None
            }
            panes, refused = self.counter.absorb(usable, profiles, decided)
            await self.edges.publish_panes(panes)
            # One worker counts all partitions, so the owner takes the panes as they were written, from here.
            for pane in panes:
                self.owner(pane.model).replace(pane)
            self._read_to(positions)
        for record in usable:
            metrics.ROWS_COUNTED.labels(record.event.model, record.event.version).inc(
                len(record.event.event_time)
            )
        self.ready.set()
        async with self._moved:
            self._moved.notify_all()
        return refused + lost

    async def _profiles(
        self, records: Sequence[Record]
    ) -> tuple[dict[tuple[str, str], Profile], list[tuple[Record, str]]]:
        """The profiles that records need, and the records whose profile nobody can read, with the reason."""
        profiles: dict[tuple[str, str], Profile] = {}
        lost: list[tuple[Record, str]] = []
        for model, version in dict.fromkeys((r.event.model, r.event.version) for r in records):
            try:
                profiles[model, version] = await self.edges.profiles.get(model, version)
            except UnusableProfile as error:
                reason = f"{model} version {version}: {error}"
                lost += [(r, reason) for r in records if (r.event.model, r.event.version) == (model, version)]
        return profiles, lost

    def _read_to(self, positions: Mapping[int, int]) -> None:
        for partition, offset in positions.items():
            self._next[partition] = max(self._next.get(partition, -1), offset)
            for owner in self.owners.values():
                owner.watermark.read_to(partition, offset)

    # --- what is decided

    async def decide(self) -> None:
        """Decide all windows that are over, oldest first."""
        async with self._lock:
            for owner in list(self.owners.values()):
                if owner.wants_end_offsets():
                    newest = owner.watermark.newest  # read before the log's ends are asked for
                    owner.watermark.end_offsets(EndOffsets(newest, await self.edges.end_offsets()))
                while (window := owner.due()) is not None:
                    # Whoever scored rows of this window had read model-events before; so must we.
                    await self.edges.model_events_read()
                    versions = owner.testable(window)
                    try:
                        profiles = {v: await self.edges.profiles.get(owner.model, v) for v in versions}
                    except UnusableProfile:  # it could be read when its rows were counted
                        self._undecidable.add(owner.model)
                        break
                    self._undecidable.discard(owner.model)
                    if passed_over := owner.passed_over():
                        log.warning(
                            "%s: %d windows without a row before %d are not reported",
                            owner.model, passed_over, window.start,
                        )  # fmt: skip
                    decided = owner.decide(window, profiles)
                    await self._publish(decided)
                    owner.commit(decided)
                    self.counter.evict(owner.model, window.end)
                    metrics.DECIDED_THROUGH.labels(SERVICE).set(window.end / 1000)
                    if owner.wants_end_offsets():
                        newest = owner.watermark.newest
                        owner.watermark.end_offsets(EndOffsets(newest, await self.edges.end_offsets()))
                if (at := owner.watermark.get()) > NEVER:
                    metrics.WATERMARK.labels(SERVICE).set(at / 1000)

    async def _publish(self, decided: Decided) -> None:
        for alert in decided.alerts:
            await self.edges.publish_alert(alert)
        for report in decided.reports:
            await self.edges.publish_report(report)
            if report.late_rows:
                metrics.LATE_ROWS.labels(report.model).inc(report.late_rows)
        if decided.serving is not None:
            _show(decided.reports[-1])

    async def flush(self, until: int) -> None:
        """Take ``until`` for the watermark once all that is in the log now is counted, and decide."""
        ends = await self.edges.end_offsets()
        async with self._moved:
            await self._moved.wait_for(lambda: all(self._next.get(p, -1) >= end for p, end in ends.items()))
        async with self._lock:
            for owner in self.owners.values():
                owner.watermark.flush(until)
        await self.decide()

    def profiles_are_there(self) -> bool:
        """Whether no record and no window is held for want of a profile."""
        waiting = any(not missing.unusable for missing in self.edges.profiles.missing())
        return not waiting and not self._undecidable

    def status(self, model: str) -> dict[str, object]:
        """Where the monitor stands."""
        owner = self.owner(model)
        version, state, alert_id = owner.alert()
        watermark = owner.watermark.get()
        return {
            "model": model,
            "version": version,
            "watermark": watermark if watermark > NEVER else None,
            "decided_through": owner.decided_through,
            "state": state.state,
            "alert_id": alert_id,
            "missing_profiles": [missing._asdict() for missing in self.edges.profiles.missing()],
        }


def _show(report: WindowTested) -> None:
    """The serving version's window as metrics."""
    metrics.WINDOW_ROWS.labels(report.model).set(report.rows)
    metrics.DRIFT_STATE.labels(report.model, "virtual").set(STATES[report.state])
    for name, feature in report.features.items():
        metrics.FEATURE_STATISTIC.labels(report.model, name).set(feature.statistic)
        metrics.FEATURE_P_VALUE.labels(report.model, name).set(feature.p_value)
        metrics.FEATURE_P_ADJUSTED.labels(report.model, name).set(feature.p_adjusted)
        metrics.FEATURE_EFFECT.labels(report.model, name).set(feature.effect)
        metrics.FEATURE_DRIFTED.labels(report.model, name).set(feature.drifted)
