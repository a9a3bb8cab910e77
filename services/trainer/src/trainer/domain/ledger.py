"""The training log in memory: every outcome once, asked for as it was known at a boundary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from contracts.events import OutcomesJoined
from numpy.typing import NDArray

from trainer.domain.columns import Array, Column


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


class Ledger:
    """Outcomes by arrival. A record received twice changes nothing; a correction replaces its row from its
    own label time on."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._seen: set[str | tuple[str, int]] = set()
        self._times: dict[str, Column] = {"event": Column(), "label": Column(), "revision": Column()}
        self._truth = Column()
        self._features: dict[str, Column] = {}
        self._corrections = 0

    def __len__(self) -> int:
        return len(self._ids)

    def update(self, outcomes: OutcomesJoined) -> None:
        """Take in the rows not seen before."""
        fresh = []
        for row, (name, revision) in enumerate(zip(outcomes.prediction_id, outcomes.revision, strict=True)):
            key = (name, revision) if revision else name
            if key not in self._seen:
                self._seen.add(key)
                fresh.append(row)
                self._corrections += revision > 0
        if not fresh:
            return
        for name in outcomes.features:
            if name not in self._features:  # a field that a later version brought: missing before
                self._features[name] = Column()
                self._features[name].update([None] * len(self._ids))
        for name, column in self._features.items():
            values = outcomes.features.get(name)
            column.update([values[row] for row in fresh] if values is not None else [None] * len(fresh))
        self._ids.extend(outcomes.prediction_id[row] for row in fresh)
        self._times["event"].update(outcomes.event_time[row] for row in fresh)
        self._times["label"].update(outcomes.label_time[row] for row in fresh)
        self._times["revision"].update(outcomes.revision[row] for row in fresh)
        self._truth.update(outcomes.truth[row] for row in fresh)

    def _time(self, name: str) -> NDArray[np.int64]:
        return self._times[name].get(slice(None)).astype(np.int64)  # type: ignore[arg-type]

    def labelled(self, windows: Sequence[tuple[int, int]], as_of: int) -> NDArray[np.int64]:
        """How many rows of each window [start, end) had their first label before ``as_of``."""
        first = (self._time("revision") == 0) & (self._time("label") < as_of)
        event = np.sort(self._time("event")[first])
        starts, ends = (np.array([w[i] for w in windows], dtype=np.int64) for i in (0, 1))
        return np.searchsorted(event, ends) - np.searchsorted(event, starts)

    def count(self, since: int, until: int, as_of: int) -> int:
        """How many rows :meth:`get` gives from ``since`` on."""
        event = self._time("event")
        first = (self._time("revision") == 0) & (self._time("label") < as_of)
        return int((first & (event >= since) & (event < until)).sum())

    def get(self, as_of: int, until: int) -> Rows:
        """Rows predicted before ``until`` whose label was known before ``as_of``.

        Two replays of one world differ in their ids only, hence ties of event time are ordered by content.
        """
        event, label, revision = self._time("event"), self._time("label"), self._time("revision")
        index = np.flatnonzero((label < as_of) & (event < until))
        if self._corrections:
            newest: dict[str, int] = {}
            for i in index:
                other = newest.get(self._ids[i])
                if other is None or revision[i] > revision[other]:
                    newest[self._ids[i]] = int(i)
            index = np.array(sorted(newest.values()), dtype=np.int64)
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
