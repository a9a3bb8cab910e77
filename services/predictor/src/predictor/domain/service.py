"""One ``predict`` that every transport calls, and the swap of the model under it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from typing import Protocol

from contracts.events import PredictionsMade
from scoring import Unscorable, Unusable

from predictor.domain.answer import Answer, Part, Scored
from predictor.domain.gathering import Gatherer, Waiting
from predictor.domain.model import Model
from predictor.domain.request import Columns
from predictor.domain.size import pieces

IN_LOOP_SECONDS = 0.002  # a batch that takes longer is scored in a thread: other requests are read meanwhile


class NoModel(RuntimeError):
    """No version is loaded yet."""


class Log(Protocol):
    """Where predictions are kept before anybody gets them: Kafka, or the spool until Kafka is back."""

    def admit(self, size: int) -> None:
        """Raise where ``size`` more bytes would find no place, before anything is scored."""

    async def publish(self, event: PredictionsMade) -> None:
        """Return once ``event`` is safe; raise where it is not, and nothing may be promised."""


class Shadow(Protocol):
    """Who scores the same rows unseen."""

    def take(self, challenger: Model, event: PredictionsMade, columns: Columns) -> None:
        """A batch that the champion has scored and answered. Returns at once, whatever comes of it."""


class Predictor:
    """Scores with the version that serves, what arrived together in one go, and answers what the log has.

    Requests that come while a batch is under way are the next batch; a lone one waits for nobody.
    """

    def __init__(self, log: Log, shadow: Shadow | None = None) -> None:
        self._log = log
        self._shadow = shadow
        self._model: Model | None = None
        self.previous: Model | None = None
        self.challenger: Model | None = None
        self._gatherer: Gatherer[Model, Columns, Part] = Gatherer(self._work)
        self._scoring = asyncio.Lock()

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

    def at_hand(self, version: str, sha256: str) -> Model | None:
        """``version`` where it is loaded already: it served before, or it scores unseen. So a rollback asks nobody."""
        for model in (self.previous, self.challenger):
            if model is not None and model.version == version and sha256 in ("", model.sha256):
                return model
        return None

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
        """Score with ``model`` and answer once the log has every row.

        The model is the one the request was checked against, so it ends on the version it began with. Raises
        :class:`TooLarge` for a row that fits into no record, :class:`scoring.Unscorable`, and what the log raises;
        in each case nothing was promised.
        """
        parts = pieces(columns, model)
        self._log.admit(sum(size for _, size in parts))
        if len(parts) == 1:
            ((part, size),) = parts
            return Answer(model.form, [await self._gatherer.add(model, part, len(part.event_time), size)])
        given = [self._gatherer.add(model, part, len(part.event_time), size) for part, size in parts]
        found = await asyncio.gather(*given, return_exceptions=True)
        for outcome in found:
            if isinstance(outcome, BaseException):
                raise outcome
        return Answer(model.form, [part for part in found if isinstance(part, Part)])

    async def drain(self) -> None:
        """Return once nothing is under way."""
        await self._gatherer.drain()

    async def _work(self, model: Model, waiting: Sequence[Waiting[Columns, Part]]) -> None:
        """Score and record what has gathered. A request that the model cannot score fails alone."""
        columns = Columns.merged([each.content for each in waiting])
        try:
            scored = await self._score(model, columns)
        except Unscorable:
            if len(waiting) == 1:
                raise
            for each in waiting:
                try:
                    await self._work(model, [each])
                except Exception as error:  # noqa: BLE001  it is raised where the request waits
                    each.fail(error)
            return
        event = PredictionsMade(
            batch_id=scored.batch_id,
            model=model.name,
            version=model.version,
            event_time=columns.event_time,
            features={name: of for name, of in columns.features.items() if name not in model.vectors},
            predictions=scored.predictions,
            probabilities=scored.probabilities,
            vectors={name: columns.features[name] for name in model.vectors} or None,
        )
        await self._log.publish(event)
        first = 0
        for each in waiting:
            each.done(Part(scored, first, each.rows))
            first += each.rows
        if self._shadow is not None and self.challenger is not None:
            self._shadow.take(self.challenger, event, columns)

    async def _score(self, model: Model, columns: Columns) -> Scored:
        rows = len(columns.event_time)
        async with self._scoring:  # one at a time: records go out in the order in which requests came
            if rows * model.seconds_a_row > IN_LOOP_SECONDS:
                found = await asyncio.to_thread(model.score, columns.features, rows)
            else:
                found = model.score(columns.features, rows)
        return Scored(secrets.token_hex(16), *found)
