"""What is said of a run after its challenge: it shadows, it waits for a person, it serves, or it does not."""

from __future__ import annotations

from contracts.events import ChallengerReviewed, ModelChanged, TrainingDecided
from msgspec.structs import replace

from trainer.domain.challenge import Verdict

ASKS = "waiting for approval: "


def progress(rows: int, needed: int) -> str:
    """How far a shadow period is.

    >>> progress(0, 500)
    'waiting: 0 of 500 labelled rows of live traffic in shadow'
    """
    return f"waiting: {rows} of {needed} labelled rows of live traffic in shadow"


def shadows(won: TrainingDecided, needed: int) -> TrainingDecided:
    """A winner that has to win again on rows it scores unseen."""
    return replace(won, decision="waiting", waits_for="shadow", reason=f"{progress(0, needed)}; {won.reason}")


def asks(won: TrainingDecided) -> TrainingDecided:
    """A winner that waits for a person."""
    return replace(won, decision="waiting", waits_for="approval", reason=f"{ASKS}{won.reason}")


def shadowed(run: TrainingDecided, verdict: Verdict, rows: int, as_of: int) -> TrainingDecided:
    """What the second challenge, on so many rows scored unseen, says of a run as of a boundary."""
    return replace(
        run,
        decision="promoted" if verdict.promoted else "refused",
        waits_for=None,
        as_of=as_of,
        reason=f"in shadow {verdict.reason}",
        rows=run.rows | {"shadow": rows},
        metrics=verdict.metrics,
        gain=verdict.gain,
        p_value=verdict.p_value,
        guardrails=verdict.guardrails,
    )


def reviewed(run: TrainingDecided, said: ChallengerReviewed, as_of: int) -> TrainingDecided:
    """What a person's word makes of a run that waits, as of the newest boundary considered."""
    by = f" by {said.reviewed_by}" if said.reviewed_by else ""
    word = "approved" if said.approved else "refused"
    why = f": {said.reason}" if said.reason else ""
    return replace(
        run,
        decision="promoted" if said.approved else "refused",
        waits_for=None,
        as_of=as_of,
        reason=f"{word}{by}{why}; {run.reason.removeprefix(ASKS)}",
    )


def serves(run: TrainingDecided, serving: ModelChanged) -> TrainingDecided:
    """A run whose challenger has come to serve without it."""
    return replace(
        run,
        decision="promoted",
        waits_for=None,
        as_of=max(run.as_of, serving.effective_from),
        reason=f"it serves already: {serving.reason or 'no reason given'}",
    )


def ended(run: TrainingDecided, why: str, as_of: int, *, failed: bool = False) -> TrainingDecided:
    """A run that something else has ended, with the figures it had."""
    return replace(
        run,
        decision="failed" if failed else "refused",
        waits_for=None,
        as_of=as_of,
        reason=f"failed: {why}" if failed else f"{why}; {run.reason.removeprefix(ASKS)}",
    )
