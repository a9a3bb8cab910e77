"""A reading that no broker is behind: its events are made up."""

from __future__ import annotations

from typing import Any

import pytest
import told
from atalaia.watch.reading import Reading
from servicekit.config import Settings
from servicekit.kafka_access import no_broker


class Made(Reading):
    """Follows a broker that is not there; ``tell`` it what the topics hold."""

    def __init__(self) -> None:
        super().__init__(Settings(kafka="kafka.example:9092"), clock=lambda: 1000.0)
        self._is("following")

    def tell(self, *events: Any) -> Made:
        """Take these events."""
        for event in events:
            self.memories.take(event)
            self.revision += 1
        return self

    def lose(self) -> None:
        """The broker goes away."""
        self._is("away", str(no_broker(self._settings)))


@pytest.fixture
def made() -> Made:
    """Nothing was told yet."""
    return Made()


@pytest.fixture
def drifting(made: Made) -> Made:
    """Two features have drifted, a training was refused, quality has fallen."""
    features = {f"input {i:02}": told.feature(0.02, drifted=False) for i in range(12)}
    windows = [told.window(i, ("temp", "origin") if i > 6 else ()) for i in range(1, 11)]
    return made.tell(
        told.installed(),
        *(told.window(w.window_end // told.HOUR, features={**w.features, **features}, status=w.status) for w in windows),
        told.alert("drift", 7, ("temp", "origin"), since=6), told.decision("started", 8, "training: 240 labelled rows"),
        told.decision("refused", 8, "not better: log_loss 0.5736 against the champion's 0.5691 (p = 0.9)", "2"),
        *(told.quality(i, 0.8 - 0.02 * max(0, i - 5), 0.78) for i in range(1, 11)),
    )  # fmt: skip
