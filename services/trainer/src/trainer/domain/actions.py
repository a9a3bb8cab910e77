"""Actions are what was done about a model, newest first, for whoever looks at it now: decisions, people's words, versions that came.

The topics are the record; of them these are the last few, told alike whichever of the topics is read first.
"""

from __future__ import annotations

from typing import NamedTuple

from contracts.events import ChallengerReviewed, ModelChanged, TrainingDecided

KEPT = 10


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
    """The newest ten; of waiting for rows, which is said anew at each boundary, the last time."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._newest: dict[tuple[str, str, str, str], Action] = {}

    @property
    def newest(self) -> list[Action]:
        """Newest first."""
        return sorted(self._newest.values(), reverse=True)

    def decided(self, decision: TrainingDecided, at: int | None) -> None:
        """A decision of the trainer; ``at``: when it was published, None where nobody says."""
        version, reason = decision.challenger_version or "", decision.trigger or ""
        if decision.decision != "waiting":
            self._add(at, decision.decision, version, reason, decision.run_id)
        elif decision.waits_for in ("shadow", "approval"):
            self._add(at, f"waits for {decision.waits_for}", version, reason, decision.run_id)
        else:  # records of before there were other reasons do not say for what
            self._add(at, "waits for rows", version, "", "")

    def reviewed(self, word: ChallengerReviewed, at: int | None) -> None:
        """A person's word on a challenger."""
        self._add(at, "approved" if word.approved else "rejected", word.version, "person", word.run_id)

    def changed(self, event: ModelChanged, at: int | None, by_trainer: bool) -> None:
        """A version that came to serve; of a promotion by the trainer its decision tells."""
        if event.action == "rolled_back":
            taken_back = event.previous_version or ""
            self._add(at, event.action, taken_back, "review" if by_trainer else "person", "")
        elif not by_trainer:
            self._add(at, event.action, event.version, "person" if event.action == "promoted" else "", "")

    def _add(self, at: int | None, action: str, version: str, reason: str, run: str) -> None:
        if at is None:
            return
        key = action, version, reason, run
        known = self._newest.get(key)
        self._newest[key] = Action(max(at, known.at) if known else at, *key)
        if len(self._newest) > KEPT:
            oldest = min(self._newest.values())
            del self._newest[oldest[1:]]
