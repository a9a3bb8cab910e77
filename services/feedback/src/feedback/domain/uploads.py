"""An upload of labels: checked whole before anything is sent, then split by partition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from contracts.codec import partition_of
from contracts.events import GroundTruthReceived, Label

from feedback.domain.join import is_prediction_id
from feedback.domain.truth import MAX_TRUTH

FUTURE_MS = 5 * 60_000
_NO_TIME = "label_time must be an ISO 8601 time with offset, or milliseconds since 1970"  # as event_time
MAX_BYTES = 800_000  # estimated, of one record
_COLUMNS = ("prediction_id", "truth", "label_time")


class Refused(ValueError):
    """Labels that are not taken: what is wrong, in which field and, of many, which row."""

    def __init__(self, detail: str, field: str | None = None, row: int | None = None) -> None:
        super().__init__(detail)
        self.detail, self.field, self.row = detail, field, row


class Labels(msgspec.Struct):
    """Labels as columns, checked."""

    prediction_id: list[str]
    truth: list[Label]
    label_time: list[int]


def parse_one(body: bytes, now: int) -> Labels:
    """The one label of a body ``{"prediction_id", "truth", "label_time"?}``."""
    content = _object(body)
    return _rows([content], now, many=False)


def parse_many(body: bytes, now: int) -> Labels:
    """Labels as rows, ``{"labels": [{...}]}``, or columns, ``{"prediction_id": [], "truth": [], ...}``."""
    content = _object(body)
    if "labels" in content:
        if extra := sorted(set(content) - {"labels"}):
            raise Refused(f"unknown field {extra[0]!r} beside 'labels'", extra[0])
        rows = content["labels"]
        if not isinstance(rows, list) or not rows:
            raise Refused("'labels' is a list of at least one label", "labels")
        return _rows(rows, now, many=True)
    return _columns(content, now)


def split(labels: Labels, upload_id: str, partitions: int) -> list[tuple[int, GroundTruthReceived]]:
    """One event an upload and partition, or more where it would near Kafka's limit."""
    rows: dict[int, list[int]] = {}
    of_batch: dict[str, int] = {}
    for i, text in enumerate(labels.prediction_id):
        batch = text[:32]
        partition = of_batch.get(batch)
        if partition is None:
            partition = of_batch[batch] = partition_of(batch, partitions)
        rows.setdefault(partition, []).append(i)
    events = []
    for partition, chosen in sorted(rows.items()):
        part: list[int] = []
        size = 0
        for i in chosen:
            truth = labels.truth[i]
            width = 70 + (6 * len(truth) if isinstance(truth, str) else 24)
            if part and size + width > MAX_BYTES:
                events.append((partition, _event(labels, upload_id, part)))
                part, size = [], 0
            part.append(i)
            size += width
        events.append((partition, _event(labels, upload_id, part)))
    return events


def _event(labels: Labels, upload_id: str, rows: Sequence[int]) -> GroundTruthReceived:
    return GroundTruthReceived(
        upload_id=upload_id,
        prediction_id=[labels.prediction_id[i] for i in rows],
        truth=[labels.truth[i] for i in rows],
        label_time=[labels.label_time[i] for i in rows],
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:  # msgspec's own, text that is not UTF-8, lists in lists
        raise Refused(f"the body is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise Refused("the body is a JSON object")
    return content


def _rows(rows: Sequence[Any], now: int, *, many: bool) -> Labels:
    labels = Labels([], [], [])
    for i, row in enumerate(rows):
        at = i if many else None
        if not isinstance(row, dict):
            raise Refused("a label is a JSON object", "labels", at)
        for name in ("prediction_id", "truth"):
            if name not in row:
                raise Refused(f"{name} is missing", name, at)
        if len(row) > 2 + ("label_time" in row):
            extra = sorted(set(row) - set(_COLUMNS))[0]
            raise Refused(f"unknown field {extra!r}", extra, at)
        labels.prediction_id.append(_id(row["prediction_id"], at))
        labels.truth.append(_truth(row["truth"], at))
        labels.label_time.append(_time(row.get("label_time"), now, at))
    return labels


def _columns(content: dict[str, Any], now: int) -> Labels:
    for name in ("prediction_id", "truth"):
        if name not in content:
            raise Refused(f"{name} is missing (or 'labels', a list of rows)", name)
    if extra := sorted(set(content) - set(_COLUMNS)):
        raise Refused(f"unknown field {extra[0]!r}", extra[0])
    ids, truths, times = content["prediction_id"], content["truth"], content.get("label_time")
    if not isinstance(ids, list) or not ids:
        raise Refused("prediction_id is a list of at least one id", "prediction_id")
    if not isinstance(times, list):  # absent, or one time for all
        times = [times] * len(ids)
    for name, column in (("truth", truths), ("label_time", times)):
        if not isinstance(column, list) or len(column) != len(ids):
            raise Refused(f"{name} is a list as long as prediction_id ({len(ids)})", name)
    return Labels(
        [_id(v, i) for i, v in enumerate(ids)],
        [_truth(v, i) for i, v in enumerate(truths)],
        [_time(v, now, i) for i, v in enumerate(times)],
    )


def _id(value: Any, row: int | None) -> str:
    if not isinstance(value, str) or not is_prediction_id(value):
        raise Refused(f"{str(value)[:80]!r} is not a prediction_id", "prediction_id", row)
    return value


def _truth(value: Any, row: int | None) -> Label:
    if not isinstance(value, (str, int, float)):
        raise Refused("truth is a string, a number or a boolean", "truth", row)
    if isinstance(value, str) and len(value) > MAX_TRUTH:
        raise Refused(f"truth is longer than {MAX_TRUTH} characters", "truth", row)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("truth is not finite", "truth", row)
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise Refused("truth does not fit 64 bits", "truth", row)
    return value


def _time(value: Any, now: int, row: int | None) -> int:
    """Milliseconds of an integer or an ISO 8601 text with its offset; absent: now."""
    if value is None:
        return now
    if type(value) is int:
        time = value
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise Refused(_NO_TIME, "label_time", row) from None
        if moment.tzinfo is None:
            raise Refused(_NO_TIME, "label_time", row)
        time = round(moment.timestamp() * 1000)
    else:
        raise Refused(_NO_TIME, "label_time", row)
    if not -62_135_596_800_000 <= time <= now + FUTURE_MS:
        raise Refused(
            "label_time lies more than 5 minutes in the future, or before the year 1", "label_time", row
        )
    return time
