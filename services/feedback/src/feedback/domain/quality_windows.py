"""Quality per window of prediction time, as of each boundary of label time.

A window's state is integer counts: those of all labels with ``label_time`` before the last decided boundary.
Changes that later boundaries will bring wait beside it, each a row to count or, where a correction moves it,
a row to take out. Sums of whole numbers commute, so a report is the same for any order of arrival.

How many rows are predicted and labelled hangs on no task. How good they are does: until a version's task is
known its rows are kept, and its reports bear counts but no metrics and are not final; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from contracts.events import Label, PredictionsMade, QualityReported
from summaries.labels import text
from summaries.quality import LARGEST, TOLERANCE, Classification, Regression

from feedback.domain.join import Joined
from feedback.domain.size import MAX_BYTES, width
from feedback.domain.windows import Windows

MAX_CLASSES = 1_000  # a version with more is not measured: its counts grow with the square


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
    first: bool  # in the first of the windows that hold the row


@dataclass(frozen=True)
class Task:
    """What a version predicts; ``classes`` of a classification, the positive one of two last."""

    kind: str
    classes: tuple[str, ...] = ()


Describe = Callable[[str, str], Task | None]  # None: not known yet
ServingAt = Callable[[int], Mapping[str, str]]  # the version of each model at a boundary
Quality = Classification | Regression


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
    rows: list[Change] = field(default_factory=list)  # not measured yet
    quality: Quality | None = None
    packed: bytes = b""  # the quality of a window that is over: few of its cells are filled
    last: QualityReported | None = None


class QualityWindows:
    """All windows; ``update`` with rows, ``close`` a boundary to get its reports.

    ``unusable_truths`` are labelled rows of a regression left out of its metrics, because the truth or the
    prediction is no number within ±1e150; ``unknown_classes`` those whose truth is a class that the version
    does not know, counted as "(other)". Both as of the last decided boundary.
    """

    def __init__(self, windows: Windows, horizon: int) -> None:
        self.windows, self.horizon = windows, horizon
        self.decided: int | None = None
        self.earliest: int | None = None  # event time
        self.latest_event: dict[str, tuple[int, str]] = {}  # model: newest event time and its version
        self.unusable_truths = self.unknown_classes = 0
        self._windows: dict[Key, Window] = {}
        self._waiting: dict[int, dict[Key, Waiting]] = {}
        self._unmeasured: set[Key] = set()
        self._over: dict[int, list[Key]] = {}

    @property
    def newest(self) -> int | None:
        """The newest event time of any model."""
        return max((time for time, _ in self.latest_event.values()), default=None)

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
            made, row, before, after = j.made, j.row, j.before, j.after
            event_time, predicted = made.event_time[row], made.predictions[row]
            classes = tuple(made.probabilities or ())
            scores = tuple(column[row] for column in (made.probabilities or {}).values())
            starts = self.windows.starts(event_time)
            for start in starts:
                waiting = self._wait(after.label_time, Key(start, made.model, made.version))
                rest = (predicted, classes, scores, start == starts[0])
                if before is None:
                    # The delay is that of the first word; a correction does not change it.
                    waiting.labelled += 1
                    waiting.delay += after.label_time - event_time
                else:
                    waiting.rows.append(Change(-1, before.truth, *rest))
                waiting.rows.append(Change(1, after.truth, *rest))

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
                self._apply(key, waiting)
                changed.add(key)
        changed |= self._measure(describe)
        self.decided = boundary
        reports = []
        for key in sorted(changed - set(always)) + always:
            window = self._windows[key]
            if window.last is not None and window.last.as_of >= boundary:  # said before a restart
                self._waiting.setdefault(boundary + self.windows.step, {}).setdefault(key, Waiting())
                continue
            report = self._report(key, window, boundary)
            if window.last is None or key in always or not _alike(window.last, report, bool(window.rows)):
                window.last = report
                reports.append(report)
        for at in [at for at in self._over if at <= boundary]:
            for key in self._over.pop(at):
                self._pack(key)
        return reports

    def restore(self, reports: Iterable[QualityReported], serving: ServingAt) -> None:
        """Go on after the reports that are on the topic, once predictions and labels have been read again.

        The last boundary on the topic is decided where the serving version of each model has the report of its
        own window; else it is decided again, without the reports that are there. Windows in which a report may
        be due are compared with their last one at the next boundary.
        """
        models = {key.model: key.start for key in sorted(self._windows, reverse=True)}  # and its first window
        own: dict[int, set[tuple[str, str]]] = {}
        for report in reports:
            key = Key(report.window_start, report.model, report.version)
            (self._windows.get(key) or self._open(key)).last = report
            if report.as_of == report.window_end:
                own.setdefault(report.as_of, set()).add((report.model, report.version))
        if not own:
            return
        self.decided = max(own)
        last, names = own[self.decided], serving(self.decided)
        for model, start in models.items():
            there = (model, names[model]) in last if model in names else model in {m for m, _ in last}
            if not there and start + self.windows.size <= self.decided:
                self.decided -= self.windows.step
                break
        following = self._waiting.setdefault(self.decided + self.windows.step, {})
        for at in sorted(at for at in self._waiting if at <= self.decided):
            for key, waiting in self._waiting.pop(at).items():
                self._apply(key, waiting)
                following.setdefault(key, Waiting())

    def _open(self, key: Key) -> Window:
        window = self._windows[key] = Window()
        end = key.start + self.windows.size
        self._wait(key.start, key)
        # Its last report: no label may come any more.
        self._wait(end + self.horizon - 1, key)
        self._over.setdefault(end + 2 * self.horizon, []).append(key)
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

    def _apply(self, key: Key, waiting: Waiting) -> None:
        window = self._windows[key]
        window.labelled += waiting.labelled
        window.delay += waiting.delay
        if waiting.rows:
            window.rows += waiting.rows
            self._unmeasured.add(key)

    def _measure(self, describe: Describe) -> set[Key]:
        """Count the rows that were kept, where the version's task is known; returns the windows they are in."""
        found = set()
        for key in self._unmeasured:
            task = describe(key.model, key.version)
            if task is None:
                continue
            found.add(key)
            window = self._windows[key]
            quality = self._quality(key) or make_quality(task)
            if quality is not None:
                unusable, unknown = count(quality, window.rows)
                self.unusable_truths += unusable
                self.unknown_classes += unknown
            window.quality, window.rows = quality, []
        self._unmeasured -= found
        return found

    def _quality(self, key: Key) -> Quality | None:
        window = self._windows[key]
        if window.packed:
            content = msgspec.json.decode(window.packed)
            kind = Classification if "classes" in content else Regression
            window.quality, window.packed = kind.from_dict(content), b""
            self._over.setdefault((self.decided or 0) + self.windows.step, []).append(key)
        return window.quality

    def _pack(self, key: Key) -> None:
        window = self._windows[key]
        if window.quality is not None:
            window.packed, window.quality = msgspec.json.encode(window.quality.to_dict()), None
        elif window.rows:  # over, and still not measured
            self._over.setdefault((self.decided or 0) + self.windows.step, []).append(key)

    def _report(self, key: Key, window: Window, boundary: int) -> QualityReported:
        quality, end = self._quality(key), key.start + self.windows.size
        coverage = window.labelled / window.predicted if window.predicted else 0.0
        return QualityReported(
            model=key.model,
            version=key.version,
            window_start=key.start,
            window_end=end,
            as_of=boundary,
            revision=0 if window.last is None else window.last.revision + 1,
            final=(boundary >= end + self.horizon or coverage >= 1.0) and not window.rows,
            predicted=window.predicted,
            labelled=window.labelled,
            coverage=coverage,
            label_delay_mean=window.delay / window.labelled if window.labelled else None,
            metrics=quality.get() if quality else {},
            confusion=quality.confusion() if isinstance(quality, Classification) and _fits(quality) else None,
        )


