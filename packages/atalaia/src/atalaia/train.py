"""``atalaia train``: ask the trainer for a training, and wait for what it decides."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable

from contracts.events import TrainingDecided, TrainingRequested
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.topic_log import follow_events

from atalaia import sending
from atalaia.drift.log import connect
from atalaia.model.standing import one_of, standings

REQUESTS, RUNS = "training-requests", "training-runs"
ENDS = ("promoted", "refused", "failed")


async def ask(settings: Settings, model: str, since: int | None, reason: str, by: str) -> TrainingRequested:
    """Put a request on the topic; raises :class:`UserError` where no such model serves."""
    await connect(settings)
    named = one_of(await standings(settings), model, settings.model)
    event = TrainingRequested(
        request_id=uuid.uuid4().hex, model=named, since=since, reason=reason, requested_by=by
    )
    await sending.send(settings, REQUESTS, event, key=named, ce_id=event.request_id, reader="trainer")
    return event


async def answer(settings: Settings, request: TrainingRequested, seconds: float) -> TrainingDecided:
    """The end of the run that answers a request; raises :class:`UserError` after ``seconds``, saying how it stands.

    A run may answer alerts too, and wait for its shadow period or for a person before it ends.
    """
    last = await until_its_end(
        settings, lambda run: request.request_id in (run.answers or [run.alert_id]), seconds
    )
    if last is not None and last.decision in ENDS:
        return last
    stands = last.reason if last is not None else "nothing is said yet; does its trainer run?"
    raise UserError(f"request {request.request_id} is not decided after {seconds:g} s: {stands}")


async def until_its_end(
    settings: Settings, meant: Callable[[TrainingDecided], bool], seconds: float
) -> TrainingDecided | None:
    """The newest word on a run that is meant, once that is an end; after ``seconds`` whatever it is, None where there is none."""
    deadline, last = time.monotonic() + seconds, None
    async with contextlib.aclosing(follow_events(settings, RUNS, TrainingDecided)) as news:
        async for runs in news:
            last = next((run for run in reversed(runs) if meant(run)), last)
            if (last is not None and last.decision in ENDS) or time.monotonic() > deadline:
                break
    return last
