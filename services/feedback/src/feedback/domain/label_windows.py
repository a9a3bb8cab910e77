"""Quality per window of label time: of what became known in it, whenever it was predicted.

A window's state is a sum of panes, as that of prediction time. What is uploaded after its window was reported makes
another revision at the next boundary.
"""

from __future__ import annotations

from collections.abc import Iterable

from contracts.events import LabelsReported, QualityPaneCounted

from feedback.domain.cells import Tally
from feedback.domain.due import Due, Key
from feedback.domain.figures import delay, figures, named, status
from feedback.domain.last_reports import LastReports, alike
from feedback.domain.panes import ALL, PaneKey
from feedback.domain.sums import Sums
from feedback.domain.task import Describe
from feedback.domain.windows import Windows


class LabelWindows:
    """All windows of label time; ``absorb`` panes, ``close`` a boundary to get its reports.

    ``unusable_truths`` are labelled rows of a regression that are in no metric, because the truth or the prediction is no
    number within ±1e150; ``unknown_classes`` those whose truth is a class that the version does not know, counted as
    "(other)". Both of what became known before the last boundary, as far back as panes are kept.
    """

    def __init__(self, windows: Windows, horizon: int, *, min_labelled: int = 1) -> None:
        self.windows, self.min_labelled = windows, min_labelled
        self.sums = Sums()
        self.decided: int | None = None
        self._due: Due[Key] = Due()
        self._last: LastReports[LabelsReported] = LastReports(windows.size, horizon)
        self._touched: set[PaneKey] = set()
        self._odd: dict[PaneKey, tuple[int, int]] = {}  # unusable and unknown, of a pane

    def restore(self, reports: Iterable[LabelsReported], decided: int | None) -> None:
        """Go on after the reports that are on the topic."""
        self.decided = decided
        self._last.restore(reports, decided)

    def absorb(self, pane: QualityPaneCounted) -> None:
        """Take a pane's newer counts, in any order."""
        if pane.by != "label":
            return
        over = self._last.over(self.decided)
        if not self.sums.absorb(pane, over):
            return
        self._touched.add(PaneKey.of(pane))
        for start in self.windows.starts(pane.pane_start):
            if start < over:  # other panes of it are gone
                continue
            boundary = start + self.windows.size
            if self.decided is not None:
                boundary = max(boundary, self.decided + self.windows.step)
            self._due.add(boundary, Key(start, pane.model, pane.version))

    def first_due(self) -> int | None:
        """The first boundary as of which a window may have something new to say."""
        return self._due.first()

    def has_news(self, boundary: int, describe: Describe) -> bool:
        """Whether a window has something new to say as of a boundary; what has not is not due any more."""
        news = []
        for key in self._due.take(boundary):
            last = self._last.get(key)
            if last is not None and last.as_of > boundary:
                self._due.add(last.as_of, key)
            # Said as of it: then it was being decided before a restart.
            elif last is None or last.as_of == boundary or self._is_new(key, boundary, last, describe):
                news.append(key)
        for key in news:
            self._due.add(boundary, key)
        return bool(news)

    def close(self, boundary: int, describe: Describe) -> list[LabelsReported]:
        """Decide a boundary; returns reports of the windows that changed."""
        self.decided = boundary
        for pane in [pane for pane in self._touched if pane.start < boundary]:
            found = figures(self._tally([pane], boundary), describe(pane.model, pane.version))
            self._odd[pane] = (found.unusable, found.unknown)
            self._touched.discard(pane)
        reports = []
        for key in sorted(self._due.take(boundary)):
            last = self._last.get(key)
            if last is not None and last.as_of >= boundary:  # said before a restart
                self._due.add(boundary + self.windows.step, key)
                continue
            report = self._report(key, boundary, last, describe)
            if last is None or not alike(last, report):
                self._last.put(key, report)
                reports.append(report)
        return reports

    def forget(self) -> list[QualityPaneCounted]:
        """Let go what no report needs any more; returns the published panes that may be struck out."""
        if self.decided is None:
            return []
        before = self._last.over(self.decided)
        self._last.forget(self.decided)
        self._odd = {key: odd for key, odd in self._odd.items() if key.start >= before}
        return self.sums.forget(before)

    @property
    def unusable_truths(self) -> int:
        """Rows of a regression without a number."""
        return sum(unusable for unusable, _ in self._odd.values())

    @property
    def unknown_classes(self) -> int:
        """Rows whose truth is no class of their version."""
        return sum(unknown for _, unknown in self._odd.values())

    def _is_new(self, key: Key, boundary: int, last: LabelsReported, describe: Describe) -> bool:
        return not alike(last, self._report(key, boundary, last, describe))

    def _tally(self, panes: Iterable[PaneKey], boundary: int) -> Tally:
        cells = self.sums.sum(panes)
        return cells[ALL].until(boundary) if ALL in cells else Tally()

    def _report(
        self, key: Key, boundary: int, last: LabelsReported | None, describe: Describe
    ) -> LabelsReported:
        starts = self.windows.panes(key.start)
        tally = self._tally([PaneKey(key.model, key.version, "label", s, ALL) for s in starts], boundary)
        found = figures(tally, named(tally, {}, describe(key.model, key.version)))
        return LabelsReported(
            model=key.model,
            version=key.version,
            window_start=key.start,
            window_end=key.start + self.windows.size,
            as_of=boundary,
            revision=0 if last is None else last.revision + 1,
            labelled=tally.labelled,
            corrections=tally.corrections,
            label_delay_mean=tally.delays.mean,
            label_delay=delay(tally.delays),
            metrics=found.metrics,
            intervals=found.intervals,
            errors=found.errors,
            confusion=found.confusion,
            status=status(tally.labelled, self.min_labelled),
        )
