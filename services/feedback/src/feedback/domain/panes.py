"""Quality of one partition, counted into panes of prediction time and of label time.

A pane of prediction time holds how many rows were predicted in it and, by the pane in which their truth became known, how
good they were: summed up to a boundary of label time that is what a window's report says as of it. A pane of label time
holds what became known in it, whenever it was predicted. A correction takes the row out with its old truth and counts
it with the new one, both from the correction's label time on; in label time the row leaves the pane that had it.

What is published is cumulative. Whoever takes a partition over may find panes that were published after the position it
goes on from: rows that are in them are passed over, as their offsets show. It must read as far as ``ahead`` says before
it publishes any: a pane says of itself that it holds what comes of all records before one position, no less and no more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import chain
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from contracts.events import PredictionsMade, QualityPaneCounted
from numpy.typing import NDArray
from summaries.delays import LONGEST, Delays
from summaries.labels import text

from feedback.domain.cells import FOLDED, Cell, Classes, Rows, Tally, count_each
from feedback.domain.rows import Joined, Shape
from feedback.domain.windows import Windows

PREDICTIONS, GROUND_TRUTH = "predictions", "ground-truth"
ALL = ""  # the value of no feature: all rows
LONGEST_NAME = 80  # characters of a value; of longer ones a digest goes along
OTHER, MISSING = "(other)", "(missing)"
UNPACKED = 16  # panes of a partition that stay in memory as they are
By = Literal["prediction", "label"]
Ints = NDArray[np.int64]
Cells = dict[str, Cell]
Packed = dict[str, bytes]
Load = Callable[["PaneKey"], Packed | None]
Save = Callable[[Mapping["PaneKey", Packed]], None]


class PaneKey(NamedTuple):
    """Which pane. Sorts by model, version and time."""

    model: str
    version: str
    by: By
    start: int
    feature: str

    @classmethod
    def of(cls, pane: QualityPaneCounted) -> PaneKey:
        """The key of a published pane."""
        return cls(pane.model, pane.version, pane.by, pane.pane_start, pane.feature)


class Position(NamedTuple):
    """The offset of the record to be read next, of each topic."""

    predictions: int = 0
    labels: int = 0

    @classmethod
    def of(cls, positions: Mapping[str, int]) -> Position:
        """From offsets by topic, 0 of one that is not named."""
        return cls(positions.get(PREDICTIONS, 0), positions.get(GROUND_TRUTH, 0))

    def by_topic(self) -> dict[str, int]:
        """What :meth:`of` reads.

        >>> Position.of({"predictions": 5}).by_topic()
        {'predictions': 5, 'ground-truth': 0}
        """
        return {PREDICTIONS: self.predictions, GROUND_TRUTH: self.labels}

    def at(self, topic: str) -> int:
        """The offset of one topic."""
        return self.predictions if topic == PREDICTIONS else self.labels

    def moved(self, topic: str, offset: int) -> Position:
        """With another offset of one topic."""
        return self._replace(**{"predictions" if topic == PREDICTIONS else "labels": offset})

    def covers(self, other: Position) -> bool:
        """Whether it is as far as another in both topics."""
        return self.predictions >= other.predictions and self.labels >= other.labels


def order(pane: QualityPaneCounted) -> tuple[int, int]:
    """Of a pane's records the one that is highest in this order holds."""
    return pane.epoch, sum(pane.positions.values())


class Segments(NamedTuple):
    """Features by whose values quality is told, and how many values are told apart in a partition's pane."""

    features: tuple[str, ...] = ()
    values: int = 200

    def of(self, value: object, cells: Cells) -> str:
        """The cell a value belongs to; once a pane has enough of them, any new one is another."""
        name = MISSING if value is None or value != value else text(value) or MISSING
        if len(name) > LONGEST_NAME:
            name = f"{name[:LONGEST_NAME]}… ({blake2b(name.encode(), digest_size=4).hexdigest()})"
        return name if name in cells or len(cells) < self.values else OTHER


