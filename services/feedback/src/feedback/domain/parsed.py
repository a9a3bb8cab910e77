"""What a block of lines holds: labels, and which lines are none."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any, Protocol

from feedback.domain.lines import MAX_LINE
from feedback.domain.uploads import Labels, Refused

TOO_LONG = f"the line is longer than {MAX_LINE} bytes"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that is no label: its number, from 1 as editors count, what is wrong and in which column."""

    line: int
    detail: str
    column: str | None = None

    @classmethod
    def of(cls, line: int, error: Refused) -> Rejection:
        """The rejection of a line for what was found in it."""
        return cls(line, error.detail, error.field)

    def to_dict(self) -> dict[str, Any]:
        """Without what is not known."""
        found = {"line": self.line, "field": self.column, "detail": self.detail}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Parsed:
    """``lines`` is how many were read, blank ones and the header too; ``of_label [N]`` the number of each label's line,
    empty where no line was rejected."""

    labels: Labels
    rejected: list[Rejection]
    lines: int
    of_label: list[int] = field(default_factory=list)

    def above(self, line: int) -> Labels:
        """The labels above a rejected line."""
        labels, n = self.labels, bisect_left(self.of_label, line)
        return Labels(labels.prediction_id[:n], labels.truth[:n], labels.label_time[:n])


class Parser(Protocol):
    """Reads one upload, block by block."""

    def parse(self, block: bytes, first_line: int, now: int) -> Parsed:
        """The labels of whole lines, of which the first has number ``first_line``.

        Raises :class:`Refused` where the upload cannot be read at all.
        """
        ...