def make_quality(task: Task) -> Quality | None:
    """An empty quality for a task, None where it cannot be measured."""
    if task.kind == "regression":
        return Regression()
    if task.kind != "classification" or len(task.classes) > MAX_CLASSES:
        return None
    try:
        return Classification(task.classes)
    except ValueError:  # fewer than two classes, or one twice
        return None


def count(quality: Quality, rows: Iterable[Change]) -> tuple[int, int]:
    """Count rows, and take out those that moved; whatever the rows hold, nothing is raised.

    Returns by how much the rows with an unusable truth and those of an unknown class became more.
    """
    if isinstance(quality, Regression):
        unusable = 0
        pairs: dict[int, list[tuple[float, float]]] = {}
        for row in rows:
            truth, predicted = _number(row.truth), _number(row.predicted)
            if truth is None or predicted is None:
                unusable += row.sign * row.first
            else:
                pairs.setdefault(row.sign, []).append((truth, predicted))
        for sign, group in pairs.items():
            step = quality.update if sign > 0 else quality.revert
            step([truth for truth, _ in group], [predicted for _, predicted in group])
        return unusable, 0
    classes, unknown = set(quality.classes), 0
    groups: dict[tuple[int, tuple[str, ...]], list[Change]] = {}
    for row in rows:
        if row.first and text(row.truth) not in classes:
            unknown += row.sign
        # Each row is judged on its own: which others it comes with hangs on the order of arrival.
        given = row.classes if all(-TOLERANCE <= p <= 1 + TOLERANCE for p in row.probabilities) else ()
        groups.setdefault((row.sign, given), []).append(row)
    for (sign, given), changes in groups.items():
        move = quality.update if sign > 0 else quality.revert
        columns = {c: [row.probabilities[i] for row in changes] for i, c in enumerate(given)}
        labels = [row.truth for row in changes], [row.predicted for row in changes]
        try:
            move(*labels, columns or None)
        except ValueError:
            move(*labels)  # probabilities of other classes than the version's
    return 0, unknown


def _number(label: Label) -> float | None:
    """The number a label is or spells, None where it is none, not finite or too large to be squared."""
    try:
        number = float(label)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) <= LARGEST else None


def _fits(quality: Classification) -> bool:
    """Whether the confusion fits a record: with hundreds of classes it has cells by the hundred thousand."""
    names = [width(name) for name in (*quality.classes, "(other)")]
    return len(names) * (sum(names) + 12 * len(names)) < MAX_BYTES


def _alike(last: QualityReported, report: QualityReported, unmeasured: bool) -> bool:
    """Whether two reports say the same but for when they were made; one without metrics takes none back."""
    skip = {"as_of", "revision"} | ({"metrics", "confusion", "final"} if unmeasured else set())
    return all(getattr(last, f) == getattr(report, f) for f in report.__struct_fields__ if f not in skip)
