"""What the predictor's answers promised, checked against topic ``predictions`` as it is read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
from aiokafka import TopicPartition
from contracts.codec import decode, prediction_id
from contracts.events import PredictionsMade
from scoring import OnnxModel
from servicekit.config import Settings
from servicekit.kafka import make_consumer, stop_consumer
from servicekit.topic_log import read_until

TOPIC = "predictions"
CLOSE = 1e-6  # of probabilities; two versions differ by a thousandth
Offsets = dict[int, int]


class _Head(msgspec.Struct):
    batch_id: str
    event_time: list[int]


@dataclass
class Count:
    """Rows and records of a stretch of the topic, and the rows of records that were there before in it."""

    rows: int = 0
    records: int = 0
    repeated: int = 0


async def ends(settings: Settings) -> Offsets:
    """Where each partition ends now."""
    consumer = make_consumer(settings, TOPIC)
    try:
        await consumer.start()
        found = await consumer.end_offsets(consumer.assignment())
        return {tp.partition: end for tp, end in found.items()}
    finally:
        await stop_consumer(consumer)


async def _records(settings: Settings, since: Offsets) -> Any:
    """The records from ``since`` to the end there is now, in batches."""
    until = await ends(settings)
    consumer = make_consumer(settings, max_partition_fetch_bytes=4_194_304)
    try:
        await consumer.start()
        parts = {TopicPartition(TOPIC, p): end for p, end in until.items() if end > since[p]}
        consumer.assign(list(parts))
        for tp in parts:
            consumer.seek(tp, since[tp.partition])
        async for batch in read_until(consumer, parts):
            yield batch
    finally:
        await stop_consumer(consumer)


async def count(settings: Settings, since: Offsets) -> Count:
    """How much came since."""
    found, seen, decoder = Count(), set[str](), msgspec.json.Decoder(_Head)
    async for batch in _records(settings, since):
        for record in batch:
            head = decoder.decode(record.value)
            found.records += 1
            found.rows += len(head.event_time)
            found.repeated += len(head.event_time) if head.batch_id in seen else 0
            seen.add(head.batch_id)
    return found


async def events(settings: Settings, since: Offsets) -> list[PredictionsMade]:
    """The events that came since."""
    return [
        decode(PredictionsMade, record.value, record.headers)
        async for batch in _records(settings, since)
        for record in batch
    ]


@dataclass
class Verdict:
    """Rows answered and rows in the topic, and how many of them are not as promised."""

    answered: int = 0
    recorded: int = 0
    not_200: int = 0
    repeated_ids: int = 0  # of answers, or of the topic's rows
    unmatched: int = 0  # ids that only the answers or only the topic has
    other_version: int = 0  # answers that name another version than their record
    other_score: int = 0  # records whose version scores their rows otherwise
    other_answer: int = 0  # answers that give another prediction than their record
    versions: tuple[str, ...] = ()


def judge(
    captured: Path, made: list[PredictionsMade], models: Mapping[str, OnnxModel], classes: list[str]
) -> Verdict:
    """Hold every captured answer against its record, and every record against the version it names."""
    found, rows = Verdict(), dict[str, tuple[str, Any, list[float]]]()
    for event in made:
        n = len(event.event_time)
        found.recorded += n
        given = np.array([(event.probabilities or {}).get(c, [np.nan] * n) for c in classes]).T
        expected = models[event.version].score(event.features, n)
        assert expected.probabilities is not None
        same = (np.abs(expected.probabilities - given) < CLOSE).all(axis=1)
        same &= np.asarray(event.predictions) == expected.predictions
        found.other_score += int(n - same.sum())
        for i in range(n):
            key = prediction_id(event.batch_id, i)
            found.repeated_ids += key in rows
            rows[key] = (event.version, event.predictions[i], given[i].tolist())
    ids, versions = set[str](), set[str]()
    for line in captured.read_bytes().splitlines():
        status, body = line.split(b" ", 1)
        if status != b"200":
            found.not_200 += 1
            continue
        answer = orjson.loads(body)
        for row in answer.get("predictions", [answer]):
            key = row["prediction_id"]
            found.answered += 1
            found.repeated_ids += key in ids
            ids.add(key)
            versions.add(answer["version"])
            if key not in rows:
                continue
            version, prediction, probabilities = rows[key]
            found.other_version += version != answer["version"]
            told = (row["probabilities"][c] for c in classes)
            near = all(abs(a - b) < CLOSE for a, b in zip(told, probabilities, strict=True))
            found.other_answer += prediction != row["quality"] or not near
    found.unmatched = len(ids ^ rows.keys())
    found.versions = tuple(sorted(versions))
    return found
