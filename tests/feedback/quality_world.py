"""Predictions and labels in any order, joined in a dictionary, counted into panes as several workers would."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from contracts.codec import prediction_id
from contracts.events import LabelsReported, PredictionsMade, QualityPaneCounted, QualityReported
from feedback.domain.label_windows import LabelWindows
from feedback.domain.panes import PaneKey, Panes, Position, Segments
from feedback.domain.quality_windows import QualityWindows
from feedback.domain.rows import Joined, Row, Shape
from feedback.domain.task import Describe
from feedback.domain.truth import Known, take
from feedback.domain.windows import Windows

PARTITIONS = 3
HORIZON = 1_000


class Truth:
    """One row and all that was said of it."""

    def __init__(self, made: PredictionsMade, row: int, offset: int = 0) -> None:
        probabilities = made.probabilities or {}
        self.shape = Shape(made.model, made.version, tuple(made.features), tuple(probabilities), ())
        self.row = Row(
            offset,
            made.event_time[row],
            made.predictions[row],
            [column[row] for column in probabilities.values()],
            [column[row] for column in made.features.values()],
            [],
        )
        self.id = prediction_id(made.batch_id, row)
        self.known: list[Known] = []

    def label(self, truth: Any, label_time: int, offset: int) -> Joined | None:
        """One more label; None where it says nothing new."""
        before = self.known[-1] if self.known else None
        after = take(before, truth, label_time)
        if after is before:
            return None
        self.known.append(after)
        return Joined(self.id, self.shape, self.row, before, after, offset)

    def as_of(self, boundary: int) -> Known | None:
        """What was known before a boundary."""
        known = [k for k in self.known if k.label_time < boundary]
        return known[-1] if known else None


@dataclass
class Worker:
    """A partition's panes, with a dictionary for a disk."""

    windows: Windows
    segments: Segments = field(default_factory=Segments)
    saved: dict[PaneKey, dict[str, bytes]] = field(default_factory=dict)
    position: Position = field(default_factory=Position)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """With nothing in memory."""
        self.panes = Panes(
            self.windows,
            HORIZON,
            self.segments,
            self.saved.get,
            self.saved.update,
        )


def batch(
    number: int, model: str, version: str, times: list[int], rng: np.random.Generator, **more: Any
) -> PredictionsMade:
    """A batch with one feature, and what ``more`` says is predicted."""
    return PredictionsMade(
        batch_id=f"{number:032x}",
        model=model,
        version=version,
        event_time=times,
        features={"where": [str(v) for v in rng.integers(0, 3, len(times))]},
        **more,
    )


def owner(windows: Windows, **more: Any) -> tuple[QualityWindows, LabelWindows]:
    """Who sums."""
    return QualityWindows(windows, HORIZON, min_labelled=5, **more), LabelWindows(
        windows, HORIZON, min_labelled=5
    )


def close_all(
    quality: QualityWindows,
    labels: LabelWindows,
    told: list[QualityPaneCounted],
    until: int,
    describe: Describe,
) -> tuple[dict[tuple[int, str], QualityReported], dict[tuple[int, str], LabelsReported]]:
    """Absorb panes, decide boundaries; the last report of each window and version."""
    for pane in told:
        quality.absorb(pane)
        labels.absorb(pane)
    last: dict[tuple[int, str], QualityReported] = {}
    last_labels: dict[tuple[int, str], LabelsReported] = {}
    while (boundary := quality.next_boundary()) is not None and boundary <= until:
        for report in quality.close(boundary, describe, {}):
            last[report.window_start, report.version] = report
        for labelled in labels.close(boundary, describe):
            last_labels[labelled.window_start, labelled.version] = labelled
    return last, last_labels