class Into(NamedTuple):
    """Rows, by number, and which of ``tallies`` each goes to; None: all of them."""

    rows: Ints | None
    groups: Ints
    tallies: list[Tally]

    def add(self, rows: Rows, classes: Classes, delays: Ints | None) -> None:
        """Count rows; ``delays`` are given with first labels only, as a correction does not change them."""
        count_each(self.tallies, self.groups, self._part(rows), classes)
        if delays is not None:
            self.labelled(1)
            late = delays if self.rows is None else delays[self.rows]
            Delays.update_each([t.delays for t in self.tallies], self.groups, late)
            return
        for tally, count in self._counts():
            tally.corrections += count

    def take(self, rows: Rows, classes: Classes) -> None:
        """Take rows out."""
        count_each(self.tallies, self.groups, self._part(rows), classes, -1)

    def labelled(self, sign: int) -> None:
        """Count how many there are."""
        for tally, count in self._counts():
            tally.labelled += sign * count

    def _counts(self) -> Iterable[tuple[Tally, int]]:
        return zip(self.tallies, np.bincount(self.groups, minlength=len(self.tallies)).tolist(), strict=True)

    def _part(self, rows: Rows) -> Rows:
        if self.rows is None:
            return rows
        kept = self.rows.tolist()
        return Rows(
            [rows.truth[i] for i in kept], [rows.predicted[i] for i in kept], rows.probabilities[self.rows]
        )


def _distinct(*columns: Ints) -> tuple[list[tuple[int, ...]], Ints]:
    """The distinct rows of columns of whole numbers, and for each row which of them it is.

    >>> _distinct(np.array([5, 3, 5]), np.array([0, 0, 0]))
    ([(3, 0), (5, 0)], array([1, 0, 1]))
    """
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        kinds, which = np.unique(column, return_inverse=True)
        code = code * len(kinds) + which
    _, first, groups = np.unique(code, return_index=True, return_inverse=True)
    picked = [column[first].tolist() for column in columns]
    return list(zip(*picked, strict=True)), groups


