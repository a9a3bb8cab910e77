"""The truth about one row: its first label makes it known, a later one that says otherwise corrects it.

Labels are taken in the order in which they were uploaded, which is that of their partition; the last one
stands. What is known never moves back in time: a correction counts from its own ``label_time`` or from that
of the truth it replaces, whichever is later. So a truth that was published is never unsaid, and everyone who
counts what was published as of a boundary counts alike.
"""

from __future__ import annotations

import msgspec
from contracts.events import Label
from summaries.labels import text

MAX_TRUTH = 1_000  # characters


class Known(msgspec.Struct, frozen=True, gc=False):
    """The truth that stands, since when, and how many stood before it."""

    truth: Label
    label_time: int
    revision: int = 0


def same(one: Label, other: Label) -> bool:
    """Whether two labels name one class or number: 5, 5.0 and "5" do; 1 and true do not."""
    return (type(one) is type(other) and one == other) or text(one) == text(other)


def take(known: Known | None, truth: Label, label_time: int) -> Known:
    """What is known after one more label; the very same object where it says nothing new.

    >>> first = take(None, "late", 5)
    >>> take(first, "late", 3) is first
    True
    >>> take(first, "on time", 3)
    Known(truth='on time', label_time=5, revision=1)
    """
    if known is None:
        return Known(truth, label_time)
    if same(known.truth, truth):
        return known
    return Known(truth, max(label_time, known.label_time), known.revision + 1)
