"""The history holds the trainer's own decisions, read back at a start: what is decided is not decided again.

A run begins with ``started`` and has one end: promoted, refused or failed. In between it may be *pending*: its challenger
has won and waits for a shadow period, then for a person. A decision that begins no run is ``waiting`` too, for rows say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from contracts.codec import derived_id
from contracts.events import TrainingDecided

ENDS = ("promoted", "refused", "failed")  # of a run: the answer to what asked for it
PENDING = ("shadow", "approval")  # what a run waits for whose challenger has won
ORDER = ("waiting", "started", "shadow", "approval", "end")  # of what is said of one run


def run_id(model: str, alert_id: str, as_of: int) -> str:
    """The id of the decision about an alert at a boundary; a restart finds the same."""
    return derived_id("training", model, alert_id, as_of)


def answered(decision: TrainingDecided) -> Sequence[str]:
    """The ids of all that a decision is about: alerts, requests, a period. Records of before there were several name one."""
    return decision.answers or [decision.alert_id]


def for_rows(decision: TrainingDecided) -> bool:
    """Whether it says that something waits for rows. Records of before there were other reasons do not say for what."""
    old = decision.waits_for is None and not decision.answers
    return decision.decision == "waiting" and (decision.waits_for == "rows" or old)


def _stage(decision: TrainingDecided) -> int:
    """How far a run is."""
    if decision.decision in ENDS:
        return ORDER.index("end")
    pending = decision.decision == "waiting" and decision.waits_for in PENDING
    return ORDER.index(str(decision.waits_for) if pending else decision.decision)


class History:
    """Decisions in order; the last word on a ``run_id`` counts."""

    def __init__(self) -> None:
        self._by_run: dict[str, TrainingDecided] = {}
        self._begun: dict[str, int] = {}  # run -> the boundary of the first word on it
        self._sorted: list[TrainingDecided] | None = None
        self._by_name: dict[str, list[TrainingDecided]] = {}
        self._said_at: dict[str, int] = {}
        self.words = 0  # that were news: while there are no more of them, all here is as it was

    def record(self, decision: TrainingDecided, said_at: int | None = None) -> None:
        """Take in a decision; a run never goes back to what it was before, and has one end.

        ``said_at``: when it was published, by the wall clock in milliseconds.
        """
        known = self._by_run.get(decision.run_id)
        if known is None or _stage(known) < _stage(decision):
            self._by_run[decision.run_id] = decision
            self._begun.setdefault(decision.run_id, decision.as_of)
            self._sorted = None
            self.words += 1
            if said_at is not None:
                self._said_at[decision.run_id] = said_at

    @property
    def decisions(self) -> Sequence[TrainingDecided]:
        """All, oldest boundary first; of one boundary, in the order they began."""
        if self._sorted is None:
            self._sorted = sorted(self._by_run.values(), key=lambda d: d.as_of)
            self._by_name = {}
            for decision in self._sorted:
                for name in dict.fromkeys(answered(decision)):
                    self._by_name.setdefault(name, []).append(decision)
        return self._sorted

    @property
    def considered_through(self) -> int | None:
        """The newest boundary with a decision that does not have to be taken up again."""
        return max((d.as_of for d in self._by_run.values() if d.decision != "started"), default=None)

    @property
    def in_doubt(self) -> bool:
        """Whether nothing is said as of :attr:`considered_through` but that a run ended that had waited since an earlier boundary.

        What else there was to say as of it came after that, or a crash did.
        """
        newest = self.considered_through
        said = [d for d in self._by_run.values() if d.as_of == newest and d.decision != "started"]
        return bool(said) and all(self._begun[d.run_id] < d.as_of for d in said)

    def unfinished(self) -> TrainingDecided | None:
        """A run that a crash interrupted; one that is :meth:`pending` is none."""
        return self._newest(d for d in self.decisions if d.decision == "started")

    def pending(self) -> TrainingDecided | None:
        """The run whose challenger has won and waits for its shadow period or for a person; no other begins meanwhile."""
        return self._newest(d for d in self.decisions if d.decision == "waiting" and d.waits_for in PENDING)

    def said_at(self, run_id: str) -> int | None:
        """When the last word on a run was published, by the wall clock in milliseconds; None where nobody says."""
        return self._said_at.get(run_id)

    def last(self, name: str) -> TrainingDecided | None:
        """The newest decision about an alert, a request or a period, other than that a run has begun."""
        return self._newest(d for d in self.about(name) if d.decision != "started")

    def answer(self, name: str) -> TrainingDecided | None:
        """The newest end of a run that answered it."""
        return self._newest(d for d in self.about(name) if d.decision in ENDS)

    def failed(self, name: str) -> list[TrainingDecided]:
        """All failures of runs that should have answered it."""
        return [d for d in self.about(name) if d.decision == "failed"]

    def about(self, name: str) -> Sequence[TrainingDecided]:
        """All decisions about an alert, a request or a period."""
        return self._by_name.get(name, []) if self.decisions else []

    @staticmethod
    def _newest(found: Iterable[TrainingDecided]) -> TrainingDecided | None:
        return next(reversed(list(found)), None)
