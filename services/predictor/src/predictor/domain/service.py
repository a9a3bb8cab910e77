"""One ``predict`` that every transport calls, and the swap of the model under it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from contracts.codec import prediction_id
from contracts.events import Label, PredictionsMade
from scoring import Unusable

from predictor.domain.model import Model
from predictor.domain.request import Columns

MAX_RECORD_ROWS = 2_000
IN_LOOP_ROWS = 256
# A row of JSON: its numbers at their longest, quotes and commas. A record stays under 900 KB.
MAX_RECORD_BYTES = 900_000
BYTES_A_NUMBER = 26

Publish = Callable[[PredictionsMade], Awaitable[None]]


class NoModel(RuntimeError):
    """No version is loaded yet."""


@dataclass(frozen=True)
class Answer:
    """What a caller gets: ids, predictions [N] and probabilities by class [N]."""

    model: Model
    ids: list[str]
    predictions: list[Label]
    probabilities: dict[str, list[float]] | None

    def row(self, i: int) -> dict[str, Any]:
        """Row ``i`` under the target's own name."""
        found: dict[str, Any] = {"prediction_id": self.ids[i], self.model.target: self.predictions[i]}
        if self.probabilities is not None:
            found["probabilities"] = {name: column[i] for name, column in self.probabilities.items()}
        return found


class Predictor:
    """Scores with the version that serves and publishes before it answers."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._model: Model | None = None
        self.previous: Model | None = None
        self.challenger: Model | None = None

    @property
    def model(self) -> Model:
        """The version that serves; raises :class:`NoModel` before there is one."""
        if self._model is None:
            raise NoModel("no model is loaded yet; it comes with the first event on model-events")
        return self._model

    @property
    def ready(self) -> bool:
        """Whether a version serves."""
        return self._model is not None

    def swap(self, model: Model) -> None:
        """Let ``model`` serve from the next request on; raises :class:`Unusable` if clients would break."""
        if self._model is not None:
            changes = model.changes(self._model)
            if changes:
                raise Unusable(f"not compatible with version {self._model.version}: {'; '.join(changes)}")
        self.previous, self._model = self._model, model
        if self.challenger is not None and self.challenger.version == model.version:
            self.challenger = None  # promoted: it scores what it answers

    def shadow(self, model: Model | None) -> None:
        """Let ``model`` score the same rows unseen from the next request on; None: nobody.

        Raises :class:`NoModel` before a version serves, :class:`Unusable` for a challenger that could not take its
        place; the one before goes on then.
        """
        if model is not None:
            if model.version == self.model.version:
                raise Unusable("it serves already")
            changes = model.changes(self.model)
            if changes:
                raise Unusable(f"not compatible with version {self.model.version}: {'; '.join(changes)}")
        self.challenger = model

    async def predict(self, columns: Columns, model: Model) -> Answer:
        """Score with ``model``, publish, and answer once Kafka has acknowledged every record.

        The model is the one the request was checked against, so it ends on the version it began with.
        """
        n = len(columns.event_time)
        size = self._rows_a_record(columns, model)
        parts = [columns] if n <= size else [columns.part(i, min(i + size, n)) for i in range(0, n, size)]
        vectors = {field.name for field in model.fields if field.dtype == "vector"}
        events = []
        for part in parts:
            rows = len(part.event_time)
            if n > IN_LOOP_ROWS:
                scored = await asyncio.to_thread(model.score, part.features, rows)
            else:
                scored = model.score(part.features, rows)
            events.append(
                PredictionsMade(
                    batch_id=uuid.uuid4().hex,
                    model=model.name,
                    version=model.version,
                    event_time=part.event_time,
                    features={name: of for name, of in part.features.items() if name not in vectors},
                    predictions=scored[0],
                    probabilities=scored[1],
                    vectors={name: part.features[name] for name in part.features if name in vectors} or None,
                )
            )
        if len(events) == 1:
            await self._publish(events[0])
        else:
            await asyncio.gather(*(self._publish(event) for event in events))
        ids = [prediction_id(event.batch_id, i) for event in events for i in range(len(event.predictions))]
        predictions = [p for event in events for p in event.predictions]
        names = model.classes if events[0].probabilities is not None else None
        probabilities = None
        if names is not None:
            probabilities = {
                c: [p for e in events if e.probabilities for p in e.probabilities[c]] for c in names
            }
        return Answer(model, ids, predictions, probabilities)

    @staticmethod
    def _rows_a_record(columns: Columns, model: Model) -> int:
        texts = 0
        for field in model.fields:
            if field.dtype in ("string", "text"):
                longest = max(
                    (len(v.encode()) for v in columns.features[field.name] if isinstance(v, str)), default=0
                )
                texts += 6 * longest + 3  # a control character takes six bytes in JSON
        numbers = sum(max(1, field.length) for field in model.fields) + len(model.classes or ()) + 2
        return max(1, min(MAX_RECORD_ROWS, MAX_RECORD_BYTES // (texts + numbers * BYTES_A_NUMBER)))