class Panes:
    """The panes of one partition; ``load`` and ``save`` keep those packed that are not in use."""

    def __init__(self, windows: Windows, horizon: int, segments: Segments, load: Load, save: Save) -> None:
        self.windows, self.horizon, self.segments = windows, horizon, segments
        self.decided: int | None = None
        # Rows that came, or were labelled, when their pane was over: they are in no window.
        self.uncounted = 0
        self._load, self._save = load, save
        self._open: OrderedDict[PaneKey, Cells] = OrderedDict()
        self._touched: dict[PaneKey, None] = {}
        self._ahead: dict[PaneKey, Position] = {}

    def restore(self, published: Iterable[QualityPaneCounted], position: Position) -> None:
        """Go on from published panes where ``position`` is what has been told of the partition."""
        panes = {PaneKey.of(pane): pane for pane in published}
        self._save({key: pane.cells for key, pane in panes.items()})
        for key, pane in panes.items():
            at = Position.of(pane.positions)
            if not position.covers(at):
                self._ahead[key] = at

    @property
    def ahead(self) -> Position:
        """How far to read before anything is published."""
        found = self._ahead.values()
        return Position(
            max((at.predictions for at in found), default=0), max((at.labels for at in found), default=0)
        )

    def predict(self, offset: int, made: PredictionsMade) -> None:
        """Count a batch of predicted rows."""
        classes = tuple(made.probabilities or ())
        scores = list(zip(*(made.probabilities or {}).values(), strict=True))
        by_pane: dict[int, list[int]] = {}
        for i, time in enumerate(made.event_time):
            by_pane.setdefault(self.windows.pane_of(time), []).append(i)
        for start, rows in by_pane.items():
            if self._is_over(start):
                self.uncounted += len(rows)
                continue
            whole = len(rows) == len(made.event_time)
            predicted = made.predictions if whole else [made.predictions[i] for i in rows]
            given = (scores if whole else [scores[i] for i in rows]) if classes else []
            for feature, cells in self._cells(made.model, made.version, start, offset):
                if feature == ALL:
                    _cell(cells, ALL).predict(classes, predicted, given)
                    continue
                column = made.features.get(feature)
                given_values = [column[i] for i in rows] if column else None
                for value, part in self._parts(cells, given_values, len(rows)).items():
                    _cell(cells, value).predict(
                        classes, [predicted[i] for i in part], [given[i] for i in part] if classes else []
                    )

    def update(self, joined: Sequence[Joined]) -> None:
        """Count rows whose truth became known or was corrected."""
        # A shape is one object for many rows, and costs some to compare.
        parts: dict[tuple[int, bool], list[Joined]] = {}
        over = self._over
        for j in joined:
            first = j.before is None
            if j.row.event_time < over:
                self.uncounted += first
            else:
                parts.setdefault((id(j.shape), first), []).append(j)
        for (_, first), rows in parts.items():
            self._count(rows[0].shape, rows, first)

    def publish(self, partition: int, epoch: int, position: Position) -> list[QualityPaneCounted]:
        """The panes that changed since the last call, and what has moved out of memory is saved."""
        positions = position.by_topic()
        told, saved = [], {}
        for key in self._touched:
            cells = self._open[key]
            if key.by == "prediction" and self.decided is not None:
                for cell in cells.values():
                    cell.fold(self.decided)
            packed = {value: cell.to_bytes() for value, cell in cells.items()}
            saved[key] = packed
            told.append(
                QualityPaneCounted(
                    model=key.model,
                    version=key.version,
                    partition=partition,
                    epoch=epoch,
                    by=key.by,
                    pane_start=key.start,
                    feature=key.feature,
                    positions=positions,
                    cells=packed,
                )
            )
        if saved:
            self._save(saved)
        self._touched.clear()
        while len(self._open) > UNPACKED:
            self._open.popitem(last=False)
        self._ahead = {key: at for key, at in self._ahead.items() if not position.covers(at)}
        return told

    # Within

    def _count(self, shape: Shape, rows: list[Joined], first: bool) -> None:
        """Count rows of one version: all with their first label, or all corrected."""
        panes_of = self.windows.panes_of
        times = np.array([j.row.event_time for j in rows], dtype=np.int64)
        heard = np.array([j.after.label_time for j in rows], dtype=np.int64)
        starts, known = panes_of(times), panes_of(heard)
        after = _columns(rows, "after")
        before = None if first else _columns(rows, "before", after)
        # Times of 53 bits may lie further apart than any delay that is counted.
        delays = np.clip(heard - times, -LONGEST, LONGEST) if first else None
        # What is decided already only counts together.
        together = known if self.decided is None else np.where(known < self.decided, FOLDED, known)
        for feature in (ALL, *self.segments.features):
            values = None if feature == ALL else self._values(shape, feature, starts.tolist(), rows)
            own = self._into(shape, "prediction", feature, rows, starts, values, together)
            own.add(after, shape.classes, delays)
            if before is not None:
                own.take(before, shape.classes)
        late = self._into(shape, "label", ALL, rows, known, None, known)
        late.add(after, shape.classes, delays)
        if before is not None:
            late.labelled(1)
            was = panes_of(np.array([j.before.label_time for j in rows if j.before], dtype=np.int64))
            earlier = self._into(shape, "label", ALL, rows, was, None, was)
            earlier.take(before, shape.classes)
            earlier.labelled(-1)

    def _into(
        self,
        shape: Shape,
        by: By,
        feature: str,
        rows: list[Joined],
        starts: Ints,
        values: list[str] | None,
        known: Ints,
    ) -> Into:
        """Where rows are counted, those left out that are in what was published already, or whose pane is over."""
        names = np.zeros(len(rows), dtype=np.int64)
        named = [ALL]
        if values is not None:
            index = {name: i for i, name in enumerate(dict.fromkeys(values))}
            named, names = list(index), np.array([index[value] for value in values], dtype=np.int64)
        places, groups = _distinct(starts, names, known)
        tallies, left = [], np.ones(len(rows), dtype=bool)
        for group, (start, name, at) in enumerate(places):
            key = PaneKey(shape.model, shape.version, by, start, feature)
            if by == "label" and self._is_over(start):
                left[groups == group] = False
                tallies.append(Tally())
                continue
            if published := self._ahead.get(key):
                for i in np.flatnonzero(groups == group).tolist():
                    j = rows[i]
                    left[i] = j.row.offset >= published.predictions or j.offset >= published.labels
            tallies.append(_cell(self._take(key), named[name]).tally(at))
        if left.all():
            return Into(None, groups, tallies)
        kept = np.flatnonzero(left)
        return Into(kept, groups[kept], tallies)

    def _values(self, shape: Shape, feature: str, starts: list[int], rows: list[Joined]) -> list[str]:
        """The cell of each row in the pane of its prediction."""
        if feature not in shape.features:
            return [MISSING] * len(rows)
        at = shape.features.index(feature)
        found = []
        for start, j in zip(starts, rows, strict=True):
            cells = self._take(PaneKey(shape.model, shape.version, "prediction", start, feature))
            name = self.segments.of(j.row.features[at], cells)
            _cell(cells, name)
            found.append(name)
        return found

    def _cells(self, model: str, version: str, start: int, offset: int) -> Iterable[tuple[str, Cells]]:
        for feature in (ALL, *self.segments.features):
            key = PaneKey(model, version, "prediction", start, feature)
            if key not in self._ahead or offset >= self._ahead[key].predictions:
                yield feature, self._take(key)

    def _parts(self, cells: Cells, column: Sequence[object] | None, n: int) -> dict[str, list[int]]:
        """Row numbers by the cell of their value; a feature that rows do not have is missing in all."""
        if column is None:
            return {MISSING: list(range(n))}
        parts: dict[str, list[int]] = {}
        for i, value in enumerate(column):
            name = self.segments.of(value, cells)
            _cell(cells, name)
            parts.setdefault(name, []).append(i)
        return parts

    def _take(self, key: PaneKey) -> Cells:
        """The cells of a pane, to be changed."""
        cells = self._open.get(key)
        if cells is None:
            packed = self._load(key)
            cells = {value: Cell.from_bytes(data) for value, data in packed.items()} if packed else {}
            self._open[key] = cells
        else:
            self._open.move_to_end(key)
        self._touched[key] = None
        return cells

    @property
    def _over(self) -> int:
        """Before this moment panes are over: two horizons after one nothing of it is known any more."""
        if self.decided is None:
            return -(2**63)
        return self.windows.pane_of(self.decided - 2 * self.horizon)

    def _is_over(self, start: int) -> bool:
        return start < self._over


def _cell(cells: Cells, value: str) -> Cell:
    found = cells.get(value)
    if found is None:
        found = cells[value] = Cell()
    return found


def _columns(rows: list[Joined], which: Literal["before", "after"], known: Rows | None = None) -> Rows:
    """Rows as columns; ``known`` are the same rows with another truth."""
    if which == "after":
        truth = [j.after.truth for j in rows]
    else:
        truth = [j.before.truth for j in rows if j.before is not None]
    if known is not None:
        return known._replace(truth=truth)
    values = list(chain.from_iterable([j.row.probabilities for j in rows]))
    scores = np.array(values, dtype=np.float64).reshape(len(rows), -1)
    return Rows(truth, [j.row.prediction for j in rows], scores)


def key_bytes(key: PaneKey) -> bytes:
    """The key as bytes that sort by the pane's start."""
    return start_bytes(key.start) + msgspec.msgpack.encode(key)


def start_bytes(start: int) -> bytes:
    """What the keys of panes begin with that begin at ``start``."""
    return (max(start, -(2**62)) + 2**63).to_bytes(8, "big")
