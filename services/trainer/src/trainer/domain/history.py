"""The history holds the trainer's own decisions, read back at a start: what is decided is not decided again."""

from __future__ import annotations

from contracts.codec import derived_id
from contracts.events import TrainingDecided


def run_id(model: str, alert_id: str, as_of: int) -> str:
    """The id of the decision about an alert at a boundary; a restart finds the same."""
    return derived_id("training", model, alert_id, as_of)


class History:
    """Decisions in order; the last word on a ``run_id`` counts."""

    def __init__(self) -> None:
        self._by_run: dict[str, TrainingDecided] = {}

    def record(self, decision: TrainingDecided) -> None:
        """Take in a decision; a terminal one is never replaced by ``started``."""
        known = self._by_run.get(decision.run_id)
        if known is None or known.decision == "started":
            self._by_run[decision.run_id] = decision

    @property
    def decisions(self) -> list[TrainingDecided]:
        """All, oldest boundary first."""
        return sorted(self._by_run.values(), key=lambda d: d.as_of)

    @property
    def considered_through(self) -> int | None:
        """The newest boundary with a finished decision."""
        return max((d.as_of for d in self._by_run.values() if d.decision != "started"), default=None)

    def unfinished(self) -> TrainingDecided | None:
        """A run that a crash interrupted."""
        open_runs = [d for d in self._by_run.values() if d.decision == "started"]
        return max(open_runs, key=lambda d: d.as_of, default=None)

    def last(self, alert_id: str) -> TrainingDecided | None:
        """The newest finished decision about an alert."""
        said = [d for d in self._by_run.values() if d.alert_id == alert_id and d.decision != "started"]
        return max(said, key=lambda d: d.as_of, default=None)

    def failed(self, alert_id: str) -> list[TrainingDecided]:
        """All failures about an alert."""
        return [d for d in self._by_run.values() if d.alert_id == alert_id and d.decision == "failed"]
