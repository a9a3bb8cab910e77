"""A predicted row as it waits for its truth, apart from its batch: what its outcome needs and no more.

Names do not go with each row. Rows of one version and of one set of names share a :class:`Shape`, which is kept once.
"""

from __future__ import annotations

from typing import Any

import msgspec

from feedback.domain.truth import Known


class Shape(msgspec.Struct, frozen=True):
    """Whose row it is, and what its columns are called, in the order of the values in a :class:`Row`."""

    model: str
    version: str
    features: tuple[str, ...]
    classes: tuple[str, ...]
    vectors: tuple[str, ...]


class Row(msgspec.Struct, array_like=True, gc=False):
    """One row; ``offset`` is that of its batch's record in ``predictions``. On disk it is an array of MessagePack.

    ``prediction`` is a label, ``features`` hold values, ``vectors`` lists of numbers or None: whoever made the batch
    has checked them, and checking them at each reading would cost more than reading.
    """

    offset: int
    event_time: int
    prediction: Any
    probabilities: tuple[Any, ...]  # tuples: the garbage collector need not look at them again and again
    features: tuple[Any, ...]
    vectors: tuple[Any, ...]


class Joined(msgspec.Struct, frozen=True, gc=False):
    """A row whose truth became known (``before`` is None) or was corrected.

    ``offset`` is that of the label's record in ``ground-truth``, ``row.offset`` that of the batch in ``predictions``.
    """

    prediction_id: str
    shape: Shape
    row: Row
    before: Known | None
    after: Known
    offset: int
