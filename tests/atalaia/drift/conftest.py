"""A world whose rows drift, counted and judged by the monitor's own domain: no Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from contracts.events import AlertChanged, ModelChanged, PaneCounted, PredictionsMade, WindowTested
from drift_monitor.domain.decision import Rule
from drift_monitor.domain.owner import Owner
from drift_monitor.domain.panes import Counter, Position, Record
from drift_monitor.domain.windows import Grid
from summaries.profile import FieldSpec, Profile

HOUR = 3_600_000
RULE = Rule(alpha=0.001, correction="bh", min_effect=0.1, min_rows=50, alert_windows=1)


@dataclass
class World:
    """Windows of an hour; in each, rows of a number and a category."""

    grid: Grid = field(default_factory=lambda: Grid(0, HOUR, HOUR, 0))
    rule: Rule = RULE
    model: str = "m"
    panes: list[PaneCounted] = field(default_factory=list)
    reports: list[WindowTested] = field(default_factory=list)
    alerts: list[AlertChanged] = field(default_factory=list)
    batches: list[PredictionsMade] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(7)
        self.counter = Counter(self.grid)
        for partition in (0, 1):
            self.counter.take(partition, 0, Position(), [])
        self.offset = 0
        reference = self.rows(2000, 0)
        schema = [FieldSpec("temp", "float32"), FieldSpec("origin", "string")]
        self.profile = Profile.build(
            reference, schema, self.predicted(reference), None, "late", [0, 1], "classification"
        )
        self.owner = Owner(self.model, self.grid, self.rule, [0, 1])
        self.owner.changed(self.installed)

    @property
    def installed(self) -> ModelChanged:
        """Version 1 from the beginning."""
        return ModelChanged(
            model=self.model, version="1", previous_version=None, action="installed", artifact_uri="",
            sha256="", effective_from=0, reason="",
        )  # fmt: skip

    def rows(self, n: int, shift: float, missing: float = 0.0) -> dict[str, list[Any]]:
        """``shift`` moves the number, and the category with it; a large one brings a category never seen."""
        temp = np.round(self.random.normal(10 + shift, 2, n), 1).astype(np.float32).tolist()
        names = ["EWR", "JFK", "LGA", "TYO"]
        p = np.array([0.5, 0.3, 0.2, 0.0]) + np.array([-0.4, 0.1, 0.1, 0.2]) * min(1.0, abs(shift))
        gone = self.random.random(n) < missing
        return {
            "temp": [None if g else t for g, t in zip(gone, temp, strict=True)],
            "origin": self.random.choice(names, n, p=p).tolist(),
        }

    def predicted(self, rows: dict[str, list[Any]]) -> list[int]:
        """What the model says of rows."""
        return [int((t or 0) > 10) for t in rows["temp"]]

    def hour(self, at: int, shift: float, n: int = 300, missing: float = 0.0) -> None:
        """The rows of one hour, counted into panes."""
        rows = self.rows(n, shift, missing)
        times = np.sort(self.random.integers(at * HOUR, (at + 1) * HOUR, n)).tolist()
        event = PredictionsMade(
            batch_id=f"{self.offset:032x}", model=self.model, version="1", event_time=times, features=rows,
            predictions=self.predicted(rows),
        )  # fmt: skip
        self.batches.append(event)
        record = Record(self.offset % 2, self.offset, event)
        self.offset += 1
        written, refused = self.counter.absorb([record], {(self.model, "1"): self.profile})
        assert not refused
        self.panes += written
        for pane in written:
            self.owner.replace(pane)

    def decide(self, until: int) -> None:
        """Decide all windows that end by ``until`` hours, as the monitor does."""
        self.owner.watermark.flush(until * HOUR)
        while (window := self.owner.due()) is not None:
            decided = self.owner.decide(window, {"1": self.profile})
            self.owner.commit(decided)
            self.reports += decided.reports
            self.alerts += decided.alerts

    def play(self, shifts: Sequence[float], n: int = 300) -> World:
        """An hour a shift, all decided."""
        for at, shift in enumerate(shifts):
            self.hour(at, shift, n)
        self.decide(len(shifts))
        return self


@pytest.fixture
def world() -> World:
    """A world that has not begun."""
    return World()


@pytest.fixture
def drifted() -> World:
    """Quiet hours, then drift that stays."""
    return World().play([0, 0, 0, 0, 0, 0, 2, 2, 2, 2])
