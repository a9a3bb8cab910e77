"""What happened, as the topics tell it: every event of a run, and the outcomes as columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from contracts.events import (
    AlertChanged,
    ConceptTested,
    ModelChanged,
    OutcomesJoined,
    QualityReported,
    TrainingDecided,
    WindowTested,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Outcomes:
    """Outcomes of all versions as columns; a correction replaces what it corrects."""

    def __init__(self) -> None:
        self.prediction_id: list[str] = []
        self.version: list[str] = []
        self.event_time: list[int] = []
        self.label_time: list[int] = []
        self.predicted: list[Any] = []
        self.truth: list[Any] = []
        self.features: dict[str, list[Any]] = {}
        self.probabilities: dict[str, list[float]] = {}
        self.duplicates = 0
        self._row: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.prediction_id)

    def update(self, event: OutcomesJoined) -> None:
        """Take one record."""
        if self._row.keys().isdisjoint(event.prediction_id):
            keep: list[int] | range = range(len(event.prediction_id))
        else:
            keep = []
            for i, pid in enumerate(event.prediction_id):
                at = self._row.get(pid)
                if at is None:
                    keep.append(i)
                elif event.revision[i] > 0:
                    self.truth[at] = event.truth[i]
                else:
                    self.duplicates += 1
        start = len(self.prediction_id)
        for n, i in enumerate(keep):
            self._row[event.prediction_id[i]] = start + n
        whole = len(keep) == len(event.prediction_id)

        def take(column: list[Any]) -> list[Any]:
            return column if whole else [column[i] for i in keep]

        self.prediction_id += take(event.prediction_id)
        self.version += [event.version] * len(keep)
        self.event_time += take(event.event_time)
        self.label_time += take(event.label_time)
        self.predicted += take(event.predictions)
        self.truth += take(event.truth)
        for name, column in event.features.items():
            self.features.setdefault(name, []).extend(take(column))
        for name, scores in (event.probabilities or {}).items():
            self.probabilities.setdefault(name, []).extend(take(scores))


@dataclass
class Story:
    """One run. Lists are in the order of their topics."""

    drift: list[WindowTested] = field(default_factory=list)
    quality: list[QualityReported] = field(default_factory=list)
    alerts: list[AlertChanged] = field(default_factory=list)
    concepts: list[ConceptTested] = field(default_factory=list)
    decisions: list[TrainingDecided] = field(default_factory=list)
    models: list[ModelChanged] = field(default_factory=list)
    outcomes: Outcomes = field(default_factory=Outcomes)
    written: dict[str, list[int]] = field(default_factory=dict)  # by topic, beside the lists: wall clock, ms
    prediction_rows: int = 0
    prediction_ids: int = 0

    @property
    def final_drift(self) -> list[WindowTested]:
        """Final window reports in order of time; the last where one was said twice."""
        last = {(w.window_end, w.version): w for w in self.drift if w.final}
        return [last[k] for k in sorted(last, key=lambda k: (k[0], self.ordinal(k[1])))]

    @property
    def final_quality(self) -> list[QualityReported]:
        """The last revision of each window and version, in order of time."""
        last: dict[tuple[int, str], QualityReported] = {}
        for q in self.quality:
            key = (q.window_end, q.version)
            if key not in last or (q.as_of, q.revision) >= (last[key].as_of, last[key].revision):
                last[key] = q
        return [last[k] for k in sorted(last, key=lambda k: (k[0], self.ordinal(k[1])))]

    @property
    def promotions(self) -> list[TrainingDecided]:
        return [d for d in self.decisions if d.decision == "promoted"]

    @property
    def refusals(self) -> list[TrainingDecided]:
        return [d for d in self.decisions if d.decision == "refused"]

    def ordinal(self, version: str) -> int:
        """1 for the first model that served, and so on: version numbers of a registry count refusals too."""
        served = list(dict.fromkeys(m.version for m in self.models))
        return served.index(version) + 1 if version in served else 0

    def served(self) -> list[tuple[str, int]]:
        """Versions that served, each with the event time it serves from."""
        return [(m.version, m.effective_from) for m in self.models]
