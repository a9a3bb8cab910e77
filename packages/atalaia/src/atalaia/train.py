"""``atalaia train``: ask the trainer for a training, and wait for what it decides."""

from __future__ import annotations

import asyncio
import time
import uuid

from contracts.events import TrainingDecided, TrainingRequested
from servicekit.config import Settings
from servicekit.errors import UserError
from servicekit.topic_log import read_events

from atalaia import sending
from atalaia.drift.log import connect
from atalaia.model.standing import one_of, standings

REQUESTS, RUNS = "training-requests", "training-runs"
ENDS = ("promoted", "refused", "failed")
LOOK_SECONDS = 1.0


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
    """The decision about a request, once there is one; raises :class:`UserError` after ``seconds``, saying how it stands."""
    deadline = time.monotonic() + seconds
    while True:
        runs = await read_events(settings, RUNS, TrainingDecided)
        mine = [run for run in runs if run.alert_id == request.request_id]
        if mine and mine[-1].decision in ENDS:
            return mine[-1]
        if time.monotonic() > deadline:
            stands = mine[-1].reason if mine else "nothing is said yet; does its trainer run?"
            raise UserError(f"request {request.request_id} is not decided after {seconds:g} s: {stands}")
        await asyncio.sleep(LOOK_SECONDS)
