"""A predicted row as it waits for its truth, apart from its batch: what its outcome needs and no more.

Names do not go with each row. Rows of one version and of one set of names share a :class:`Shape`, which is kept once.
"""

from __future__ import annotations

from itertools import repeat
from typing import Any

import msgspec
from contracts.events import PredictionsMade

from feedback.domain.checks import Refused
from feedback.domain.truth import Known

_encode = msgspec.msgpack.Encoder().encode


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


def shape_of(made: PredictionsMade) -> Shape:
    """The shape of a batch's rows."""
    names = (tuple(columns or ()) for columns in (made.features, made.probabilities, made.vectors))
    return Shape(made.model, made.version, *names)


def encode_rows(offset: int, made: PredictionsMade) -> list[bytes]:
    """The rows of the batch in the record at ``offset``, each as a :class:`Row` on disk; raises :class:`Refused`."""
    columns = (made.probabilities, made.features, made.vectors)
    try:
        return [
            _encode((offset, time, prediction, *values))
            for time, prediction, *values in zip(
                made.event_time,
                made.predictions,
                *(zip(*named.values(), strict=True) if named else repeat(()) for named in columns),
                strict=False,  # what repeats does not end
            )
        ]
    except (OverflowError, ValueError) as error:  # whole numbers beyond 64 bits, text that is not UTF-8
        raise Refused(f"a value cannot be kept: {error}") from None
