"""The join that anybody would write first: one process, a dictionary of rows, no disk, no windows, no second worker.

Reads ``predictions`` and ``ground-truth`` to their ends with a bare consumer, joins in memory, writes an outcome record a
chunk to a topic, and keeps one running accuracy. Prints what it took, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import Any

from contracts.codec import decode, encode
from contracts.events import GroundTruthReceived, OutcomesJoined, PredictionsMade
from servicekit.config import Settings
from servicekit.kafka import make_producer
from servicekit.topic_log import read_whole


async def main(kafka: str) -> None:
    """Join all that is there."""
    settings = Settings(kafka=kafka)
    rows: dict[str, tuple[Any, ...]] = {}
    began = time.process_time()
    async for batch in read_whole(settings, "predictions"):
        for record in batch:
            made = decode(PredictionsMade, record.value, record.headers)
            names = list(made.features)
            columns = zip(*made.features.values(), strict=True)
            scores = (made.probabilities or {}).get("yes", [])
            for i, (time_, values, predicted, score) in enumerate(
                zip(made.event_time, columns, made.predictions, scores, strict=True)
            ):
                rows[f"{made.batch_id}.{i}"] = (time_, values, predicted, score)
    pending, began_labels = time.process_time() - began, time.process_time()
    producer = await make_producer(settings, "dictionary")
    joined = right = 0
    try:
        async for batch in read_whole(settings, "ground-truth"):
            sent = []
            for record in batch:
                event = decode(GroundTruthReceived, record.value, record.headers)
                found = [
                    (text, truth, when, *row)
                    for text, truth, when in zip(
                        event.prediction_id, event.truth, event.label_time, strict=True
                    )
                    if (row := rows.get(text)) is not None
                ]
                if not found:
                    continue
                ids, truths, times, events, values, predicted, scores_ = map(list, zip(*found, strict=True))
                joined += len(found)
                right += sum(t == p for t, p in zip(truths, predicted, strict=True))
                outcome = OutcomesJoined(
                    model="m", version="1", prediction_id=ids, event_time=events, label_time=times,
                    features=dict(zip(names, map(list, zip(*values, strict=True)), strict=True)),
                    predictions=predicted, probabilities={"yes": scores_, "no": [1 - s for s in scores_]},
                    truth=truths, corrected_from=[None] * len(ids), revision=[0] * len(ids),
                )  # fmt: skip
                value, headers = encode(outcome, source="dictionary")
                sent.append(await producer.send("outcomes", value, headers=headers))
            await asyncio.gather(*sent)
    finally:
        await producer.stop()
    took = time.process_time() - began_labels
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        json.dumps({"joined": joined, "right": right, "pending": pending, "labels": took, "memory": memory})
    )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
