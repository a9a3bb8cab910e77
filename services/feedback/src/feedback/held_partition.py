"""A partition that a worker joins: its state, what is out, and what is to be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from contracts.events import OutcomesJoined

from feedback.domain.misplaced import Rerouted
from feedback.domain.panes import Panes, Position
from feedback.domain.partition_join import PartitionJoin
from feedback.domain.rows import Joined
from feedback.domain.spilled import Spilled


@dataclass
class Published:
    """Outcomes that are on the topic: ``told`` is the offset before which all come from records before the position.

    The last holder may have published more than it told. What that was, ``revision`` by id, is not published again; and
    ``told`` stays where it is until each of them has been met, or all is read (``until``) that it can have read.
    """

    told: int
    end: int
    revision: dict[str, int]
    until: Position

    def met(self, joined: Iterable[Joined]) -> None:
        """Rows are joined again whose outcomes the last holder may have published."""
        if self.revision:
            for j in joined:
                if j.after.revision >= self.revision.get(j.prediction_id, j.after.revision + 1):
                    del self.revision[j.prediction_id]

    def reached(self, position: Position) -> None:
        """So far all is read and published."""
        if not self.revision:
            self.told = self.end
        elif position.covers(self.until):
            self.told, self.revision = self.end, {}


@dataclass
class HeldPartition:
    """A partition that this worker joins."""

    epoch: int
    spilled: Spilled
    join: PartitionJoin
    panes: Panes
    position: Position
    outcomes: Published
    clocks: dict[str, int]
    rerouted: Rerouted
    behind: int  # offset in quality-panes
    said: list[OutcomesJoined] = field(default_factory=list)  # to be published with the chunk
