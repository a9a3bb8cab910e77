"""One ``predict`` that every transport calls, and the swap of the model under it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Protocol

from contracts.events import PredictionsMade
from scoring import Unscorable, Unusable

from predictor.domain.answer import Answer, Part, Scored
from predictor.domain.gathering import Gatherer, Waiting
from predictor.domain.model import Model
from predictor.domain.request import Columns
from predictor.domain.size import pieces

LARGE_UNDER_WAY = 2  # requests of several records
IN_LOOP_SECONDS = 0.002  # a batch that takes longer is scored in a thread: other requests are read meanwhile


class NoModel(RuntimeError):
    """No version is loaded yet."""


class Log(Protocol):
    """Where predictions are kept before anybody gets them: Kafka, or the spool until Kafka is back."""

    def admit(self, size: int) -> None:
        """Keep room for ``size`` more bytes; raise where there is none, before anything is scored."""

    def release(self, size: int) -> None:
        """What was admitted is answered, one way or the other."""

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
        self._large_requests = asyncio.Semaphore(LARGE_UNDER_WAY)

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
            _compatible(model, self._model)
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
            _compatible(model, self.model)
        self.challenger = model

    async def predict(self, columns: Columns, model: Model) -> Answer:
        """Score with ``model`` and answer once the log has every row.

        The model is the one the request was checked against, so it ends on the version it began with. Raises
        :class:`TooLarge` for a row that fits into no record, :class:`scoring.Unscorable`, and what the log raises;
        in each case nothing was promised. Of a request of several records the log may hold some where it raises.
        """
        parts = pieces(columns, model)
        if len(parts) == 1:
            return Answer(model.form, [await self._small(columns, model, parts[0][1])])
        size = sum(each for _, each in parts)
        self._log.admit(size)
        try:
            return Answer(model.form, await self._large(model, [part for part, _ in parts]))
        finally:
            self._log.release(size)

    def begin(self, columns: Columns, model: Model, then: Callable[[asyncio.Future[Part]], None]) -> bool:
        """As :meth:`predict`, without a coroutine: ``then`` is called with what comes of it.

        Raises what :meth:`predict` raises before anything is scored; False for a request of several records.
        """
        parts = pieces(columns, model)
        if len(parts) > 1:
            return False
        self._small(columns, model, parts[0][1]).add_done_callback(then)
        return True

    def _small(self, columns: Columns, model: Model, size: int) -> asyncio.Future[Part]:
        self._log.admit(size)
        found = self._gatherer.add(model, columns, len(columns.event_time), size)
        found.add_done_callback(lambda _: self._log.release(size))
        return found

    async def drain(self) -> None:
        """Return once nothing is under way."""
        await self._gatherer.drain()

    async def _work(self, model: Model, waiting: Sequence[Waiting[Columns, Part]]) -> None:
        """Score and record what has gathered. A request that the model cannot score fails alone."""
        async with self._scoring:  # one at a time: records go out in the order in which requests came
            good, columns, scored = await self._scored(model, waiting)
        if scored is None:
            return
        event = _event(model, columns, scored)
        await self._log.publish(event)
        first = 0
        for each in good:
            each.done(Part(scored, first, each.rows))
            first += each.rows
        self._unseen(event, columns)

    async def _large(self, model: Model, parts: list[Columns]) -> list[Part]:
        """A request of several records: all of it is scored before any of it is recorded."""
        async with self._large_requests:
            scored = []
            for part in parts:
                async with self._scoring:
                    scored.append(await self._score(model, part))
            events = [_event(model, part, of) for part, of in zip(parts, scored, strict=True)]
            outcomes = await asyncio.gather(*map(self._log.publish, events), return_exceptions=True)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome
        for event, part in zip(events, parts, strict=True):
            self._unseen(event, part)
        return [Part(of, 0, len(of.predictions)) for of in scored]

    async def _scored(
        self, model: Model, waiting: Sequence[Waiting[Columns, Part]]
    ) -> tuple[Sequence[Waiting[Columns, Part]], Columns, Scored | None]:
        """Those that could be scored, together. Where the model fails on all, each is tried alone, once."""
        columns = Columns.merged([each.content for each in waiting])
        try:
            return waiting, columns, await self._score(model, columns)
        except Unscorable:
            if len(waiting) == 1:
                raise
        alone = await asyncio.to_thread(_each_alone, model, [each.content for each in waiting])
        for each, error in zip(waiting, alone, strict=True):
            if error is not None:
                each.fail(error)
        good = [each for each, error in zip(waiting, alone, strict=True) if error is None]
        if not good:
            return [], columns, None
        columns = Columns.merged([each.content for each in good])
        return good, columns, await self._score(model, columns)

    async def _score(self, model: Model, columns: Columns) -> Scored:
        rows = len(columns.event_time)
        if model.seconds(rows) > IN_LOOP_SECONDS:
            found = await asyncio.to_thread(model.score, columns.features, rows)
        else:
            found = model.score(columns.features, rows)
        return Scored(secrets.token_hex(16), *found)

    def _unseen(self, event: PredictionsMade, columns: Columns) -> None:
        if self._shadow is not None and self.challenger is not None:
            self._shadow.take(self.challenger, event, columns)


def _compatible(model: Model, serving: Model) -> None:
    """Raise :class:`Unusable` where clients of ``serving`` would notice ``model``."""
    changes = model.changes(serving)
    if changes:
        raise Unusable(f"not compatible with version {serving.version}: {'; '.join(changes)}")


def _event(model: Model, columns: Columns, scored: Scored) -> PredictionsMade:
    return PredictionsMade(
        batch_id=scored.batch_id,
        model=model.name,
        version=model.version,
        event_time=columns.event_time,
        features={name: of for name, of in columns.features.items() if name not in model.vectors},
        predictions=scored.predictions,
        probabilities=scored.probabilities,
        vectors={name: columns.features[name] for name in model.vectors} or None,
    )


def _each_alone(model: Model, requests: Sequence[Columns]) -> list[Unscorable | None]:
    """What the model says against each request; None where it scores it."""
    found: list[Unscorable | None] = []
    for columns in requests:
        try:
            model.score(columns.features, len(columns.event_time))
            found.append(None)
        except Unscorable as error:
            found.append(error)
    return found
