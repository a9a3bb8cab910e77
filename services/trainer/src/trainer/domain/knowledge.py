"""Knowledge is all that the trainer knows of one model; its methods are what the ``consumes`` modules call.

It holds the *evidence* (what others said about each boundary), the *ledger* (the rows with their truth), the
*history* (what the trainer itself decided), the *requests* and *approvals* of people, the *reviews* of what it promoted,
the *shadows*, the version that serves, and the newest *actions* of all kinds.
"""

from __future__ import annotations

from contracts.events import ModelChanged

from trainer.domain.actions import Actions
from trainer.domain.evidence import Evidence
from trainer.domain.history import History
from trainer.domain.ledger import Ledger
from trainer.domain.reviews import Approvals, Reviews
from trainer.domain.shadow import Shadows
from trainer.domain.triggers import Requests


class Knowledge:
    """Evidence, outcomes, past decisions, and the version that serves."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.evidence = Evidence()
        self.ledger = Ledger()
        self.history = History()
        self.actions = Actions(model)
        self.requests = Requests()
        self.approvals, self.reviews, self.shadows = Approvals(), Reviews(), Shadows()
        self.serving: ModelChanged | None = None
        self.served: set[str] = set()  # every version that model-events named
        self.considered_through: int | None = None
        self.waiting_for: str | None = None

    def changed(self, event: ModelChanged) -> None:
        """The version that serves, from now on."""
        self.serving = event
        self.served |= {event.version, event.previous_version or event.version}

    def resume(self) -> None:
        """Go on after the newest boundary that was considered, or at it where a crash may have come before its end."""
        through = self.history.considered_through
        if through is not None and self.serving is not None and self.history.in_doubt:
            through = self.evidence.before(self.serving.version, through)
        self.considered_through = through

    def due(self) -> int | None:
        """The next boundary to consider, if all that it needs has arrived; else ``waiting_for`` says what has not."""
        boundary = None
        if self.serving is None:
            self.waiting_for = "a version on model-events"
        else:
            version = self.serving.version
            boundary = self.evidence.next(version, self.considered_through)
            if boundary is None:
                after = "" if self.considered_through is None else f" after {self.considered_through}"
                self.waiting_for = f"a final drift report of version {version}{after}"
            else:
                self.waiting_for = self.evidence.missing(version, boundary, self.ledger)
        return None if self.waiting_for else boundary
