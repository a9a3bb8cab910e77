"""What a record must be like to be joined. What is refused is refused whole, and changes nothing.

The last part of a ``prediction_id`` is a number: ``….01`` and ``….1`` name one row, and outcomes say ``….1``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import compress

import msgspec
from contracts.events import GroundTruthReceived, Label, PredictionsMade

from feedback.domain.ids import is_prediction_id
from feedback.domain.size import too_wide
from feedback.domain.truth import MAX_TRUTH

MAX_NAME = 500  # characters of a model's or version's name
_MIN_TIME, _MAX_TIME = -(2**53), 2**53 - 1  # ms that every reader of JSON can hold, and any sum of them
_MIN_INT, _MAX_INT = -(2**63), 2**63 - 1
_LEADING_ZERO = re.compile(r"\.0[0-9]")


class Refused(ValueError):
    """A record that cannot be joined; the message says why."""


class Labels(msgspec.Struct):
    """Labels as columns, checked; ``offsets`` are of their records, ``batches`` and ``rows`` are their ids in two."""

    offsets: list[int]
    ids: list[str]
    batches: list[str]
    rows: list[int]
    truths: list[Label]
    times: list[int]

    def where(self, chosen: Sequence[bool]) -> Labels:
        """The labels for which ``chosen`` is true."""
        columns = msgspec.structs.astuple(self)
        return Labels(*(list(compress(column, chosen)) for column in columns))


def check_batch(made: PredictionsMade, size: int) -> bytes:
    """The bytes of a batch's id; ``size`` is that of the encoded record. Raises :class:`Refused`."""
    batch_id = made.batch_id
    try:
        key = bytes.fromhex(batch_id)
    except ValueError:
        key = b""
    if len(key) != 16 or key.hex() != batch_id:
        raise Refused(f"batch_id {batch_id[:80]!r} is not 32 lower-case hexadecimal digits")
    if max(len(made.model), len(made.version)) > MAX_NAME:
        raise Refused(f"a model or version has a name longer than {MAX_NAME} characters")
    if made.event_time and not _MIN_TIME <= min(made.event_time) <= max(made.event_time) <= _MAX_TIME:
        raise Refused("an event_time does not fit 53 bits")
    if too_wide(made, size):
        raise Refused("a row is too wide for an outcome")
    return key


def check_labels(
    records: Sequence[tuple[int, GroundTruthReceived]],
) -> tuple[Labels, list[tuple[int, str]]]:
    """The labels of records (offset, event) in their order, and the offsets of those refused, with reasons."""
    try:
        return _columns(records), []
    except Refused:
        pass
    good: list[tuple[int, GroundTruthReceived]] = []
    refused: list[tuple[int, str]] = []
    for offset, event in records:
        try:
            _check_each(event)
            good.append((offset, event))
        except Refused as error:
            refused.append((offset, str(error)))
    return _columns(good), refused


def _columns(records: Sequence[tuple[int, GroundTruthReceived]]) -> Labels:
    """All labels at once, column by column: row by row, checking would cost as much as joining."""
    labels = Labels([], [], [], [], [], [])
    for offset, event in records:
        labels.offsets += [offset] * len(event.prediction_id)
        labels.ids += event.prediction_id
        labels.truths += event.truth
        labels.times += event.label_time
    if not labels.ids:
        return labels
    text = "\n".join(labels.ids)
    # Nothing but hexadecimal digits around one full stop an id, then 32 digits before it and a decimal number behind.
    if text.encode(errors="replace").translate(None, b"0123456789abcdef") != b"\n".join(
        [b"."] * len(labels.ids)
    ):
        raise Refused("an id has other characters")
    parts = text.replace(".", "\n").split("\n")
    labels.batches, numbers = parts[::2], parts[1::2]
    if set(map(len, labels.batches)) != {32} or not set(map(len, numbers)) <= {1, 2, 3, 4, 5, 6}:
        raise Refused("an id has another length")
    try:
        labels.rows = list(map(int, numbers))
    except ValueError:
        raise Refused("an id's row is not decimal") from None
    if _LEADING_ZERO.search(text):
        labels.ids = [f"{batch}.{row}" for batch, row in zip(labels.batches, labels.rows, strict=True)]
    if not _MIN_TIME <= min(labels.times) <= max(labels.times) <= _MAX_TIME:
        raise Refused("a label_time does not fit")
    if set(map(type, labels.truths)) == {str}:
        if max(map(len, labels.truths)) > MAX_TRUTH:  # type: ignore[arg-type]
            raise Refused("a truth is too long")
    elif not all(map(_is_truth, labels.truths)):
        raise Refused("a truth does not fit")
    return labels


def _check_each(event: GroundTruthReceived) -> None:
    """The same, with the reason."""
    for text, truth, label_time in zip(event.prediction_id, event.truth, event.label_time, strict=True):
        if not is_prediction_id(text):
            raise Refused(f"{text[:80]!r} is not a prediction_id")
        if not _is_truth(truth):
            raise Refused(f"the truth of {text} does not fit {MAX_TRUTH} characters or 64 bits")
        if not _MIN_TIME <= label_time <= _MAX_TIME:
            raise Refused(f"the label_time of {text} does not fit 53 bits")


def _is_truth(truth: Label) -> bool:
    if isinstance(truth, str):
        return len(truth) <= MAX_TRUTH
    return not isinstance(truth, int) or _MIN_INT <= truth <= _MAX_INT
