"""How much of what was predicted has its label, of windows that have had time for theirs.

Labels come seconds or weeks after their predictions, so the newest window says nothing of whether they come at all.
How long they take is seen: from a window's end to the boundary as of which half of its rows were labelled.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.events import QualityReported

ENOUGH = 0.5  # of a window's rows; below it the alert LabelsMissing comes


@dataclass
class Window:
    """What was said last of a window with rows: labelled and predicted, by version."""

    counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    took: int | None = None  # until half was labelled; None: it is not

    @property
    def share(self) -> float:
        """Labelled of what was predicted."""
        return sum(labelled for labelled, _ in self.counts.values()) / sum(n for _, n in self.counts.values())


class Coverage:
    """The labelled share of each model's newest window that has had its time; windows without rows do not count.

    Its time is the longest that any window of the last two horizons took until half of its rows were labelled, at the most the
    horizon, which it is where none is known to have been half labelled. So labels that come steadily but late make the
    share no smaller; labels that stop make it 0 once that time is over. Two horizons: where labels come all at once, as often
    as once a horizon, the window that waited longest is remembered until another has.
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
        if window.took is None and window.share >= ENOUGH:
            window.took = report.as_of - report.window_end

    def get(self, boundary: int) -> dict[str, float]:
        """The share as of a boundary, by model; of a model without a window that has had its time there is none."""
        found = {}
        for model, windows in self._windows.items():
            self._forget(windows, boundary - 2 * self._horizon)
            times = [window.took for window in windows.values() if window.took is not None]
            ended = boundary - min(max(times, default=self._horizon), self._horizon)
            if ripe := [end for end in windows if end <= ended]:
                found[model] = windows[max(ripe)].share
        return found

    @staticmethod
    def _forget(windows: dict[int, Window], before: int) -> None:
        """Let go of windows that ended earlier, but for the newest of them: it may be the last with rows."""
        old = sorted(end for end in windows if end < before)
        for end in old[:-1]:
            del windows[end]
