"""What is remembered of the topics: of each model the last of everything, so that memory stays bounded.

Topics are read side by side, so nothing here depends on the order of events of different topics; of one topic, which
has one partition, a later event of the same thing replaces the earlier one. Reading a topic twice changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from contracts.events import (
    AlertChanged,
    ChallengerChanged,
    ChallengerReviewed,
    ConceptTested,
    Event,
    FeatureDrift,
    ModelChanged,
    PromotionReviewed,
    QualityReported,
    ReferenceAccepted,
    TrainingDecided,
    TrainingRequested,
    WindowTested,
)

from atalaia.drift.history import Alert, alerts_of
from atalaia.watch.domain.keeping import bare_of_shapes, first, last, put

KEEP_WINDOWS = 120


@dataclass(frozen=True)
class Shown:
    """The shape of a feature, and the window it is of."""

    feature: FeatureDrift
    window: WindowTested  # without its features


@dataclass
class Memory:
    """All that is remembered of one model."""

    model: str
    keep: int = KEEP_WINDOWS
    windows: dict[tuple[int, int, str], WindowTested] = field(default_factory=dict)
    """By end, start and version; without shapes."""
    shapes: dict[str, Shown] = field(default_factory=dict)
    """Of each feature the newest that a report bore: reports bear those of what drifted."""
    quality: dict[tuple[int, int, str], QualityReported] = field(default_factory=dict)
    """The last revision; without segments, classes and confusion."""
    concepts: dict[tuple[int, str], ConceptTested] = field(default_factory=dict)
    changes: dict[tuple[int, str, str], ModelChanged] = field(default_factory=dict)
    decisions: dict[tuple[str, str, str], TrainingDecided] = field(default_factory=dict)
    """By run, decision and what it waits for: each word on a run, in the order in which they came."""
    reviews: dict[tuple[str, int], PromotionReviewed] = field(default_factory=dict)
    approvals: dict[str, ChallengerReviewed] = field(default_factory=dict)
    requests: dict[str, TrainingRequested] = field(default_factory=dict)
    accepted: dict[str, ReferenceAccepted] = field(default_factory=dict)
    """By alert; without counts."""
    challenger: ChallengerChanged | None = None
    reported: int = 0
    """When the broker took the newest report of a window (wall clock, ms); 0 where that is not known."""
    _alerts: dict[str, list[AlertChanged]] = field(default_factory=dict)

    @property
    def serving(self) -> ModelChanged | None:
        """Who serves, by the last word of ``model-events``."""
        return next(reversed(self.changes.values()), None)

    @property
    def since(self) -> int:
        """From which event time on the version serves that does; 0: from the beginning, or none does."""
        return self.serving.effective_from if self.serving else 0

    @property
    def runs(self) -> dict[str, TrainingDecided]:
        """The last word on each training, in the order in which they came."""
        found: dict[str, TrainingDecided] = {}
        for decision in self.decisions.values():
            last(found, decision.run_id, decision, len(self.decisions))
        return found

    @property
    def looks(self) -> list[PromotionReviewed]:
        """The looks at the version that serves, since it does, oldest first."""
        serving = self.serving
        version = serving.version if serving else None
        found = [r for r in self.reviews.values() if r.version == version and r.as_of > self.since]
        return sorted(found, key=lambda look: look.as_of)

    @property
    def alerts(self) -> list[Alert]:
        """Newest first."""
        return alerts_of(change for changes in self._alerts.values() for change in changes)

    @property
    def opened(self) -> list[Alert]:
        """The alerts that are open about the version that serves, since it does; newest first."""
        serving = self.serving
        return [
            alert
            for alert in self.alerts
            if alert.open
            and (
                serving is None
                or (
                    alert.version == serving.version and alert.changes[-1].window_end > serving.effective_from
                )
            )
        ]

    @property
    def newest(self) -> int:
        """How far event time has come, by the windows that are over; 0 where none is."""
        ends = [*(key[0] for key in self.windows), *(key[0] for key in self.quality)]
        return max([*ends, *(as_of for as_of, _ in self.concepts)], default=0)

    def take(self, event: Event, at: int = 0) -> None:
        """Take one event of this model, which the broker took ``at`` (wall clock, ms); what is of no concern is let pass."""
        match event:
            case WindowTested():
                self.reported = max(self.reported, at)
                self._window(event)
            case QualityReported():
                self._quality(event)
            case ConceptTested():
                put(self.concepts, (event.as_of, event.version), event, self.keep)
            case AlertChanged():
                changes = [*self._alerts.get(event.alert_id, []), bare_of_shapes(event)]
                last(self._alerts, event.alert_id, changes[:1] + changes[1:][-self.keep :])
            case TrainingDecided():
                last(self.decisions, (event.run_id, event.decision, event.waits_for or ""), event)
            case ModelChanged():
                last(self.changes, (event.effective_from, event.version, event.action), event)
            case ChallengerChanged():
                self.challenger = event
            case ReferenceAccepted():
                first(self.accepted, event.alert_id, msgspec.structs.replace(event, counts={}))
            case ChallengerReviewed():
                first(self.approvals, event.run_id, event)
            case TrainingRequested():
                first(self.requests, event.request_id, event)
            case PromotionReviewed():
                last(self.reviews, (event.version, event.as_of), event)
            case _:
                pass

    def _window(self, event: WindowTested) -> None:
        key = (event.window_end, event.window_start, event.version)
        known = self.windows.get(key)
        if known is not None and known.final and not event.final:
            return
        bare = msgspec.structs.replace(event, features={})
        for name, feature in event.features.items():
            shown = self.shapes.get(name)
            if feature.shape is not None and (shown is None or shown.window.window_end <= event.window_end):
                self.shapes[name] = Shown(feature, bare)
        put(self.windows, key, bare_of_shapes(event), self.keep)

    def _quality(self, event: QualityReported) -> None:
        key = (event.window_end, event.window_start, event.version)
        known = self.quality.get(key)
        if known is None or (event.as_of, event.revision) >= (known.as_of, known.revision):
            bare = msgspec.structs.replace(event, segments={}, classes={}, confusion=None)
            put(self.quality, key, bare, self.keep)


@dataclass
class Memories:
    """Of every model that the topics name."""

    keep: int = KEEP_WINDOWS
    models: dict[str, Memory] = field(default_factory=dict)

    def take(self, event: Any, at: int = 0) -> None:
        """Take one event of whichever model, which the broker took ``at`` (wall clock, ms)."""
        name: str = event.model
        if name not in self.models:
            self.models[name] = Memory(name, self.keep)
        self.models[name].take(event, at)
