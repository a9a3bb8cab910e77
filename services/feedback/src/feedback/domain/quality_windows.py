"""Quality per window of prediction time, as of each boundary of label time.

A window is the sum of its panes over all partitions, of what was labelled before the boundary. Sums of whole numbers
commute, so a report is the same for any order of arrival, any number of workers and any crash.

How many rows are predicted and labelled hangs on no task. How good they are does: until a version's task is known
its reports bear counts but no metrics and are not final; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from contracts.events import QualityPaneCounted, QualityReported, SegmentQuality

from feedback.domain.cells import Cell, glance
from feedback.domain.due import Due, Key
from feedback.domain.figures import delay, estimated, figures, named, status
from feedback.domain.last_reports import LastReports, alike
from feedback.domain.panes import ALL, PaneKey
from feedback.domain.seen import Seen
from feedback.domain.size import MAX_BYTES
from feedback.domain.sums import Sums, largest
from feedback.domain.task import Describe
from feedback.domain.windows import Windows

# What a report says only of a version whose task is known.
UNMEASURED = ("metrics", "confusion", "final", "intervals", "errors", "classes", "estimated", "segments")


class QualityWindows:
    """All windows of prediction time; ``absorb`` panes, ``close`` a boundary to get its reports."""

    def __init__(
        self,
        windows: Windows,
        horizon: int,
        *,
        min_labelled: int = 1,
        segments: Iterable[str] = (),
        segment_values: int = 50,
    ) -> None:
        self.windows, self.horizon, self.min_labelled = windows, horizon, min_labelled
        self.segments, self.segment_values = tuple(segments), segment_values
        self.sums = Sums()
        self.decided: int | None = None
        self.earliest: int | None = None  # start of a pane
        self._seen = Seen(windows)
        self._filled: int | None = None  # the end of the last window with rows that is decided
        self._due: Due[Key] = Due()
        self._empty: Due[Key] = Due()  # windows without rows, for which no boundary is decided
        self._opened: set[Key] = set()
        self._unmeasured: set[Key] = set()
        self._last: LastReports[QualityReported] = LastReports(windows.size, horizon)

    def next_boundary(self) -> int | None:
        """The boundary after the last decided one, or the first; None before the first prediction."""
        if self.decided is not None:
            return self.decided + self.windows.step
        return None if self.earliest is None else self.windows.boundary_after(self.earliest)

    @property
    def is_in_gap(self) -> bool:
        """Whether so many windows without rows are decided that the next ones need not be."""
        return (
            self.decided is not None
            and self._filled is not None
            and self.windows.is_gap(self._filled, self.decided)
        )

    def first_due(self, describe: Describe) -> int | None:
        """The first boundary as of which a window with rows may have something new to say."""
        if self.decided is not None and any(self._measurable(describe)):
            return self.decided + self.windows.step
        return self._due.first()

    def restore(self, reports: Iterable[QualityReported], decided: int | None) -> None:
        """Go on after the reports that are on the topic; ``decided`` is the last boundary said to be complete.

        A later one that is there in part is decided again, without the reports that are there.
        """
        reports = list(reports)
        self.decided = decided
        self._last.restore(reports, decided)
        if decided is None:
            return
        self._filled = decided  # unless a report tells more
        filled = [report for report in reports if report.predicted and report.as_of <= decided]
        if filled:
            self._filled = max(report.window_end for report in filled)
        for report in filled:  # the panes may be no more
            self._seen.row(report.model, report.version, report.window_start)
        for key, last in self._last.items():
            if not last.predicted and not last.final:
                self._empty.add(self._from(last.window_end + self.horizon), key)

    def absorb(self, pane: QualityPaneCounted) -> None:
        """Take a pane's newer counts, in any order."""
        if pane.by != "prediction":
            return
        over = self._last.over(self.decided)
        if not self.sums.absorb(pane, over):
            return
        labelled: set[int] = set()
        for cell in pane.cells.values():
            seen = glance(cell)
            labelled.update(seen.label_panes)
            if seen.predicted and pane.feature == ALL:
                start = pane.pane_start
                self.earliest = start if self.earliest is None else min(self.earliest, start)
                self._seen.row(pane.model, pane.version, start)
        soon = self._from(pane.pane_start)
        for start in self.windows.starts(pane.pane_start):
            if start < over:  # other panes of it are gone
                continue
            key = Key(start, pane.model, pane.version)
            end = start + self.windows.size
            if key not in self._opened:
                self._opened.add(key)
                # Its last report: no label may come any more.
                self._due.add(self._from(end + self.horizon), key)
            self._due.add(max(soon, end), key)
            for label_pane in labelled:
                known = self.windows.boundary_from(max(label_pane + self.windows.pane, end))
                if known > soon:
                    self._due.add(known, key)

    def has_news(self, boundary: int, describe: Describe) -> bool:
        """Whether a window with rows has something new to say as of a boundary; what has not is not due any more."""
        news = []
        for key in self._due.take(boundary) | set(self._measurable(describe)):
            last = self._last.get(key)
            if last is not None and last.as_of > boundary:
                self._unmeasured.discard(key)
                self._due.add(last.as_of, key)
            # Said as of it: then it was being decided before a restart.
            elif (last is not None and last.as_of == boundary) or self._say(
                key, boundary, describe
            ) is not None:
                news.append(key)
        for key in news:
            self._due.add(boundary, key)
        return bool(news)

    def close(self, boundary: int, describe: Describe, serving: Mapping[str, str]) -> list[QualityReported]:
        """Decide a boundary; returns reports of the windows that changed, in window order, the newest last.

        The window that ends here is always reported for the serving version, else the version seen last.
        """
        always = [
            Key(boundary - self.windows.size, model, serving.get(model) or version)
            for model, version in self._seen.before(boundary).items()
        ]
        changed = self._due.take(boundary) | self._empty.take(boundary) | self._unmeasured | set(always)
        self.decided = boundary
        for key in set(always) - self._opened:  # a window without rows has its last report too
            self._empty.add(self._from(boundary + self.horizon), key)
        reports = []
        for key in sorted(changed - set(always)) + always:
            last = self._last.get(key)
            if last is not None and last.as_of >= boundary:  # said before a restart
                (self._due if last.predicted else self._empty).add(boundary + self.windows.step, key)
            elif (report := self._say(key, boundary, describe, key in always)) is not None:
                self._last.put(key, report)
                reports.append(report)
            said = self._last.get(key)
            if said is not None and said.predicted and said.as_of == boundary:
                self._filled = said.window_end if self._filled is None else max(self._filled, said.window_end)
        return reports

    def forget(self) -> list[QualityPaneCounted]:
        """Let go what no report needs any more; returns the published panes that may be struck out."""
        if self.decided is None:
            return []
        before = self._last.over(self.decided)
        self._last.forget(self.decided)
        over = {key for key in self._opened if key.start < before}
        self._opened -= over
        self._unmeasured -= over
        self._seen.forget(self.decided)
        return self.sums.forget(before)

    def _measurable(self, describe: Describe) -> Iterable[Key]:
        """Windows that were not measured, of versions whose task has become known."""
        known = {version: describe(*version) is not None for version in {key[1:] for key in self._unmeasured}}
        return (key for key in self._unmeasured if known[key[1:]])

    def _say(
        self, key: Key, boundary: int, describe: Describe, anyway: bool = False
    ) -> QualityReported | None:
        """A window's report, if it says anything new."""
        last = self._last.get(key)
        report, measured = self._report(key, boundary, last, describe)
        (self._unmeasured.discard if measured else self._unmeasured.add)(key)
        # A report without metrics takes none back.
        unsaid = UNMEASURED if not measured and not report.metrics else ()
        return report if anyway or last is None or not alike(last, report, unsaid) else None

    def _from(self, time: int) -> int:
        """The first boundary from ``time`` on that is not decided."""
        boundary = self.windows.boundary_from(time)
        return boundary if self.decided is None else max(boundary, self.decided + self.windows.step)

    def _cells(self, key: Key, feature: str) -> dict[str, Cell]:
        return self.sums.sum(
            PaneKey(key.model, key.version, "prediction", start, feature)
            for start in self.windows.panes(key.start)
        )

    def _report(
        self, key: Key, boundary: int, last: QualityReported | None, describe: Describe
    ) -> tuple[QualityReported, bool]:
        """A window's report, and whether it is known what its version predicts."""
        cell = self._cells(key, ALL).get(ALL) or Cell()
        tally = cell.until(boundary)
        told = describe(key.model, key.version)
        task = named(tally, cell.forecasts, told)
        found = figures(tally, task)
        end = key.start + self.windows.size
        coverage = tally.labelled / cell.predicted if cell.predicted else 0.0
        measured = told is not None or not cell.predicted
        report = QualityReported(
            model=key.model,
            version=key.version,
            window_start=key.start,
            window_end=end,
            as_of=boundary,
            revision=0 if last is None else last.revision + 1,
            final=(boundary >= end + self.horizon or coverage >= 1.0) and (measured or task is not None),
            predicted=cell.predicted,
            labelled=tally.labelled,
            coverage=coverage,
            label_delay_mean=tally.delays.mean,
            metrics=found.metrics,
            confusion=found.confusion,
            intervals=found.intervals,
            errors=found.errors,
            classes=found.classes,
            estimated=estimated(cell.forecasts, task),
            label_delay=delay(tally.delays),
            segments=self._by_value(key, boundary, describe, self.segment_values),
            status=status(tally.labelled, self.min_labelled),
        )
        kept = self.segment_values
        while kept and len(msgspec.json.encode(report)) > MAX_BYTES:
            kept //= 2  # what is left out is told as (other)
            report = msgspec.structs.replace(report, segments=self._by_value(key, boundary, describe, kept))
        return report, measured

    def _by_value(
        self, key: Key, boundary: int, describe: Describe, kept: int
    ) -> dict[str, dict[str, SegmentQuality]]:
        if not kept:
            return {}
        return {feature: self._segments(key, feature, boundary, describe, kept) for feature in self.segments}

    def _segments(
        self, key: Key, feature: str, boundary: int, describe: Describe, kept: int
    ) -> dict[str, SegmentQuality]:
        told = describe(key.model, key.version)
        found = {}
        for value, cell in sorted(largest(self._cells(key, feature), kept).items()):
            tally = cell.until(boundary)
            task = named(tally, cell.forecasts, told)
            measures = figures(tally, task)
            found[value] = SegmentQuality(
                predicted=cell.predicted,
                labelled=tally.labelled,
                coverage=tally.labelled / cell.predicted if cell.predicted else 0.0,
                metrics=measures.metrics,
                intervals=measures.intervals,
                estimated=estimated(cell.forecasts, task),
                status=status(tally.labelled, self.min_labelled),
            )
        return found
