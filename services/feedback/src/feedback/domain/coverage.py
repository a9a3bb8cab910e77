"""How much of what was predicted has its label, of windows that have had time for theirs.

Labels come seconds or weeks after their predictions, so the newest window says nothing of whether they come at all.
How long they take is seen: from a window's end to the boundary as of which half of its rows were labelled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.events import QualityReported

ENOUGH = 0.5  # of a window's rows; below it the alert LabelsMissing comes
ODD = 0.005  # of all rows: windows that together have no more say nothing of how long labels take


@dataclass
class Window:
    """What was said last of a window with rows: labelled and predicted, by version."""

    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    took: int | None = None  # until half was labelled; None: it is not

    @property
    def labelled(self) -> int:
        """Rows with a label."""
        return sum(labelled for labelled, _ in self.counts.values())

    @property
    def predicted(self) -> int:
        """Rows."""
        return sum(predicted for _, predicted in self.counts.values())


class Coverage:
    """The labelled share of each model's newest windows that have had their time; windows without rows do not count.

    Their time is the longest that a window of the last two horizons took until half of its rows were labelled, but for windows that
    together have few rows (``ODD``), whose labels may be stragglers; at the most the horizon, which it is where none is known to
    have been half labelled. So labels that come steadily but late make the share no smaller; labels that stop make it 0 once
    that time is over. Two horizons: where labels come all at once, as often as once a horizon, the window that waited longest is
    remembered until another has. The share is of as many windows as have an average window's rows together: of the three rows
    of a night it would be chance.
    """

    def __init__(self, horizon: int) -> None:
        self._horizon = horizon
        self._windows: dict[str, dict[int, Window]] = {}  # by model and where they end

    def take(self, report: QualityReported) -> None:
        """Take up what is said of a window; the newest revision comes last."""
        if not report.predicted:
            return
        window = self._windows.setdefault(report.model, {}).setdefault(report.window_end, Window())
        window.counts[report.version] = report.labelled, report.predicted
        if window.took is None and window.labelled >= ENOUGH * window.predicted:
            window.took = report.as_of - report.window_end

    def get(self, boundary: int) -> dict[str, float]:
        """The share as of a boundary, by model; of a model without a window that has had its time there is none."""
        found = {}
        for model, windows in self._windows.items():
            self._forget(windows, boundary - 2 * self._horizon)
            average = sum(window.predicted for window in windows.values()) / len(windows)
            ended = boundary - self._time(windows.values())
            labelled = predicted = 0
            for end in sorted((end for end in windows if end <= ended), reverse=True):
                labelled, predicted = labelled + windows[end].labelled, predicted + windows[end].predicted
                if predicted >= average:
                    break
            if predicted:
                found[model] = labelled / predicted
        return found

    def _time(self, windows: Iterable[Window]) -> int:
        """How long labels are waited for."""
        known = sorted(((w.took, w.predicted) for w in windows if w.took is not None), reverse=True)
        odd = ODD * sum(rows for _, rows in known)
        for took, rows in known:
            odd -= rows
            if odd < 0:
                return min(took, self._horizon)
        return self._horizon

    @staticmethod
    def _forget(windows: dict[int, Window], before: int) -> None:
        """Let go of windows that ended earlier, but for the newest of them: it may be the last with rows."""
        old = sorted(end for end in windows if end < before)
        for end in old[:-1]:
            del windows[end]
