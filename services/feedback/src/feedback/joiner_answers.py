"""The joiner of one process, as the HTTP application asks it."""

from __future__ import annotations

from typing import Any

from feedback.consumes.http import Unready
from feedback.joiner import Joiner

MAX_EMPTY_WINDOWS = 10_000


class JoinerAnswers:
    """It holds all partitions: no answer is elsewhere."""

    def __init__(self, joiner: Joiner) -> None:
        self._joiner = joiner

    def _ready(self) -> Joiner:
        if not self._joiner.ready:
            raise Unready("the state is being rebuilt from the log; try again")
        return self._joiner

    async def state(self, prediction_id: str) -> dict[str, Any]:
        """What is known of an id."""
        return self._ready().join.state(prediction_id)

    async def status(self) -> dict[str, Any]:
        """The counts of the join."""
        return self._ready().status()

    async def flush(self, until: int | None, seconds: float) -> int | None:
        """Decide what a replay left open."""
        joiner = self._ready()
        newest, step = joiner.quality.newest, joiner.windows.step
        if until is not None and newest is not None and until > newest + MAX_EMPTY_WINDOWS * step:
            raise ValueError(f"until lies more than {MAX_EMPTY_WINDOWS} windows after the newest row")
        return await joiner.flush(until, seconds)
