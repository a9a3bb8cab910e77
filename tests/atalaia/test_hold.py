"""Event time is held until all that a boundary asks for is done, a person's word among it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from atalaia.demo import hold
from atalaia.demo.hold import Loop
from servicekit.errors import UserError


class Told(Loop):
    """Statuses of the trainer one after the other, the last one for ever; version 1 serves."""

    def __init__(self, *trainer: dict[str, Any]) -> None:
        super().__init__(None, {}, lambda: None)  # type: ignore[arg-type]
        self.asked = 0
        self._statuses: Iterator[dict[str, Any]] = iter(trainer)
        self._last: dict[str, Any] = {}

    async def get(self, service: str, path: str = "/api/v1.0/status") -> dict[str, Any]:
        """What a service says."""
        if service != "trainer":
            return {"version": "1"}
        self.asked += 1
        self._last = next(self._statuses, self._last)
        return self._last


def status(through: int, running: bool = False, pending: str | None = None) -> dict[str, Any]:
    """A status of the trainer."""
    return {"considered_through": through, "running": running, "pending": pending, "version": "1"}


async def test_a_boundary_is_passed_when_it_is_considered() -> None:
    """Not while the trainer is at an earlier one, nor while it trains."""
    loop = Told(status(5), status(10, running=True), status(10))
    await loop.wait_considered(10)
    assert loop.asked == 3
    assert loop.pauses.get()["for_trainings"]["count"] == 1


async def test_a_person_is_waited_for() -> None:
    """What waits for approval holds event time; a shadow period, which needs rows, does not."""
    asks = status(10, pending="waiting for approval: better")
    loop = Told(asks, asks, status(10))
    await loop.wait_considered(10)
    assert loop.asked == 3
    loop = Told(status(10, pending="waiting: 5 of 150 labelled rows of live traffic in shadow"))
    await loop.wait_considered(10)
    assert loop.asked == 1


async def test_patience_with_a_person_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody says yes or no the error says what is waited for."""
    monkeypatch.setattr(hold, "PERSON_SECONDS", 0.0)
    monkeypatch.setattr(hold, "DEADLINE_SECONDS", 0.0)
    asks = status(10, pending="waiting for approval: better") | {
        "waiting_for": "waiting for approval: better"
    }
    with pytest.raises(UserError, match="waiting for approval: better"):
        await Told(asks).wait_considered(10)
