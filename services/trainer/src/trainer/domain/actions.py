"""Actions are what was done about a model, newest first, for whoever looks at it now: decisions, people's words, versions that came.

The topics are the record; of them these are the last few, told alike whichever of the topics is read first.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, TypeVar

from contracts.events import ChallengerReviewed, ModelChanged, PromotionReviewed, TrainingDecided

from trainer.domain.history import PENDING, answered, for_rows

KEPT = 10
K = TypeVar("K")


class Action(NamedTuple):
    """One of them, and when by the wall clock, in milliseconds; ``version``: the one it is about, ``run``: the run's id.

    ``reason``: the trigger of a decision; ``review`` or ``person`` of what one of these said.
    """

    at: int
    action: str
    version: str
    reason: str
    run: str


class Actions:
    """The newest ten, and the newest on each of ten alerts; of waiting for rows, which is said at each boundary, the last time."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._newest: dict[tuple[str, ...], Action] = {}
        self._on_alerts: dict[str, Action] = {}

    @property
    def newest(self) -> list[Action]:
        """Newest first."""
        return sorted(self._newest.values(), reverse=True)

    @property
    def on_alerts(self) -> Collection[tuple[str, Action]]:
        """The newest action on each of the alerts that were answered last, by the alert's id."""
        return self._on_alerts.items()

    def decided(self, decision: TrainingDecided, at: int | None) -> None:
        """A decision of the trainer; ``at``: when it was published, None where nobody says. That something is held back is none."""
        if at is None:
            return
        version, reason = decision.challenger_version or "", decision.trigger or ""
        if decision.decision != "waiting":
            action = Action(at, decision.decision, version, reason, decision.run_id)
        elif decision.waits_for in PENDING:
            action = Action(at, f"waits for {decision.waits_for}", version, reason, decision.run_id)
        elif for_rows(decision):
            action = Action(at, "waits for rows", version, "", "")
        else:
            return
        self._add(action)
        for alert in answered(decision):
            _keep(self._on_alerts, alert, action)

    def reviewed(self, word: ChallengerReviewed, at: int | None) -> None:
        """A person's word on a challenger."""
        if at is not None:
            said = "approved" if word.approved else "rejected"
            self._add(Action(at, said, word.version, "person", word.run_id))

    def changed(self, event: ModelChanged, at: int | None, by_trainer: bool) -> None:
        """A version that came to serve; of a promotion by the trainer its decision tells, the first one was nobody's choice."""
        if at is None:
            return
        if event.action == "rolled_back":
            reason = "review" if by_trainer else "person"
            self._add(Action(at, event.action, event.previous_version or "", reason, ""))
        elif not by_trainer:
            reason = "person" if event.previous_version else ""
            self._add(Action(at, event.action, event.version, reason, ""))

    def looked(self, look: PromotionReviewed, at: int | None) -> None:
        """A look at a promoted version that ends its review well; of one that ends it otherwise the version that comes back tells."""
        if at is not None and look.verdict == "kept":
            self._add(Action(at, "kept", look.version, "", ""))

    def _add(self, action: Action) -> None:
        _keep(self._newest, action[1:], action)


def _keep(known: dict[K, Action], key: K, action: Action) -> None:
    """Take it in, unless a newer one has its place; of more than ten the oldest goes."""
    if key not in known or known[key].at <= action.at:
        known[key] = action
    if len(known) > KEPT:
        del known[min(known, key=lambda each: known[each])]
