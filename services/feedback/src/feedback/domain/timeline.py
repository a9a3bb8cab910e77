"""The truth about one row as it was known over time: the last word wins, by (label_time, offset)."""

from __future__ import annotations

from bisect import bisect_right

import msgspec
from contracts.events import Label
from summaries.labels import text


class Known(msgspec.Struct, frozen=True, gc=False):
    """One label: the truth, when it became known, and where it stands in its partition."""

    truth: Label
    label_time: int
    offset: int


Timeline = tuple[Known, ...]  # ascending by (label_time, offset)
Step = tuple[
    int, Label | None, Label
]  # label_time, the truth before (None: there was none), the truth from then on


def same(one: Label, other: Label) -> bool:
    """Whether two labels name one class or number: 5, 5.0 and "5" do."""
    return one == other or text(one) == text(other)


def insert(timeline: Timeline, label: Known) -> Timeline:
    """The timeline with one more label; the very same object where the label adds nothing.

    >>> one = insert((), Known("late", 5, 0))
    >>> insert(one, Known("late", 5, 7)) is one
    True
    >>> [k.truth for k in insert(one, Known("on time", 3, 8))]
    ['on time', 'late']
    """
    if not timeline:
        return (label,)
    at = bisect_right(timeline, (label.label_time, label.offset), key=lambda k: (k.label_time, k.offset))
    if at and timeline[at - 1].label_time == label.label_time and same(timeline[at - 1].truth, label.truth):
        return timeline
    return (*timeline[:at], label, *timeline[at:])


def steps(timeline: Timeline) -> list[Step]:
    """Each moment at which the known truth changes.

    >>> steps((Known("a", 1, 0), Known("a", 2, 1), Known("b", 3, 2)))
    [(1, None, 'a'), (3, 'a', 'b')]
    """
    found: list[Step] = []
    before: Label | None = None
    for known in timeline:
        if before is None or not same(before, known.truth):
            found.append((known.label_time, before, known.truth))
            before = known.truth
    return found
