"""All that the trainer knows of one model; its methods are what the ``consumes`` modules call."""

from __future__ import annotations

from contracts.events import ModelChanged

from trainer.domain.evidence import Evidence
from trainer.domain.history import History
from trainer.domain.ledger import Ledger


class Knowledge:
    """Evidence, outcomes, past decisions, and the version that serves."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.evidence = Evidence()
        self.ledger = Ledger()
        self.history = History()
        self.serving: ModelChanged | None = None
        self.considered_through: int | None = None

    def changed(self, event: ModelChanged) -> None:
        """The version that serves, from now on."""
        self.serving = event

    def due(self) -> int | None:
        """The next boundary to consider, if all that it needs has arrived."""
        if self.serving is None:
            return None
        return self.evidence.due(self.serving.version, self.considered_through, self.ledger)
