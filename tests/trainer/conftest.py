"""A trainer on fakes."""

from __future__ import annotations

from typing import Any

import pytest
from trainer import reading, registered
from trainer_fakes import World


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A world in which questions are repeated at once."""
    monkeypatch.setattr(registered, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(reading, "RETRY_SECONDS", 0.001)
    made = World()
    await made.begin()
    yield made
    await made.stop()
