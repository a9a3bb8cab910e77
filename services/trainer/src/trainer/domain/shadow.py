"""What is known of shadows: who is announced, and between which event times a version has answered unseen.

A challenger's answers are computed again from the ledger's rows, which gives the same and hangs on nobody's speed. That
the predictor gave them is another matter: rows count from the first boundary after its first answer to the end of the window
with its newest. A version that no predictor could load answers nothing, so none of its rows count.
"""

from __future__ import annotations

from contracts.events import ChallengerChanged, PredictionsMade, TrainingDecided

BY = "trainer"


class Shadows:
    """The last announcement, and the event times of what the version that is watched has answered."""

    def __init__(self) -> None:
        self.announced: ChallengerChanged | None = None
        self.watched: tuple[str, int] | None = None
        self.answers: tuple[int, int] | None = None  # event times (ms) of the first and the newest

    def changed(self, event: ChallengerChanged) -> None:
        """Take in an announcement; the last one holds."""
        self.announced = event

    def watch(self, version: str, since: int) -> None:
        """Count what a version answers to rows from ``since`` (event time, ms) on: on older ones it was trained or chosen."""
        self.watched, self.answers = (version, since), None

    def answered(self, event: PredictionsMade) -> None:
        """Take in answers that nobody was given; those received twice change nothing."""
        if self.watched is None or event.version != self.watched[0]:
            return
        times = [time for time in event.event_time if time >= self.watched[1]]
        if times:
            first, last = self.answers or (times[0], times[0])
            self.answers = min(first, *times), max(last, *times)


def announcement(
    run: TrainingDecided, artifact_uri: str, sha256: str, now: int, before: ChallengerChanged | None
) -> ChallengerChanged:
    """That a run's challenger shadows; ``now`` is the wall clock in ms, ``before`` the last announcement."""
    instead = f", in place of version {before.version}" if before is not None and before.version else ""
    return ChallengerChanged(
        model=run.model,
        version=run.challenger_version,
        artifact_uri=artifact_uri,
        sha256=sha256,
        effective_from=now,
        reason=f"run {run.run_id} has won its challenge{instead}",
        announced_by=BY,
    )


def end(run: TrainingDecided, now: int) -> ChallengerChanged:
    """That none shadows any more."""
    return ChallengerChanged(
        model=run.model,
        version=None,
        artifact_uri="",
        sha256="",
        effective_from=now,
        reason=f"run {run.run_id} shadows no more",
        announced_by=BY,
    )


def announces(event: ChallengerChanged | None, run: TrainingDecided) -> bool:
    """Whether an announcement is that a run's challenger shadows."""
    return event is not None and (
        (event.version, event.announced_by) == (run.challenger_version, BY) and run.run_id in event.reason
    )


def ended(event: ChallengerChanged | None) -> str:
    """Why a shadow period is over that somebody else's announcement ended."""
    if event is None:
        return "its shadow period was never announced"
    what = f"version {event.version} shadows instead" if event.version else "no version shadows any more"
    by = f" ({event.announced_by})" if event.announced_by else ""
    return f"its shadow period was ended: {what}: {event.reason or 'no reason given'}{by}"
