"""Deciding: what one worker, the one that holds partition 0, does for all; knows its edges by shape only.

It reads the panes and positions of all partitions, its own too, and decides a window when it is over. Another worker
that takes over begins with what is on the log. Should two believe that they decide, they say the same under the same
ids, what is decided depending on the log alone, unless a promotion came between.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from contracts.events import AlertChanged, ModelChanged, PaneCounted, ReferenceAccepted, WindowTested
from servicekit import metrics
from summaries.profile import Profile

from drift_monitor.counting import Profiles, UnusableProfile
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Decided, Owner
from drift_monitor.domain.progress import Ended, Progress
from drift_monitor.domain.watermark import NEVER
from drift_monitor.domain.windows import Grid
from drift_monitor.profiles import Asked
from drift_monitor.shown import show_window

log = logging.getLogger(__name__)
SERVICE = "drift-monitor"
STATUS = ("version", "watermark", "decided_through", "state", "alert_id")


@dataclass(frozen=True)
class Edges:
    """What deciding calls at its edges."""

    profiles: Profiles
    publish_alert: Callable[[AlertChanged], Awaitable[None]]
    publish_report: Callable[[WindowTested], Awaitable[None]]
    publish_ended: Callable[[str, Ended], Awaitable[None]]  # of a model
    end_offsets: Callable[[], Awaitable[Mapping[int, int]]]  # of predictions
    # returns when all that is on model-events now is read, and on references
    model_events_read: Callable[[], Awaitable[None]]
    forget_panes: Callable[[Sequence[tuple[bytes, int]]], Awaitable[None]]  # by key and partition
    owns: Callable[[], bool]  # whether it is still for us to decide


class Deciding:
    """Decides windows when they are over, and keeps the alerts."""

    def __init__(
        self, grid: Grid, rule: Rule, partitions: Sequence[int], edges: Edges, keep_windows: int = 200
    ) -> None:
        self.grid = grid
        self.rule = rule
        self.partitions = partitions
        self.edges = edges
        self.keep_windows = keep_windows
        self.owners: dict[str, Owner] = {}
        # of written panes, by model: where they end, and by key and partition
        self._keys: dict[str, dict[tuple[bytes, int], int]] = {}
        self._read = dict.fromkeys(partitions, 0)  # panes before that offset are here
        # by partition where it stood, and the offset of panes that must be read before that counts
        self._stood: dict[int, deque[tuple[int, Mapping[str, int]]]] = {p: deque() for p in partitions}
        self.asked = Asked(edges.profiles)
        self._undecidable: set[str] = set()  # models that wait for a profile they will not get

    def owner(self, model: str) -> Owner:
        """The owner of a model, made when the model is first heard of."""
        if model not in self.owners:
            self.owners[model] = Owner(model, self.grid, self.rule, self.partitions)
        return self.owners[model]

    # --- what it learns

    def restore(self, reports: Iterable[WindowTested]) -> None:
        """Begin where reports end."""
        said: dict[str, list[WindowTested]] = {}
        for report in reports:
            said.setdefault(report.model, []).append(report)
        for model, own in said.items():
            self.owner(model).restore(own)
        decided = [o.decided_through for o in self.owners.values() if o.decided_through is not None]
        if decided:  # shown from here on: whoever hangs after it took over is seen to stand still
            metrics.DECIDED_THROUGH.labels(SERVICE).set(max(decided) / 1000)

    def changed(self, event: ModelChanged) -> None:
        """Another version serves."""
        self.owner(event.model).changed(event)

    def accepted(self, event: ReferenceAccepted) -> None:
        """A person has accepted a live span as a version's reference."""
        self.owner(event.model).accepted(event)

    def pane(self, key: bytes, pane: PaneCounted) -> None:
        """A pane was written."""
        self._keys.setdefault(pane.model, {})[key, pane.partition] = pane.pane_end
        self.owner(pane.model).replace(pane)

    def panes_read(self, partition: int, offset: int) -> None:
        """All panes of a partition before an offset are here."""
        self._read[partition] = offset

    def is_read(self, partition: int, offset: int) -> bool:
        """Whether all panes of a partition before an offset are here."""
        return self._read.get(partition, 0) >= offset

    def heard(self, progress: Progress) -> None:
        """Take over the clocks of partitions whose panes are all here, and what was asked for."""
        for partition, counted in progress.counted.items():
            stood = self._stood[partition]
            told = counted.panes, counted.position.clocks
            if not stood or stood[-1] != told:
                stood.append(told)
            # Whoever counts may be ahead of what is read here all the time: what it said before counts as well.
            while stood and self.is_read(partition, stood[0][0]):
                _, clocks = stood.popleft()
                for model, clock in clocks.items():
                    self.owner(model).watermark.see(partition, clock)
        for model, ended in progress.ended.items():
            self.owner(model).watermark.asked(ended.at)
        self._show_watermark()

    # --- what is decided

    async def decide(self) -> None:
        """Decide all windows that are over, oldest first, and ask for the log's ends where that may end more."""
        for owner in list(self.owners.values()):
            while self.edges.owns() and (window := owner.due()) is not None:
                # Whoever scored rows of this window had read model-events before; so must we.
                await self.edges.model_events_read()
                profiles = await self._profiles_of(owner.model, owner.testable(window))
                if profiles is None:
                    break
                if passed_over := owner.passed_over():
                    log.warning(
                        "%s: %d windows without a row before %d are not reported",
                        owner.model, passed_over, window.start,
                    )  # fmt: skip
                decided = owner.decide(window, profiles)
                if not self.edges.owns():
                    return
                await self._publish(decided)
                owner.commit(decided)
                await self._forget(owner.model, window.end)
                metrics.DECIDED_THROUGH.labels(SERVICE).set(window.end / 1000)
            if owner.wants_end_offsets():
                newest = owner.watermark.newest  # known before the log's ends are asked for
                ends = dict(await self.edges.end_offsets())
                await self.edges.publish_ended(owner.model, Ended(newest, ends))
                owner.watermark.asked(newest)
        self._show_watermark()

    def _show_watermark(self) -> None:
        if (at := max((o.watermark.get() for o in self.owners.values()), default=NEVER)) > NEVER:
            metrics.WATERMARK.labels(SERVICE).set(at / 1000)

    async def _profiles_of(self, model: str, versions: Iterable[str]) -> dict[str, Profile] | None:
        """The profiles a window needs; None where one is not there yet, or will never be. Other models go on."""
        found = {}
        for version in versions:
            try:
                profile = await self.asked.get(model, version)
            except UnusableProfile:  # it could be read when its rows were counted
                self._undecidable.add(model)
                return None
            if profile is None:
                return None
            found[version] = profile
        self._undecidable.discard(model)
        return found

    async def _publish(self, decided: Decided) -> None:
        for alert in decided.alerts:
            await self.edges.publish_alert(alert)
        for report in decided.reports:
            await self.edges.publish_report(report)
            if report.late_rows:
                metrics.LATE_ROWS.labels(report.model).inc(report.late_rows)
        if decided.serving is not None:
            show_window(decided.reports[-1], decided.since)

    async def _forget(self, model: str, decided: int) -> None:
        """Panes of windows that were decided long ago are no more: not to be judged again, nor accepted."""
        kept = decided - (self.keep_windows + self.rule.windows_back) * self.grid.size
        known = self._keys.get(model, {})
        old = [key for key, end in known.items() if end <= kept]
        if old:
            await self.edges.forget_panes(old)
        for key in old:
            del known[key]

    def settled(self, until: int) -> bool:
        """Whether all windows that are over by an event time are decided, but for those nobody can decide."""
        return all(
            (window := owner.next_window()) is None or self.grid.closes_at(window) > until
            for model, owner in self.owners.items()
            if model not in self._undecidable
        )

    def profiles_are_there(self) -> bool:
        """Whether no window is held for want of a profile."""
        return not self._undecidable

    def status(self, model: str) -> dict[str, object]:
        """Where a model stands."""
        owner = self.owner(model)
        version, state, alert_id = owner.alert()
        watermark = owner.watermark.get()
        return {
            "version": version,
            "watermark": watermark if watermark > NEVER else None,
            "decided_through": owner.decided_through,
            "state": state.state,
            "alert_id": alert_id,
        }
