"""Concept drift of one model: its labelled rows in one order, boundary by boundary, through a detector a version.

As of a boundary B go the first labels with ``label_time < B``, those not taken before, ordered by label time, event
time and content: the order in which they arrived does not show. When all of them are here is the caller's question.
What a boundary took is told by its report, up to which offset of each partition; a restart takes in the same,
and a label that came to the log after its boundary was decided goes to the next one, in both. Rows of a version that
does not serve then are left out.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from contracts.codec import derived_id
from contracts.events import AlertChanged, ConceptTested, Label, OutcomesJoined
from summaries.labels import text

from drift_monitor.domain.detectors import BINARY, Detector, Unsuitable
from drift_monitor.domain.errors import Errors, Rise, Row

KIND = "real"
_encoder = msgspec.json.Encoder()
LARGEST = 1e150  # of a regression: larger numbers are left out, as in the quality reports


class Labelled(NamedTuple):
    """A row with its truth, as rows are ordered.

    Two replays of one world differ in their ids only, so ids say nothing here; nor does the error, which would sort
    rows of one moment into a run of right ones and a run of wrong ones. Hence a digest of the content.
    """

    label_time: int
    event_time: int
    digest: bytes
    partition: int
    offset: int
    version: str
    predicted: Label
    truth: Label


class Served(NamedTuple):
    """Who served a boundary's window, the task of that version, and the virtual alert open after it.

    ``task`` is None where the version's profile cannot be read: its errors are not judged.
    """

    version: str
    task: str | None
    virtual: str | None = None


@dataclass(frozen=True)
class Concluded:
    """What a boundary says, in the order of publication."""

    as_of: int
    alerts: list[AlertChanged] = field(default_factory=list)
    report: ConceptTested | None = None


class Concept:
    """The errors of the version that serves, and its real alert."""

    def __init__(self, model: str, detector: str, make: Callable[[], Detector]) -> None:
        self.model, self.detector, self._make = model, detector, make
        self.last: ConceptTested | None = None
        self.decided_through: int | None = None
        self._version: str | None = None
        self._errors: Errors | None = None  # of that version
        self._rise: Rise | None = None  # its first
        self._waiting: list[Labelled] = []  # a heap
        self._seen: set[bytes] = set()
        self._words: set[int] = set()
        self._offsets: dict[int, int] = {}
        self._told: dict[int, ConceptTested] = {}
        self._told_last: str | None = None

    # --- what it learns

    def restore(self, reports: Iterable[ConceptTested]) -> None:
        """What was said before a restart is not said again, nor otherwise."""
        self._told |= {report.as_of: report for report in reports}
        self._told_last = self._told[max(self._told)].version if self._told else None

    def take(self, partition: int, offset: int, outcomes: OutcomesJoined) -> None:
        """Take in a record, whole or not at all: first labels only, each once.

        Raises ``ValueError`` where the record is not what it should be.
        """
        rows: dict[bytes, Labelled] = {}
        labels = outcomes.predictions, outcomes.truth
        content: Iterable[Any] = zip(
            *(outcomes.features[name] for name in sorted(outcomes.features)), *labels, strict=True
        )
        columns = outcomes.prediction_id, outcomes.revision, outcomes.label_time, outcomes.event_time, *labels
        for row, name, revision, label_time, event_time, predicted, truth in zip(
            content, *columns, strict=True
        ):
            key = _digest(name)
            if revision == 0 and key not in self._seen and key not in rows:
                at = label_time, event_time, _digest(row), partition, offset
                rows[key] = Labelled(*at, outcomes.version, predicted, truth)
        self._seen.update(rows)
        for labelled in rows.values():
            heapq.heappush(self._waiting, labelled)

    def word(self, as_of: int) -> None:
        """Feedback has said all that it has to say as of a boundary."""
        if self.decided_through is None or as_of > self.decided_through:
            self._words.add(as_of)

    # --- what it decides

    def next(self) -> int | None:
        """The oldest boundary to decide."""
        return min(self._words, default=None)

    def told(self, as_of: int) -> ConceptTested | None:
        """What was said as of a boundary before a restart."""
        return self._told.get(as_of)

    def matters(self, as_of: int) -> bool:
        """Whether a boundary's errors are needed: not where another version served the last one that was told."""
        told = self._told.get(as_of)
        return told is None or told.version == self._told_last

    def decide(self, as_of: int, window: int, served: Served | None) -> Concluded:
        """Decide a boundary whose rows are all here; :meth:`commit` it once it is published.

        ``served`` is what the report of its window says, which is ``window`` long, or what was told before a restart;
        then that stands. Raises :class:`Unsuitable` where the detector cannot judge errors of this kind.
        """
        told = self._told.get(as_of)
        if served is not None and served.task == "regression" and self.detector in BINARY:
            raise Unsuitable(
                f"{self.detector} judges right and wrong only, and {self.model} version {served.version} is a "
                f"regression: adwin, page-hinkley and none can be used"
            )
        if served is None:
            return Concluded(as_of)
        version, due = served.version, self._due(as_of, told)
        if version != self._version or not self.matters(as_of):
            self._version, self._errors, self._rise = version, None, None
        errors = self._feed(due, served, window) if self.matters(as_of) else []
        if told is not None:
            return Concluded(as_of, [], told)
        alerts, before = [], self.last
        if before is not None and before.version != version:
            if before.alert_id is not None:
                answer = f"{before.state} -> ok: version {version} serves"
                closed = self._alert(before.version, before.since or as_of, as_of - window, as_of)
                alerts.append(msgspec.structs.replace(closed, state="ok", previous="drift", reason=answer))
            before = None
        since, alert_id = (before.since, before.alert_id) if before else (None, None)
        if alert_id is None and self._rise is not None:
            since = self._rise.first.event_time
            opened = self._alert(version, since, as_of - window, as_of)
            alert_id = opened.alert_id
            offsets = {str(partition): offset for partition, offset in sorted(self._rise.offsets.items())}
            reason = f"ok -> drift: {_words(self._rise)}"
            reason += f"; virtual too ({served.virtual})" if served.virtual else ""
            alerts.append(msgspec.structs.replace(opened, offsets=offsets, reason=reason))
        report = ConceptTested(
            model=self.model,
            version=version,
            as_of=as_of,
            detector=self.detector,
            rows=self._errors.rows if self._errors else 0,
            error=math.fsum(errors) / len(errors) if errors else None,
            state="drift" if alert_id else "ok",
            alert_id=alert_id,
            since=since,
            offsets={str(partition): offset for partition, offset in sorted(self._offsets.items())},
        )
        return Concluded(as_of, alerts, report)

    def commit(self, concluded: Concluded) -> None:
        """What was decided is published."""
        self.decided_through = concluded.as_of
        self._words = {as_of for as_of in self._words if as_of > concluded.as_of}
        self._told.pop(concluded.as_of, None)
        if concluded.report is not None:
            self.last = concluded.report

    # --- how

    def _due(self, as_of: int, told: ConceptTested | None) -> list[Labelled]:
        """The rows that belong to a boundary, in order."""
        due, later = [], []
        while self._waiting and self._waiting[0].label_time < as_of:
            row = heapq.heappop(self._waiting)
            if told is not None and row.offset >= told.offsets.get(str(row.partition), 0):
                later.append(row)  # came after the boundary was decided
                continue
            due.append(row)
            self._offsets[row.partition] = max(row.offset + 1, self._offsets.get(row.partition, 0))
        for row in later:
            heapq.heappush(self._waiting, row)
        return due

    def _feed(self, due: list[Labelled], served: Served, window: int) -> list[float]:
        """The serving version's rows to its detector, which is new where the version is; returns the errors."""
        if self._errors is None:
            regression = served.task == "regression"
            self._errors = Errors(self._make(), regression=regression, comparable=window)
        errors = []
        for row in due:
            error = _error(row, served.task) if row.version == served.version else None
            if error is None:
                continue
            errors.append(error)
            rise = self._errors.update(Row(row.event_time, row.partition, row.offset, error))
            self._rise = self._rise or rise
        return errors

    def _alert(self, version: str, since: int, start: int, end: int) -> AlertChanged:
        """An alert that opens, without its reason."""
        return AlertChanged(
            alert_id=derived_id(self.model, version, KIND, since),
            model=self.model,
            version=version,
            kind="real",
            state="drift",
            previous="ok",
            since=since,
            window_start=start,
            window_end=end,
            features={},
            offsets={},
            reason="",
        )


def _digest(content: object) -> bytes:
    return blake2b(_encoder.encode(content), digest_size=8).digest()


def _error(row: Labelled, task: str | None) -> float | None:
    """1 for a wrong class, or the absolute error; None where it cannot be said."""
    if task is None:
        return None
    try:
        if task != "regression":
            return float(text(row.predicted) != text(row.truth))
        a, b = float(row.predicted), float(row.truth)
    except (ValueError, OverflowError):
        return None
    return abs(a - b) if abs(a) <= LARGEST and abs(b) <= LARGEST else None


def _words(rise: Rise) -> str:
    """A rise for people."""
    return f"error {rise.before:.3g} -> {rise.after:.3g} over {rise.rows} labelled rows"
