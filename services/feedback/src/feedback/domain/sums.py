"""Published panes of all partitions, and their sums."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from contracts.events import QualityPaneCounted

from feedback.domain.cells import Cell
from feedback.domain.panes import OTHER, PaneKey, order

MERGED = 512  # panes whose sum over the partitions is kept


class Sums:
    """Of each pane and partition the newest counts, packed; added up when they are asked for."""

    def __init__(self) -> None:
        self._panes: dict[PaneKey, dict[int, QualityPaneCounted]] = {}
        self._merged: OrderedDict[PaneKey, dict[str, Cell]] = OrderedDict()
        self._void: list[QualityPaneCounted] = []

    def absorb(self, pane: QualityPaneCounted, over: int) -> bool:
        """Take a pane's newer counts; False where they change nothing.

        Those are older or the same, or of a pane that begins before ``over``: nobody asks for it any more, and it was struck
        out, or should have been.
        """
        if pane.pane_start < over:
            self._void.append(pane)
            return False
        key = PaneKey.of(pane)
        partitions = self._panes.setdefault(key, {})
        held = partitions.get(pane.partition)
        if held is not None and order(pane) <= order(held):
            if pane.epoch < held.epoch:
                self._void.append(pane)
            return False
        if held is not None and held.epoch < pane.epoch:
            self._void.append(held)
        partitions[pane.partition] = pane
        self._merged.pop(key, None)
        return True

    def cells(self, key: PaneKey) -> dict[str, Cell]:
        """A pane's cells by value, of all partitions together; not to be changed."""
        merged = self._merged.get(key)
        if merged is None:
            merged = {}
            for pane in self._panes.get(key, {}).values():
                for value, data in pane.cells.items():
                    cell = Cell.from_bytes(data)
                    merged[value] = merged[value].merge(cell) if value in merged else cell
            self._merged[key] = merged
            while len(self._merged) > MERGED:
                self._merged.popitem(last=False)
        else:
            self._merged.move_to_end(key)
        return merged

    def sum(self, keys: Iterable[PaneKey]) -> dict[str, Cell]:
        """Several panes together."""
        total: dict[str, Cell] = {}
        for key in keys:
            for value, cell in self.cells(key).items():
                total[value] = total[value].merge(cell) if value in total else cell
        return total

    def forget(self, before: int) -> list[QualityPaneCounted]:
        """Let the panes go that begin before a moment; returns what is to be struck out of what was published.

        That is those panes, and what was said under epochs that are over: a pane's key holds the epoch, so it would
        stay on the topic and be taken for the pane once the newer record is gone.
        """
        over = [key for key in self._panes if key.start < before]
        gone, self._void = self._void, []
        for key in over:
            gone += self._panes.pop(key).values()
            self._merged.pop(key, None)
        return gone


def largest(cells: dict[str, Cell], count: int) -> dict[str, Cell]:
    """The values with the most predicted rows, the rest put together."""
    if len(cells) <= count:
        return cells
    ranked = sorted(cells, key=lambda value: (value == OTHER, -cells[value].predicted, value))
    kept = {value: cells[value] for value in ranked[:count] if value != OTHER}
    rest = Cell()
    for value, cell in cells.items():
        if value not in kept:
            rest = rest.merge(cell)
    return {**kept, OTHER: rest}
