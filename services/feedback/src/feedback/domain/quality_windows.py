"""Quality per window of prediction time, as of each boundary of label time.

A window's state is integer counts: those of all labels with ``label_time`` before the last decided boundary.
Changes that later boundaries will bring wait beside it, each a row to count or, where a correction moves it,
a row to take out. Sums of whole numbers commute, so a report is the same for any order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from contracts.events import Label, PredictionsMade, QualityReported
from summaries.labels import text
from summaries.quality import Classification, Regression

from feedback.domain.join import Joined
from feedback.domain.timeline import steps
from feedback.domain.windows import Windows


class Key(NamedTuple):
    """Window and version. Sorts as reports are ordered: by window, then version."""

    start: int
    model: str
    version: str


class Change(NamedTuple):
    """One row to count (sign 1) or take out (-1)."""

    sign: int
    truth: Label
    predicted: Label
    classes: tuple[str, ...]  # () without probabilities
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Task:
    """What a version predicts; ``classes`` of a classification, the positive one of two last."""

    kind: str
    classes: tuple[str, ...] = ()


Describe = Callable[[str, str], Task | None]


@dataclass
class Waiting:
    """What one boundary will change in one window."""

    labelled: int = 0
    delay: int = 0
    rows: list[Change] = field(default_factory=list)


@dataclass
class Window:
    """Counts of one window and version as of the last decided boundary."""

    predicted: int = 0
    labelled: int = 0
    delay: int = 0
    quality: Classification | Regression | None = None
    last: QualityReported | None = None


class QualityWindows:
    """All windows; ``update`` with rows, ``close`` a boundary to get its reports."""

    def __init__(self, windows: Windows, horizon: int) -> None:
        self.windows, self.horizon = windows, horizon
        self.decided: int | None = None
        self.earliest: int | None = None  # event time
        self.latest_event: dict[str, tuple[int, str]] = {}  # model: newest event time and its version
        self._windows: dict[Key, Window] = {}
        self._waiting: dict[int, dict[Key, Waiting]] = {}
        self._forget: dict[int, list[Key]] = {}

    def next_boundary(self) -> int | None:
        """The boundary to decide next, None before the first prediction."""
        if self.decided is not None:
            return self.decided + self.windows.step
        return None if self.earliest is None else self.windows.boundary_after(self.earliest)

    def predict(self, made: PredictionsMade) -> None:
        """Count predicted rows into their windows."""
        if not made.event_time:
            return
        first, newest = min(made.event_time), max(made.event_time)
        self.earliest = first if self.earliest is None else min(self.earliest, first)
        if made.model not in self.latest_event or newest >= self.latest_event[made.model][0]:
            self.latest_event[made.model] = (newest, made.version)
        for time in made.event_time:
            for start in self.windows.starts(time):
                key = Key(start, made.model, made.version)
                window = self._windows.get(key) or self._open(key)
                window.predicted += 1
                if self.decided is not None and start + self.windows.size <= self.decided:
                    self._wait(start, key)  # late: the window is reported again

    def update(self, joined: Iterable[Joined]) -> None:
        """Count labelled rows, moved to the boundary that first may know them."""
        for j in joined:
            made, row = j.made, j.row
            event_time, predicted = made.event_time[row], made.predictions[row]
            classes = tuple(made.probabilities or ())
            scores = tuple(column[row] for column in (made.probabilities or {}).values())
            for start in self.windows.starts(event_time):
                key = Key(start, made.model, made.version)
                for sign, timeline in ((-1, j.before), (1, j.after)):
                    if timeline:
                        # The delay is that of the first word; a correction does not change it.
                        first = self._wait(timeline[0].label_time, key)
                        first.labelled += sign
                        first.delay += sign * (timeline[0].label_time - event_time)
                    for label_time, was, now in steps(timeline):
                        rows = self._wait(label_time, key).rows
                        if was is not None:
                            rows.append(Change(-sign, was, predicted, classes, scores))
                        rows.append(Change(sign, now, predicted, classes, scores))

    def close(self, boundary: int, describe: Describe, serving: Mapping[str, str]) -> list[QualityReported]:
        """Decide a boundary; returns reports of the windows that changed, in window order, the newest last.

        The window that ends here is always reported for the serving version, else the version seen last.
        """
        models = set(self.latest_event)
        always = [
            Key(boundary - self.windows.size, m, serving.get(m) or self.latest_event[m][1])
            for m in sorted(models)
        ]
        for key in always:
            if key not in self._windows:
                self._open(key)
        changed: set[Key] = set(always)
        for at in sorted(at for at in self._waiting if at <= boundary):
            for key, waiting in self._waiting.pop(at).items():
                self._apply(key, waiting, describe)
                changed.add(key)
        self.decided = boundary
        reports = []
        for key in sorted(changed - set(always)) + always:
            window = self._windows[key]
            report = self._report(key, window, boundary)
            if window.last is None or key in always or not _alike(window.last, report):
                window.last = report
                reports.append(report)
        for at in [at for at in self._forget if at <= boundary]:
            for key in self._forget.pop(at):
                self._windows[key].quality = None
        return reports

    def restore(self, reports: Iterable[QualityReported], describe: Describe) -> None:
        """Go on after the reports that are on the topic, once predictions and labels have been read again.

        The report of the window that ends at its own boundary is the boundary's last, so it says "decided".
        Windows in which a report may be due are compared with their last one at the next boundary.
        """
        for report in reports:
            key = Key(report.window_start, report.model, report.version)
            (self._windows.get(key) or self._open(key)).last = report
            if report.as_of == report.window_end:
                self.decided = report.as_of if self.decided is None else max(report.as_of, self.decided)
        if self.decided is None:
            return
        following = self._waiting.setdefault(self.decided + self.windows.step, {})
        for at in sorted(at for at in self._waiting if at <= self.decided):
            for key, waiting in self._waiting.pop(at).items():
                self._apply(key, waiting, describe)
                following.setdefault(key, Waiting())

    def _open(self, key: Key) -> Window:
        window = self._windows[key] = Window()
        end = key.start + self.windows.size
        self._wait(key.start, key)
        # Its last report: no label may come any more.
        self._wait(end + self.horizon - 1, key)
        self._forget.setdefault(end + 2 * self.horizon, []).append(key)
        return window

    def _wait(self, label_time: int, key: Key) -> Waiting:
        at = max(self.windows.boundary_after(label_time), key.start + self.windows.size)
        if self.decided is not None and at <= self.decided:
            at = self.decided + self.windows.step
        waiting = self._waiting.setdefault(at, {})
        found = waiting.get(key)
        if found is None:
            found = waiting[key] = Waiting()
        return found

    def _apply(self, key: Key, waiting: Waiting, describe: Describe) -> None:
        window = self._windows[key]
        window.labelled += waiting.labelled
        window.delay += waiting.delay
        if not waiting.rows:
            return
        if window.quality is None:
            task = describe(key.model, key.version) or guess(waiting.rows)
            window.quality = Regression() if task.kind == "regression" else Classification(task.classes)
        count(window.quality, waiting.rows)

    def _report(self, key: Key, window: Window, boundary: int) -> QualityReported:
        quality, end = window.quality, key.start + self.windows.size
        coverage = window.labelled / window.predicted if window.predicted else 0.0
        return QualityReported(
            model=key.model,
            version=key.version,
            window_start=key.start,
            window_end=end,
            as_of=boundary,
            revision=0 if window.last is None else window.last.revision + 1,
            final=boundary >= end + self.horizon or coverage >= 1.0,
            predicted=window.predicted,
            labelled=window.labelled,
            coverage=coverage,
            label_delay_mean=window.delay / window.labelled if window.labelled else None,
            metrics=quality.get() if quality else {},
            confusion=quality.confusion() if isinstance(quality, Classification) else None,
        )


def count(quality: Classification | Regression, rows: Iterable[Change]) -> None:
    """Count rows, and take out those that moved. What a task cannot measure is left out of its metrics."""
    if isinstance(quality, Regression):
        numbers = [(c.sign, _number(c.truth), _number(c.predicted)) for c in rows]
        for sign, add in ((1, quality.update), (-1, quality.revert)):
            pairs = [(t, p) for s, t, p in numbers if s == sign and t is not None and p is not None]
            if pairs:
                add([t for t, _ in pairs], [p for _, p in pairs])
        return
    groups: dict[tuple[int, tuple[str, ...]], list[Change]] = {}
    for change in rows:
        groups.setdefault((change.sign, change.classes), []).append(change)
    for (sign, classes), group in groups.items():
        step = quality.update if sign > 0 else quality.revert
        truth, predicted = [c.truth for c in group], [c.predicted for c in group]
        columns = {c: [row.probabilities[i] for row in group] for i, c in enumerate(classes)}
        try:
            step(truth, predicted, columns or None)
        except ValueError:
            step(truth, predicted, None)  # probabilities of other classes than the version's profile names


def guess(rows: Iterable[Change]) -> Task:
    """The task as the records show it: numbers that are not whole are a regression, all else is classes."""
    rows = list(rows)
    if any(isinstance(v, float) and not v.is_integer() for c in rows for v in (c.truth, c.predicted)):
        return Task("regression")
    named = next((c.classes for c in rows if len(c.classes) > 1), ())
    seen = {text(v) for c in rows for v in (c.truth, c.predicted)}
    classes = named or tuple(sorted(name for name in seen if name is not None))
    return Task("classification", classes if len(classes) > 1 else (*classes, "(none)"))


def _number(label: Label) -> float | None:
    try:
        return float(label)
    except ValueError:
        return None


def _alike(last: QualityReported, report: QualityReported) -> bool:
    """Whether two reports say the same but for when they were made."""
    skip = ("as_of", "revision")
    return all(getattr(last, f) == getattr(report, f) for f in report.__struct_fields__ if f not in skip)
