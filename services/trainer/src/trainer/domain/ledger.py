"""The ledger holds the training log in memory: every outcome once, asked for as it was known at a boundary."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from contracts.events import OutcomesJoined
from numpy.typing import NDArray

from trainer.domain.columns import Array, Column, Labels
from trainer.domain.times import EventTimes


@dataclass(frozen=True)
class Rows:
    """Labelled rows in one deterministic order: oldest first, ties by content."""

    prediction_id: NDArray[np.str_]
    event_time: NDArray[np.int64]
    label_time: NDArray[np.int64]
    features: dict[str, Array]
    truth: Array

    def __len__(self) -> int:
        return len(self.event_time)

    def take(self, mask: Array) -> Rows:
        """The rows of a mask or an index."""
        return Rows(
            self.prediction_id[mask],
            self.event_time[mask],
            self.label_time[mask],
            {name: column[mask] for name, column in self.features.items()},
            self.truth[mask],
        )

    def numeric(self) -> Rows:
        """The same with numbers for truth, as a regression needs them; raises ``ValueError`` naming a row."""
        if self.truth.dtype != object:
            return self
        numbers = np.array([_number(truth) for truth in self.truth.tolist()], dtype=np.float64)
        for row in np.flatnonzero(~np.isfinite(numbers))[:1]:
            raise ValueError(
                f"the truth of {self.prediction_id[row]} is {self.truth[row]!r}, which is no number: correct it"
            )
        return replace(self, truth=numbers)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


class Ledger:
    """Outcomes by arrival. A record received twice changes nothing; a correction replaces its row from its
    own label time on. It knows no task: see :class:`Labels` for how the truth comes back."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._seen: set[str | tuple[str, int]] = set()
        self._times: dict[str, Column] = {"event": Column(), "label": Column(), "revision": Column()}
        self._version = Column()
        self._truth = Labels()
        self._features: dict[str, Column] = {}
        self._first = EventTimes()  # of rows, not of their corrections
        self._corrections = 0

    def __len__(self) -> int:
        return len(self._ids)

    def update(self, outcomes: OutcomesJoined) -> None:
        """Take in the rows not seen before, all of them or none.

        Raises ``TypeError`` or ``ValueError`` for a record that does not fit what is here; it leaves no trace.
        """
        new: set[str | tuple[str, int]] = set()
        fresh = []
        for row, (name, revision) in enumerate(zip(outcomes.prediction_id, outcomes.revision, strict=True)):
            key = (name, revision) if revision else name
            if key not in self._seen and key not in new:
                new.add(key)
                fresh.append(row)
        if not fresh:
            return

        def of(values: Sequence[Any]) -> list[Any]:
            return [values[row] for row in fresh]

        features = dict(self._features)
        for name in outcomes.features:
            if name not in features:  # a field that a later version brought: missing before
                features[name] = Column()
                features[name].update([None] * len(self._ids))
        gap = [None] * len(outcomes.prediction_id)
        columns = [
            *((column, outcomes.features.get(name, gap)) for name, column in features.items()),
            (self._times["event"], outcomes.event_time),
            (self._times["label"], outcomes.label_time),
            (self._times["revision"], outcomes.revision),
            (self._version, [outcomes.version] * len(outcomes.prediction_id)),
        ]
        # All is coded before anything is kept.
        coded = [(column, column.code(of(values))) for column, values in columns]
        truth = self._truth.code(of(outcomes.truth))
        for column, numbers in coded:
            column.append(numbers)
        self._truth.append(truth)
        self._features = features
        self._ids.extend(of(outcomes.prediction_id))
        self._seen |= new
        first = [row for row in fresh if not outcomes.revision[row]]
        self._corrections += len(fresh) - len(first)
        self._first.update(
            [outcomes.event_time[row] for row in first], [outcomes.label_time[row] for row in first]
        )

    def _time(self, name: str) -> NDArray[np.int64]:
        return self._times[name].get(slice(None)).astype(np.int64)  # type: ignore[arg-type]

    def labelled(self, start: int, end: int, as_of: int) -> int:
        """How many rows of the window [start, end) had their first label before ``as_of``."""
        return self._first.count(start, end, as_of)

    def count(self, since: int, until: int, as_of: int) -> int:
        """How many rows :meth:`get` gives from ``since`` on."""
        return self._first.count(since, until, as_of)

    def snapshot(self) -> Ledger:
        """The rows so far, to :meth:`get` them in a thread while this ledger takes in more; it shares its columns' memory."""
        taken = copy(self)
        taken._ids = self._ids.copy()
        taken._times = {name: column.snapshot() for name, column in self._times.items()}
        taken._features = {name: column.snapshot() for name, column in self._features.items()}
        taken._version, taken._truth = self._version.snapshot(), self._truth.snapshot()
        taken._seen, taken._first = set(), EventTimes()
        return taken

    def get(self, as_of: int, until: int, since: int | None = None, version: str | None = None) -> Rows:
        """Rows predicted before ``until``, and not before ``since``, whose label was known before ``as_of``; with
        ``version`` those that it answered.

        Two replays of one world differ in their ids only, hence ties of event time are ordered by content.
        """
        index, event, label = self._known(as_of, until, since)
        if version is not None:
            index = index[self._version.get(index) == version]
        ids = np.array([self._ids[i] for i in index], dtype=np.str_)
        content = [self._features[name].rank(index) for name in sorted(self._features)]
        keys = (ids, self._truth.rank(index), *content, label[index], event[index])
        order = np.lexsort(keys)  # the last key is the first to sort by
        index = index[order]
        return Rows(
            ids[order],
            event[index],
            label[index],
            {name: column.get(index) for name, column in self._features.items()},
            self._truth.get(index),
        )

    def truth(self, as_of: int, until: int, since: int | None = None) -> Array:
        """The truth of the rows that :meth:`get` gives, in whatever order."""
        return self._truth.get(self._known(as_of, until, since)[0])

    def _known(
        self, as_of: int, until: int, since: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Where the rows are that are asked for; the event and the label times of all."""
        event, label = self._time("event"), self._time("label")
        asked = (label < as_of) & (event < until)
        index = np.flatnonzero(asked if since is None else asked & (event >= since))
        if self._corrections:
            revision = self._time("revision")
            newest: dict[str, int] = {}
            for i in index:
                other = newest.get(self._ids[i])
                if other is None or revision[i] > revision[other]:
                    newest[self._ids[i]] = int(i)
            index = np.array(sorted(newest.values()), dtype=np.int64)
        return index, event, label
